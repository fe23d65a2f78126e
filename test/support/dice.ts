/** Chance for tests, by a seed that replays. */

/** xorshift32. */
export class Dice {
  private state: number;

  /** @param index of a throw of a longer run: it does not depend on those before it */
  constructor(seed: number, index?: number) {
    const own = index === undefined ? 0 : Math.imul(index + 1, 0x85ebca6b);
    this.state = (Math.imul(seed + 1, 0x9e3779b1) ^ own) | 1;
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 0 .. 1, without 1. */
  next(): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}
