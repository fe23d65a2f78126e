/** Reconstruction error of each image, mean squared over its pixels in -1 .. 1, batch by batch in the images' order. */

import type { ModelShape } from '../config/config.js';
import { imageBatch, type ImageSet } from '../data/image-set.js';
import type { Fsvae } from '../model/fsvae.js';
import type { Network } from '../model/network.js';
import { seededChoices } from './samples.js';

/** A batch of a full-size network takes the engine's memory. */
const BATCH = 64;

function* batchErrors(
  set: ImageSet,
  reconstruct: (images: Float32Array, count: number, first: number) => Float32Array,
): Generator<number[]> {
  const values = set.channels * set.size ** 2;
  for (let first = 0; first < set.count; first += BATCH) {
    const count = Math.min(BATCH, set.count - first);
    const images = imageBatch(
      set,
      Uint32Array.from({ length: count }, (_, i) => first + i),
    );
    const made = reconstruct(images, count, first);
    const errors = new Array<number>(count).fill(0);
    images.forEach((value, i) => (errors[Math.floor(i / values)] += (value - made[i]) ** 2 / values));
    yield errors;
  }
}

/** By a float FSVAE; image i has the choices of seed firstSeed + i (rule G3), as in the integer encoder. */
export function fsvaeErrors(
  model: Fsvae,
  shape: ModelShape,
  set: ImageSet,
  firstSeed: bigint,
): Generator<readonly number[]> {
  return batchErrors(set, (images, count, first) => {
    const choices = seededChoices(shape, firstSeed + BigInt(first), count);
    return model.reconstruct(images, count, shape.timeSteps, choices).images;
  });
}

/** By a network without spikes. */
export function baselineErrors(network: Pick<Network, 'reconstruct'>, set: ImageSet): Generator<readonly number[]> {
  return batchErrors(set, (images, count, first) => network.reconstruct(images, count, first).images);
}
