/** The leaky integrate-and-fire neuron in integers (rules L1 to L4 of docs/arithmetic.md; paper eq. 1 to 4). */

import type { Leak } from './model.js';

/**
 * Rule L1: floor(u * multiplier / 2^shift), rounding towards minus infinity.
 *
 * @param u membrane; u * multiplier fits 32 bits, which the proof of rule B2 has checked
 */
export function leakMembrane(u: number, leak: Leak): number {
  return Math.imul(u, leak.multiplier) >> leak.shift;
}

/** Membranes and spikes of one layer at one time step. */
export interface LifState {
  /** Membrane after reset, carried to the next step. Starts at 0. */
  readonly carried: Int32Array;
  /** Membrane before reset at the step just run: what was compared with the threshold. */
  readonly membrane: Int32Array;
  /** 1 where the neuron fired at the step just run. */
  readonly spikes: Uint8Array;
}

export function restingState(neurons: number): LifState {
  return {
    carried: new Int32Array(neurons),
    membrane: new Int32Array(neurons),
    spikes: new Uint8Array(neurons),
  };
}

/**
 * One time step of every neuron of a layer (rules L1 to L4).
 *
 * @param sums for each neuron the sum of its weights over the inputs that fire, in weight steps; position-major: neuron
 *   i belongs to output channel i % channels
 */
export function lifStep(
  state: LifState,
  sums: Int32Array,
  layer: { readonly bias: Int32Array; readonly threshold: Int32Array; readonly fractionBits: number },
  leak: Leak,
): void {
  const { carried, membrane, spikes } = state;
  const { bias, threshold, fractionBits } = layer;
  const channels = bias.length;
  for (let start = 0; start < sums.length; start += channels) {
    for (let channel = 0; channel < channels; channel++) {
      const neuron = start + channel;
      const current = (sums[neuron] << fractionBits) + bias[channel];
      const u = leakMembrane(carried[neuron], leak) + current;
      // 1 or 0, and below a mask of it: no branch, because nobody can predict spikes.
      const fires = Number(u > threshold[channel]);
      membrane[neuron] = u;
      spikes[neuron] = fires;
      carried[neuron] = u & (fires - 1);
    }
  }
}
