/** What the trainer trains, whatever it is. Images are values in -1 .. 1, channel last; chance is a function of seed and step. */

import type { NetworkTensors } from './parameters.js';

/** Where in a run a step is. */
export interface StepPosition {
  /** From 0. */
  readonly epoch: number;
  /** From 0, counted over all epochs. */
  readonly step: number;
}

export interface TrainedStep {
  /** By name, for the log; the loss that is minimised, and of it the mean squared error of all pixels, are always there. */
  readonly losses: Readonly<Record<string, number>> & { readonly loss: number; readonly mse: number };
  /** By parameter name, one for each tensor that is trained here. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

export interface ReconstructedImages {
  readonly images: Float32Array;
  /** Of prior and decoder, mean per image; absent where nothing spikes. */
  readonly spikes?: number;
  /** What the latent neurons and each layer did; absent where nothing spikes. */
  readonly activity?: {
    readonly timeSteps: number;
    /** Picked spikes (T, count, C), 0 or 1. */
    readonly z: Float32Array;
    /** Of each spiking layer, at each time step: the share of its neurons that fired, over all images. */
    readonly rates: readonly { readonly layer: string; readonly rates: readonly number[] }[];
  };
}

export interface Network {
  readonly tensors: NetworkTensors;

  /**
   * Loss and gradients of one batch; running estimates move along.
   *
   * @throws NotFinite naming the first layer or gradient that is not
   */
  step(images: Float32Array, batch: number, position: StepPosition): TrainedStep | Promise<TrainedStep>;

  /** How many compute a step; absent: the caller's own. They live until `end`. */
  readonly threads?: number;
  end?(): Promise<void>;

  /** In evaluation mode. @param occasion which draws: another one for each batch of an evaluation */
  reconstruct(images: Float32Array, count: number, occasion: number): ReconstructedImages;

  /** Images from the prior, in evaluation mode; absent where there is none. @param occasion as in reconstruct */
  sample?(count: number, occasion: number): Float32Array;
}
