/**
 * The sums of weights over the inputs that fire (rules S2 and S3 of docs/arithmetic.md), event-driven: the work is
 * proportional to the spikes. Weights are laid out once so that one event reads one contiguous run.
 */

import type { ConvTransposeLayer, LinearLayer, SpikingLayer } from './model.js';

/** Adds up one time step: `sums` is overwritten with the sum of weights of every output neuron. */
export type SumWeights = (input: Uint8Array, sums: Int32Array) => void;

export function inputNeurons(layer: SpikingLayer): number {
  return layer.kind === 'linear' ? layer.inFeatures : layer.inSize * layer.inSize * layer.inChannels;
}

export function outputNeurons(layer: SpikingLayer): number {
  return layer.kind === 'linear' ? layer.outFeatures : 4 * layer.inSize * layer.inSize * layer.outChannels;
}

export function sumWeights(layer: SpikingLayer): SumWeights {
  return layer.kind === 'linear' ? sumLinear(layer) : sumConvTranspose(layer);
}

/**
 * Adds one run of `length` weights for each event: sums[to + i] += weights[starts[e] + offset + i]. Four events a pass,
 * because reading and writing the sums costs more than adding; the order of adding does not matter.
 *
 * @param starts where each event's weights begin; the first `events` entries count
 */
function addRuns(
  sums: Int32Array,
  to: number,
  weights: Int8Array,
  starts: Int32Array,
  events: number,
  offset: number,
  length: number,
): void {
  let e = 0;
  for (; e + 4 <= events; e += 4) {
    const a = starts[e] + offset;
    const b = starts[e + 1] + offset;
    const c = starts[e + 2] + offset;
    const d = starts[e + 3] + offset;
    for (let i = 0; i < length; i++) sums[to + i] += weights[a + i] + weights[b + i] + weights[c + i] + weights[d + i];
  }
  for (; e < events; e++) {
    const from = starts[e] + offset;
    for (let i = 0; i < length; i++) sums[to + i] += weights[from + i];
  }
}

/** Rule S2: sums[out] = sum of weight[out][in] over the `in` that fire. */
function sumLinear(layer: LinearLayer): SumWeights {
  const { inFeatures, outFeatures, weight } = layer;
  const column = new Int8Array(weight.length); // [in][out]
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) column[i * outFeatures + o] = weight[o * inFeatures + i];
  }
  const starts = new Int32Array(inFeatures);
  return (input, sums) => {
    sums.fill(0);
    let events = 0;
    for (let i = 0; i < inFeatures; i++) if (input[i] !== 0) starts[events++] = i * outFeatures;
    addRuns(sums, 0, column, starts, events, 0, outFeatures);
  };
}

/**
 * Rule S3: transposed convolution, kernel 3, stride 2, padding 1, output padding 1. A spike of channel `in` at (y, x)
 * adds weight[in][out][ky][kx] to output channel `out` at (2y + ky - 1, 2x + kx - 1), where that lies inside the map.
 */
function sumConvTranspose(layer: ConvTransposeLayer): SumWeights {
  const { inChannels, outChannels, inSize, weight } = layer;
  const outSize = 2 * inSize;
  const taps = new Int8Array(weight.length); // [in][ky][kx][out]
  for (let i = 0; i < inChannels; i++) {
    for (let o = 0; o < outChannels; o++) {
      for (let k = 0; k < 9; k++) taps[(i * 9 + k) * outChannels + o] = weight[(i * outChannels + o) * 9 + k];
    }
  }
  const starts = new Int32Array(inChannels);
  return (input, sums) => {
    sums.fill(0);
    for (let y = 0; y < inSize; y++) {
      for (let x = 0; x < inSize; x++) {
        const pixel = (y * inSize + x) * inChannels;
        let events = 0;
        for (let i = 0; i < inChannels; i++) if (input[pixel + i] !== 0) starts[events++] = i * 9 * outChannels;
        // The three outputs of a kernel row are neighbours, and so are their weights: one run.
        const firstKx = x === 0 ? 1 : 0;
        for (let ky = y === 0 ? 1 : 0; ky < 3; ky++) {
          const to = ((2 * y + ky - 1) * outSize + 2 * x + firstKx - 1) * outChannels;
          const offset = (ky * 3 + firstKx) * outChannels;
          addRuns(sums, to, taps, starts, events, offset, (3 - firstKx) * outChannels);
        }
      }
    }
  };
}
