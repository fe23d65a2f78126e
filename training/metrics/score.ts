/** Scores of a set of images: Fréchet distances and inception score, of every metric that was asked for in one pass. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import type { Autoencoder } from '../baselines/autoencoder.js';
import { latentStatistics } from '../baselines/statistics.js';
import { frechetDistance, type Gaussian } from './frechet.js';
import { type InceptionNetwork, type InceptionScore, inceptionScore, splitScore } from './inception.js';
import type { ImageBatch } from './samples.js';

export interface Metrics {
  readonly autoencoder?: { readonly encoder: Autoencoder; readonly reference: Gaussian };
  readonly inception?: {
    readonly network: InceptionNetwork;
    /** Of the network's features; undefined where it has none. */
    readonly reference: Gaussian | undefined;
  };
}

export interface Scores {
  /** Images that were scored. */
  readonly samples: number;
  /** Fréchet distance in the autoencoder's latent. */
  readonly autoencoderDistance?: number;
  readonly inceptionScore?: InceptionScore;
  /** Fréchet distance of the Inception network's features. */
  readonly fid?: number;
}

/** Of the images. */
export interface Sizes {
  readonly channels: number;
  readonly imageSize: number;
}

/**
 * Mean and covariance of the autoencoder's latents of real images.
 *
 * @param batches of STATISTICS_BATCH images, two images at least
 * @param onBatch called after each batch with the images so far
 */
export function referenceLatents(
  encoder: Autoencoder,
  batches: Iterable<ImageBatch>,
  onBatch: (done: number) => void = () => undefined,
): Gaussian {
  const latents: Float32Array[] = [];
  let done = 0;
  for (const { count, images } of batches) {
    latents.push(encoder.encode(images, count, 'batch'));
    onBatch((done += count));
  }
  return latentStatistics(latents, encoder.features);
}

/** The same of the Inception network's features. */
export async function referenceFeatures(
  network: InceptionNetwork,
  batches: Iterable<ImageBatch>,
  { channels, imageSize }: Sizes,
  onBatch: (done: number) => void = () => undefined,
): Promise<Gaussian> {
  const features: Float32Array[] = [];
  let done = 0;
  for (const batch of batches) {
    features.push((await network.run(batch, channels, imageSize)).features!);
    onBatch((done += batch.count));
  }
  return latentStatistics(features, countPer(features, done));
}

/** Numbers for each of `count` images. */
function countPer(rows: readonly Float32Array[], count: number): number {
  return rows.reduce((sum, { length }) => sum + length, 0) / count;
}

/** @param batches of STATISTICS_BATCH images: BatchNorm's batches, and the inception score's splits */
export async function scoreImages(
  batches: Iterable<ImageBatch>,
  { autoencoder, inception }: Metrics,
  { channels, imageSize }: Sizes,
  onBatch: (done: number) => void = () => undefined,
): Promise<Scores> {
  const latents: Float32Array[] = [];
  const features: Float32Array[] = [];
  const splits: number[] = [];
  let samples = 0;
  for (const batch of batches) {
    const { count, images } = batch;
    // The authors' code never puts its autoencoder into evaluation mode: BatchNorm takes each batch's own statistics.
    if (autoencoder !== undefined) latents.push(autoencoder.encoder.encode(images, count, 'batch'));
    if (inception !== undefined) {
      const seen = await inception.network.run(batch, channels, imageSize);
      if (seen.features !== undefined) features.push(seen.features);
      if (seen.probabilities !== undefined) splits.push(splitScore(seen.probabilities, count));
    }
    onBatch((samples += count));
  }
  const distance = (rows: readonly Float32Array[], reference: Gaussian): number => {
    const dimensions = countPer(rows, samples);
    if (reference.mean.length !== dimensions) {
      throw new FsvaeError(
        'usage',
        `the statistics have ${reference.mean.length} dimensions, but the network gives ${dimensions}: they are another one's`,
      );
    }
    return frechetDistance(latentStatistics(rows, dimensions), reference);
  };
  const reference = inception?.reference;
  return {
    samples,
    ...(autoencoder === undefined ? {} : { autoencoderDistance: distance(latents, autoencoder.reference) }),
    ...(splits.length === 0 ? {} : { inceptionScore: inceptionScore(splits) }),
    ...(features.length === 0 || reference === undefined ? {} : { fid: distance(features, reference) }),
  };
}
