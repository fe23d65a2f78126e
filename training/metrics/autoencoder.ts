/**
 * The encoder of an autoencoder whose latent the Fréchet distance is measured in (the paper's column "Autoencoder"): the
 * authors' ann_models/ann_ae.py, or one trained here under the same names. Convolutions, kernel 3, stride 2, padding 1, each with
 * BatchNorm and LeakyReLU, and a fully connected layer.
 *
 * The authors' code never puts its autoencoder into evaluation mode, neither for their statistics nor for samples: BatchNorm
 * takes the mean and variance of each batch of 256. So it is here, or figures would not compare with theirs.
 */

import * as tf from '@tensorflow/tfjs-core';
import { type Checkpoint, requireFinite } from '../../codegen/checkpoint/checkpoint.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { channelMoments } from '../engine/neurons.js';
import { ConvolutionSynapses, LinearSynapses, type Synapses } from '../engine/synapses.js';
import { scoped, upload, values } from '../engine/wasm.js';

/** Images that BatchNorm sees together. */
export const METRIC_BATCH = 256;

/** PyTorch's defaults. */
const EPSILON = 1e-5;
const NEGATIVE_SLOPE = 0.01;

interface EncoderLayer {
  readonly synapses: Synapses;
  readonly weight: Float32Array;
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
}

export class MetricAutoencoder {
  /** Of the images that it takes. */
  readonly channels: number;
  readonly imageSize: number;
  /** Dimensions of the latent. */
  readonly latentChannels: number;
  private readonly layers: readonly EncoderLayer[];
  private readonly latentLayer: {
    readonly synapses: Synapses;
    readonly weight: Float32Array;
    readonly bias: Float32Array;
  };

  /** @throws FsvaeError `input` for a checkpoint that lacks a tensor, or has one of another shape or a value not finite */
  constructor({ source, tensors }: Checkpoint) {
    const read = (name: string, ...shape: (number | undefined)[]): { shape: readonly number[]; data: Float32Array } => {
      const tensor = tensors.get(name);
      const fits =
        tensor?.shape.length === shape.length &&
        shape.every((size, i) => size === undefined || size === tensor.shape[i]);
      if (tensor === undefined || !fits) {
        const found = tensor === undefined ? 'missing' : `(${tensor.shape.join(', ')})`;
        throw new FsvaeError(
          'input',
          `${source}: ${name} is ${found}, expected (${shape.map((size) => size ?? 'any').join(', ')}): ` +
            '--autoencoder takes a metric autoencoder, of the authors or of fsvae-codegen train',
        );
      }
      requireFinite(name, tensor, source);
      return { shape: tensor.shape, data: Float32Array.from(tensor.data) };
    };
    const layers: EncoderLayer[] = [];
    let inputs: number | undefined;
    let channels = 0;
    do {
      const name = `encoder.${layers.length}`;
      const weight = read(`${name}.0.weight`, undefined, inputs, 3, 3);
      const [out, from] = weight.shape;
      if (layers.length === 0) channels = from;
      inputs = out;
      layers.push({
        synapses: new ConvolutionSynapses(from, out),
        weight: weight.data,
        // BatchNorm over the batch subtracts the convolution's bias again.
        gamma: read(`${name}.1.weight`, out).data,
        beta: read(`${name}.1.bias`, out).data,
      });
    } while (tensors.has(`encoder.${layers.length}.0.weight`));
    const latent = read('latent_layer.weight', undefined, undefined);
    const [latentChannels, features] = latent.shape;
    const side = Math.sqrt(features / inputs);
    if (!Number.isInteger(side)) {
      throw new FsvaeError(
        'input',
        `${source}: latent_layer.weight takes ${features} features, no square map of ${inputs} channels`,
      );
    }
    const pixels = side * side;
    const mapChannels = inputs;
    const order = Uint32Array.from(
      { length: features },
      (_, i) => (i % mapChannels) * pixels + Math.floor(i / mapChannels),
    );
    this.channels = channels;
    this.imageSize = side * 2 ** layers.length;
    this.latentChannels = latentChannels;
    this.layers = layers;
    this.latentLayer = {
      synapses: new LinearSynapses(
        features,
        latentChannels,
        order,
        Uint32Array.from({ length: latentChannels }, (_, i) => i),
      ),
      weight: latent.data,
      bias: read('latent_layer.bias', latentChannels).data,
    };
  }

  /**
   * Latents of one batch, whose statistics are BatchNorm's: METRIC_BATCH images, or what is left at the end of a set.
   *
   * @param images count * size * size * channels values in -1 .. 1, channel last
   * @returns count * latentChannels numbers
   */
  encode(images: Float32Array, count: number): Float32Array {
    return scoped(() => {
      let x: tf.Tensor = upload<tf.Rank.R4>(images, [count, this.imageSize, this.imageSize, this.channels]);
      for (const { synapses, weight, gamma, beta } of this.layers) {
        synapses.load(weight);
        const current = synapses.forward(x);
        x.dispose();
        normalise(values(current), gamma, beta);
        x = current;
      }
      const { synapses, weight, bias } = this.latentLayer;
      synapses.load(weight);
      const latent = synapses.forward(tf.reshape(x, [count, x.size / count]));
      return values(latent).map((value, i) => value + bias[i % this.latentChannels]);
    });
  }
}

/** BatchNorm with the batch's own mean and biased variance, then LeakyReLU, in place. Channels run fastest. */
function normalise(x: Float32Array, gamma: Float32Array, beta: Float32Array): void {
  const channels = gamma.length;
  const { mean, variance } = channelMoments(x, channels);
  const scale = gamma.map((value, c) => value / Math.sqrt(variance[c] + EPSILON));
  const shift = beta.map((value, c) => value - mean[c] * scale[c]);
  for (let at = 0; at < x.length; at += channels) {
    for (let c = 0; c < channels; c++) {
      const value = x[at + c] * scale[c] + shift[c];
      x[at + c] = value < 0 ? NEGATIVE_SLOPE * value : value;
    }
  }
}
