/**
 * Batch normalisation, which tdBN and an ordinary network's BatchNorm share. Arrays are rows of channels: element
 * (row * channels + channel), where rows are everything that statistics are taken over.
 */

/** Mean and biased variance of each channel. */
export interface Moments {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Sums in double precision, in which the square of a float32 is exact. */
export function channelMoments(x: Float32Array, channels: number): Moments {
  const sum = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let at = 0; at < x.length; at += channels) {
    for (let c = 0; c < channels; c++) {
      const value = x[at + c];
      sum[c] += value;
      squares[c] += value * value;
    }
  }
  const rows = x.length / channels;
  const mean = sum.map((total) => total / rows);
  return { mean, variance: squares.map((total, c) => Math.max(0, total / rows - mean[c] * mean[c])) };
}

/** What flows back through y = gain * (x - mean) * inverse + beta besides the gradient of x. */
export interface NormGradients {
  /** Sum over all rows of y's gradient, by channel: the gradient of beta. */
  readonly beta: Float64Array;
  /** Sum of y's gradient times the normalised x: the gradient of gamma, but for the constant in gain. */
  readonly normalised: Float64Array;
}

/**
 * Backward, the batch's own statistics included.
 *
 * @param d gradient of y, overwritten by that of x
 * @param inverse 1 / sqrt(variance + epsilon) of each channel
 * @param gain of each channel
 * @param repeats how often each row of x was used; d is the sum over all of them
 */
export function batchNormBackward(
  d: Float32Array,
  x: Float32Array,
  { mean }: Moments,
  inverse: Float64Array,
  gain: Float64Array,
  repeats: number,
): NormGradients {
  const channels = gain.length;
  const beta = new Float64Array(channels);
  const normalised = new Float64Array(channels);
  for (let block = 0; block < d.length; block += channels) {
    for (let c = 0; c < channels; c++) {
      beta[c] += d[block + c];
      normalised[c] += d[block + c] * (x[block + c] - mean[c]);
    }
  }
  for (let c = 0; c < channels; c++) normalised[c] *= inverse[c];
  const rows = (repeats * d.length) / channels;
  const slope = gain.map((value, c) => value * inverse[c]);
  const offset = beta.map((sum) => (repeats * sum) / rows);
  const tilt = normalised.map((sum, c) => (repeats * sum * inverse[c]) / rows);
  for (let block = 0; block < d.length; block += channels) {
    for (let c = 0; c < channels; c++) {
      d[block + c] = slope[c] * (d[block + c] - offset[c] - (x[block + c] - mean[c]) * tilt[c]);
    }
  }
  return { beta, normalised };
}
