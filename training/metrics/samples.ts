/** Images to be scored, wherever they come from, in batches of the metrics' size. The same seeds make the same choices everywhere. */

import { drawChoices } from '../../runtime-ts/pcg32.js';
import { STATISTICS_BATCH } from '../baselines/statistics.js';
import type { ModelShape } from '../config/config.js';
import { imageBatch, type ImageSet } from '../data/image-set.js';
import type { Fsvae } from '../model/fsvae.js';

export interface ImageBatch {
  readonly count: number;
  /** count * size * size * channels values in -1 .. 1, channel last. */
  readonly images: Float32Array;
}

/** Images that the engine makes at once; a batch of a full-size network takes its memory. */
const ENGINE_BATCH = 64;

/** Whole batches of STATISTICS_BATCH that hold so many images: the authors' code draws 5,120 for 5,000. */
export function wholeBatches(images: number): number {
  return Math.ceil(images / STATISTICS_BATCH) * STATISTICS_BATCH;
}

/** Choices of consecutive seeds (rule G3), in the order of training/model: (T, count, C). */
export function seededChoices(shape: ModelShape, firstSeed: bigint, count: number): Uint8Array {
  const { timeSteps, latentChannels: c, choices: k } = shape;
  const all = new Uint8Array(timeSteps * count * c);
  for (let n = 0; n < count; n++) {
    const choices = drawChoices(BigInt.asUintN(64, firstSeed + BigInt(n)), timeSteps, c, k);
    for (let t = 0; t < timeSteps; t++) all.set(choices.subarray(t * c, (t + 1) * c), (t * count + n) * c);
  }
  return all;
}

/**
 * Samples of the float network's prior.
 *
 * @param total a multiple of STATISTICS_BATCH
 * @param watch runs each sampling of `count` images
 */
export function* floatSamples(
  model: Fsvae,
  shape: ModelShape,
  firstSeed: bigint,
  total: number,
  watch: <T>(count: number, pass: () => T) => T = (_, pass) => pass(),
): Generator<ImageBatch> {
  const pixels = shape.channels * shape.imageSize ** 2;
  for (let first = 0; first < total; first += STATISTICS_BATCH) {
    const images = new Float32Array(STATISTICS_BATCH * pixels);
    for (let at = 0; at < STATISTICS_BATCH; at += ENGINE_BATCH) {
      const choices = seededChoices(shape, firstSeed + BigInt(first + at), ENGINE_BATCH);
      images.set(
        watch(ENGINE_BATCH, () => model.sample(ENGINE_BATCH, shape.timeSteps, choices)),
        at * pixels,
      );
    }
    yield { count: STATISTICS_BATCH, images };
  }
}

/** Samples of any network that the trainer trains. @param total a multiple of STATISTICS_BATCH */
export function* networkSamples(
  network: { sample(count: number, occasion: number): Float32Array },
  total: number,
): Generator<ImageBatch> {
  for (let first = 0; first < total; first += STATISTICS_BATCH) {
    yield { count: STATISTICS_BATCH, images: network.sample(STATISTICS_BATCH, first) };
  }
}

/** All images of a set in their order; the last batch has what is left. */
export function* setBatches(set: ImageSet): Generator<ImageBatch> {
  for (let first = 0; first < set.count; first += STATISTICS_BATCH) {
    const count = Math.min(STATISTICS_BATCH, set.count - first);
    yield {
      count,
      images: imageBatch(
        set,
        Uint32Array.from({ length: count }, (_, i) => first + i),
      ),
    };
  }
}

/**
 * Images of bytes, as golden model and boards give them.
 *
 * @param images each channels * size * size bytes, channel-major
 */
export function* byteBatches(
  images: Iterable<Uint8Array>,
  { channels, imageSize: size }: Pick<ModelShape, 'channels' | 'imageSize'>,
): Generator<ImageBatch> {
  const bytes = channels * size * size;
  const pixels = new Uint8Array(STATISTICS_BATCH * bytes);
  let count = 0;
  const batch = (): ImageBatch => {
    const set = { count, channels, size, pixels };
    return {
      count,
      images: imageBatch(
        set,
        Uint32Array.from({ length: count }, (_, i) => i),
      ),
    };
  };
  for (const image of images) {
    pixels.set(image, count * bytes);
    if (++count < STATISTICS_BATCH) continue;
    yield batch();
    count = 0;
  }
  if (count > 0) yield batch();
}
