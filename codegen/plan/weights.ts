/**
 * All constants of a model in one run of 32-bit little-endian words, in the order in which the kernels read them
 * (firmware-templates/kernels/lanes.h, td_block.h, prior.h, readout.h say why).
 */

import type {
  ConvTransposeLayer,
  IntegerModel,
  LinearLayer,
  ReadoutLayer,
  SpikingLayer,
} from '../../runtime-ts/model.js';

/** Neighbouring output channels that one row of weights serves. */
export const BLOCK = 8;

/** One part of the run. Offsets and lengths in words. */
export interface Section {
  readonly name: string;
  readonly offset: number;
  readonly words: number;
}

export interface Weights {
  readonly words: Uint32Array;
  readonly sections: readonly Section[];
}

export function rowWords(bits: 8 | 4): number {
  return bits === 8 ? 2 : 1;
}

/** Bytes of one row: the unit of events. */
export function rowBytes(bits: 8 | 4): number {
  return 4 * rowWords(bits);
}

/** True where a bias or threshold of the layer needs more than 16 bits. */
export function needsWideParams(layer: SpikingLayer): boolean {
  const fits = (value: number): boolean => value >= -32768 && value <= 32767;
  return !layer.bias.every(fits) || !layer.threshold.every(fits);
}

/** Bits of channel c of a block within its row: the byte or nibble order of lanes.h. */
function laneShift(channel: number, bits: 8 | 4): number {
  const pair = channel >> 1;
  const high = channel & 1;
  return bits === 8 ? (pair & 1) * 8 + high * 16 : pair * 4 + high * 16;
}

/**
 * Rows of one kernel position: for each input the biased weights of a block's channels; channels past the last are 0.
 *
 * @param weightOf weight of (input, output)
 */
function packRows(
  into: number[],
  inputs: number,
  outputs: number,
  block: number,
  bits: 8 | 4,
  weightOf: (input: number, output: number) => number,
): void {
  const bias = bits === 8 ? 128 : 8;
  for (let i = 0; i < inputs; i++) {
    const row = new Uint32Array(rowWords(bits));
    for (let c = 0; c < BLOCK; c++) {
      const output = block * BLOCK + c;
      const biased = (output < outputs ? weightOf(i, output) : 0) + bias;
      row[bits === 8 ? c >> 2 : 0] |= biased << laneShift(c, bits);
    }
    into.push(...row);
  }
}

function linearRows(layer: LinearLayer): number[] {
  const words: number[] = [];
  const { inFeatures, outFeatures, weight, weightBits } = layer;
  for (let block = 0; block * BLOCK < outFeatures; block++) {
    packRows(words, inFeatures, outFeatures, block, weightBits, (i, o) => weight[o * inFeatures + i]);
  }
  return words;
}

function convTransposeRows(layer: ConvTransposeLayer): number[] {
  const words: number[] = [];
  const { inChannels, outChannels, weight, weightBits } = layer;
  for (let block = 0; block * BLOCK < outChannels; block++) {
    for (let k = 0; k < 9; k++) {
      packRows(words, inChannels, outChannels, block, weightBits, (i, o) => weight[(i * outChannels + o) * 9 + k]);
    }
  }
  return words;
}

function wordsOfBytes(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  bytes.forEach((byte, i) => (words[i >> 2] |= byte << (8 * (i & 3))));
  return words;
}

/** A plain run of weights: bytes with sign, or nibbles biased by 8, low one first. */
function packRun(length: number, bits: 8 | 4, weightAt: (at: number) => number): Uint32Array {
  const bytes = new Uint8Array(Math.ceil((length * bits) / 8));
  for (let i = 0; i < length; i++) {
    if (bits === 8) bytes[i] = weightAt(i);
    else bytes[i >> 1] |= (weightAt(i) + 8) << (4 * (i & 1));
  }
  return wordsOfBytes(bytes);
}

/** Bias and threshold for each channel, padded so that a block's missing channels never fire. */
function packParams(layer: SpikingLayer, padded: boolean): Uint32Array {
  const channels = layer.bias.length;
  const count = padded ? Math.ceil(channels / BLOCK) * BLOCK : channels;
  const wide = needsWideParams(layer);
  const words = new Uint32Array(wide ? 2 * count : count);
  for (let c = 0; c < count; c++) {
    const bias = c < channels ? layer.bias[c] : 0;
    const threshold = c < channels ? layer.threshold[c] : 32767;
    if (wide) words.set([bias, threshold], 2 * c);
    else words[c] = (bias & 0xffff) | (threshold << 16);
  }
  return words;
}

/** Words of weights in a row of the prior's last layer, which begins on a word. */
export function lazyWeightWords(layer: LinearLayer): number {
  return Math.ceil((layer.inFeatures * layer.weightBits) / 32);
}

/** Words of a whole row: its weights, then bias and threshold. */
export function lazyRowWords(layer: LinearLayer): number {
  return lazyWeightWords(layer) + (needsWideParams(layer) ? 2 : 1);
}

/** Rows of the prior's last layer, a neuron each, in the order of prior.h. */
function lazyRows(layer: LinearLayer): Uint32Array {
  const { inFeatures, outFeatures, weight, weightBits } = layer;
  const rowLength = lazyRowWords(layer);
  const weightWords = lazyWeightWords(layer);
  const params = packParams(layer, false);
  const paramWords = rowLength - weightWords;
  const words = new Uint32Array(outFeatures * rowLength);
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) {
      const value = weight[o * inFeatures + i];
      if (weightBits === 8) words[o * rowLength + (i >> 2)] |= (value & 0xff) << (8 * (i & 3));
      else words[o * rowLength + (i >> 3)] |= (value + 8) << (8 * (i & 3) + 4 * ((i >> 2) & 1));
    }
    words.set(params.subarray(o * paramWords, (o + 1) * paramWords), o * rowLength + weightWords);
  }
  return words;
}

function readoutRuns(layer: ReadoutLayer): Uint32Array {
  const { inChannels, outChannels, weight, weightBits } = layer;
  // One run over all positions: a nibble layer's dot products index nibbles, so positions need not begin on a byte.
  return packRun(outChannels * 9 * inChannels, weightBits, (at) => {
    const i = at % inChannels;
    const k = Math.floor(at / inChannels) % 9;
    const o = Math.floor(at / inChannels / 9);
    return weight[(i * outChannels + o) * 9 + k];
  });
}

export function layOutWeights(model: IntegerModel): Weights {
  const parts: { name: string; words: ArrayLike<number> }[] = [];
  const add = (name: string, words: ArrayLike<number>): void => {
    parts.push({ name, words });
  };
  const last = model.prior[model.prior.length - 1];
  for (const layer of [...model.prior, model.decoderInput, ...model.decoder]) {
    if (layer === last) {
      add(`${layer.name}.weight`, lazyRows(last));
      continue;
    }
    add(`${layer.name}.weight`, layer.kind === 'linear' ? linearRows(layer) : convTransposeRows(layer));
    add(`${layer.name}.params`, packParams(layer, true));
  }
  add(`${model.readout.name}.weight`, readoutRuns(model.readout));
  add(`${model.readout.name}.bias`, Uint32Array.from(model.readout.bias));
  add(`${model.readout.name}.thresholds`, Uint32Array.from(model.readout.thresholds));

  const sections: Section[] = [];
  let offset = 0;
  for (const part of parts) {
    sections.push({ name: part.name, offset, words: part.words.length });
    offset += part.words.length;
  }
  const words = new Uint32Array(offset);
  parts.forEach((part, index) => words.set(part.words, sections[index].offset));
  return { words, sections };
}

/** The same words as little-endian bytes. */
export function weightBytes(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}
