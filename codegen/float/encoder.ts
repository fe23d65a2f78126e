/** The other half of the network: encoder and posterior, which find the latent of an image (paper eq. 10 to 12). */

import type { Checkpoint } from '../checkpoint/checkpoint.js';
import {
  ALPHA_DECODER,
  ALPHA_PRIOR,
  batchNorm,
  countLayers,
  expectLayer,
  type FloatConv,
  type FloatLinear,
  type FloatModel,
  foldedLinear,
  requireFoldable,
  TensorTable,
} from './network.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { FloatLayerState } from './run.js';

export interface FloatEncoder {
  /** From the image down: each halves height and width. The first sees pixels, the others spikes. */
  readonly convolutions: readonly FloatConv[];
  /** Of the last map to C neurons. Columns in the checkpoint's order: channel-major, c * S * S + y * S + x. */
  readonly latentInput: FloatLinear;
  /** f_q: takes the C spikes of the image's latent, then the C of z one step before. */
  readonly posterior: readonly FloatLinear[];
}

/** True where a checkpoint has more than generation needs. */
export function hasEncoder(checkpoint: Checkpoint): boolean {
  return checkpoint.tensors.has('before_latent_layer.weight');
}

function foldedConv(table: TensorTable, name: string, inSize: number, threshold: number): FloatConv {
  const [outChannels, inChannels] = table.shape(`${name}.weight`)!;
  const { factor, offset } = batchNorm(table, name, ALPHA_DECODER, threshold);
  const weight = table.values(`${name}.weight`).map((w, i) => w * factor[Math.floor(i / (9 * inChannels))]);
  const bias = table.values(`${name}.bias`).map((b, c) => b * factor[c] + offset[c]);
  requireFoldable(table, name, weight, bias);
  return { kind: 'conv', name, inChannels, outChannels, inSize, weight, bias };
}

/**
 * Reads encoder and posterior of a checkpoint whose prior and decoder are read already.
 *
 * @throws FsvaeError `input` listing all missing and misshaped tensors
 */
export function readFloatEncoder(checkpoint: Checkpoint, model: FloatModel): FloatEncoder {
  const { channels, imageSize, latentChannels, choices } = model.config;
  // Tensors of generation have been checked; only what these layers lack is of interest.
  const table = new TensorTable(checkpoint);
  const count = countLayers(table, 'encoder');
  if (count === 0 || imageSize % 2 ** count !== 0) {
    throw new FsvaeError(
      'input',
      `${checkpoint.source} has ${count} encoder layers; an image of ${imageSize} pixels a side takes 1 to ` +
        `${Math.max(1, 31 - Math.clz32(imageSize & -imageSize))}` +
        (count === 0 ? ': it holds only what generation needs' : ''),
    );
  }
  let width: number | string = channels;
  for (let i = 0; i < count; i++) {
    const shape = expectLayer(table, `encoder.${i}`, ['outputs', width, 3, 3, 1], 0);
    width = shape?.[0] ?? 'channels';
  }
  const bottom = imageSize / 2 ** count;
  const flat = typeof width === 'number' ? width * bottom * bottom : 'bottom map';
  expectLayer(table, 'before_latent_layer', [latentChannels, flat], 0);
  const posteriorLayers = Math.max(1, countLayers(table, 'posterior.layers'));
  let features: number | string = 2 * latentChannels;
  for (let i = 0; i < posteriorLayers; i++) {
    const outputs = i === posteriorLayers - 1 ? choices * latentChannels : 'outputs';
    const shape = expectLayer(table, `posterior.layers.${i}`, [outputs, features], 0);
    features = shape?.[0] ?? 'inputs';
  }
  if (table.has('posterior.initial_input')) table.expect('posterior.initial_input', [1, latentChannels, 1]);
  table.finish(/^(prior|decoder|final_layer|membrane_output_layer|decoder_input)\b/);
  return {
    convolutions: Array.from({ length: count }, (_, i) =>
      foldedConv(table, `encoder.${i}`, imageSize / 2 ** i, model.threshold),
    ),
    latentInput: foldedLinear(table, 'before_latent_layer', ALPHA_DECODER, model.threshold),
    posterior: Array.from({ length: posteriorLayers }, (_, i) =>
      foldedLinear(table, `posterior.layers.${i}`, ALPHA_PRIOR, model.threshold),
    ),
  };
}

export interface EncoderRun {
  /** T x neurons spikes: the convolutions' position-major, then those of before_latent_layer. */
  readonly layers: Uint8Array[];
  /** Likewise of the posterior's layers. */
  readonly posterior: Uint8Array[];
  /** T x C picked spikes. */
  readonly z: Uint8Array;
}

/**
 * Encoder and posterior on one image.
 *
 * @param image channels x size x size in -1 .. 1, channel-major
 * @param choices T x C indices, each 0 .. k - 1
 */
export function runEncoder(
  model: FloatModel,
  encoder: FloatEncoder,
  image: ArrayLike<number>,
  choices: Uint8Array,
): EncoderRun {
  const { timeSteps, latentChannels, choices: k, channels, imageSize } = model.config;
  const area = imageSize * imageSize;
  const pixels = Float64Array.from(
    { length: channels * area },
    (_, i) => image[(i % channels) * area + Math.floor(i / channels)],
  );
  const { tau, threshold } = model;
  const run = (layer: FloatConv | FloatLinear): FloatLayerState => new FloatLayerState(layer, tau, threshold);
  const convolutions = encoder.convolutions.map(run);
  const latentInput = run(spatialColumns(encoder.latentInput, encoder.convolutions.at(-1)!.outChannels));
  const posterior = encoder.posterior.map(run);
  const layers = [...convolutions, latentInput].map((state) => new Uint8Array(timeSteps * state.neurons));
  const posteriorSpikes = posterior.map((state) => new Uint8Array(timeSteps * state.neurons));
  const z = new Uint8Array(timeSteps * latentChannels);
  const input = new Uint8Array(2 * latentChannels);
  for (let t = 0; t < timeSteps; t++) {
    let seen: ArrayLike<number> = pixels;
    [...convolutions, latentInput].forEach((state, i) => {
      const spikes = state.step(seen);
      layers[i].set(spikes, t * state.neurons);
      seen = spikes;
    });
    input.set(seen as Uint8Array, 0);
    if (t > 0) input.set(z.subarray((t - 1) * latentChannels, t * latentChannels), latentChannels);
    let spikes: Uint8Array = input;
    posterior.forEach((state, i) => {
      spikes = state.step(spikes);
      posteriorSpikes[i].set(spikes, t * state.neurons);
    });
    for (let c = 0; c < latentChannels; c++) {
      z[t * latentChannels + c] = spikes[k * c + choices[t * latentChannels + c]];
    }
  }
  return { layers, posterior: posteriorSpikes, z };
}

/** Columns of a layer that reads a map, from the checkpoint's channel-major order to position-major. */
export function spatialColumns(layer: FloatLinear, channels: number): FloatLinear {
  const { inFeatures, outFeatures } = layer;
  const area = inFeatures / channels;
  const weight = new Float64Array(layer.weight.length);
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) {
      weight[o * inFeatures + i] = layer.weight[o * inFeatures + (i % channels) * area + Math.floor(i / channels)];
    }
  }
  return { ...layer, weight };
}
