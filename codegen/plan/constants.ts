/** What a word among a plan's constants stands for: for whoever finds it damaged on a board. */

import type { IntegerModel, SpikingLayer } from '../../runtime-ts/model.js';
import type { Plan } from './plan.js';
import { layOutWeights, type Section } from './weights.js';

/** Bits of a digit that a weight of so many bits can carry besides its sign. */
const DIGIT_BITS = { 8: 7, 4: 3 } as const;

type WeightedLayer = SpikingLayer | IntegerModel['readout'];

function weightedLayers(model: IntegerModel): WeightedLayer[] {
  return [...model.prior, model.decoderInput, ...model.decoder, model.readout];
}

/** The constants of the same plan for a model whose weights are others. */
function relaid(
  plan: Plan,
  weightOf: (layer: WeightedLayer, index: number) => number,
): ReturnType<typeof layOutWeights> {
  const { model } = plan;
  const changed = <Layer extends WeightedLayer>(layer: Layer): Layer => ({
    ...layer,
    weight: layer.weight.map((_, index) => weightOf(layer, index)),
  });
  const planned = new Map(
    [...plan.hidden, plan.decoderInput, ...plan.decoder].map((entry) => [entry.layer.name, entry]),
  );
  return layOutWeights(
    {
      ...model,
      prior: model.prior.map(changed),
      decoderInput: changed(model.decoderInput),
      decoder: model.decoder.map(changed),
      readout: changed(model.readout),
    },
    (layer) => planned.get(layer.name)!.kernel,
    (layer) => planned.get(layer.name)!.slots > 0,
  );
}

function wordIn(weights: ReturnType<typeof layOutWeights>, section: Section, at: number): number {
  const own = weights.sections.find(({ name }) => name === section.name);
  return own === undefined ? 0 : weights.words[own.offset + at];
}

/** Where weight `index` of a layer leads from and to. */
function synapse(layer: WeightedLayer, index: number): string {
  if (layer.kind === 'linear') {
    return `from input ${index % layer.inFeatures} to output ${Math.floor(index / layer.inFeatures)}`;
  }
  const pair = Math.floor(index / 9);
  const [ky, kx] = [Math.floor((index % 9) / 3), index % 3];
  return (
    `from input channel ${Math.floor(pair / layer.outChannels)} to output channel ${pair % layer.outChannels}, ` +
    `kernel row ${ky}, column ${kx}`
  );
}

/** A weight as its bits stand for it: with its sign, or biased. */
function weightIn(word: number, shift: number, bits: 8 | 4, biased: boolean): number {
  const raw = (word >>> shift) & (bits === 8 ? 0xff : 0xf);
  const half = bits === 8 ? 128 : 8;
  return biased ? raw - half : raw >= half ? raw - 2 * half : raw;
}

/**
 * What is wrong with a word of the constants: the weights that it holds and that differ, or the part that it is in.
 *
 * Where a weight lies is asked of the layout itself, not computed backwards: the same plan laid out with weights that are
 * digits of their own index.
 *
 * @param word index among plan.weights.words
 * @param actual what was read there
 */
export function describeConstant(plan: Plan, word: number, actual: number): string {
  const { words, sections } = plan.weights;
  const section = sections.find(({ offset, words: count }) => word >= offset && word < offset + count);
  if (section === undefined) return `beyond the last of ${words.length} words`;
  const at = word - section.offset;
  const part = section.name.slice(section.name.lastIndexOf('.') + 1);
  const layer = weightedLayers(plan.model).find(({ name }) => `${name}.weight` === section.name);
  const inPart = `word ${at} of ${section.words} of ${section.name}`;
  if (layer === undefined || part !== 'weight') return inPart;
  const bits = layer.weightBits;
  const ones = wordIn(
    relaid(plan, () => 1),
    section,
    at,
  );
  const zeros = wordIn(
    relaid(plan, () => 0),
    section,
    at,
  );
  const digitBits = DIGIT_BITS[bits];
  const digits = Math.ceil(Math.log2(layer.weight.length + 1) / digitBits);
  const passes = Array.from({ length: digits }, (_, digit) =>
    wordIn(
      relaid(plan, (_layer, index) => Math.floor(index / 2 ** (digit * digitBits)) % 2 ** digitBits),
      section,
      at,
    ),
  );
  const found: string[] = [];
  for (let shift = 0; shift < 32; shift += bits) {
    const lane = (value: number): number => (value >>> shift) & (bits === 8 ? 0xff : 0xf);
    if (lane(words[word]) === lane(actual)) continue;
    const biased = lane(zeros) !== 0;
    if (lane(ones) === lane(zeros)) continue; // padding, or bias and threshold behind a row
    const index = passes.reduce(
      (sum, value, digit) => sum + weightIn(value, shift, bits, biased) * 2 ** (digit * digitBits),
      0,
    );
    found.push(
      `weight of ${layer.name} ${synapse(layer, index)}: ${weightIn(actual, shift, bits, biased)} instead of ` +
        `${weightIn(words[word], shift, bits, biased)}`,
    );
  }
  return found.length === 0 ? inPart : found.join('; ');
}
