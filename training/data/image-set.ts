/** Images in memory, as the network is trained on them. */

import { RandomSequence } from '../random/philox.js';

/** `count` images of bytes, each channels * size * size, channel-major like every image of this project. */
export interface ImageSet {
  readonly count: number;
  readonly channels: number;
  readonly size: number;
  readonly pixels: Uint8Array;
  /** Of the files that they come from, where each is one. */
  readonly names?: readonly string[];
}

/** Byte to -1 .. 1 in single precision, rounded where torchvision rounds: ToTensor divides, then 2 * x - 1. */
const SCALED = Float32Array.from({ length: 256 }, (_, byte) => Math.fround(2 * Math.fround(byte / 255)) - 1);

/**
 * A batch for the network.
 *
 * @param indices which images
 * @param flipped for each, whether it is mirrored left to right; absent: none is
 * @returns indices.length * size * size * channels values in -1 .. 1, channel last (NHWC)
 */
export function imageBatch(set: ImageSet, indices: ArrayLike<number>, flipped?: ArrayLike<number>): Float32Array {
  const { channels, size, pixels } = set;
  const plane = size * size;
  const batch = new Float32Array(indices.length * plane * channels);
  let at = 0;
  for (let n = 0; n < indices.length; n++) {
    const image = indices[n] * channels * plane;
    const mirror = flipped !== undefined && flipped[n] !== 0;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const from = image + y * size + (mirror ? size - 1 - x : x);
        for (let channel = 0; channel < channels; channel++) batch[at++] = SCALED[pixels[from + channel * plane]];
      }
    }
  }
  return batch;
}

/** The order of an epoch and its flips: a function of seed and epoch alone. */
export function epochOrder(seed: number, epoch: number, count: number): Uint32Array {
  return new RandomSequence(seed, 'shuffle', epoch).permutation(count);
}

/** One coin for each image of a batch. @param step of training */
export function flipCoins(seed: number, step: number, count: number): Uint8Array {
  const random = new RandomSequence(seed, 'flips', step);
  return Uint8Array.from({ length: count }, () => random.below(2));
}
