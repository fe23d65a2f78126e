/**
 * Random numbers for training as a pure function of what they are for: Philox4x32-10 (Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The key is the run's seed; the counter says which purpose,
 * which occasion (training step, epoch, parameter) and which block. A resumed run needs no generator state but the step.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;
const TWO_32 = 2 ** 32;

/** High 32 bits of the 64-bit product of two 32-bit numbers; sums of 16-bit halves stay below 2^53. */
function highWord(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carried / 0x10000)) >>> 0;
}

/**
 * One block.
 *
 * @param counter four words, left as they are
 * @param key two words
 * @param out where the four words go
 */
export function philox4x32(counter: ArrayLike<number>, key: ArrayLike<number>, out: Uint32Array): void {
  let [c0, c1, c2, c3] = [counter[0] >>> 0, counter[1] >>> 0, counter[2] >>> 0, counter[3] >>> 0];
  let [k0, k1] = [key[0] >>> 0, key[1] >>> 0];
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = highWord(MULTIPLIER_0, c0);
    const high1 = highWord(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** What a sequence of numbers is for. The numbers are part of every run's results: never renumbered. */
export const PURPOSE = { weights: 0, shuffle: 1, posterior: 2, prior: 3, scheduling: 4, noise: 5, flips: 6 } as const;
export type Purpose = keyof typeof PURPOSE;

/** The numbers of one purpose on one occasion, in order. */
export class RandomSequence {
  private readonly counter: Uint32Array;
  private readonly key: Uint32Array;
  private readonly block = new Uint32Array(4);
  private used = 4;

  /**
   * @param seed of the run, 0 .. 2^53 - 1
   * @param occasion training step, epoch or index, 0 .. 2^32 - 1
   */
  constructor(seed: number, purpose: Purpose, occasion: number) {
    this.key = Uint32Array.of(seed % TWO_32, Math.floor(seed / TWO_32));
    this.counter = Uint32Array.of(0, occasion, PURPOSE[purpose], 0);
  }

  /** Uniform in 0 .. 2^32 - 1. */
  next(): number {
    if (this.used === 4) {
      philox4x32(this.counter, this.key, this.block);
      this.counter[0]++;
      this.used = 0;
    }
    return this.block[this.used++];
  }

  /** Uniform in [0, 1), in steps of 2^-32. */
  uniform(): number {
    return this.next() / TWO_32;
  }

  /** In 0 .. bound - 1, each as often as the other but for bound / 2^32; bound at most 2^20. */
  below(bound: number): number {
    return Math.floor((this.next() * bound) / TWO_32);
  }

  /** Mean 0, variance 1 (Box and Muller; two numbers a call). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log((this.next() + 1) / TWO_32));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** 0 .. count - 1 in a random order (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}
