/** Synapses, tdBN and LIF neurons: one layer of the network, forward and backward. */

import * as tf from '@tensorflow/tfjs-core';
import {
  channelMoments,
  lifBackward,
  lifForward,
  type Moments,
  type NeuronConstants,
  type NeuronShape,
} from '../engine/neurons.js';
import { oneStep, Scratch } from '../engine/scratch.js';
import type { Synapses } from '../engine/synapses.js';
import { allocate, values } from '../engine/wasm.js';
import { type ForwardOptions, type Layer, NotFinite } from './layer.js';
import { channelOrder, type LayerParameters, type NamedArray, TDBN_EPSILON } from './parameters.js';

/** Zheng et al. 2021, as the authors' code has it. */
const MOMENTUM = 0.1;

/** What backward needs of a forward pass in training. */
interface Kept {
  readonly input: tf.Tensor;
  readonly current: tf.Tensor;
  readonly membranes: Float32Array;
  readonly moments: Moments;
  readonly inverse: Float64Array;
  readonly shape: NeuronShape;
}

export class SpikingLayer implements Layer {
  private readonly membranes = new Scratch();
  private kept: Kept | undefined;
  spikes = 0;

  /**
   * @param alpha of tdBN: 2 in prior and posterior, else 1
   * @param order which of the checkpoint's channels the engine's channel i is; absent: the same one
   */
  constructor(
    readonly parameters: LayerParameters,
    private readonly synapses: Synapses,
    private readonly alpha: number,
    private readonly constants: NeuronConstants,
    private readonly order: ArrayLike<number> = channelOrder(parameters),
  ) {}

  get name(): string {
    return this.parameters.name;
  }

  /** Lays the weights out for the engine; they live until the caller's scope ends. */
  load(): void {
    this.synapses.load(this.parameters.weight.data);
  }

  restingMembranes(images: number): Float32Array {
    return new Float32Array(images * this.parameters.bias.data.length);
  }

  private at({ data }: NamedArray, channel: number): number {
    return data[this.order[channel]];
  }

  forward(input: tf.Tensor, { steps, mode, constantInput = false, keep = false, residue }: ForwardOptions): tf.Tensor {
    const current = this.synapses.forward(input);
    const channels = current.shape[current.rank - 1]!;
    const { beta, bias, runningMean, runningVariance } = this.parameters;
    const gain = this.gain();
    const scale = new Float32Array(channels);
    const shift = new Float32Array(channels);
    const inverse = new Float64Array(channels);
    let moments: Moments | undefined;
    if (mode === 'train') {
      // The bias is left out: tdBN subtracts it again. Only the running mean must know of it.
      moments = channelMoments(values(current), channels);
      this.follow(moments, (constantInput ? steps : 1) * (current.size / channels));
    }
    for (let c = 0; c < channels; c++) {
      const mean = moments?.mean[c] ?? this.at(runningMean, c) - this.at(bias, c);
      inverse[c] = 1 / Math.sqrt((moments?.variance[c] ?? this.at(runningVariance, c)) + TDBN_EPSILON);
      scale[c] = gain[c] * inverse[c];
      shift[c] = this.at(beta, c) - gain[c] * inverse[c] * mean;
    }
    // Batch statistics see every current, so these see whatever is wrong.
    if (![scale, shift].every((list) => list.every((value) => Number.isFinite(value)))) {
      throw new NotFinite(`the currents of ${this.name}`);
    }
    const [first, ...rest] = current.shape;
    const spikes = allocate([constantInput ? first * steps : first, ...rest]);
    const shape = { steps, neurons: spikes.size / steps, channels, constantInput };
    const membranes = keep ? this.membranes.take(spikes.size) : undefined;
    this.spikes = lifForward(
      values(current),
      scale,
      shift,
      shape,
      this.constants,
      values(spikes),
      membranes,
      (residue as Float32Array | undefined) ?? oneStep.take(shape.neurons).fill(0),
    );
    if (membranes !== undefined && moments !== undefined) {
      this.kept = { input, current, membranes, moments, inverse, shape };
    } else {
      current.dispose();
    }
    return spikes;
  }

  /** alpha * threshold * gamma, by channel. */
  private gain(): Float64Array {
    const { gamma } = this.parameters;
    return Float64Array.from(gamma.data, (_, c) => this.alpha * this.constants.threshold * this.at(gamma, c));
  }

  /** The running estimates take a tenth of what this batch has: its variance without bias. */
  private follow({ mean, variance }: Moments, rows: number): void {
    const { bias, runningMean, runningVariance } = this.parameters;
    const follow = (running: NamedArray, c: number, value: number): void => {
      const i = this.order[c];
      running.data[i] = Math.fround(MOMENTUM * value) + Math.fround((1 - MOMENTUM) * running.data[i]);
    };
    for (let c = 0; c < mean.length; c++) {
      follow(runningMean, c, mean[c] + this.at(bias, c));
      follow(runningVariance, c, (variance[c] * rows) / (rows - 1));
    }
  }

  backward(
    dSpikes: tf.Tensor,
    gradients: Map<string, Float32Array>,
    wanted: 'input' | 'nothing',
    spikeCost = 0,
  ): tf.Tensor | undefined {
    const { input, current, membranes, moments, inverse, shape } = this.kept!;
    const { weight, bias, gamma, beta } = this.parameters;
    const d = allocate(current.shape);
    const found = lifBackward(
      values(dSpikes),
      spikeCost,
      membranes,
      values(current),
      moments,
      inverse,
      this.gain(),
      shape,
      this.constants,
      oneStep.take(shape.neurons),
      values(d),
    );
    tf.dispose([dSpikes, current]);
    this.kept = undefined;
    const dGamma = new Float32Array(shape.channels);
    const dBeta = new Float32Array(shape.channels);
    for (let c = 0; c < shape.channels; c++) {
      dGamma[this.order[c]] = this.alpha * this.constants.threshold * found.normalised[c];
      dBeta[this.order[c]] = found.beta[c];
    }
    gradients.set(gamma.name, dGamma);
    gradients.set(beta.name, dBeta);
    gradients.set(bias.name, new Float32Array(shape.channels)); // exactly: tdBN subtracts the bias
    gradients.set(weight.name, this.synapses.weightGradient(input, d));
    const dInput = wanted === 'input' ? this.synapses.backward(d) : undefined;
    d.dispose();
    return dInput;
  }
}
