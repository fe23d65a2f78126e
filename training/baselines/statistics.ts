/** Mean and covariance of a data set's latents: what the Fréchet distance compares samples with. */

import { encodeSafetensors, type Tensor } from '../../runtime-ts/safetensors.js';

/** Images whose BatchNorm statistics are taken together: as many as in the authors' code. */
export const STATISTICS_BATCH = 256;

export interface LatentStatistics {
  /** C. */
  readonly mean: Float64Array;
  /** C * C, divided by the number of images less one. */
  readonly covariance: Float64Array;
}

/**
 * @param latents (n, C) of any number of images, as many batches
 * @throws RangeError for fewer than two images
 */
export function latentStatistics(latents: readonly Float32Array[], features: number): LatentStatistics {
  const count = latents.reduce((sum, { length }) => sum + length, 0) / features;
  if (count < 2) throw new RangeError('a covariance needs two images');
  const mean = new Float64Array(features);
  for (const batch of latents) batch.forEach((value, i) => (mean[i % features] += value / count));
  const covariance = new Float64Array(features * features);
  const centred = new Float64Array(features);
  for (const batch of latents) {
    for (let at = 0; at < batch.length; at += features) {
      for (let i = 0; i < features; i++) centred[i] = batch[at + i] - mean[i];
      for (let i = 0; i < features; i++) {
        for (let j = 0; j <= i; j++) covariance[i * features + j] += centred[i] * centred[j];
      }
    }
  }
  for (let i = 0; i < features; i++) {
    for (let j = 0; j <= i; j++) {
      covariance[i * features + j] /= count - 1;
      covariance[j * features + i] = covariance[i * features + j];
    }
  }
  return { mean, covariance };
}

/** As a safetensors file: `mu` (C) and `sigma` (C, C), in double precision. */
export function encodeStatistics({ mean, covariance }: LatentStatistics, images: number): Uint8Array {
  const doubles = (shape: readonly number[], data: Float64Array): Tensor => ({
    dtype: 'F64',
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  const c = mean.length;
  return encodeSafetensors(
    new Map([
      ['mu', doubles([c], mean)],
      ['sigma', doubles([c, c], covariance)],
    ]),
    { images: String(images), batch: String(STATISTICS_BATCH) },
  );
}
