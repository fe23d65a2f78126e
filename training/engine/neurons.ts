/**
 * tdBN and LIF neurons over time, forward and backward, as loops over plain arrays. Everywhere the order is time, then neuron,
 * with the channel running fastest: element (t * M + m), channel m mod channels.
 */

import { batchNormBackward, type Moments, type NormGradients } from './batch-norm.js';

export interface NeuronShape {
  /** T. */
  readonly steps: number;
  /** M: neurons of the batch; images times features, or times pixels times channels. */
  readonly neurons: number;
  readonly channels: number;
  /** The current has one step, the same for all T (direct input encoding). */
  readonly constantInput: boolean;
}

/** Paper eq. 1 to 4. */
export interface NeuronConstants {
  readonly tau: number;
  readonly threshold: number;
  /** The surrogate derivative is `height` where |u - centre| < halfWidth, else 0. */
  readonly surrogate: { readonly centre: number; readonly halfWidth: number; readonly height: number };
}

/**
 * Spikes of currents `x * scale + shift`.
 *
 * @param x T * M currents before tdBN, or M where the input is constant
 * @param scale factor of each channel, `shift` its offset: tdBN as an affine map
 * @param spikes T * M, written
 * @param membranes T * M, written where given
 * @param residue M membranes after reset, read before the first step (zero at the start of an image) and written after the last
 * @returns how many spikes
 */
export function lifForward(
  x: Float32Array,
  scale: Float32Array,
  shift: Float32Array,
  { steps, neurons, channels, constantInput }: NeuronShape,
  { tau, threshold }: NeuronConstants,
  spikes: Float32Array,
  membranes: Float32Array | undefined,
  residue: Float32Array,
): number {
  const vth = Math.fround(threshold);
  const leak = Math.fround(tau);
  let count = 0;
  for (let t = 0; t < steps; t++) {
    const base = t * neurons;
    const source = constantInput ? 0 : base;
    for (let block = 0; block < neurons; block += channels) {
      for (let c = 0; c < channels; c++) {
        const m = block + c;
        const current = Math.fround(Math.fround(x[source + m] * scale[c]) + shift[c]);
        const u = Math.fround(Math.fround(leak * residue[m]) + current);
        const spike = u > vth ? 1 : 0;
        count += spike;
        spikes[base + m] = spike;
        residue[m] = u * (1 - spike);
        if (membranes !== undefined) membranes[base + m] = u;
      }
    }
  }
  return count;
}

/**
 * Backward through LIF, the reset path (1 - o[t-1]) included as in the authors' code, and through tdBN with batch statistics.
 *
 * @param dSpikes T * M gradient of the spikes
 * @param spikeCost added to every element of it
 * @param membranes T * M, as lifForward wrote them
 * @param x currents before tdBN
 * @param inverse 1 / sqrt(variance + epsilon) of each channel
 * @param gain alpha * threshold * gamma of each channel
 * @param later M numbers of scratch
 * @param dx gradient of x, written; may not be dSpikes
 */
export function lifBackward(
  dSpikes: Float32Array,
  spikeCost: number,
  membranes: Float32Array,
  x: Float32Array,
  moments: Moments,
  inverse: Float64Array,
  gain: Float64Array,
  { steps, neurons, constantInput }: NeuronShape,
  { tau, threshold, surrogate }: NeuronConstants,
  later: Float32Array,
  dx: Float32Array,
): NormGradients {
  const { centre, halfWidth } = surrogate;
  const height = Math.fround(surrogate.height);
  const vth = Math.fround(threshold);
  const leak = Math.fround(tau);
  const cost = Math.fround(spikeCost);
  later.fill(0); // the gradient of each membrane one step later
  if (constantInput) dx.fill(0);
  // Three passes of simple loops: together they are faster than one that does it all.
  for (let t = steps - 1; t >= 0; t--) {
    const base = t * neurons;
    for (let m = 0; m < neurons; m++) {
      const u = membranes[base + m];
      const through = Math.fround(leak * later[m]);
      const dSpike = Math.fround(Math.fround(dSpikes[base + m] + cost) - Math.fround(through * u));
      const kept = u > vth ? 0 : through;
      const slope = Math.abs(u - centre) < halfWidth ? height : 0;
      later[m] = Math.fround(Math.fround(dSpike * slope) + kept);
    }
    if (!constantInput) dx.set(later, base);
    else for (let m = 0; m < neurons; m++) dx[m] += later[m];
  }
  return batchNormBackward(dx, x, moments, inverse, gain, constantInput ? steps : 1);
}

/** Sum over t of coefficients[t] * x[t]: the output membrane of neurons that never fire (paper eq. 21). */
export function weightedTimeSum(x: Float32Array, coefficients: ArrayLike<number>, sum: Float32Array): void {
  sum.fill(0);
  for (let t = 0; t < coefficients.length; t++) {
    const factor = coefficients[t];
    const base = t * sum.length;
    for (let m = 0; m < sum.length; m++) sum[m] += factor * x[base + m];
  }
}

/** The adjoint: d spread over time. */
export function weightedTimeSpread(d: Float32Array, coefficients: ArrayLike<number>, spread: Float32Array): void {
  for (let t = 0; t < coefficients.length; t++) {
    const factor = coefficients[t];
    const base = t * d.length;
    for (let m = 0; m < d.length; m++) spread[base + m] = factor * d[m];
  }
}
