/**
 * The random generator and the uniform choice (rules G1 to G3 of docs/arithmetic.md).
 *
 * PCG32 is the published generator pcg32 (XSH RR 64/32) by M. E. O'Neill, "PCG: A Family of Simple Fast
 * Space-Efficient Statistically Good Algorithms for Random Number Generation", HMC-CS-2014-0905, 2014. Its authors'
 * demonstration output for seed 42, stream 54 is a test vector here and in C.
 */

const MULTIPLIER = 6364136223846793005n;
const STREAM = 54n;
const TWO_32 = 2 ** 32;

/** Rule G1. 64-bit state, 32-bit output, period 2^64. */
export class Pcg32 {
  private state = 0n;
  private readonly increment: bigint;

  /** @param seed any integer; taken modulo 2^64. @param stream which of the 2^63 sequences; images use 54. */
  constructor(seed: bigint, stream: bigint = STREAM) {
    this.increment = BigInt.asUintN(64, (stream << 1n) | 1n);
    this.next();
    this.state = BigInt.asUintN(64, this.state + seed);
    this.next();
  }

  /** The next number, uniform in 0 .. 2^32 - 1. */
  next(): number {
    const old = this.state;
    this.state = BigInt.asUintN(64, old * MULTIPLIER + this.increment);
    const mixed = Number(BigInt.asUintN(32, ((old >> 18n) ^ old) >> 27n));
    const rotation = Number(old >> 59n);
    return ((mixed >>> rotation) | (mixed << (-rotation & 31))) >>> 0;
  }

  /**
   * Rule G2: a number uniform in 0 .. bound - 1, exactly. The high word of a 32 x 32 bit product is the choice; the
   * 2^32 mod bound products with the smallest low words are rejected and drawn again, which leaves every choice the
   * same number of draws.
   *
   * @param bound 1 .. 2^16
   */
  below(bound: number): number {
    for (;;) {
      const product = this.next() * bound; // < 2^48: exact in a double
      const low = product % TWO_32;
      if (low >= TWO_32 % bound) return Math.floor(product / TWO_32);
    }
  }
}

/**
 * Rule G3: all choices of one image, drawn before the network runs, time-major, then channel.
 *
 * @returns T * C indices, entry `t * C + c` in 0 .. k - 1
 */
export function drawChoices(seed: bigint, timeSteps: number, latentChannels: number, choices: number): Uint8Array {
  const generator = new Pcg32(seed);
  const drawn = new Uint8Array(timeSteps * latentChannels);
  for (let i = 0; i < drawn.length; i++) drawn[i] = generator.below(choices);
  return drawn;
}
