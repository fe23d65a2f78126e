/** Synapses, tdBN and LIF neurons: one layer of the network, forward and backward. */

import * as tf from '@tensorflow/tfjs-core';
import { lifBackward, lifForward, type NeuronConstants, type NeuronShape, notFiniteStep } from '../engine/neurons.js';
import type { Moments } from '../engine/batch-norm.js';
import { oneStep, Scratch } from '../engine/scratch.js';
import { type Synapses, upTo } from '../engine/synapses.js';
import { allocate, values } from '../engine/wasm.js';
import { BatchNorm } from './batch-norm.js';
import { type ForwardOptions, type Layer, type LayerObserver, NotFinite } from './layer.js';
import type { LayerParameters } from './parameters.js';

/** What backward needs of a forward pass in training. */
interface Kept {
  readonly input: tf.Tensor;
  readonly current: tf.Tensor;
  readonly membranes: Float32Array;
  readonly moments: Moments;
  readonly inverse: Float64Array;
  readonly shape: NeuronShape;
}

/** The share of spikes at each time step. */
export function shareByStep(spikes: Float32Array, steps: number): number[] {
  const size = spikes.length / steps;
  return Array.from({ length: steps }, (_, t) => {
    let count = 0;
    for (let i = t * size; i < (t + 1) * size; i++) count += spikes[i];
    return count / size;
  });
}

export class SpikingLayer implements Layer {
  private readonly membranes = new Scratch();
  private readonly norm: BatchNorm;
  private kept: Kept | undefined;
  spikes = 0;
  observe: LayerObserver | undefined;
  rates: readonly number[] = [];

  /**
   * @param alpha of tdBN: 2 in prior and posterior, else 1
   * @param order which of the checkpoint's channels the engine's channel i is; absent: the same one
   */
  constructor(
    readonly parameters: LayerParameters,
    private readonly synapses: Synapses,
    alpha: number,
    private readonly constants: NeuronConstants,
    order: ArrayLike<number> = upTo(parameters.bias.data.length),
  ) {
    // Zheng et al. 2021, as the authors' code has it.
    this.norm = new BatchNorm(parameters, alpha * constants.threshold, order);
  }

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

  forward(input: tf.Tensor, { steps, mode, constantInput = false, keep = false, residue }: ForwardOptions): tf.Tensor {
    const current = this.synapses.forward(input);
    const channels = current.shape[current.rank - 1]!;
    const { scale, shift, inverse, moments } = this.norm.forward(values(current), mode, constantInput ? steps : 1);
    // Batch statistics see every current, so these see whatever is wrong.
    if (![scale, shift].every((list) => list.every((value) => Number.isFinite(value)))) {
      // Currents that are finite are made otherwise by tdBN, which is the same at every step.
      const timeStep = constantInput ? 0 : (notFiniteStep(values(current), steps, 'first') ?? 0);
      throw new NotFinite(`the currents of ${this.name}`, timeStep);
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
    if (mode === 'evaluate') this.rates = shareByStep(values(spikes), steps);
    if (membranes !== undefined && moments !== undefined) {
      this.kept = { input, current, membranes, moments, inverse, shape };
    } else {
      current.dispose();
    }
    this.observe?.(input, spikes, steps);
    return spikes;
  }

  backward(
    dSpikes: tf.Tensor,
    gradients: Map<string, Float32Array>,
    wanted: 'input' | 'nothing',
    spikeCost = 0,
  ): tf.Tensor | undefined {
    const { input, current, membranes, moments, inverse, shape } = this.kept!;
    const d = allocate(current.shape);
    const found = lifBackward(
      values(dSpikes),
      spikeCost,
      membranes,
      values(current),
      moments,
      inverse,
      this.norm.gain(),
      shape,
      this.constants,
      oneStep.take(shape.neurons),
      values(d),
    );
    tf.dispose([dSpikes, current]);
    this.kept = undefined;
    this.norm.putGradients(found, gradients);
    gradients.set(this.parameters.weight.name, this.synapses.weightGradient(input, d));
    const { gamma, beta, weight } = this.parameters;
    for (const { name } of [gamma, beta, weight]) {
      if (gradients.get(name)!.every((value) => Number.isFinite(value))) continue;
      const timeStep = found.notFiniteAt ?? notFiniteStep(values(d), shape.constantInput ? 1 : shape.steps, 'last');
      throw new NotFinite(`the gradients of ${name}`, timeStep);
    }
    const dInput = wanted === 'input' ? this.synapses.backward(d) : undefined;
    d.dispose();
    return dInput;
  }
}
