/** Finds a damaged word among a board's constants with two requests: digests of all parts, then the words of one. */

import { crc32 } from '../runtime-ts/crc32.js';
import { wordBytes } from '../runtime-ts/words.js';
import { type Constants, ConstantsKind, type ConstantsRequest, MOST_CONSTANTS } from './frame.js';

/** What the constants of a build should be. */
export interface ExpectedConstants {
  readonly words: Uint32Array;
  /** What a word stands for, for people, and what is wrong with it when it reads `actual`. */
  describe(word: number, actual: number): string;
}

/** A word that is not what the build wrote. */
export interface Damage {
  /** Index of the first wrong word, and where it lies in the board's memory (modulo 2^32). */
  readonly word: number;
  readonly address: number;
  readonly expected: number;
  readonly actual: number;
  readonly meaning: string;
  /** Wrong words in the part of the first one, and parts with wrong words, of all. */
  readonly wordsInPart: number;
  readonly damagedParts: number;
  readonly parts: number;
}

/**
 * @param read asks the board
 * @param layouts what the board may have been built with; the one that fits best counts
 * @returns undefined when one of them fits wholly
 */
export async function findDamage(
  read: (request: ConstantsRequest) => Promise<Constants>,
  layouts: readonly ExpectedConstants[],
): Promise<Damage | undefined> {
  const total = Math.min(...layouts.map(({ words }) => words.length));
  const size = Math.ceil(total / MOST_CONSTANTS);
  const parts = Math.ceil(total / size);
  const { values } = await read({ kind: ConstantsKind.digests, first: 0, words: size, parts });
  const damaged = layouts.map(({ words }) =>
    [...values.keys()].filter((i) => crc32(wordBytes(words.subarray(i * size, (i + 1) * size))) !== values[i]),
  );
  const best = damaged.reduce((least, wrong, i) => (wrong.length < damaged[least].length ? i : least), 0);
  const [part] = damaged[best];
  if (part === undefined) return undefined;
  const layout = layouts[best];
  const first = part * size;
  const count = Math.min(size, total - first);
  for (let at = first; at < first + count; at += MOST_CONSTANTS) {
    const length = Math.min(MOST_CONSTANTS, first + count - at);
    const { address, values: read1 } = await read({ kind: ConstantsKind.words, first: at, words: 1, parts: length });
    const wrong = [...read1.keys()].filter((i) => read1[i] !== layout.words[at + i]);
    if (wrong.length === 0) continue;
    const word = at + wrong[0];
    return {
      word,
      address: (address + 4 * wrong[0]) >>> 0,
      expected: layout.words[word],
      actual: read1[wrong[0]],
      meaning: layout.describe(word, read1[wrong[0]]),
      wordsInPart: wrong.length,
      damagedParts: damaged[best].length,
      parts,
    };
  }
  return undefined; // read again it was right
}

/** In one line, without an end. */
export function formatDamage(damage: Damage): string {
  const { word, address, expected, actual, meaning, wordsInPart, damagedParts, parts } = damage;
  const more =
    damagedParts > 1
      ? `, the first of ${wordsInPart} wrong words there and of ${damagedParts} damaged parts of ${parts}`
      : wordsInPart > 1
        ? `, the first of ${wordsInPart} wrong words`
        : '';
  return `word ${word} of its constants, at ${hex32(address)}, is ${hex32(actual)} instead of ${hex32(expected)} (${meaning})${more}`;
}

export function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
