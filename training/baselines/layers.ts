/** Layers of the networks without spikes, forward and backward. */

import type * as tf from '@tensorflow/tfjs-core';
import { batchNormBackward } from '../engine/batch-norm.js';
import { leakyReluBackward, leakyReluForward } from '../engine/leaky-relu.js';
import { type Synapses, upTo } from '../engine/synapses.js';
import { allocate, values } from '../engine/wasm.js';
import { type AffineMap, BatchNorm, type Statistics } from '../model/batch-norm.js';
import type { LayerParameters, ReadoutParameters } from '../model/parameters.js';
import { NotFinite } from '../model/layer.js';

function requireFinite(list: Float32Array, name: string): void {
  if (!list.every((value) => Number.isFinite(value))) throw new NotFinite(`the outputs of ${name}`);
}

/** Fully connected, or the convolution to the image: outputs are sums and a bias. */
export class BiasedLayer {
  private input: tf.Tensor | undefined;

  /** @param order which of the checkpoint's outputs the engine's output (its last axis) is; absent: the same one */
  constructor(
    private readonly parameters: ReadoutParameters,
    private readonly synapses: Synapses,
    private readonly order: ArrayLike<number> = upTo(parameters.bias.data.length),
  ) {}

  load(): void {
    this.synapses.load(this.parameters.weight.data);
  }

  /** @throws NotFinite */
  forward(input: tf.Tensor): tf.Tensor {
    const output = this.synapses.forward(input);
    const bias = this.parameters.bias.data;
    const sums = values(output);
    const { order } = this;
    for (let at = 0; at < sums.length; at += order.length) {
      for (let i = 0; i < order.length; i++) sums[at + i] += bias[order[i]];
    }
    requireFinite(sums, this.parameters.name);
    this.input = input;
    return output;
  }

  /** Backward through the last forward pass. @param d gradient of its output @returns that of its input */
  backward(d: tf.Tensor, gradients: Map<string, Float32Array>): tf.Tensor {
    const { weight, bias } = this.parameters;
    const sums = new Float64Array(bias.data.length);
    const all = values(d);
    const { order } = this;
    for (let at = 0; at < all.length; at += order.length) {
      for (let i = 0; i < order.length; i++) sums[order[i]] += all[at + i];
    }
    gradients.set(bias.name, Float32Array.from(sums));
    gradients.set(weight.name, this.synapses.weightGradient(this.input!, d));
    return this.synapses.backward(d);
  }
}

/** Convolution, BatchNorm, LeakyReLU. */
export class NormalisedLayer {
  private readonly norm: BatchNorm;
  private kept: { readonly input: tf.Tensor; readonly sums: tf.Tensor; readonly map: AffineMap } | undefined;

  constructor(
    private readonly parameters: LayerParameters,
    private readonly synapses: Synapses,
  ) {
    this.norm = new BatchNorm(parameters, 1, upTo(parameters.bias.data.length));
  }

  load(): void {
    this.synapses.load(this.parameters.weight.data);
  }

  /** @throws NotFinite */
  forward(input: tf.Tensor, statistics: Statistics): tf.Tensor {
    const sums = this.synapses.forward(input);
    const map = this.norm.forward(values(sums), statistics);
    // They have seen every sum.
    requireFinite(map.scale, this.parameters.name);
    requireFinite(map.shift, this.parameters.name);
    const output = allocate(sums.shape);
    leakyReluForward(values(sums), map.scale, map.shift, values(output));
    if (statistics === 'train') this.kept = { input, sums, map };
    else sums.dispose();
    return output;
  }

  /**
   * Backward through the last forward pass in training.
   *
   * @param dOutput gradient of its output; disposed
   * @returns gradient of its input, where that is wanted
   */
  backward(
    dOutput: tf.Tensor,
    gradients: Map<string, Float32Array>,
    wanted: 'input' | 'nothing' = 'input',
  ): tf.Tensor | undefined {
    const { input, sums, map } = this.kept!;
    const d = allocate(sums.shape);
    leakyReluBackward(values(dOutput), values(sums), map.scale, map.shift, values(d));
    const found = batchNormBackward(values(d), values(sums), map.moments!, map.inverse, this.norm.gain(), 1);
    dOutput.dispose();
    sums.dispose();
    this.kept = undefined;
    this.norm.putGradients(found, gradients);
    gradients.set(this.parameters.weight.name, this.synapses.weightGradient(input, d));
    const dInput = wanted === 'input' ? this.synapses.backward(d) : undefined;
    d.dispose();
    return dInput;
  }
}
