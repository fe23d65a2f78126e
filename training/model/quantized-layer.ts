/**
 * A layer as the device computes it, trained through its rounding: forward in the integers of docs/arithmetic.md, backward as if
 * weights, biases, thresholds and leak had not been rounded (straight-through; Bengio et al. 2013, Jacob et al. 2018).
 *
 * tdBN is folded with its running statistics, which stay as they are, in training as in evaluation: so what is trained is what the
 * device will compute, spike for spike. gamma and beta are still trained, as the factor and offset that they then are.
 */

import * as tf from '@tensorflow/tfjs-core';
import type { IntegerModel, SpikingLayer as IntegerLayer } from '../../runtime-ts/model.js';
import { integerLifBackward, integerLifForward } from '../engine/integer-neurons.js';
import type { NeuronConstants, NeuronShape } from '../engine/neurons.js';
import { oneStep, Scratch } from '../engine/scratch.js';
import { type Synapses, upTo } from '../engine/synapses.js';
import { allocate, values } from '../engine/wasm.js';
import { BATCH_NORM_EPSILON } from './batch-norm.js';
import type { ForwardOptions, Layer, LayerObserver } from './layer.js';
import type { LayerParameters } from './parameters.js';
import { shareByStep } from './spiking-layer.js';

/** What backward needs of a forward pass in training. */
interface Kept {
  readonly input: tf.Tensor;
  readonly membranes: Int32Array;
  readonly shape: NeuronShape;
}

/** Membranes that nobody asks for again. */
const passing = new Scratch();

export class QuantizedLayer implements Layer {
  private readonly membranes = new Scratch();
  private readonly channels: number;
  private integer!: IntegerLayer;
  private leak!: IntegerModel['leak'];
  private kept: Kept | undefined;
  spikes = 0;
  rates: readonly number[] = [];
  observe: LayerObserver | undefined;

  /**
   * @param alpha of tdBN: 2 in the prior, else 1
   * @param order which of the checkpoint's channels the engine's channel i is; absent: the same one
   */
  constructor(
    readonly parameters: LayerParameters,
    private readonly synapses: Synapses,
    private readonly alpha: number,
    private readonly constants: NeuronConstants,
    private readonly order: ArrayLike<number> = upTo(parameters.bias.data.length),
  ) {
    this.channels = parameters.bias.data.length;
  }

  /** Takes this layer's integers; laid out for the engine, they live until the caller's scope ends. */
  load(integer: IntegerLayer, { leak }: IntegerModel): void {
    this.integer = integer;
    this.leak = leak;
    const weight = Float32Array.from(integer.weight);
    if (integer.kind === 'linear') {
      // The integer model has the rows in the engine's order (rule D1), synapses take the checkpoint's.
      const { inFeatures, outFeatures } = integer;
      for (let row = 0; row < outFeatures; row++) {
        weight.set(integer.weight.subarray(row * inFeatures, (row + 1) * inFeatures), this.order[row] * inFeatures);
      }
    }
    this.synapses.load(weight);
  }

  restingMembranes(images: number): Int32Array {
    return new Int32Array(images * this.channels);
  }

  forward(input: tf.Tensor, { steps, mode, keep = false, residue }: ForwardOptions): tf.Tensor {
    const { integer, channels } = this;
    const sums = this.synapses.forward(input);
    const spikes = allocate(sums.shape);
    const shape = { steps, neurons: spikes.size / steps, channels, constantInput: false };
    const membranes = (keep ? this.membranes : passing).takeIntegers(spikes.size);
    this.spikes = integerLifForward(
      values(sums),
      integer,
      this.leak,
      shape,
      values(spikes),
      membranes,
      (residue as Int32Array | undefined) ?? oneStep.takeIntegers(shape.neurons).fill(0),
    );
    sums.dispose();
    if (mode === 'evaluate') this.rates = shareByStep(values(spikes), steps);
    this.observe?.(input, spikes, steps);
    if (keep) this.kept = { input, membranes, shape };
    return spikes;
  }

  backward(
    dSpikes: tf.Tensor,
    gradients: Map<string, Float32Array>,
    wanted: 'input' | 'nothing',
    spikeCost = 0,
  ): tf.Tensor | undefined {
    const { input, membranes, shape } = this.kept!;
    const { integer, channels, order } = this;
    const { scale, fractionBits } = integer;
    const d = allocate(dSpikes.shape);
    const dFoldedBias = integerLifBackward(
      values(dSpikes),
      spikeCost,
      membranes,
      integer,
      scale.map((step) => step / 2 ** fractionBits),
      shape,
      this.constants,
      oneStep.take(shape.neurons),
      values(d),
    );
    dSpikes.dispose();
    this.kept = undefined;
    const dBias = new Float64Array(channels);
    dFoldedBias.forEach((sum, c) => (dBias[order[c]] = sum));
    this.unfold(this.synapses.weightGradient(input, d), dBias, gradients);
    let dInput: tf.Tensor | undefined;
    if (wanted === 'input') {
      // The engine holds weights in steps: the gradient takes on what a step is worth.
      const list = values(d);
      for (let block = 0; block < list.length; block += channels) {
        for (let c = 0; c < channels; c++) list[block + c] *= scale[c];
      }
      dInput = this.synapses.backward(d);
    }
    d.dispose();
    return dInput;
  }

  /**
   * From the gradients of folded weights and biases, w * f and beta + (bias - mean) * f with f = alpha * Vth * gamma / sqrt(var +
   * epsilon), to those of the parameters. All by the checkpoint's channels.
   */
  private unfold(dFolded: Float32Array, dFoldedBias: Float64Array, gradients: Map<string, Float32Array>): void {
    const { weight, bias, gamma, beta, runningMean, runningVariance } = this.parameters;
    const { kind } = this.integer;
    const inFeatures = weight.shape[1];
    const channelOf = (i: number): number =>
      kind === 'linear' ? Math.floor(i / inFeatures) : Math.floor(i / 9) % this.channels;
    const perGamma = runningVariance.data.map(
      (variance) => (this.alpha * this.constants.threshold) / Math.sqrt(variance + BATCH_NORM_EPSILON),
    );
    const dGamma = new Float64Array(this.channels);
    const dWeight = new Float32Array(dFolded.length);
    for (let i = 0; i < dFolded.length; i++) {
      const c = channelOf(i);
      dWeight[i] = dFolded[i] * perGamma[c] * gamma.data[c];
      dGamma[c] += dFolded[i] * weight.data[i];
    }
    gradients.set(weight.name, dWeight);
    gradients.set(
      gamma.name,
      Float32Array.from(
        dGamma,
        (sum, c) => perGamma[c] * (sum + dFoldedBias[c] * (bias.data[c] - runningMean.data[c])),
      ),
    );
    gradients.set(beta.name, Float32Array.from(dFoldedBias));
    gradients.set(
      bias.name,
      Float32Array.from(dFoldedBias, (sum, c) => sum * perGamma[c] * gamma.data[c]),
    );
  }
}
