/** From a plan to the flat objects that the templates read: every number and name that appears in the C is made here. */

import type { LayerBounds } from '../../runtime-ts/bounds.js';
import { signedBits } from '../../runtime-ts/bounds.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { wordBytes } from '../../runtime-ts/words.js';
import type { ConvTransposeLayer, LinearLayer } from '../../runtime-ts/model.js';
import type { Plan, PlannedLayer } from '../plan/plan.js';
import {
  blockWords,
  isWide,
  type Kernel,
  lazyRowWords,
  lazySpreadWords,
  lazyWeightWords,
  pieceWords,
  rowBytes,
  type Section,
} from '../plan/weights.js';
import { int32Literal, layerIdentifier, numberLines, wordLines } from './c-text.js';

export interface LibraryOptions {
  readonly generatorVersion: string;
  /** How the constants are written: an assembler file that includes a binary one, or a C array. */
  readonly weights: 'incbin' | 'array';
}

/** Letters, digits, blank, dot, dash and underscore: safe in a C string, a comment and a file name. */
export function printableName(name: string): string {
  const clean = name.replace(/[^A-Za-z0-9 ._-]/g, '_').slice(0, 32);
  return clean === '' ? 'model' : clean;
}

function sizes(layer: LinearLayer | ConvTransposeLayer): { inputs: number; outputs: number; inSize: number } {
  return layer.kind === 'linear'
    ? { inputs: layer.inFeatures, outputs: layer.outFeatures, inSize: 1 }
    : { inputs: layer.inChannels, outputs: layer.outChannels, inSize: layer.inSize };
}

function shapeText(layer: LinearLayer | ConvTransposeLayer): string {
  if (layer.kind === 'linear') return `linear ${layer.inFeatures} -> ${layer.outFeatures}`;
  const { inChannels, outChannels, inSize } = layer;
  return `transposed convolution ${inChannels} x ${inSize} x ${inSize} -> ${outChannels} x ${2 * inSize} x ${2 * inSize}`;
}

/** Weight reads of one step if every input fired, borders counted exactly. */
export function denseOperations(layer: LinearLayer | ConvTransposeLayer): number {
  if (layer.kind === 'linear') return layer.weight.length;
  // Along one axis every input reaches three outputs, but the first loses the one before the map.
  const reach = 3 * layer.inSize - 1;
  return layer.inChannels * layer.outChannels * reach * reach;
}

function sectionOf(plan: Plan, layer: { readonly name: string }, suffix: string): Section {
  return plan.weights.sections.find((entry) => entry.name === `${layer.name}.${suffix}`)!;
}

function layerFields(plan: Plan, layer: LinearLayer | ConvTransposeLayer, bounds: LayerBounds) {
  return {
    id: layerIdentifier(layer.name),
    name: layer.name,
    shape: shapeText(layer),
    weightBits: layer.weightBits,
    fractionBits: layer.fractionBits,
    weightOffset: sectionOf(plan, layer, 'weight').offset,
    sumMin: bounds.sum.min,
    sumMax: bounds.sum.max,
    membraneMin: int32Literal(bounds.membrane.min),
    membraneMax: bounds.membrane.max,
    weights: layer.weight.length,
    denseOperations: denseOperations(layer),
    ...sizes(layer),
  };
}

/** Where a layer's sums are kept, for the comment above it. */
const SUMS_IN: Readonly<Record<Kernel, string>> = {
  plain: 'in 32 bits',
  lanes: 'in 16-bit lanes, eight channels a block',
  bytes: 'in 16-bit lanes, sixteen channels a block',
  halves: 'in 16-bit lanes, sixteen channels a block, from rows expanded in RAM',
};

function roomOf({ kernel, staged }: PlannedLayer, buffer: string): string {
  return kernel === 'halves' || staged ? `AT(uint32_t, ${buffer})` : 'NULL';
}

function plannedFields(plan: Plan, planned: PlannedLayer) {
  return {
    ...layerFields(plan, planned.layer, planned.bounds),
    paramOffset: sectionOf(plan, planned.layer, 'params').offset,
    sumsIn: SUMS_IN[planned.kernel],
    kernel: `FSVAE_KERNEL_${planned.kernel.toUpperCase()}`,
    wide: isWide(planned.kernel),
    halves: planned.kernel === 'halves',
    group: planned.group,
    groupBits: Math.log2(planned.group),
    members: planned.members === undefined ? undefined : numberLines(planned.members),
    membersPointer: planned.members === undefined ? 'NULL' : `${layerIdentifier(planned.layer.name)}_members`,
    wideParams: planned.wideParams ? 1 : 0,
    row: planned.row,
    rowBytes: rowBytes(planned.layer.weightBits, planned.kernel),
    blockWords: blockWords(planned.layer, planned.kernel, planned.slots > 0),
  };
}

function proofLine(bounds: LayerBounds): string {
  const range = (r: { min: number; max: number }): string => `${r.min} .. ${r.max}`;
  const bits = `${signedBits(bounds.sum)} / ${signedBits(bounds.membrane)}`;
  return [bounds.name.padEnd(22), range(bounds.sum).padEnd(23), range(bounds.membrane).padEnd(25)]
    .concat([range(bounds.threshold).padEnd(17), bits])
    .join('')
    .trimEnd();
}

/** The halved row sums of the prior's last layer, if there are any. */
function sumsPointer(plan: Plan): string {
  const section = plan.weights.sections.find((entry) => entry.name === `${plan.lazy.layer.name}.sums`);
  return section === undefined ? 'NULL' : `(const int16_t *)(fsvae_weights + ${section.offset})`;
}

/** Everything that the library's templates name. */
export function libraryView(plan: Plan, options: LibraryOptions) {
  const { model } = plan;
  const { config, readout } = model;
  const section = (suffix: string): number => sectionOf(plan, readout, suffix).offset;
  const lastIndex = plan.decoder.length - 1;
  const decoder = plan.decoder.map((planned, i) => ({
    ...plannedFields(plan, planned),
    events: `EVENTS_${i}`,
    count: `COUNT_${i}`,
    room: roomOf(planned, `ROWS_${i}`),
    rows:
      planned.kernel === 'halves' ? `AT(const uint32_t, ROWS_${i})` : `${layerIdentifier(planned.layer.name)}.weights`,
    listRow: isWide(planned.kernel) ? 'fsvae_wide_list_row' : 'fsvae_list_row',
    listWatch: isWide(planned.kernel) ? ', watch' : '',
    rowMask: planned.wholeMap ? '0xffffffffu' : '1u',
    input: `MAP_${i}`,
    output: `MAP_${i + 1}`,
  }));
  const lazy = {
    ...layerFields(plan, plan.lazy.layer, plan.lazy.bounds),
    sums: sumsPointer(plan),
    rowWords: lazyRowWords(plan.lazy.layer),
    weightWords: lazyWeightWords(plan.lazy.layer),
    spreadWords: lazySpreadWords(plan.lazy.layer),
    wideParams: plan.lazy.wideParams ? 1 : 0,
    row: plan.lazy.row,
  };
  // What reads the events of a hidden layer or of the latent: they are offsets of rows in bytes, but indexes of inputs
  // where rows are looked up first, in a cache, and in the last layer, which has no rows by input.
  const readerOf = (i: number) => {
    const reader = plan.hidden.at(i);
    const wide = reader !== undefined && isWide(reader.kernel) ? 1 : 0;
    return {
      scale: reader === undefined || reader.slots > 0 ? 1 : rowBytes(reader.layer.weightBits, reader.kernel),
      wide,
    };
  };
  const hidden = plan.hidden.map((planned, i) => ({
    ...plannedFields(plan, planned),
    neurons: `HIDDEN_${i}_${isWide(planned.kernel) ? 'CELLS' : 'MEMBRANE'}`,
    slots: planned.slots,
    cache: `cache_${i}`,
    buffer: `HIDDEN_${i}`,
    listHead: isWide(planned.kernel) ? 'FSVAE_LIST_HEAD' : '0',
    pieceWords: planned.layer.kind === 'linear' ? pieceWords(planned.layer, planned.kernel) : 0,
    input: i === 0 ? 'z_events' : `AT(uint16_t, HIDDEN_${i - 1}_EVENTS)`,
    output: i === plan.hidden.length - 1 ? 'inputs' : `AT(uint16_t, HIDDEN_${i}_EVENTS)`,
    reader: readerOf(i + 1),
  }));
  const phaseNames = ['drawing', 'prior', 'decoder_input', ...plan.decoder.map((planned) => planned.layer.name)];
  return {
    banner: `Generated by fsvae-codegen ${options.generatorVersion}. Do not edit: change the model and generate again.`,
    generatorVersion: options.generatorVersion,
    modelName: printableName(plan.modelName),
    modelHash: plan.modelHash,
    modelHashShort: plan.modelHash.slice(0, 16),
    ...config,
    imageBytes: plan.imageBytes,
    latentBytes: plan.latentBytes,
    arenaBytes: plan.arena.bytes,
    arenaEnd: Math.max(...plan.arena.buffers.map((buffer) => buffer.offset + buffer.bytes)),
    trainBits: plan.trainBits,
    membraneBits: plan.membraneBits,
    leakMultiplier: model.leak.multiplier,
    leakShift: model.leak.shift,
    choiceReject: 2 ** 32 % config.choices,
    zReader: readerOf(0),
    rowCount: plan.rows.length,
    rows: plan.rows,
    proof: [
      ...plan.bounds.layers.map(proofLine),
      `${readout.name.padEnd(22)}${`0 .. ${plan.bounds.readout.weighted.max}`.padEnd(23)}` +
        `${plan.bounds.readout.membrane.min} .. ${plan.bounds.readout.membrane.max}`.padEnd(25) +
        ''.padEnd(17) +
        `- / ${signedBits(plan.bounds.readout.membrane)}`,
    ],
    layers: [...plan.hidden, plan.decoderInput, ...plan.decoder].map((planned) => plannedFields(plan, planned)),
    hidden,
    lazy,
    decoderInput: { ...plannedFields(plan, plan.decoderInput), room: roomOf(plan.decoderInput, 'LATENT_ROWS') },
    maps: decoder.slice(0, lastIndex),
    lastMap: decoder[lastIndex],
    readout: {
      id: layerIdentifier(readout.name),
      name: readout.name,
      shape: `transposed convolution ${readout.inChannels} -> ${readout.outChannels} x ${readout.size} x ${readout.size}, then tanh`,
      weightBits: readout.weightBits,
      coefficientBits: readout.coefficientBits,
      coefficients: Array.from(readout.coefficients).join(', '),
      weightedMax: plan.bounds.readout.weighted.max,
      membraneMin: plan.bounds.readout.membrane.min,
      membraneMax: plan.bounds.readout.membrane.max,
      weightOffset: section('weight'),
      biasOffset: section('bias'),
      thresholdsOffset: section('thresholds'),
      inputs: readout.inChannels,
      channels: readout.outChannels,
      size: readout.size,
    },
    buffers: plan.arena.buffers.map((buffer) => ({
      constant: buffer.name.toUpperCase(),
      offset: buffer.offset,
      bytes: buffer.bytes,
      life: phaseNames.slice(buffer.first, buffer.last + 1).join(', '),
    })),
    weightsExtension: options.weights === 'incbin' ? 'S' : 'c',
    weightWords: plan.weights.words.length,
    weightBytes: 4 * plan.weights.words.length,
  };
}

/** For the file of constants: large, so made only when it is written. */
export function weightsView(plan: Plan, options: LibraryOptions) {
  const { banner, modelName, modelHash, weightWords } = libraryView(plan, options);
  return {
    banner,
    modelName,
    modelHash,
    weightWords,
    // Not for the reader alone: Zig's cache knows this file by its text, and would keep the constants of another plan.
    checksum: `0x${crc32(wordBytes(plan.weights.words)).toString(16).padStart(8, '0')}`,
    sections: plan.weights.sections.map((section) => ({
      ...section,
      lines:
        options.weights === 'array'
          ? wordLines(plan.weights.words.subarray(section.offset, section.offset + section.words))
          : '',
    })),
  };
}
