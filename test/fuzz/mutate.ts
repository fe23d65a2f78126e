/** Damages files by a seed that replays: bits, bytes, numbers, runs; cut short, spliced with another file. */

import { Dice } from '../support/dice.js';

/** Numbers that sizes and offsets are most often wrong with. */
const NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x40000000];

/** Texts that have a meaning in one of the formats, or none in any. */
const TEXTS = [
  '-1',
  '1e308',
  '999999999999999999999',
  'null',
  '[[[[[[[[',
  '"shape":[4294967296,4294967296]',
  '../../x',
  '\0',
  '"',
  '{"a":',
];

/** Where damage goes: half of it into the first kilobyte, where headers are, and a quarter into the last. */
function place(dice: Dice, length: number): number {
  const where = dice.next();
  if (where < 0.5) return dice.below(Math.min(length, 1024));
  if (where < 0.75) return Math.max(0, length - 1 - dice.below(Math.min(length, 1024)));
  return dice.below(length);
}

type Mutation = (bytes: Uint8Array, dice: Dice, others: readonly Uint8Array[]) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  (bytes, dice) => {
    bytes[place(dice, bytes.length)] ^= 1 << dice.below(8);
    return bytes;
  },
  (bytes, dice) => {
    bytes[place(dice, bytes.length)] = dice.below(256);
    return bytes;
  },
  (bytes, dice) => {
    const width = dice.of([1, 2, 4, 8]);
    const at = place(dice, bytes.length);
    let rest = BigInt(dice.of(NUMBERS));
    for (let i = at; i < Math.min(at + width, bytes.length); i++, rest >>= 8n) bytes[i] = Number(rest & 255n);
    return bytes;
  },
  (bytes, dice) => bytes.subarray(0, place(dice, bytes.length)),
  (bytes, dice) => {
    const at = place(dice, bytes.length);
    const count = 1 + dice.below(Math.min(64, bytes.length - at));
    return join(bytes.subarray(0, at), bytes.subarray(at + count));
  },
  (bytes, dice) => {
    const at = place(dice, bytes.length);
    const count = 1 + dice.below(64);
    return join(
      bytes.subarray(0, at),
      Uint8Array.from({ length: count }, () => dice.below(256)),
      bytes.subarray(at),
    );
  },
  (bytes, dice) => {
    const at = place(dice, bytes.length);
    return join(bytes.subarray(0, at), new TextEncoder().encode(dice.of(TEXTS)), bytes.subarray(at));
  },
  (bytes, dice) => {
    const [from, to] = [place(dice, bytes.length), place(dice, bytes.length)];
    bytes.copyWithin(to, from, from + 1 + dice.below(64));
    return bytes;
  },
  (bytes, dice, others) => {
    const other = dice.of(others);
    const at = place(dice, bytes.length);
    return join(bytes.subarray(0, at), other.subarray(Math.min(place(dice, other.length || 1), other.length)));
  },
  (bytes, dice) => {
    // A digit for another: texts with numbers stay texts with numbers.
    const digits = [...bytes.subarray(0, 4096).keys()].filter((i) => bytes[i] >= 0x30 && bytes[i] <= 0x39);
    if (digits.length > 0) bytes[dice.of(digits)] = 0x30 + dice.below(10);
    return bytes;
  },
];

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/** File `index` of a run: one of the corpus, damaged once to six times. */
export function damaged(corpus: readonly Uint8Array[], seed: number, index: number): Uint8Array {
  const dice = new Dice(seed, index);
  let bytes: Uint8Array = dice.of(corpus).slice();
  for (let n = 1 + dice.below(6); n > 0 && bytes.length > 0; n--)
    bytes = dice.of(MUTATIONS)(bytes, dice, corpus).slice();
  return bytes;
}
