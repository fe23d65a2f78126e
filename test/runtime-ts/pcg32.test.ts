import { expect } from 'chai';
import fc from 'fast-check';
import { drawChoices, Pcg32 } from '../../runtime-ts/pcg32.js';

const hex = (n: number): string => n.toString(16).padStart(8, '0');

describe('pcg32 (rules G1 to G3)', () => {
  it("gives its authors' demonstration output for seed 42, stream 54", () => {
    const generator = new Pcg32(42n, 54n);
    const output = Array.from({ length: 6 }, () => hex(generator.next()));
    expect(output).to.deep.equal(['a15c02b7', '7b47f409', 'ba1d3330', '83d2f293', 'bfa4784b', 'cbed606e']);
  });

  it('uses stream 54 unless told otherwise', () => {
    expect(new Pcg32(42n).next()).to.equal(0xa15c02b7);
  });

  it('takes all 64 bits of the seed, and no more', () => {
    const first = (seed: bigint): number => new Pcg32(seed).next();
    expect(first(1n)).to.not.equal(first(1n + (1n << 63n)));
    expect(first(1n)).to.equal(first(1n + (1n << 64n)));
  });

  it('chooses every index, none more than chance allows', () => {
    for (const bound of [1, 2, 3, 7, 20, 255, 256]) {
      const generator = new Pcg32(BigInt(bound));
      const draws = 2000 * bound;
      const counts = new Uint32Array(bound);
      for (let i = 0; i < draws; i++) counts[generator.below(bound)]++;
      // Six standard deviations of a binomial count with mean 2000: the seed is fixed, so this never varies.
      for (const count of counts) expect(Math.abs(count - 2000)).to.be.below(6 * Math.sqrt(2000));
    }
  });

  it('rejects exactly the products that would favour some choices (rule G2)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 256 }), fc.bigInt(0n, (1n << 64n) - 1n), (bound, seed) => {
        const raw = new Pcg32(seed);
        const chosen = new Pcg32(seed).below(bound);
        for (;;) {
          const product = BigInt(raw.next()) * BigInt(bound);
          if ((product & 0xffffffffn) < (1n << 32n) % BigInt(bound)) continue;
          expect(chosen).to.equal(Number(product >> 32n));
          return;
        }
      }),
    );
  });

  it('draws time-major, then channel (rule G3)', () => {
    const generator = new Pcg32(9n);
    const expected = Uint8Array.from({ length: 12 }, () => generator.below(20));
    expect(drawChoices(9n, 3, 4, 20)).to.deep.equal(expected);
  });
});
