/** How an image comes about, for people to look at: the output membrane as it is after each step. */

import type { ReadoutLayer } from './model.js';
import { readImage } from './readout.js';

/**
 * The image that the output membrane would give after 1 .. T steps (paper eq. 21): after n steps the spike of step s has
 * leaked n - 1 - s times, so it has the coefficient that step T - n + s has in the end. The bias, which holds the sum of
 * all coefficients, is taken in proportion, rounded. After T steps nothing is left to round: the last image is the one
 * that is drawn.
 *
 * @param spikes of the last spiking layer, T * neurons, time-major
 * @returns T images of channels * size * size bytes, channel-major
 */
export function buildUp(readout: ReadoutLayer, spikes: Uint8Array): Uint8Array[] {
  const { coefficients } = readout;
  const timeSteps = coefficients.length;
  const neurons = spikes.length / timeSteps;
  const all = coefficients.reduce((sum, coefficient) => sum + coefficient, 0);
  return Array.from({ length: timeSteps }, (_, last) => {
    const weighted = new Int32Array(neurons);
    let share = 0;
    for (let s = 0; s <= last; s++) {
      const coefficient = coefficients[timeSteps - 1 - last + s];
      share += coefficient;
      for (let i = 0; i < neurons; i++) weighted[i] += coefficient * spikes[s * neurons + i];
    }
    const bias = readout.bias.map((whole) => Math.round((whole * share) / all));
    return readImage({ ...readout, bias }, weighted);
  });
}
