/** Integer models with random weights: small, of any shape, lively enough that every kernel sees spikes and silence. */

import { readoutBounds } from '../../runtime-ts/bounds.js';
import type { ConvTransposeLayer, IntegerModel, Leak, LinearLayer } from '../../runtime-ts/model.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { PIXEL_THRESHOLDS } from '../../runtime-ts/readout.js';

export interface RandomModelShape {
  readonly channels: number;
  readonly latentChannels: number;
  readonly choices: number;
  readonly timeSteps: number;
  /** Widths of the prior's hidden layers; may be empty. */
  readonly hidden: readonly number[];
  /** Channels of the decoder's maps, beginning with the bottom one; at least two. */
  readonly maps: readonly number[];
  readonly bottomSize: number;
  /** Bits of each weight layer in order (prior, decoder_input, decoder, readout), repeated as needed. */
  readonly bits: readonly (8 | 4)[];
  readonly fractionBits: number;
  readonly leak: Leak;
  /** Larger weights: sums leave 16 bits. */
  readonly heavy: boolean;
  /** Thresholds as rule W5 makes them: 3 modulo 4. */
  readonly aligned: boolean;
}

export const TINY_SHAPE: RandomModelShape = {
  channels: 1,
  latentChannels: 6,
  choices: 5,
  timeSteps: 4,
  hidden: [9, 12],
  maps: [10, 7, 5],
  bottomSize: 2,
  bits: [8],
  fractionBits: 0,
  leak: { multiplier: 1, shift: 2 },
  heavy: false,
  aligned: false,
};

/** Whole blocks of sixteen channels, and lists of more than two times sixteen events. */
const WIDE_SHAPE: RandomModelShape = {
  ...TINY_SHAPE,
  latentChannels: 40,
  choices: 3,
  hidden: [48, 32],
  maps: [48, 32, 16],
  bottomSize: 4,
  timeSteps: 16,
  aligned: true,
};

/**
 * What every spiking layer has, at random.
 *
 * @param index of the layer among those with weights, by which it gets its bits
 * @param fractionBits unless told, the shape's
 * @param unit of bias and threshold, in weight steps; 2^fractionBits unless told
 */
export function randomSpiking(
  random: Pcg32,
  { bits, heavy, aligned, fractionBits: ofShape }: RandomModelShape,
  index: number,
  { name, fanIn, weights, channels }: { name: string; fanIn: number; weights: number; channels: number },
  fractionBits = ofShape,
  unit = 2 ** fractionBits,
) {
  const weightBits = bits[index % bits.length];
  const limit = weightBits === 8 ? 127 : 7;
  const weight = Int8Array.from({ length: weights }, () =>
    heavy ? limit - random.below(3) : random.below(2 * limit + 1) - limit,
  );
  // About the sum's spread, so that some neurons fire often, some seldom and some never.
  const spread = Math.ceil(limit * Math.sqrt(fanIn)) * unit;
  return {
    name,
    weightBits,
    fractionBits,
    weight,
    bias: Int32Array.from({ length: channels }, () => random.below(spread + 1) - (spread >> 1)),
    threshold: Int32Array.from({ length: channels }, () => random.below(spread + 1) | (aligned ? 3 : 0)),
    scale: new Float64Array(channels).fill(1),
  };
}

export function randomModel(seed: number, shape: RandomModelShape): IntegerModel {
  const random = new Pcg32(BigInt(seed), 7n);
  let layerIndex = 0;
  const spiking = (name: string, fanIn: number, weights: number, channels: number) =>
    randomSpiking(random, shape, layerIndex++, { name, fanIn, weights, channels });
  const linear = (name: string, inFeatures: number, outFeatures: number): LinearLayer => ({
    kind: 'linear',
    inFeatures,
    outFeatures,
    ...spiking(name, inFeatures, inFeatures * outFeatures, outFeatures),
  });
  const { latentChannels, choices, timeSteps, hidden, maps, bottomSize, channels } = shape;
  const widths = [latentChannels, ...hidden, latentChannels * choices];
  const prior = widths.slice(1).map((width, i) => linear(`prior.layers.${i}`, widths[i], width));
  const decoderInput = linear('decoder_input', latentChannels, maps[0] * bottomSize * bottomSize);
  const decoder = maps.slice(1).map((outChannels, i): ConvTransposeLayer => {
    const inChannels = maps[i];
    const name = i === maps.length - 2 ? 'final_layer.0' : `decoder.${i}`;
    return {
      kind: 'conv-transpose',
      inChannels,
      outChannels,
      inSize: bottomSize * 2 ** i,
      ...spiking(name, 4 * inChannels, inChannels * outChannels * 9, outChannels),
    };
  });
  const inChannels = maps[maps.length - 1];
  const size = bottomSize * 2 ** (maps.length - 1);
  const weightBits = shape.bits[layerIndex % shape.bits.length];
  const limit = weightBits === 8 ? 127 : 7;
  const coefficientBits = 8;
  const coefficients = Int32Array.from({ length: timeSteps }, (_, t) =>
    Math.round(0.8 ** (timeSteps - 1 - t) * 2 ** coefficientBits),
  );
  const partial = {
    kind: 'readout' as const,
    name: 'final_layer.1',
    weightBits,
    inChannels,
    outChannels: channels,
    size,
    weight: Int8Array.from({ length: inChannels * channels * 9 }, () => random.below(2 * limit + 1) - limit),
    bias: Int32Array.from({ length: channels }, () => random.below(2001) - 1000),
    coefficientBits,
    coefficients,
    scale: new Float64Array(channels).fill(1),
  };
  const range = readoutBounds({ ...partial, thresholds: new Int32Array(0) }).membrane;
  const thresholds = Int32Array.from({ length: channels * PIXEL_THRESHOLDS }, (_, i) =>
    Math.round((((i % PIXEL_THRESHOLDS) + 0.5) / PIXEL_THRESHOLDS - 0.5) * 0.4 * (range.max - range.min)),
  );
  return {
    config: { channels, imageSize: size, latentChannels, choices, timeSteps },
    leak: shape.leak,
    prior,
    decoderInput,
    decoder,
    readout: { ...partial, thresholds },
  };
}

/** Inputs of the second hidden layer beyond what an event reaches in place; in blocks of eight and of sixteen. */
export const WIDE_PRIOR: RandomModelShape = { ...TINY_SHAPE, latentChannels: 40, hidden: [200, 520], timeSteps: 3 };
export const WIDE_PRIOR_16: RandomModelShape = { ...WIDE_PRIOR, hidden: [208, 528] };

/** One for every kernel variant and every edge: the table that the C is checked against. */
export const SHAPES: Readonly<Record<string, RandomModelShape>> = {
  tiny: TINY_SHAPE,
  'int4 weights': { ...TINY_SHAPE, bits: [4], fractionBits: 4 },
  'int8 and int4 mixed': { ...TINY_SHAPE, bits: [4, 8, 8, 4, 4, 8, 4], fractionBits: 3 },
  'T = 1': { ...TINY_SHAPE, timeSteps: 1 },
  'T = 17, trains of 32 bits': { ...TINY_SHAPE, timeSteps: 17 },
  'T = 32': { ...TINY_SHAPE, timeSteps: 32, hidden: [16] },
  'k = 1': { ...TINY_SHAPE, choices: 1 },
  'k = 256': { ...TINY_SHAPE, choices: 256, latentChannels: 3 },
  'C = 1': { ...TINY_SHAPE, latentChannels: 1 },
  'no hidden layer in the prior': { ...TINY_SHAPE, hidden: [] },
  'three hidden layers': { ...TINY_SHAPE, hidden: [8, 24, 11] },
  RGB: { ...TINY_SHAPE, channels: 3 },
  'one decoder map': { ...TINY_SHAPE, maps: [6, 9] },
  'bottom map of one pixel': { ...TINY_SHAPE, bottomSize: 1, maps: [9, 3, 1] },
  'five maps': { ...TINY_SHAPE, maps: [8, 8, 6, 4, 3], timeSteps: 3 },
  'leak 3/8': { ...TINY_SHAPE, leak: { multiplier: 3, shift: 3 } },
  'no leak': { ...TINY_SHAPE, leak: { multiplier: 1, shift: 0 } },
  'F = 8, wide parameters': { ...TINY_SHAPE, fractionBits: 8 },
  'blocks of sixteen': WIDE_SHAPE,
  'blocks of sixteen, T = 5': { ...WIDE_SHAPE, timeSteps: 5 },
  'blocks of sixteen, int4': { ...WIDE_SHAPE, bits: [4], fractionBits: 3, timeSteps: 16 },
  'blocks of sixteen, groups of two': { ...WIDE_SHAPE, maps: [18, 32, 16], bottomSize: 5, timeSteps: 16 },
  'blocks of sixteen, single inputs': { ...WIDE_SHAPE, maps: [16, 33, 16], bottomSize: 6, channels: 2 },
  'blocks of sixteen beside blocks of eight': {
    ...WIDE_SHAPE,
    hidden: [20, 32],
    maps: [18, 32, 9],
    bits: [8, 8, 8, 8, 4],
    bottomSize: 3,
  },
  'sums beyond 16 bits': { ...TINY_SHAPE, latentChannels: 300, choices: 2, hidden: [270], maps: [70, 8], heavy: true },
};
