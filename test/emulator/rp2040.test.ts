import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { readElf } from '../../codegen/image/elf.js';
import { sealBoot2 } from '../../codegen/image/boot2.js';
import { EMULATED_FLASH_ID } from '../../emulator/flash-chip.js';
import { EmulatedRp2040 } from '../../emulator/rp2040.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { BenchChip } from './bench-chip.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from './bench-program.js';

const ESCAPE = 0x1b;

/** Commands of bench.c. */
class Bench extends BenchChip {
  ask(command: string): Buffer {
    return this.echo(Uint8Array.of(ESCAPE, command.charCodeAt(0)));
  }
}

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`RP2040 port, built with ${compiler}, emulated`, function () {
    let program: BenchImage;

    before(async function () {
      skipWithoutCompiler(this, 'rp2040', compiler);
      program = await buildBenchImage(compiler);
    });

    it('compiles without a word', () => {
      expect(program.diagnostics).to.equal('');
    });

    it('starts through its second-stage boot and echoes what it receives', () => {
      const bench = new Bench(program.image.bytes);
      expect(bench.echo(Buffer.from('every byte')).toString()).to.equal('every byte');
      expect(bench.faults).to.deep.equal([]);
    });

    it('enters the program through its second-stage boot, which says where the vectors are', () => {
      const bench = new Bench(program.image.bytes);
      expect(bench.ask('v').readUInt32LE().toString(16)).to.equal('10000100');
      bench.ask('r');
      expect(bench.ask('v').readUInt32LE().toString(16), 'after a restart').to.equal('10000100');
    });

    it('loses nothing of a burst many times its buffers', () => {
      const bytes = Uint8Array.from({ length: 9000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff).filter((b) => b !== ESCAPE);
      expect(new Bench(program.image.bytes).echo(bytes).equals(bytes)).to.equal(true);
    });

    it('has its data, its zeroed data and its code in RAM in place, and copies right', () => {
      const bench = new Bench(program.image.bytes);
      expect(bench.ask('m').toString()).to.equal('y');
      expect(bench.ask('m').toString(), 'the check sees that data changed').to.equal('n');
    });

    it('counts cycles without a step back over more than 2^24 of them, and rightly', () => {
      const bench = new Bench(program.image.bytes);
      const before = bench.ask('c').readBigUInt64LE();
      const start = bench.chip.cycles;
      const answer = bench.ask('w');
      const after = bench.ask('c').readBigUInt64LE();
      const passed = bench.chip.cycles - start;
      expect(answer.readUInt32LE(0), 'steps back').to.equal(0);
      expect(answer.readUInt32LE(4), 'largest step').to.be.below(200);
      expect(Number(answer.readBigUInt64LE(8))).to.be.within(1.5 * 2 ** 24, 1.5 * 2 ** 24 + 200);
      // From the end of one answer to the end of the other the program took the same way, so the two counters may differ
      // only by what rp2040js's timer gains: its period is one cycle short, and at most two ended meanwhile.
      expect(Number(after - before)).to.be.within(passed, passed + 2);
    });

    it('takes the same cycles for the same input, in slices of any length', () => {
      const run = (slice: number): number[] => {
        const bench = new Bench(program.image.bytes, slice);
        const answer = bench.ask('w');
        return [bench.chip.cycles, Number(answer.readBigUInt64LE(8)), Number(bench.ask('c').readBigUInt64LE())];
      };
      const whole = run(1e8);
      expect(run(1e8)).to.deep.equal(whole);
      expect(run(9973)).to.deep.equal(whole);
    });

    it('finds the deepest use of its stack', () => {
      const bench = new Bench(program.image.bytes);
      const [size, idle] = [bench.ask('s').readUInt32LE(0), bench.ask('s').readUInt32LE(4)];
      expect(size).to.equal(4096);
      expect(idle, 'with the copy of the boot code that the flash id takes').to.be.within(256, 640);
      bench.ask('d');
      expect(bench.ask('s').readUInt32LE(4)).to.be.within(Math.max(idle + 1, 512), idle + 1024);
    });

    it("reads the flash chip's id, and can read flash as before after that", () => {
      const bench = new Bench(program.image.bytes);
      const id = `${Buffer.from(EMULATED_FLASH_ID).toString('hex')}\0`;
      expect(bench.ask('n').toString()).to.equal(id);
      expect(bench.ask('n').toString()).to.equal(id);
      expect(bench.echo(Buffer.from('and on')).toString()).to.equal('and on');
      expect(bench.faults).to.deep.equal([]);
    });

    it('stays where it is when there is no boot loader to enter', () => {
      expect(new Bench(program.image.bytes).ask('b').toString()).to.equal('-');
    });

    it('starts again on request, with fresh data', () => {
      const bench = new Bench(program.image.bytes);
      expect(bench.ask('m').toString()).to.equal('y');
      const before = bench.chip.cycles;
      expect(bench.ask('r').toString()).to.equal('!');
      expect(bench.ask('m').toString()).to.equal('y');
      expect(bench.chip.cycles).to.be.above(before);
      expect(bench.faults).to.deep.equal([]);
    });

    for (const [command, fault] of [
      ['h', /misaligned halfword read/],
      ['u', /misaligned word store/],
      ['f', /store to 0x10000200, which is no RAM/],
      ['a', /Write to undefined address: 30000000/],
      ['l', /Read from invalid memory address: 30000000/],
      ['x', /undefined instruction/],
    ] as const) {
      it(`reports a fault on the link and starts again: ${fault.source}`, () => {
        const bench = new Bench(program.image.bytes);
        const said = bench.ask(command).toString('latin1');
        const report = /^\r\nhard fault at 0x([0-9a-f]{8})\r\n\0!$/.exec(said);
        expect(report, JSON.stringify(said)).not.to.equal(null);
        expect(bench.faults).to.have.length(1);
        expect(bench.faults[0]).to.match(fault).and.not.match(/\n/);
        expect(bench.faults[0]).to.contain(`at 0x${report![1]}`);
        expect(bench.echo(Buffer.from('alive')).toString()).to.equal('alive');
      });
    }

    it('an overflow of the stack corrupts nothing: the core stops', () => {
      const bench = new Bench(program.image.bytes);
      const { symbols } = readElf(readFileSync(program.programPath), program.programPath);
      const [start, end] = [symbols.get('__data_start')!, symbols.get('__data_end')!];
      expect(end).to.be.above(start + 100);
      const data = Buffer.from(bench.chip.read(start, end - start));
      expect(() => bench.ask('o')).to.throw(FsvaeError, /locked up: .*below the stack, which overflowed/);
      expect(data.equals(bench.chip.read(start, end - start))).to.equal(true);
      expect(() => bench.chip.run(1)).to.throw(FsvaeError, /locked up/);
    });

    it('shows its name, version and model to picotool', () => {
      const { bytes } = program.image;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const word = (address: number): number => view.getUint32(address - 0x10000000, true);
      const text = (address: number): string => {
        const start = address - 0x10000000;
        return Buffer.from(bytes.subarray(start, bytes.indexOf(0, start))).toString();
      };
      let header = 0x10000100;
      while (word(header) !== 0x7188ebf2) {
        header += 4;
        expect(header, 'within the first 256 bytes').to.be.below(0x10000200 - 16);
      }
      expect(word(header + 16)).to.equal(0xe71aa390);
      expect(word(word(header + 12)), 'nothing to translate').to.equal(0);
      const records = new Map<number, string>();
      for (let at = word(header + 4); at < word(header + 8); at += 4) {
        const record = word(at);
        expect(word(record), 'a text of Raspberry Pi').to.equal(0x50520006);
        records.set(word(record + 4), text(word(record + 8)));
      }
      expect(records.get(0x02031c86)).to.equal('FSVAE bench');
      expect(records.get(0x11a9bc3a)).to.match(/^fsvae-codegen \d/);
      expect(records.get(0xb6a07c19)).to.match(/^model [0-9a-f]{16}$/);
    });
  });
}

describe('emulated RP2040', () => {
  const quiet = { onUartByte: () => undefined };

  /** Boot code in a few Thumb instructions, sealed, with something after it. */
  function bootImage(code: readonly number[], bytes = 512): Uint8Array {
    const image = new Uint8Array(bytes);
    new Uint16Array(image.buffer).set(code);
    sealBoot2(image);
    return image;
  }

  it('refuses an image that the boot ROM would refuse', () => {
    const image = bootImage([0xe7fe]);
    image[0] ^= 1;
    expect(() => new EmulatedRp2040(image, quiet)).to.throw(FsvaeError, /no boot code of valid checksum/);
    expect(() => new EmulatedRp2040(new Uint8Array(0), quiet)).to.throw(FsvaeError);
  });

  it("refuses an image that is larger than the board's flash", () => {
    const image = bootImage([0xe7fe], (2 << 20) + 256);
    expect(() => new EmulatedRp2040(image, quiet)).to.throw(FsvaeError, /larger than the flash of 2097152/);
    expect(() => new EmulatedRp2040(image, { ...quiet, flashBytes: 4 << 20 })).not.to.throw();
    expect(() => new EmulatedRp2040(image, { ...quiet, flashBytes: 32 << 20 })).to.throw(FsvaeError);
  });

  it('faults when boot code enters flash without having set its interface up', () => {
    const faults: string[] = [];
    // ldr r0, =0x10000101; bx r0
    const image = bootImage([0x4800, 0x4700, 0x0101, 0x1000]);
    const chip = new EmulatedRp2040(image, { ...quiet, onFault: (what) => faults.push(what) });
    expect(() => chip.run(1000)).to.throw(FsvaeError, /locked up/);
    expect(faults[0]).to.contain('a read of flash at 0x10000100 while its interface is not set for it');
    expect(faults[0]).to.contain('in the instruction at 0x10000100');
  });

  it('hands breakpoints to whoever measures', () => {
    const marks: number[][] = [];
    // bkpt 5; nop; nop; bkpt 6; b .
    const chip = new EmulatedRp2040(bootImage([0xbe05, 0x46c0, 0x46c0, 0xbe06, 0xe7fe]), {
      ...quiet,
      onBreakpoint: (code, cycles, core) => marks.push([code, cycles, core]),
    });
    chip.run(100);
    expect(marks.map(([, , core]) => core)).to.deep.equal([0, 0]);
    expect(marks.map(([code]) => code)).to.deep.equal([5, 6]);
    expect(marks[1][1] - marks[0][1]).to.equal(3);
  });

  it('runs on after WFE when an event came before it', () => {
    const marks: number[] = [];
    // sev; wfe; bkpt 1; wfe; bkpt 2; b .
    const chip = new EmulatedRp2040(bootImage([0xbf40, 0xbf20, 0xbe01, 0xbf20, 0xbe02, 0xe7fe]), {
      ...quiet,
      onBreakpoint: (code) => marks.push(code),
    });
    chip.run(100);
    expect(marks).to.deep.equal([1]);
    expect(chip.idle).to.equal(true);
  });
});
