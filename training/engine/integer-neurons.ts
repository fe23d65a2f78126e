/**
 * Neurons with the integers that a device computes with, forward by the golden model's own step, and backward as if nothing
 * had been rounded (straight-through). Order as in neurons.ts: time, then neuron, the channel running fastest.
 */

import { lifStep } from '../../runtime-ts/lif.js';
import type { Leak } from '../../runtime-ts/model.js';
import type { NeuronConstants, NeuronShape } from './neurons.js';

/** By output channel: bias and threshold in units of 2^-F weight steps (rule W2 of docs/arithmetic.md). */
export interface IntegerNeurons {
  readonly bias: Int32Array;
  readonly threshold: Int32Array;
  readonly fractionBits: number;
}

/**
 * Spikes by rules L1 to L4.
 *
 * @param sums T * M sums of integer weights; single precision holds them exactly, as they stay below 2^24
 * @param spikes T * M, written
 * @param membranes T * M membranes before reset, written
 * @param carried M membranes after reset, read before the first step and written after the last
 * @returns how many spikes
 */
export function integerLifForward(
  sums: Float32Array,
  layer: IntegerNeurons,
  leak: Leak,
  { steps, neurons }: Pick<NeuronShape, 'steps' | 'neurons'>,
  spikes: Float32Array,
  membranes: Int32Array,
  carried: Int32Array,
): number {
  const current = new Int32Array(neurons);
  const fired = new Uint8Array(neurons);
  let count = 0;
  for (let t = 0; t < steps; t++) {
    const base = t * neurons;
    current.set(sums.subarray(base, base + neurons));
    const membrane = membranes.subarray(base, base + neurons);
    lifStep({ carried, membrane, spikes: fired }, current, layer, leak);
    spikes.set(fired, base);
    for (let m = 0; m < neurons; m++) count += fired[m];
  }
  return count;
}

/**
 * Backward through integerLifForward: the leak's rounding down counts as no rounding, the reset path (1 - o[t-1]) is included as in
 * neurons.ts.
 *
 * @param dSpikes T * M gradient of the spikes
 * @param spikeCost added to every element of it
 * @param membranes T * M, as integerLifForward wrote them
 * @param unit real value of a membrane's unit, by channel
 * @param later M numbers of scratch
 * @param dCurrents gradient of the currents as real numbers, written; may not be dSpikes
 * @returns its sum by channel: the gradient of the bias
 */
export function integerLifBackward(
  dSpikes: Float32Array,
  spikeCost: number,
  membranes: Int32Array,
  { threshold }: Pick<IntegerNeurons, 'threshold'>,
  unit: Float64Array,
  { steps, neurons, channels }: Pick<NeuronShape, 'steps' | 'neurons' | 'channels'>,
  { tau, surrogate: { centre, halfWidth, height } }: NeuronConstants,
  later: Float32Array,
  dCurrents: Float32Array,
): Float64Array {
  const sums = new Float64Array(channels);
  later.fill(0); // the gradient of each membrane one step later
  for (let t = steps - 1; t >= 0; t--) {
    const base = t * neurons;
    for (let block = 0; block < neurons; block += channels) {
      for (let c = 0; c < channels; c++) {
        const m = block + c;
        const membrane = membranes[base + m];
        const u = membrane * unit[c];
        const through = tau * later[m];
        const dSpike = dSpikes[base + m] + spikeCost - through * u;
        const kept = membrane > threshold[c] ? 0 : through;
        const d = (Math.abs(u - centre) < halfWidth ? dSpike * height : 0) + kept;
        later[m] = d;
        sums[c] += later[m];
      }
    }
    dCurrents.set(later, base);
  }
  return sums;
}
