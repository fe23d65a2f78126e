import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { readElf } from '../../codegen/image/elf.js';
import { type Launch, LaunchRom, Mailboxes } from '../../emulator/second-core.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { BenchChip } from './bench-chip.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from './bench-program.js';

/** Commands of core1.c. */
class Bench extends BenchChip {
  ask(command: string): Buffer {
    return this.echo(Buffer.from(command), 20e6);
  }

  /** Answers of eight bytes of cycles and four of result. */
  timed(command: string): { cycles: number; result: number } {
    const answer = this.ask(command);
    expect(answer).to.have.length(12);
    return { cycles: Number(answer.readBigUInt64LE()), result: answer.readUInt32LE(8) };
  }
}

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`second core of the emulated RP2040, program built with ${compiler}`, function () {
    let program: BenchImage;

    before(async function () {
      skipWithoutCompiler(this, 'rp2040', compiler);
      program = await buildBenchImage(compiler, 'core1.c');
    });

    it('compiles without a word', () => {
      expect(program.diagnostics).to.equal('');
    });

    it('is launched by the handshake, knows who it is, and is talked to both ways', () => {
      const bench = new Bench(program.image.bytes);
      const answer = bench.ask('i');
      expect([0, 4, 8].map((at) => answer.readUInt32LE(at))).to.deep.equal([0, 1, 42]);
      expect(bench.faults).to.deep.equal([]);
    });

    it('does half of the work in about half of the time', () => {
      const bench = new Bench(program.image.bytes);
      const alone = bench.timed('w');
      const both = bench.timed('d');
      expect(both.result).to.equal(alone.result);
      expect(both.cycles).to.be.within(alone.cycles / 2, alone.cycles / 2 + 500);
    });

    it('takes the same cycles in every run, in slices of any length', () => {
      const run = (slice: number): number[] => {
        const bench = new Bench(program.image.bytes, slice);
        const cycles = ['d', 'd', 'i', 'e', 'w', 'd'].map((command) => {
          const answer = bench.ask(command);
          return answer.length === 12 ? Number(answer.readBigUInt64LE()) : 0;
        });
        return [...cycles, bench.chip.cycles];
      };
      const whole = run(1e8);
      expect(run(1e8)).to.deep.equal(whole);
      expect(run(9973)).to.deep.equal(whole);
    });

    it('sleeps until an event comes', () => {
      expect(new Bench(program.image.bytes).ask('e').readUInt32LE().toString(16)).to.equal('12345678');
    });

    it('can be reset and launched again, also when its program has returned', () => {
      expect(new Bench(program.image.bytes).ask('s').readUInt32LE()).to.equal(2);
    });

    it('has the traps of core 0', () => {
      for (const [command, fault] of [
        ['f', /^hard fault on core 1: a store to 0x10000200, which is no RAM/],
        ['m', /^hard fault on core 1: a misaligned word read/],
      ] as const) {
        const bench = new Bench(program.image.bytes);
        expect(bench.ask(command).toString('latin1')).to.match(/^\r\nhard fault at 0x[0-9a-f]{8}\r\n\0!$/);
        expect(bench.faults).to.have.length(1);
        expect(bench.faults[0]).to.match(fault);
        expect(bench.timed('d').result, 'after the restart').to.equal(bench.timed('w').result);
      }
    });

    it('an overflow of its stack corrupts nothing: it runs against its guard', () => {
      const bench = new Bench(program.image.bytes);
      expect(() => bench.ask('o')).to.throw(FsvaeError, /locked up: hard fault on core 1: .* protection unit bars/);
      expect(bench.faults.at(-1)).to.contain('a store of 0x');
    });
  });
}

describe('port_launch_core1', function () {
  before(function () {
    skipWithoutCompiler(this, 'rp2040', 'auto');
  });

  it('costs nothing in a program that does not call it', async () => {
    const ofCore1 = async (source: string): Promise<string[]> => {
      const { programPath } = await buildBenchImage('auto', source);
      return [...readElf(readFileSync(programPath), programPath).symbols.keys()].filter((name) => /core1_/.test(name));
    };
    expect(await ofCore1('bench.c')).to.deep.equal([]);
    expect(await ofCore1('core1.c'), 'the test would see it').to.include.members(['core1_stack', 'core1_vectors']);
  });
});

describe('mailboxes between the cores', () => {
  const levels: boolean[][] = [];
  const open = (): Mailboxes => new Mailboxes((...now) => levels.push(now));

  it('hold eight words in each direction, in order', () => {
    const boxes = open();
    for (let i = 1; i <= 8; i++) {
      expect(boxes.status(0)).to.equal(2);
      boxes.write(0, i);
    }
    expect(boxes.status(0), 'full').to.equal(0);
    expect(boxes.status(1), 'the other direction is empty').to.equal(3);
    boxes.write(1, 99);
    expect(boxes.read(0)).to.equal(99);
    expect(Array.from({ length: 8 }, () => boxes.read(1))).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('drop a ninth word, and tell until that is cleared', () => {
    const boxes = open();
    for (let i = 1; i <= 9; i++) boxes.write(0, i);
    expect(boxes.status(0)).to.equal(4);
    expect(levels.at(-1)).to.deep.equal([true, true]);
    boxes.clear(0, 0xff);
    expect(boxes.status(0)).to.equal(0);
    expect(levels.at(-1)).to.deep.equal([false, true]);
    expect(Array.from({ length: 8 }, () => boxes.read(1)).at(-1)).to.equal(8);
  });

  it('tell of a read of nothing until that is cleared', () => {
    const boxes = open();
    expect(boxes.read(1)).to.equal(0);
    expect(boxes.status(1)).to.equal(2 + 8);
    boxes.write(0, 5);
    expect(boxes.read(1)).to.equal(5);
    boxes.clear(1, 4);
    expect(boxes.status(1)).to.equal(2 + 8);
    boxes.clear(1, 8);
    expect(boxes.status(1)).to.equal(2);
  });
});

describe("boot ROM's launch of core 1", () => {
  let boxes: Mailboxes;
  let rom: LaunchRom;
  let launches: Launch[];

  beforeEach(() => {
    boxes = new Mailboxes(() => undefined);
    launches = [];
    rom = new LaunchRom(
      boxes,
      () => undefined,
      (launch) => launches.push(launch),
    );
    rom.start();
  });

  /** What comes back for words that are sent one by one, each with an event. */
  function send(...words: number[]): number[] {
    return words.flatMap((word) => {
      boxes.write(0, word);
      rom.event();
      const answers: number[] = [];
      while ((boxes.status(0) & 1) !== 0) answers.push(boxes.read(0));
      return answers;
    });
  }

  it('says that it is there, with the error that its first look leaves', () => {
    expect(boxes.read(0)).to.equal(0);
    expect(boxes.status(0) & 1).to.equal(0);
    expect(boxes.status(1) & 8).to.equal(8);
  });

  it('sends every word of the sequence back, then starts', () => {
    boxes.read(0);
    const words = [0, 0, 1, 0x10000100, 0x20001000, 0x10000201];
    expect(send(...words)).to.deep.equal(words);
    expect(launches).to.deep.equal([{ vectors: 0x10000100, stack: 0x20001000, entry: 0x10000201 }]);
  });

  it('starts over at a word that is wrong: a 0 comes back', () => {
    boxes.read(0);
    expect(send(0, 7)).to.deep.equal([0, 0]);
    expect(send(1, 0x10000100, 0)).to.deep.equal([1, 0x10000100, 0]);
    expect(send(1, 0x10000100, 0x20001000, 0)).to.deep.equal([1, 0x10000100, 0x20001000, 0]);
    expect(launches).to.deep.equal([]);
    expect(send(0, 1, 4, 8, 13)).to.deep.equal([0, 1, 4, 8, 13]);
    expect(launches).to.have.length(1);
  });

  it('does not see a word that no event follows', () => {
    boxes.read(0);
    boxes.write(0, 1);
    expect(boxes.status(0) & 1).to.equal(0);
    rom.event();
    expect(boxes.read(0)).to.equal(1);
  });

  it('waits for room in the mailbox of core 0', () => {
    for (let i = 0; i < 7; i++) boxes.write(1, 100 + i);
    boxes.write(0, 1);
    rom.event();
    expect(boxes.status(1) & 2, 'full').to.equal(0);
    boxes.read(0);
    rom.event();
    expect(Array.from({ length: 8 }, () => boxes.read(0)).at(-1)).to.equal(1);
  });
});
