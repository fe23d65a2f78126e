/** Reconstructions of a set's images, batch by batch, and what they cost. */

import { imageBatch, type ImageSet } from '../data/image-set.js';
import { drawTrainingChoices } from '../model/draws.js';
import type { ModelShape } from '../config/config.js';
import type { Fsvae } from '../model/fsvae.js';

export interface ReconstructedBatch {
  readonly count: number;
  /** Values in -1 .. 1, channel last. */
  readonly inputs: Float32Array;
  readonly outputs: Float32Array;
  /** Picked spikes (T, C) of image n. */
  latent(n: number): Uint8Array;
  /** Mean spikes of prior and decoder, per image. */
  readonly spikes: number;
}

/** A batch of a full-size network takes the engine's memory. */
const BATCH = 64;

/**
 * Reconstructs images in their order, in evaluation mode.
 *
 * @param seed of the posterior's choices
 * @param watch runs each pass over `count` images
 */
export function* reconstructions(
  model: Fsvae,
  { timeSteps, latentChannels: c, choices }: ModelShape,
  images: ImageSet,
  seed: number,
  watch: <T>(count: number, pass: () => T) => T = (_, pass) => pass(),
): Generator<ReconstructedBatch> {
  for (let first = 0; first < images.count; first += BATCH) {
    const count = Math.min(BATCH, images.count - first);
    const inputs = imageBatch(
      images,
      Uint32Array.from({ length: count }, (_, i) => first + i),
    );
    const drawn = drawTrainingChoices(seed, 'posterior', first, timeSteps * count * c, choices);
    const { images: outputs, z, spikes } = watch(count, () => model.reconstruct(inputs, count, timeSteps, drawn));
    yield {
      count,
      inputs,
      outputs,
      spikes,
      latent: (n) =>
        Uint8Array.from({ length: timeSteps * c }, (_, i) => z[(Math.floor(i / c) * count + n) * c + (i % c)]),
    };
  }
}

/** Sums squared differences of images over batches; the mean is over all pixels. */
export class SquaredError {
  private sum = 0;
  private values = 0;

  /** @param wanted one batch of values in -1 .. 1, channel last @param got the same */
  add(wanted: Float32Array, got: Float32Array): void {
    for (let i = 0; i < wanted.length; i++) this.sum += (wanted[i] - got[i]) ** 2;
    this.values += wanted.length;
  }

  /** @param wanted one image, values in -1 .. 1, channel last @param bytes channel-major */
  addBytes(wanted: Float32Array, bytes: Uint8Array, channels: number): void {
    const plane = bytes.length / channels;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[(i % channels) * plane + Math.floor(i / channels)];
      this.sum += (wanted[i] - (2 * byte) / 255 + 1) ** 2;
    }
    this.values += bytes.length;
  }

  get mean(): number {
    return this.sum / this.values;
  }
}
