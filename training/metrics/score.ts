/** Scores of a set of images: Fréchet distances and inception score, of every metric that was asked for in one pass. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import type { MetricAutoencoder } from './autoencoder.js';
import { frechetDistance, type Gaussian, GaussianEstimate } from './frechet.js';
import { type InceptionNetwork, type InceptionScore, inceptionScore, splitScore } from './inception.js';
import type { ImageBatch } from './samples.js';

export interface Metrics {
  readonly autoencoder?: { readonly encoder: MetricAutoencoder; readonly reference: Gaussian };
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

/** Mean and covariance of the autoencoder's latents. @param onBatch called after each batch with the images so far */
export function latentStatistics(
  encoder: MetricAutoencoder,
  batches: Iterable<ImageBatch>,
  onBatch: (done: number) => void = () => undefined,
): Gaussian {
  const estimate = new GaussianEstimate(encoder.latentChannels);
  let done = 0;
  for (const { count, images } of batches) {
    estimate.add(encoder.encode(images, count));
    onBatch((done += count));
  }
  return estimate.finish();
}

/** The same of the Inception network's features. */
export async function featureStatistics(
  network: InceptionNetwork,
  batches: Iterable<ImageBatch>,
  { channels, imageSize }: Sizes,
  onBatch: (done: number) => void = () => undefined,
): Promise<Gaussian> {
  let estimate: GaussianEstimate | undefined;
  let done = 0;
  for (const batch of batches) {
    const { features } = await network.run(batch, channels, imageSize);
    estimate ??= new GaussianEstimate(features!.length / batch.count);
    estimate.add(features!);
    onBatch((done += batch.count));
  }
  return estimate!.finish();
}

/** @param batches of METRIC_BATCH images: BatchNorm's batches, and the inception score's splits */
export async function scoreImages(
  batches: Iterable<ImageBatch>,
  { autoencoder, inception }: Metrics,
  { channels, imageSize }: Sizes,
  onBatch: (done: number) => void = () => undefined,
): Promise<Scores> {
  const latents = autoencoder && new GaussianEstimate(autoencoder.encoder.latentChannels);
  let features: GaussianEstimate | undefined;
  const splits: number[] = [];
  let samples = 0;
  for (const batch of batches) {
    const { count, images } = batch;
    latents?.add(autoencoder!.encoder.encode(images, count));
    if (inception !== undefined) {
      const seen = await inception.network.run(batch, channels, imageSize);
      if (seen.features !== undefined) {
        features ??= new GaussianEstimate(seen.features.length / count);
        features.add(seen.features);
      }
      if (seen.probabilities !== undefined) splits.push(splitScore(seen.probabilities, count));
    }
    onBatch((samples += count));
  }
  const reference = inception?.reference;
  if (features !== undefined && reference !== undefined && reference.mean.length !== features.dimensions) {
    throw new FsvaeError(
      'usage',
      `the Inception network gives ${features.dimensions} features, but the statistics are of ${reference.mean.length}: ` +
        'they belong to another network',
    );
  }
  return {
    samples,
    ...(latents === undefined
      ? {}
      : { autoencoderDistance: frechetDistance(latents.finish(), autoencoder!.reference) }),
    ...(splits.length === 0 ? {} : { inceptionScore: inceptionScore(splits) }),
    ...(features === undefined || reference === undefined
      ? {}
      : { fid: frechetDistance(features.finish(), reference) }),
  };
}
