/**
 * Rule B of docs/arithmetic.md: the proof that nothing overflows. From the weights, biases, thresholds and leak alone:
 * whatever spikes arrive, every value stays within these bounds.
 */

import { FsvaeError } from './errors.js';
import { leakMembrane } from './lif.js';
import type { IntegerModel, Leak, ReadoutLayer, SpikingLayer } from './model.js';

/** Closed interval of integers. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Bounds over all neurons of one spiking layer. */
export interface LayerBounds {
  readonly name: string;
  /** Rule B1: sum of weights, at any moment and in any order of adding. In weight steps. */
  readonly sum: Range;
  /** Rule B2: membrane before reset, at any step up to T. In weight steps / 2^F. */
  readonly membrane: Range;
  readonly threshold: Range;
  readonly bias: Range;
  /** Largest number of inputs that one sum can have. */
  readonly fanIn: number;
}

/** Rule B4: bounds of the readout. */
export interface ReadoutBounds {
  readonly name: string;
  /** Weighted spikes of one input neuron. */
  readonly weighted: Range;
  /** Output membrane, at any moment and in any order of adding. */
  readonly membrane: Range;
}

const INT32: Range = { min: -(2 ** 31), max: 2 ** 31 - 1 };

export function within(range: Range, limit: Range): boolean {
  return range.min >= limit.min && range.max <= limit.max;
}

/** Bits of the narrowest two's complement integer that holds the range. */
export function signedBits(range: Range): number {
  let bits = 1;
  while (range.min < -(2 ** (bits - 1)) || range.max > 2 ** (bits - 1) - 1) bits++;
  return bits;
}

export function rangeOf(values: ArrayLike<number>): Range {
  let min = values[0];
  let max = values[0];
  for (let i = 1; i < values.length; i++) {
    min = Math.min(min, values[i]);
    max = Math.max(max, values[i]);
  }
  return { min, max };
}

function union(a: Range, b: Range): Range {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}

/** Rule B1: the sum of the negative and the sum of the positive weights that can meet in one neuron of the channel. */
export function sumBounds(layer: SpikingLayer, channel: number): Range {
  if (layer.kind === 'linear') {
    let range: Range = { min: 0, max: 0 };
    for (let i = 0; i < layer.inFeatures; i++) {
      range = addWeight(range, layer.weight[channel * layer.inFeatures + i]);
    }
    return range;
  }
  // An output at an even coordinate sees kernel index 1 alone; at an odd one it sees 2 and 0 (rule S3).
  const tapsOf = (parity: number): number[] => (parity === 0 ? [1] : [0, 2]);
  let worst: Range = { min: 0, max: 0 };
  for (const parityY of [0, 1]) {
    for (const parityX of [0, 1]) {
      let range: Range = { min: 0, max: 0 };
      for (let i = 0; i < layer.inChannels; i++) {
        const kernel = (i * layer.outChannels + channel) * 9;
        for (const ky of tapsOf(parityY)) {
          for (const kx of tapsOf(parityX)) range = addWeight(range, layer.weight[kernel + ky * 3 + kx]);
        }
      }
      worst = union(worst, range);
    }
  }
  return worst;
}

function addWeight(range: Range, weight: number): Range {
  return weight < 0 ? { min: range.min + weight, max: range.max } : { min: range.min, max: range.max + weight };
}

/** Rule B2: the membrane before reset of one channel, over T steps. */
export function membraneBounds(
  sum: Range,
  bias: number,
  threshold: number,
  fractionBits: number,
  leak: Leak,
  timeSteps: number,
): Range {
  const scale = 2 ** fractionBits;
  const current: Range = { min: sum.min * scale + bias, max: sum.max * scale + bias };
  // A carried membrane is at most the threshold, or it would have fired; a neuron that fired carries 0.
  const max = Math.max(leakMembrane(Math.max(threshold, 0), leak), 0) + current.max;
  let min = 0;
  for (let t = 0; t < timeSteps; t++) {
    const next = leakMembrane(Math.min(min, 0), leak) + current.min;
    if (next >= min) break;
    min = next;
  }
  return { min, max: Math.max(max, 0) };
}

/** Rule B5: output channels that the wide kernels compute together. */
export const WIDE_BLOCK = 16;

/** Rule B5: a membrane of 0 as the wide kernels keep it: the firing membranes are those from 32768 on. */
export function wideRest(threshold: number): number {
  return 32767 - threshold;
}

/** Rule B5: may the wide kernels run this layer? */
export function allowsWide(layer: SpikingLayer, { membrane, threshold }: LayerBounds, model: IntegerModel): boolean {
  const { leak, config } = model;
  return (
    layer.bias.length % WIDE_BLOCK === 0 &&
    leak.multiplier === 1 &&
    leak.shift === 2 &&
    config.timeSteps <= 16 &&
    layer.threshold.every((value) => wideRest(value) % 4 === 0) &&
    within(threshold, { min: 0, max: 32767 }) &&
    membrane.min + wideRest(threshold.max) >= 0 &&
    membrane.max + wideRest(threshold.min) <= 65535
  );
}

export function layerBounds(layer: SpikingLayer, leak: Leak, timeSteps: number): LayerBounds {
  let sum: Range = { min: 0, max: 0 };
  let membrane: Range = { min: 0, max: 0 };
  layer.bias.forEach((bias, channel) => {
    const channelSum = sumBounds(layer, channel);
    sum = union(sum, channelSum);
    membrane = union(
      membrane,
      membraneBounds(channelSum, bias, layer.threshold[channel], layer.fractionBits, leak, timeSteps),
    );
  });
  return {
    name: layer.name,
    sum,
    membrane,
    threshold: rangeOf(layer.threshold),
    bias: rangeOf(layer.bias),
    fanIn: layer.kind === 'linear' ? layer.inFeatures : 4 * layer.inChannels,
  };
}

export function readoutBounds(readout: ReadoutLayer): ReadoutBounds {
  const most = readout.coefficients.reduce((total, coefficient) => total + coefficient, 0);
  let membrane: Range = { min: 0, max: 0 };
  for (let o = 0; o < readout.outChannels; o++) {
    let range: Range = { min: readout.bias[o], max: readout.bias[o] };
    for (let i = 0; i < readout.inChannels; i++) {
      for (let k = 0; k < 9; k++)
        range = addWeight(range, readout.weight[(i * readout.outChannels + o) * 9 + k] * most);
    }
    membrane = union(membrane, range);
  }
  return { name: readout.name, weighted: { min: 0, max: most }, membrane };
}

/** The whole proof, as it goes into the generated header. */
export interface ModelBounds {
  readonly layers: readonly LayerBounds[];
  readonly readout: ReadoutBounds;
}

/**
 * @returns the bounds themselves
 * @throws FsvaeError `input` where a sum, a membrane, or a membrane times the leak's multiplier could leave 32 bits
 */
export function requireInt32(bounds: LayerBounds, leak: Leak): LayerBounds {
  const leaked: Range = { min: bounds.membrane.min * leak.multiplier, max: bounds.membrane.max * leak.multiplier };
  for (const [what, range] of [
    ['sum', bounds.sum],
    ['membrane', bounds.membrane],
    ['leak product', leaked],
  ] as const) {
    if (!within(range, INT32)) {
      throw new FsvaeError(
        'input',
        `${bounds.name}: the ${what} can reach ${range.min} .. ${range.max}, which leaves 32 bits; ` +
          'quantize with fewer fraction bits or weight bits',
      );
    }
  }
  return bounds;
}

/**
 * Bounds of every layer.
 *
 * @throws FsvaeError `input` where a sum, a membrane, or a membrane times the leak's multiplier could leave 32 bits
 */
export function proveBounds(model: IntegerModel): ModelBounds {
  const layers = [...model.prior, model.decoderInput, ...model.decoder].map((layer) =>
    requireInt32(layerBounds(layer, model.leak, model.config.timeSteps), model.leak),
  );
  const readout = readoutBounds(model.readout);
  if (!within(readout.membrane, INT32)) {
    throw new FsvaeError(
      'input',
      `${readout.name}: the output membrane can reach ${readout.membrane.min} .. ${readout.membrane.max}, ` +
        'which leaves 32 bits; quantize with fewer coefficient bits',
    );
  }
  return { layers, readout };
}
