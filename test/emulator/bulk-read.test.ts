import { expect } from 'chai';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { XIP_MISS_CYCLES } from '../../emulator/xip-cache.js';
import { BenchChip } from './bench-chip.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from './bench-program.js';

/** Where bulk.c reads, in the image. */
const DATA = 0x80000;
const WORDS = 256;

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`bulk reads of flash, program built with ${compiler}`, function () {
    let image: Uint8Array;

    before(async function () {
      skipWithoutCompiler(this, 'rp2040', compiler);
      const program: BenchImage = await buildBenchImage(compiler, 'bulk.c');
      expect(program.diagnostics).to.equal('');
      image = new Uint8Array(DATA + 4 * WORDS).fill(0xff);
      image.set(program.image.bytes);
      for (let i = 0; i < 4 * WORDS; i++) image[DATA + i] = (i * 167 + (i >> 3)) & 0xff;
    });

    /** The checksum of the first words, by the program's own rule. */
    function checksum(count: number): number {
      const view = new DataView(image.buffer, DATA);
      let sum = 0;
      for (let i = 0; i < count; i++) sum = (Math.imul(sum, 31) + view.getUint32(4 * i, true)) >>> 0;
      return sum;
    }

    function timed(bench: BenchChip, command: string): { cycles: number; sum: number } {
      const answer = bench.echo(Buffer.from(command));
      expect(answer).to.have.length(12);
      return { cycles: Number(answer.readBigUInt64LE()), sum: answer.readUInt32LE(8) };
    }

    for (const xip of [true, false]) {
      const open = (): BenchChip => new BenchChip(image, 100_000, xip ? { missCycles: XIP_MISS_CYCLES } : undefined);

      it(`give what flash holds, by DMA and by the core, ${xip ? 'in time' : 'at once where nothing waits'}`, () => {
        const bench = open();
        for (const [command, count] of [
          ['f', WORDS],
          ['o', WORDS],
          ['s', 16],
          ['p', 16],
          ['c', WORDS],
          ['f', WORDS],
        ] as const) {
          expect(timed(bench, command).sum, command).to.equal(checksum(count));
        }
        expect(bench.faults).to.deep.equal([]);
      });
    }

    it('cost 24 cycles and 16 a word, beside which the core works on', () => {
      const run = (slice: number): number[] => {
        const bench = new BenchChip(image, slice, { missCycles: XIP_MISS_CYCLES });
        for (const command of ['f', 'o', 's']) timed(bench, command);
        return ['f', 's', 'o', 'c'].map((command) => timed(bench, command).cycles);
      };
      const [all, sixteen, beside, loads] = run(100_000);
      // The rest of both is the same; the wait looks every few cycles.
      expect(all - sixteen).to.be.within(16 * (WORDS - 16) - 16, 16 * (WORDS - 16) + 16);
      expect(sixteen).to.be.within(24 + 16 * 16, 24 + 16 * 16 + 250);
      expect(beside).to.be.within(all - 16, all + 16);
      expect(loads).to.be.above((XIP_MISS_CYCLES * WORDS) / 2);
      expect(run(977), 'in slices of any length').to.deep.equal([all, sixteen, beside, loads]);
    });

    it('lose what the FIFO has no room for', () => {
      const bench = new BenchChip(image, 100_000, { missCycles: XIP_MISS_CYCLES });
      const answer = bench.echo(Buffer.from('l'));
      expect(answer.readUInt32LE()).to.equal(16);
      expect(answer.readUInt32LE(12)).to.equal(checksum(16));
    });

    it('bar flash to the core: a read meanwhile faults', () => {
      const bench = new BenchChip(image);
      // Its vectors lie in flash too, so nothing is left to report it.
      expect(() => bench.echo(Buffer.from('x'))).to.throw(FsvaeError, /locked up/);
      expect(bench.faults[0]).to.match(/a read of flash at 0x10080000 while its interface is not set for it/);
    });
  });
}
