/** From the spikes of the last spiking layer to pixels (rules R1 to R4 of docs/arithmetic.md; paper eq. 21). */

import type { ReadoutLayer } from './model.js';

/** Thresholds per channel: one between each pair of neighbouring pixel values. */
export const PIXEL_THRESHOLDS = 255;

/**
 * Rule R1: adds one time step to the weighted spikes.
 *
 * @param spikes 0 or 1 per input neuron
 * @param weighted one sum per input neuron, position-major; starts at 0
 */
export function weightSpikes(readout: ReadoutLayer, spikes: Uint8Array, step: number, weighted: Int32Array): void {
  const coefficient = readout.coefficients[step];
  for (let i = 0; i < spikes.length; i++) weighted[i] += coefficient * spikes[i];
}

/**
 * Rule R2: the output membrane at the last step: the transposed convolution (kernel 3, stride 1, padding 1) of the
 * weighted spikes, plus the bias, which already holds the sum of the coefficients.
 *
 * @returns channels * size * size sums, channel-major like the image
 */
export function outputMembrane(readout: ReadoutLayer, weighted: Int32Array): Int32Array {
  const { inChannels, outChannels, size, weight, bias } = readout;
  const membrane = new Int32Array(outChannels * size * size);
  for (let o = 0; o < outChannels; o++) membrane.fill(bias[o], o * size * size, (o + 1) * size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let i = 0; i < inChannels; i++) {
        const value = weighted[(y * size + x) * inChannels + i];
        if (value === 0) continue;
        for (let ky = 0; ky < 3; ky++) {
          const toY = y + ky - 1;
          if (toY < 0 || toY >= size) continue;
          for (let kx = 0; kx < 3; kx++) {
            const toX = x + kx - 1;
            if (toX < 0 || toX >= size) continue;
            for (let o = 0; o < outChannels; o++) {
              membrane[(o * size + toY) * size + toX] += value * weight[(i * outChannels + o) * 9 + ky * 3 + kx];
            }
          }
        }
      }
    }
  }
  return membrane;
}

/** Rule R4: tanh and the 8-bit pixel in one: how many of the channel's ascending thresholds are <= the membrane. */
export function pixel(thresholds: Int32Array, channel: number, membrane: number): number {
  let low = 0;
  let high = PIXEL_THRESHOLDS;
  const start = channel * PIXEL_THRESHOLDS;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (thresholds[start + middle] <= membrane) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Rules R2 to R4: the image, channels * size * size bytes, channel-major. */
export function readImage(readout: ReadoutLayer, weighted: Int32Array): Uint8Array {
  const membrane = outputMembrane(readout, weighted);
  const area = readout.size * readout.size;
  return Uint8Array.from(membrane, (sum, i) => pixel(readout.thresholds, Math.floor(i / area), sum));
}
