/** The verdict in words: what of an image was compared with the golden model, and what came out. */

import { firstPixelDifference, formatPixel } from '../../harness/stream.js';
import type { TargetTrace } from '../../harness/target.js';
import { firstDifference } from '../../harness/verify.js';

export interface Verdict {
  /** `exact`: all that was compared is equal. */
  readonly kind: 'exact' | 'differs';
  readonly title: string;
  /** One for the pixels, one for the spikes once they have been compared. */
  readonly lines: readonly string[];
}

/** What the golden model says of the seed. */
export interface Expected {
  readonly image: Uint8Array;
  readonly imageCrc: number;
  /** CRC-32 by row of a trace and step. */
  readonly digests: readonly Uint32Array[];
  /** Spikes by row and step. */
  readonly counts: readonly ArrayLike<number>[];
}

const number = (value: number): string => value.toLocaleString('en-US');

/**
 * @param trace the board's digests of the same seed; undefined: not asked for yet
 * @param layerNames rows of a trace
 */
export function compare(
  seed: bigint,
  expected: Expected,
  image: Uint8Array,
  imageSize: number,
  trace: TargetTrace | undefined,
  layerNames: readonly string[],
): Verdict {
  const lines: string[] = [];
  let exact = true;
  if (image.length !== expected.image.length) {
    exact = false;
    lines.push(`The image has ${number(image.length)} bytes, expected ${number(expected.image.length)}`);
  } else {
    const pixel = firstPixelDifference(seed, expected.image, image, imageSize);
    if (pixel === undefined) lines.push(`${number(image.length)} of ${number(image.length)} pixels equal`);
    else {
      exact = false;
      lines.push(formatPixel(pixel));
    }
  }
  if (trace !== undefined) {
    const place = firstDifference(expected.digests, trace.digests, layerNames);
    if (place !== undefined) {
      exact = false;
      const [row, step] = place;
      lines.push(`spikes first differ in ${layerNames[row]} at step ${step}; fsvae-codegen verify names the neuron`);
    } else if (trace.imageCrc !== expected.imageCrc) {
      exact = false;
      lines.push('all spikes are right; drawn again, the image is another');
    } else {
      const digests = expected.digests.reduce((sum, row) => sum + row.length, 0);
      const spikes = expected.counts.reduce((sum, row) => sum + Array.from(row).reduce((a, b) => a + b, 0), 0);
      lines.push(`${number(digests)} digests over ${number(spikes)} spikes equal`);
    }
  }
  return { kind: exact ? 'exact' : 'differs', title: exact ? 'Bit-exact' : 'Bits differ', lines };
}
