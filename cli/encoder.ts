/** Encoder and posterior of a checkpoint on the command line, and the images that they are given. */

import type { Command } from 'commander';
import { readCheckpoint } from '../codegen/checkpoint/file.js';
import { readFloatEncoder } from '../codegen/float/encoder.js';
import { parseBitsOption } from '../codegen/quantize/bits.js';
import { encoderLayerNames, quantizeEncoder } from '../codegen/quantize/encoder.js';
import { EncoderNetwork } from '../runtime-ts/encoder.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { ModelConfig } from '../runtime-ts/model.js';
import { drawChoices } from '../runtime-ts/pcg32.js';
import { packLatent } from '../runtime-ts/spike-bits.js';
import { type LoadedModel, loadModel, type ModelOptions } from './load-model.js';
import { positiveInteger, seedOption, withModel } from './options.js';

export interface EncodeFlags extends ModelOptions {
  readonly encoderBits: string;
  readonly split?: 'train' | 'test';
  readonly images?: number;
  readonly seed: bigint;
}

/** The options of commands that encode images. */
export function withEncoder(command: Command): Command {
  return withModel(command)
    .option('--encoder-bits <list>', 'weight bits of encoder and posterior, as --bits', '8')
    .option('--split <half>', 'half of the data, train or test (default: test, or all pictures of a plain folder)')
    .option('-n, --images <count>', 'how many, from the first (default: all)', positiveInteger)
    .addOption(seedOption());
}

/** A checkpoint's model with its encoder. */
export interface LoadedEncoder {
  readonly loaded: LoadedModel;
  readonly network: EncoderNetwork;
}

/** @throws FsvaeError `input` for a checkpoint without encoder, `usage` for an integer model, which has none */
export function loadEncoder(flags: EncodeFlags): LoadedEncoder {
  const loaded = loadModel(flags);
  if (loaded.float === undefined) {
    throw new FsvaeError('usage', `${loaded.path} is an integer model, which has no encoder: name its checkpoint`);
  }
  const float = readFloatEncoder(readCheckpoint(loaded.path), loaded.float);
  const bits = parseBitsOption(flags.encoderBits, encoderLayerNames(float));
  return { loaded, network: new EncoderNetwork(quantizeEncoder(loaded.float, float, bits)) };
}

/** Images of a data set or folder, 8 bits a pixel, channel-major. */
export async function imagesOf(
  data: string,
  { split, images }: EncodeFlags,
  { channels, imageSize }: ModelConfig,
): Promise<Uint8Array[]> {
  if (split !== undefined && split !== 'train' && split !== 'test') {
    throw new FsvaeError('usage', `--split must be train or test, not ${JSON.stringify(split)}`);
  }
  const { openImages } = await import('../training/data/open.js');
  const wanted = { channels, size: imageSize, ...(images === undefined ? {} : { limit: images }) };
  const open = () => {
    if (split !== undefined) return openImages(data, split, wanted);
    try {
      return openImages(data, 'test', wanted);
    } catch (error) {
      // A plain folder of pictures has no halves. What is wrong with the data is said of the half that was looked for first.
      try {
        return openImages(data, 'train', wanted);
      } catch {
        throw error;
      }
    }
  };
  const set = open();
  const bytes = channels * imageSize * imageSize;
  return Array.from({ length: set.count }, (_, i) => set.pixels.slice(i * bytes, (i + 1) * bytes));
}

/** The packed latent of image `index` of a run: each image draws its choices from a seed of its own. */
export function encodeImage({ network }: LoadedEncoder, image: Uint8Array, seed: bigint, index: number): Uint8Array {
  const { timeSteps, latentChannels, choices } = network.encoder.config;
  const drawn = drawChoices(BigInt.asUintN(64, seed + BigInt(index)), timeSteps, latentChannels, choices);
  return packLatent(network.encode(image, drawn), timeSteps, latentChannels);
}
