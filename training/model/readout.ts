/**
 * The last layer and the output membrane (paper eq. 21), linear up to their tanh: spikes are summed over time first and convolved
 * once. In real numbers, or with the integers that a device has.
 */

import * as tf from '@tensorflow/tfjs-core';
import type { ReadoutLayer } from '../../runtime-ts/model.js';
import { outputMembrane, readImage } from '../../runtime-ts/readout.js';
import { weightedTimeSpread, weightedTimeSum } from '../engine/neurons.js';
import { ReadoutSynapses } from '../engine/synapses.js';
import { allocate, values } from '../engine/wasm.js';
import { type Mode, NotFinite } from './layer.js';
import { readoutCoefficients, type ReadoutParameters } from './parameters.js';

function isFinite(numbers: Float32Array): boolean {
  return numbers.every((value) => Number.isFinite(value));
}

export abstract class Readout {
  protected readonly synapses: ReadoutSynapses;
  protected readonly channels: number;
  /** Weight of each time step. */
  protected coefficients: ArrayLike<number> = [];
  /** What the last forward pass gave; backward ends its life. */
  private summed: tf.Tensor4D | undefined;

  constructor(protected readonly parameters: ReadoutParameters) {
    const [inChannels, channels] = parameters.weight.shape;
    this.channels = channels;
    this.synapses = new ReadoutSynapses(inChannels, channels);
  }

  /** @param summed spikes weighted over time, (batch, size, size, inChannels) @returns images in -1 .. 1, channel last */
  protected abstract draw(summed: tf.Tensor4D, mode: Mode): Float32Array;

  /**
   * @param spikes (T * batch, size, size, inChannels); they may go once this returns
   * @returns batch * size * size * channels values in -1 .. 1, channel last
   */
  forward(spikes: tf.Tensor4D, mode: Mode): Float32Array {
    const [rows, height, width, features] = spikes.shape;
    const summed = allocate<tf.Rank.R4>([rows / this.coefficients.length, height, width, features]);
    weightedTimeSum(values(spikes), this.coefficients, values(summed));
    this.summed = summed;
    return this.draw(summed, mode);
  }

  /**
   * @param images as forward drew them, `dImages` their gradient
   * @param gradients by parameter name; weight's and bias's are put in
   * @returns gradient of the spikes
   */
  backward(images: Float32Array, dImages: Float32Array, gradients: Map<string, Float32Array>): tf.Tensor {
    const { channels, coefficients, parameters } = this;
    const summed = this.summed!;
    const [batch, height, width] = summed.shape;
    const dMembrane = allocate<tf.Rank.R4>([batch, height, width, channels]);
    const total = Array.from(coefficients).reduce((sum, value) => sum + value, 0);
    const dBias = new Float64Array(channels);
    const d = values(dMembrane);
    for (let i = 0; i < d.length; i++) {
      d[i] = dImages[i] * (1 - images[i] * images[i]);
      dBias[i % channels] += d[i] * total;
    }
    gradients.set(parameters.bias.name, Float32Array.from(dBias));
    gradients.set(parameters.weight.name, this.synapses.weightGradient(summed, dMembrane));
    const dSummed = this.synapses.backward(dMembrane);
    const [, ...rest] = dSummed.shape;
    const dSpikes = allocate([batch * coefficients.length, ...rest]);
    weightedTimeSpread(values(dSummed), coefficients, values(dSpikes));
    tf.dispose([summed, dMembrane, dSummed]);
    this.summed = undefined;
    return dSpikes;
  }
}

export class RealReadout extends Readout {
  /** Of the last forward pass: all membranes and biases are numbers. */
  private finite = true;

  /** Lays the weights out for the engine; they live until the caller's scope ends. @param steps T */
  load(steps: number): void {
    this.coefficients = readoutCoefficients(steps);
    this.synapses.load(this.parameters.weight.data);
  }

  /** @throws NotFinite in training, with the first time step after which a membrane is not: tanh would hide an infinite one */
  override forward(spikes: tf.Tensor4D, mode: Mode): Float32Array {
    const images = super.forward(spikes, mode);
    if (mode === 'evaluate' || this.finite) return images;
    const { coefficients } = this;
    const bias = this.parameters.bias.data;
    const [rows, ...rest] = spikes.shape;
    const sum = allocate<tf.Rank.R4>([rows / coefficients.length, ...rest] as [number, number, number, number]);
    // From zero spikes on: a bias that is not finite is there at the first step.
    const timeStep = Array.from(coefficients).findIndex((_, t) => {
      const soFar = Float32Array.from(coefficients, (coefficient, later) => (later <= t ? coefficient : 0));
      weightedTimeSum(values(spikes), soFar, values(sum));
      return !isFinite(bias) || !isFinite(values(this.synapses.forward(sum)));
    });
    throw new NotFinite(`the images of ${this.parameters.name}`, Math.max(0, timeStep));
  }

  protected draw(summed: tf.Tensor4D): Float32Array {
    const current = this.synapses.forward(summed);
    const bias = this.parameters.bias.data;
    this.finite = isFinite(values(current)) && isFinite(bias);
    const total = Array.from(this.coefficients).reduce((sum, value) => sum + value, 0);
    const images = values(current).map((value, i) => Math.tanh(value + bias[i % this.channels] * total));
    current.dispose();
    return images;
  }
}

/** Rules R1 to R4, by the golden model's own functions; backward is straight through the rounding. */
export class QuantizedReadout extends Readout {
  private integer!: ReadoutLayer;

  /** Takes the integers; the engine, which only goes backward, has the rounded weights as real numbers. */
  load(integer: ReadoutLayer): void {
    this.integer = integer;
    const { weight, scale, outChannels, coefficients, coefficientBits } = integer;
    // Multiples of 2^-G that add up to less than 2^16: single precision holds every sum.
    this.coefficients = Float32Array.from(coefficients, (value) => value / 2 ** coefficientBits);
    this.synapses.load(Float32Array.from(weight, (w, i) => w * scale[Math.floor(i / 9) % outChannels]));
  }

  /** In training the membrane's tanh, in evaluation the device's 256 grey levels. */
  protected draw(summed: tf.Tensor4D, mode: Mode): Float32Array {
    const { integer, channels } = this;
    const unit = 2 ** integer.coefficientBits;
    const plane = integer.size * integer.size;
    const perImage = summed.size / summed.shape[0];
    const images = new Float32Array(summed.shape[0] * plane * channels);
    for (let n = 0; n < summed.shape[0]; n++) {
      const weighted = Int32Array.from(values(summed).subarray(n * perImage, (n + 1) * perImage), (v) => v * unit);
      const drawn = mode === 'train' ? outputMembrane(integer, weighted) : readImage(integer, weighted);
      drawn.forEach((value, i) => {
        const c = Math.floor(i / plane);
        images[(n * plane + (i % plane)) * channels + c] =
          mode === 'train' ? Math.tanh((value * integer.scale[c]) / unit) : value / 127.5 - 1;
      });
    }
    return images;
  }
}
