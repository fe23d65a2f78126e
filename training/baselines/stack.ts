/**
 * Encoder and decoder of the networks without spikes: the FSVAE's stack of convolutions with BatchNorm and LeakyReLU
 * (ann_models/ of kamata1729/FullySpikingVAE). Maps are (batch, height, width, channels), vectors (batch, features).
 */

import * as tf from '@tensorflow/tfjs-core';
import type { BaselineShape } from '../config/config.js';
import {
  channelLastOrder,
  ConvolutionSynapses,
  LinearSynapses,
  ReadoutSynapses,
  TransposedConvolutionSynapses,
  upTo,
} from '../engine/synapses.js';
import { allocate, upload, values } from '../engine/wasm.js';
import type { Statistics } from '../model/batch-norm.js';
import { bottomSize } from '../model/parameters.js';
import { BiasedLayer, NormalisedLayer } from './layers.js';
import type { BaselineTensors } from './tensors.js';

/** From images to one vector of C features for each latent layer. */
export class BaselineEncoder {
  private readonly convolutions: readonly NormalisedLayer[];
  private readonly latent: readonly BiasedLayer[];

  constructor(
    private readonly shape: BaselineShape,
    tensors: BaselineTensors,
  ) {
    const { channels, hiddenChannels, latentChannels } = shape;
    const widths = [channels, ...hiddenChannels];
    this.convolutions = tensors.encoder.map(
      (layer, i) => new NormalisedLayer(layer, new ConvolutionSynapses(widths[i], widths[i + 1])),
    );
    const order = channelLastOrder(widths[widths.length - 1], bottomSize(shape) ** 2);
    this.latent = tensors.latent.map(
      (layer) => new BiasedLayer(layer, new LinearSynapses(order.length, latentChannels, order, upTo(latentChannels))),
    );
  }

  load(): void {
    for (const layer of [...this.convolutions, ...this.latent]) layer.load();
  }

  forward(images: Float32Array, batch: number, statistics: Statistics): tf.Tensor[] {
    const { imageSize, channels } = this.shape;
    let x: tf.Tensor = upload<tf.Rank.R4>(images, [batch, imageSize, imageSize, channels]);
    for (const layer of this.convolutions) x = layer.forward(x, statistics);
    const flat = tf.reshape(x, [batch, x.size / batch]);
    return this.latent.map((layer) => layer.forward(flat));
  }

  /** @param dLatent gradient of each latent layer's output */
  backward(dLatent: readonly tf.Tensor[], gradients: Map<string, Float32Array>): void {
    const [first, ...rest] = this.latent.map((layer, i) => layer.backward(dLatent[i], gradients));
    const flat = rest.reduce((sum, d) => tf.add(sum, d), first);
    const side = bottomSize(this.shape);
    const [batch, features] = flat.shape as [number, number];
    let d: tf.Tensor = tf.reshape(flat, [batch, side, side, features / side ** 2]);
    for (let i = this.convolutions.length - 1; i > 0; i--) d = this.convolutions[i].backward(d, gradients)!;
    this.convolutions[0].backward(d, gradients, 'nothing');
  }
}

/** From vectors of C features to images. */
export class BaselineDecoder {
  private readonly input: BiasedLayer;
  private readonly convolutions: readonly NormalisedLayer[];
  private readonly readout: BiasedLayer;

  constructor(
    private readonly shape: BaselineShape,
    tensors: BaselineTensors,
  ) {
    const { channels, hiddenChannels, latentChannels } = shape;
    const order = channelLastOrder(hiddenChannels[hiddenChannels.length - 1], bottomSize(shape) ** 2);
    this.input = new BiasedLayer(
      tensors.decoderInput,
      new LinearSynapses(latentChannels, order.length, upTo(latentChannels), order),
      order,
    );
    this.convolutions = tensors.decoder.map((layer) => {
      const [from, to] = layer.weight.shape;
      return new NormalisedLayer(layer, new TransposedConvolutionSynapses(from, to));
    });
    this.readout = new BiasedLayer(tensors.readout, new ReadoutSynapses(hiddenChannels[0], channels));
  }

  load(): void {
    for (const layer of [this.input, ...this.convolutions, this.readout]) layer.load();
  }

  /** @param latent (batch, C) @returns images, after tanh */
  forward(latent: tf.Tensor, statistics: Statistics): Float32Array {
    const flat = this.input.forward(latent);
    const side = bottomSize(this.shape);
    const [batch, features] = flat.shape as [number, number];
    let x: tf.Tensor = tf.reshape(flat, [batch, side, side, features / side ** 2]);
    for (const layer of this.convolutions) x = layer.forward(x, statistics);
    return values(this.readout.forward(x)).map((value) => Math.tanh(value));
  }

  /**
   * @param images what forward gave
   * @param dImages their gradient
   * @returns gradient of the latent
   */
  backward(images: Float32Array, dImages: Float32Array, gradients: Map<string, Float32Array>): tf.Tensor {
    const { imageSize, channels } = this.shape;
    const batch = images.length / (imageSize ** 2 * channels);
    const dSums = allocate<tf.Rank.R4>([batch, imageSize, imageSize, channels]);
    const through = values(dSums);
    for (let i = 0; i < images.length; i++) through[i] = dImages[i] * (1 - images[i] * images[i]);
    let d = this.readout.backward(dSums, gradients);
    for (const layer of [...this.convolutions].reverse()) d = layer.backward(d, gradients)!;
    return this.input.backward(tf.reshape(d, [batch, d.size / batch]), gradients);
  }
}
