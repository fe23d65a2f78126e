/**
 * All constants of a model in one run of 32-bit little-endian words, in the order in which the kernels read them
 * (firmware-templates/kernels/lanes.h, td_block.h, wide.h, row_cache.h, prior.h, readout.h say why).
 */

import { WIDE_BLOCK, wideRest } from '../../runtime-ts/bounds.js';
import type { ConvLayer } from '../../runtime-ts/encoder-model.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type {
  ConvTransposeLayer,
  IntegerModel,
  LinearLayer,
  ReadoutLayer,
  SpikingLayer,
} from '../../runtime-ts/model.js';

/** Neighbouring output channels that one row of weights serves: lanes.h. */
export const BLOCK = 8;

/** Which kernel runs a layer: the enumeration of layer.h. */
export type Kernel = 'plain' | 'lanes' | 'bytes' | 'halves';

export function isWide(kernel: Kernel): boolean {
  return kernel === 'bytes' || kernel === 'halves';
}

/** Output channels that one row of the kernel serves. */
export function blockOf(kernel: Kernel): number {
  return isWide(kernel) ? WIDE_BLOCK : BLOCK;
}

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

/** Words of one row as it lies in flash. */
export function rowWords(bits: 8 | 4, kernel: Kernel = 'plain'): number {
  return (bits * blockOf(kernel)) / 32;
}

/** Bytes of one row as the kernel reads it: the unit of events. Rows of halves are expanded before they are read. */
export function rowBytes(bits: 8 | 4, kernel: Kernel): number {
  return kernel === 'halves' ? 2 * WIDE_BLOCK : 4 * rowWords(bits, kernel);
}

/** True where a bias or threshold of the layer needs more than 16 bits. */
export function needsWideParams(layer: Pick<SpikingLayer, 'bias' | 'threshold'>): boolean {
  const fits = (value: number): boolean => value >= -32768 && value <= 32767;
  return !layer.bias.every(fits) || !layer.threshold.every(fits);
}

/** Where channel c of a block stands in its row: the byte or nibble order of lanes.h and wide.h. */
function lanePlace(channel: number, bits: 8 | 4): { word: number; shift: number } {
  const pair = channel >> 1;
  const high = channel & 1;
  return bits === 8
    ? { word: channel >> 2, shift: (pair & 1) * 8 + high * 16 }
    : { word: channel >> 3, shift: (pair & 3) * 4 + high * 16 };
}

/** Words of all rows of one input of a linear layer: what a cache holds in a slot. */
export function pieceWords(layer: LinearLayer, kernel: Kernel): number {
  return Math.ceil(layer.outFeatures / blockOf(kernel)) * rowWords(layer.weightBits, kernel);
}

/** Any layer that runs in blocks. */
type AnyLayer = SpikingLayer | ConvLayer;

export function inputsOf(layer: AnyLayer): number {
  return layer.kind === 'linear' ? layer.inFeatures : layer.inChannels;
}

/** An event is the offset of a row, in bytes, in 16 bits; of a layer evaluated only where chosen the index of an input. */
export const MOST_EVENT = 65536;

/** Input channels that a kernel's events can name. */
export function mostInputs(layer: AnyLayer, kernel: Kernel): number {
  return MOST_EVENT / rowBytes(layer.weightBits, kernel);
}

/** @throws FsvaeError `input` where a layer has more */
export function requireReach(layer: AnyLayer, kernel: Kernel): void {
  if (inputsOf(layer) <= mostInputs(layer, kernel)) return;
  throw new FsvaeError(
    'input',
    `${layer.name} has ${inputsOf(layer)} inputs; the kernels take at most ${mostInputs(layer, kernel)}`,
  );
}

/** Words from one block's row of an input of a linear layer to the next one's. */
export function blockWords(layer: AnyLayer, kernel: Kernel, cached: boolean): number {
  if (layer.kind !== 'linear') return 0;
  return rowWords(layer.weightBits, kernel) * (cached ? 1 : layer.inFeatures);
}

/** The rows of a layer: block by block, kernel position by position, input by input; channels past the last are 0. */
export function packRows(
  { inputs, outputs, positions, bits }: { inputs: number; outputs: number; positions: number; bits: 8 | 4 },
  kernel: Kernel,
  weightOf: (input: number, output: number, position: number) => number,
): Uint32Array {
  const bias = bits === 8 ? 128 : 8;
  const block = blockOf(kernel);
  const row = rowWords(bits, kernel);
  const words = new Uint32Array(Math.ceil(outputs / block) * positions * inputs * row);
  let at = 0;
  for (let first = 0; first < outputs; first += block) {
    for (let position = 0; position < positions; position++) {
      for (let i = 0; i < inputs; i++, at += row) {
        for (let c = 0; c < block; c++) {
          const output = first + c;
          const { word, shift } = lanePlace(c, bits);
          words[at + word] |= ((output < outputs ? weightOf(i, output, position) : 0) + bias) << shift;
        }
      }
    }
  }
  return words;
}

/** Kernel positions 3 * ky + kx as the kernels of blocks of eight read them. */
export const ROW_ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;

/** The same for wide kernels: those of an even output row and column, of an odd column, of an odd row, of both (wide.h). */
export const PARITY_ORDER = [4, 5, 3, 7, 1, 8, 6, 2, 0] as const;

/** @param cached a linear layer's rows input by input instead of block by block (row_cache.h) */
export function layerRows(layer: LinearLayer | ConvTransposeLayer, kernel: Kernel, cached: boolean): Uint32Array {
  const { weight, weightBits: bits } = layer;
  if (layer.kind === 'linear') {
    const { inFeatures: inputs, outFeatures: outputs } = layer;
    const byBlock = packRows({ inputs, outputs, positions: 1, bits }, kernel, (i, o) => weight[o * inputs + i]);
    if (!cached) return byBlock;
    const row = rowWords(bits, kernel);
    const piece = pieceWords(layer, kernel);
    return byBlock.map((_, at) => {
      const input = Math.floor(at / piece);
      const block = Math.floor((at % piece) / row);
      return byBlock[(block * inputs + input) * row + (at % row)];
    });
  }
  const { inChannels: inputs, outChannels: outputs } = layer;
  const positions = isWide(kernel) ? PARITY_ORDER : ROW_ORDER;
  return packRows(
    { inputs, outputs, positions: 9, bits },
    kernel,
    (i, o, n) => weight[(i * outputs + o) * 9 + positions[n]],
  );
}

function wordsOfBytes(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  bytes.forEach((byte, i) => (words[i >> 2] |= byte << (8 * (i & 3))));
  return words;
}

/** A plain run of weights: bytes with sign, or nibbles biased by 8, low one first. */
export function packRun(length: number, bits: 8 | 4, weightAt: (at: number) => number): Uint32Array {
  const bytes = new Uint8Array(Math.ceil((length * bits) / 8));
  for (let i = 0; i < length; i++) {
    if (bits === 8) bytes[i] = weightAt(i);
    else bytes[i >> 1] |= (weightAt(i) + 8) << (4 * (i & 1));
  }
  return wordsOfBytes(bytes);
}

/** Bias and threshold for each channel, padded so that a block's missing channels never fire. */
export function packParams(layer: Pick<SpikingLayer, 'bias' | 'threshold'>, padded: boolean): Uint32Array {
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

/**
 * Sixteen words for each wide block: what its eight sums begin with, and its eight pairs of membranes at rest (wide.h).
 * All pairs are low + 65536 * high modulo 2^32.
 */
function wideParams(layer: SpikingLayer, kernel: Kernel): Uint32Array {
  const pair = (low: number, high: number): number => (low + high * 65536) | 0;
  const pairs = WIDE_BLOCK / 2;
  const words = new Uint32Array(layer.bias.length);
  for (let first = 0; first < layer.bias.length; first += WIDE_BLOCK) {
    const init = new Uint32Array(pairs);
    for (let p = 0; p < pairs; p++) {
      const c = first + 2 * p;
      const [low, high] = [wideRest(layer.threshold[c]), wideRest(layer.threshold[c + 1])];
      // A membrane leaks with its offset: the three quarters that the offset loses come back with the bias.
      init[p] = pair(layer.bias[c] + (3 * low) / 4, layer.bias[c + 1] + (3 * high) / 4);
      words[first + pairs + p] = pair(low, high);
    }
    // Rows of bytes are added whole into the even pairs: the odd ones, times 256, are taken off at the end.
    if (kernel === 'bytes') for (let p = 0; p < pairs; p += 2) init[p] += init[p + 1] << 8;
    // From sum 3 on, then 0 to 2: the order in which the assembly has registers for them.
    words.set(init.subarray(3), first);
    words.set(init.subarray(0, 3), first + pairs - 3);
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

/** Words that a row of nibbles takes when its weights are spread to bytes; a row of bytes takes none, but a place. */
export function lazySpreadWords(layer: LinearLayer): number {
  return layer.weightBits === 8 ? 1 : 2 * lazyWeightWords(layer);
}

/** Rows of the prior's last layer, a neuron each, in the order of prior.h: weights without sign, 128 or 8 added. */
export function lazyRows(layer: LinearLayer): Uint32Array {
  const { inFeatures, outFeatures, weight, weightBits } = layer;
  const rowLength = lazyRowWords(layer);
  const weightWords = lazyWeightWords(layer);
  const params = packParams(layer, false);
  const paramWords = rowLength - weightWords;
  const words = new Uint32Array(outFeatures * rowLength);
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) {
      const value = weight[o * inFeatures + i];
      if (weightBits === 8) words[o * rowLength + (i >> 2)] |= (value + 128) << (8 * (i & 3));
      else words[o * rowLength + (i >> 3)] |= (value + 8) << (8 * (i & 3) + 4 * ((i >> 2) & 1));
    }
    words.set(params.subarray(o * paramWords, (o + 1) * paramWords), o * rowLength + weightWords);
  }
  return words;
}

/**
 * Half the sum of each row's weights, rounded down, two to a word; undefined where one does not fit 16 bits (prior.h).
 */
export function halfRowSums({ inFeatures, outFeatures, weight }: LinearLayer): Uint32Array | undefined {
  const halves = Array.from({ length: outFeatures }, (_, o) =>
    Math.floor(weight.subarray(o * inFeatures, (o + 1) * inFeatures).reduce((sum, value) => sum + value, 0) / 2),
  );
  if (!halves.every((half) => half >= -32768 && half <= 32767)) return undefined;
  const words = new Uint32Array(Math.ceil(outFeatures / 2));
  halves.forEach((half, o) => (words[o >> 1] |= (half & 0xffff) << (16 * (o & 1))));
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

interface Part {
  readonly name: string;
  readonly words: ArrayLike<number>;
}

/** One part behind the other. */
export function joinParts(parts: readonly Part[]): Weights {
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

/**
 * @param kernelOf kernel of a layer that runs in blocks: all but the prior's last
 * @param isCached whether its rows are cached (row_cache.h)
 */
export function layOutWeights(
  model: IntegerModel,
  kernelOf: (layer: SpikingLayer) => Kernel,
  isCached: (layer: SpikingLayer) => boolean = () => false,
): Weights {
  const parts: Part[] = [];
  const add = (name: string, words: ArrayLike<number>): void => {
    parts.push({ name, words });
  };
  const last = model.prior[model.prior.length - 1];
  for (const layer of [...model.prior, model.decoderInput, ...model.decoder]) {
    if (layer === last) {
      add(`${layer.name}.weight`, lazyRows(last));
      const sums = halfRowSums(last);
      if (sums !== undefined) add(`${layer.name}.sums`, sums);
      continue;
    }
    const kernel = kernelOf(layer);
    add(`${layer.name}.weight`, layerRows(layer, kernel, isCached(layer)));
    add(`${layer.name}.params`, isWide(kernel) ? wideParams(layer, kernel) : packParams(layer, true));
  }
  add(`${model.readout.name}.weight`, readoutRuns(model.readout));
  add(`${model.readout.name}.bias`, Uint32Array.from(model.readout.bias));
  add(`${model.readout.name}.thresholds`, Uint32Array.from(model.readout.thresholds));

  return joinParts(parts);
}
