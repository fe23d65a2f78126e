/** Encoder and posterior of a checkpoint on the command line, and the images that they are given. */

import type { Command } from 'commander';
import { readCheckpoint } from '../codegen/checkpoint/file.js';
import { readFloatEncoder } from '../codegen/float/encoder.js';
import { type EncoderPlan, planEncoder } from '../codegen/plan/encoder.js';
import { parseBitsOption } from '../codegen/quantize/bits.js';
import { encoderLayerNames, quantizeEncoder } from '../codegen/quantize/encoder.js';
import type { IntegerEncoder } from '../runtime-ts/encoder-model.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { GoldenEncoder } from '../runtime-ts/golden-encoder.js';
import type { ModelConfig } from '../runtime-ts/model.js';
import { type LoadedModel, loadModel, type ModelOptions } from './load-model.js';
import { type BuildFlags, positiveInteger, seedOption, withModel } from './options.js';
import type { loadMetrics } from './training.js';

// A type by way of the loader: nothing here reaches into training/ before it is asked to.
export type ImageSet = ReturnType<Awaited<ReturnType<typeof loadMetrics>>['openImages']>;

export interface EncodeFlags extends ModelOptions {
  readonly encoderBits: string;
  readonly split?: 'train' | 'test';
  readonly images?: number;
  readonly seed: bigint;
}

/** The options of commands that encode images, but for --encoder-bits. */
export function withImages(command: Command): Command {
  return withModel(command)
    .option('--split <half>', 'half of the data, train or test (default: test, or all pictures of a plain folder)')
    .option('-n, --images <count>', 'how many, from the first (default: all)', positiveInteger)
    .addOption(seedOption());
}

/** A checkpoint's model with its encoder. */
export interface LoadedEncoder {
  readonly loaded: LoadedModel;
  readonly golden: GoldenEncoder;
}

/**
 * Encoder and posterior of the checkpoint that a model was loaded from.
 *
 * @param bits as --encoder-bits gives them
 * @throws FsvaeError `input` for a checkpoint without encoder, `usage` for an integer model, which has none
 */
export function integerEncoder({ path, float }: LoadedModel, bits: string): IntegerEncoder {
  if (float === undefined) {
    throw new FsvaeError('usage', `${path} is an integer model, which has no encoder: name its checkpoint`);
  }
  const encoder = readFloatEncoder(readCheckpoint(path), float);
  return quantizeEncoder(float, encoder, parseBitsOption(bits, encoderLayerNames(encoder)));
}

/**
 * The plan of what goes on a board beside prior and decoder; undefined where nothing does.
 *
 * @throws FsvaeError as integerEncoder()
 */
export function encoderPlanFor(
  loaded: LoadedModel,
  { parts, encoderBits }: Pick<BuildFlags, 'parts' | 'encoderBits'>,
): EncoderPlan | undefined {
  return parts === 'full' ? planEncoder(integerEncoder(loaded, encoderBits ?? '8')) : undefined;
}

/** @throws FsvaeError as integerEncoder() */
export function loadEncoder(flags: EncodeFlags): LoadedEncoder {
  const loaded = loadModel(flags);
  return { loaded, golden: new GoldenEncoder(integerEncoder(loaded, flags.encoderBits)) };
}

/** Images of a data set or folder, 8 bits a pixel: of the half that the flags name, and as many. */
export async function openHalf(
  data: string,
  { split, images }: Pick<EncodeFlags, 'split' | 'images'>,
  { channels, imageSize: size }: ModelConfig,
): Promise<ImageSet> {
  if (split !== undefined && split !== 'train' && split !== 'test') {
    throw new FsvaeError('usage', `--split must be train or test, not ${JSON.stringify(split)}`);
  }
  const { openImages, openTestImages } = await import('../training/data/open.js');
  const wanted = { channels, size, ...(images === undefined ? {} : { limit: images }) };
  return split === undefined ? openTestImages(data, wanted) : openImages(data, split, wanted);
}

/** Image n of a set, channel-major. */
export function imageOf({ channels, size, pixels }: ImageSet, n: number): Uint8Array {
  const bytes = channels * size ** 2;
  return pixels.slice(n * bytes, (n + 1) * bytes);
}

/** All images of openHalf(). */
export async function imagesOf(data: string, flags: EncodeFlags, config: ModelConfig): Promise<Uint8Array[]> {
  const set = await openHalf(data, flags, config);
  return Array.from({ length: set.count }, (_, n) => imageOf(set, n));
}

/** The packed latent of image `index` of a run: each image draws its choices from a seed of its own. */
export function encodeImage({ golden }: LoadedEncoder, image: Uint8Array, seed: bigint, index: number): Uint8Array {
  return golden.encode(image, seed + BigInt(index));
}
