/** What every spiking layer in training offers, whatever its arithmetic. */

import type * as tf from '@tensorflow/tfjs-core';
import type { LayerParameters } from './parameters.js';

/** `train`: batch statistics, and the running ones follow. `evaluate`: running statistics. */
export type Mode = 'train' | 'evaluate';

/** Training came to NaN or infinity. Neurons would hide it: what is not a number does not fire, and has no gradient. */
export class NotFinite extends Error {
  /**
   * @param what for example `the currents of decoder.0`
   * @param timeStep from 0: the first in forward, the last in backward; undefined: a sum over all of them, each finite, or
   *   a network without time
   */
  constructor(
    readonly what: string,
    readonly timeStep?: number,
  ) {
    super(`${what} are not finite`);
  }
}

/** Membranes after reset, all 0 before the first step: real numbers, or integers in a quantized layer. */
export type Membranes = Float32Array | Int32Array;

export interface ForwardOptions {
  /** T; the first axis of the input is T times the batch, or the batch alone where the input is the same at all steps. */
  readonly steps: number;
  readonly mode: Mode;
  readonly constantInput?: boolean;
  /** Keep what backward needs. */
  readonly keep?: boolean;
  /** From the layer's restingMembranes, and changed from step to step, for callers that go step by step. */
  readonly residue?: Membranes;
}

/** Sees what a forward pass takes and gives, to count it; neither tensor may be kept. */
export type LayerObserver = (input: tf.Tensor, spikes: tf.Tensor, steps: number) => void;

export interface Layer {
  readonly parameters: LayerParameters;
  /** How many the last forward pass gave. */
  readonly spikes: number;
  /** In evaluation: at each time step, of all neurons of the layer and images of the batch, the share that fired. */
  readonly rates: readonly number[];
  observe: LayerObserver | undefined;

  /** @returns spikes, 0 or 1, (steps * batch, ...) @throws NotFinite */
  forward(input: tf.Tensor, options: ForwardOptions): tf.Tensor;

  /**
   * Backward through the last forward pass that kept what it needs.
   *
   * @param dSpikes gradient of its spikes; disposed
   * @param gradients by parameter name; this layer's are put in
   * @param spikeCost added to every element of dSpikes
   * @returns gradient of its input, where that is wanted
   */
  backward(
    dSpikes: tf.Tensor,
    gradients: Map<string, Float32Array>,
    wanted: 'input' | 'nothing',
    spikeCost?: number,
  ): tf.Tensor | undefined;

  /** For `images` images, in a layer whose output has no pixels. */
  restingMembranes(images: number): Membranes;
}
