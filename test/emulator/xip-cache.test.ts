import { expect } from 'chai';
import { EmulatedRp2040 } from '../../emulator/rp2040.js';
import { XIP_MISS_CYCLES, XipCache } from '../../emulator/xip-cache.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from './bench-program.js';

/** Lines as far apart as these share a set. */
const WAY = 8192;
/** Flash of which the program below takes nothing; its first set is none of the program's. */
const DATA = 0x10010000;

describe('XIP cache model', () => {
  const misses = (cache: XipCache, offsets: readonly number[]): number[] =>
    offsets.map((offset) => Math.sign(cache.read(offset, 0)));

  it('fetches lines of eight bytes', () => {
    expect(misses(new XipCache(9), [0, 4, 7, 8, 15, 16, 3])).to.deep.equal([1, 0, 0, 1, 0, 1, 0]);
  });

  it('holds two lines of a set; of three the one that was not used for longest goes', () => {
    expect(misses(new XipCache(9), [0, WAY, 0, WAY, 0])).to.deep.equal([1, 1, 0, 0, 0]);
    expect(misses(new XipCache(9), [0, WAY, 0, 2 * WAY, 0, WAY])).to.deep.equal([1, 1, 0, 1, 0, 1]);
  });

  it('holds 16 KiB', () => {
    const cache = new XipCache(9);
    for (let round = 0; round < 3; round++) for (let offset = 0; offset < 2 * WAY; offset += 4) cache.read(offset, 1);
    expect([...cache.accesses]).to.deep.equal([0, 12288]);
    expect([...cache.misses]).to.deep.equal([0, 2048]);
  });

  it('is empty once it is flushed', () => {
    const cache = new XipCache(9);
    expect([cache.read(0, 0), cache.read(0, 0)]).to.deep.equal([9, 0]);
    cache.flush();
    expect(cache.read(0, 0)).to.equal(9);
  });

  it('costs a Pico 60 cycles a miss: 30 clocks of its flash', () => {
    expect(XIP_MISS_CYCLES).to.equal(60);
  });
});

describe('emulated RP2040 with the XIP cache model', function () {
  let program: BenchImage;
  let both: BenchImage;

  before(async function () {
    skipWithoutCompiler(this, 'rp2040', 'auto');
    program = await buildBenchImage('auto');
    both = await buildBenchImage('auto', 'core1.c');
  });

  interface Measured {
    readonly accesses: number;
    readonly misses: number;
    readonly cycles: number;
  }

  /**
   * What a loop in flash costs. It begins with a line; r0 and r1 are as given, r4 and r5 one and two ways. The first
   * breakpoint ends the line before it, the second one follows it, so that fetching it adds a line and a word.
   */
  function measure(loop: readonly number[], r0: number, r1: number, missCycles?: number): Measured {
    const image = program.image.bytes.slice(0, 0x200);
    const words = new DataView(image.buffer);
    // ldr r0, r1, r4, r5 from the literals at 0x180; nop; nop; nop; bkpt 1
    const code = [0x481d, 0x491e, 0x4c1e, 0x4d1f, 0x46c0, 0x46c0, 0x46c0, 0xbe01, ...loop, 0xbe02, 0xe7fe];
    code.forEach((instruction, i) => words.setUint16(0x108 + 2 * i, instruction, true));
    [r0, r1, WAY, 2 * WAY].forEach((literal, i) => words.setUint32(0x180 + 4 * i, literal, true));
    words.setUint32(0x100, 0x20001000, true);
    words.setUint32(0x104, 0x10000109, true);
    const at: Measured[] = [];
    const chip = new EmulatedRp2040(image, {
      onUartByte: () => undefined,
      onFault: (what) => expect.fail(what),
      onBreakpoint: (_, cycles) => at.push({ accesses: chip.xipAccesses[0], misses: chip.xipMisses[0], cycles }),
      ...(missCycles === undefined ? {} : { xip: { missCycles } }),
    });
    chip.run(200_000);
    expect(at).to.have.length(2);
    const [from, to] = at;
    return { accesses: to.accesses - from.accesses, misses: to.misses - from.misses, cycles: to.cycles - from.cycles };
  }

  // ldr r2, [r0]; adds r0, #4; subs r1, #1; bne
  const SEQUENTIAL = [0x6802, 0x3004, 0x3901, 0xd1fb];
  // ldr r2, [r0]; ldr r2, [r0, r4]; subs r1, #1; bne
  const TWO_LINES = [0x6802, 0x5902, 0x3901, 0xd1fb];
  // ldr r2, [r0]; ldr r2, [r0, r4]; ldr r2, [r0, r5]; subs r1, #1; bne
  const THREE_LINES = [0x6802, 0x5902, 0x5942, 0x3901, 0xd1fa];
  // ldrh r2, [r0]; adds r0, #2; subs r1, #1; bne
  const HALFWORDS = [0x8802, 0x3002, 0x3901, 0xd1fb];
  // ldrb r2, [r0]; adds r0, #1; subs r1, #1; bne
  const BYTES = [0x7802, 0x3001, 0x3901, 0xd1fb];

  for (const [what, loop, r0, rounds, dataReads, dataMisses] of [
    ['words in order: a miss every 8 bytes', SEQUENTIAL, DATA, 100, 100, 50],
    ['halfwords in order', HALFWORDS, DATA, 100, 100, 25],
    ['bytes in order', BYTES, DATA, 96, 96, 12],
    ['two lines of a set', TWO_LINES, DATA, 100, 200, 2],
    ['three lines of a set', THREE_LINES, DATA, 100, 300, 300],
    ['words past the cache', SEQUENTIAL, DATA + 0x03000000, 100, 100, 100],
    ['words in RAM', SEQUENTIAL, 0x20002000, 100, 0, 0],
  ] as const) {
    it(`${what}: exact counts, and the misses' cycles`, () => {
      const instructionLines = Math.ceil((loop.length + 1) / 4);
      const fetchesARound = Math.ceil(loop.length / 2);
      const plain = measure(loop, r0, rounds);
      expect([plain.accesses, plain.misses]).to.deep.equal([0, 0]);
      for (const missCycles of [0, 60]) {
        const counted = measure(loop, r0, rounds, missCycles);
        // The breakpoint after a loop of an odd length shares the last word with it.
        expect(counted.accesses).to.equal(dataReads + rounds * fetchesARound + (loop.length % 2 === 0 ? 1 : 0));
        expect(counted.misses).to.equal(dataMisses + instructionLines);
        expect(counted.cycles - plain.cycles).to.equal(counted.misses * missCycles);
      }
    });
  }

  it('is shared by the cores, whose waits are their own, in the same cycles every time', () => {
    const run = (xip?: { missCycles: number }) => {
      const sent: number[] = [];
      const chip = new EmulatedRp2040(both.image.bytes, {
        onUartByte: (byte) => sent.push(byte),
        ...(xip === undefined ? {} : { xip }),
      });
      do chip.run(100_000);
      while (!chip.idle);
      chip.xipAccesses.fill(0);
      chip.xipMisses.fill(0);
      chip.receive(Buffer.from('id'));
      do chip.run(100_000);
      while (!chip.idle);
      return { sent, cycles: chip.cycles, accesses: [...chip.xipAccesses], misses: [...chip.xipMisses] };
    };
    const [plain, counted] = [run(), run({ missCycles: 60 })];
    expect(run({ missCycles: 60 })).to.deep.equal(counted);
    expect(counted.sent.slice(0, 13)).to.deep.equal(plain.sent.slice(0, 13));
    expect(counted.sent.slice(-4), 'result').to.deep.equal(plain.sent.slice(-4));
    expect(counted.cycles).to.be.above(plain.cycles);
    for (const core of [0, 1]) {
      expect(counted.misses[core]).to.be.above(0);
      expect(counted.accesses[core]).to.be.above(counted.misses[core]);
    }
  });
});
