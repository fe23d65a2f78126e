/** A seed as people write it. */

/** @returns the seed of 64 bits, or undefined where the text is none: decimal, or 0x and hexadecimal digits */
export function parseSeed(text: string): bigint | undefined {
  const trimmed = text.trim();
  if (!/^(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(trimmed)) return undefined;
  const seed = BigInt(trimmed);
  return seed >> 64n === 0n ? seed : undefined;
}

/** The seed that many further on, modulo 2^64. */
export function seedAfter(seed: bigint, step: bigint): bigint {
  return BigInt.asUintN(64, seed + step);
}
