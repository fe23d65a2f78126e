/**
 * What an image will cost on a Cortex-M0+, from the plan and from what the golden model counts of spikes, before anything
 * is compiled or run: for each layer its kernel's events, neuron updates and so on, times what each of them costs, and the
 * lines of flash that it will miss. `npm run bench` prints the prediction beside the measurement.
 */

import type { LayerWork, ImageWork } from '../../runtime-ts/work.js';
import type { IntegerModel, Leak, SpikingLayer } from '../../runtime-ts/model.js';
import type { Plan, PlannedHiddenLayer, PlannedLayer } from './plan.js';
import { lazyRowWords, needsWideParams } from './weights.js';

/** Cycles of a kernel that adds rows of weights, one row for each event and block of output channels. */
interface RowKernelCost {
  readonly kind: 'rows';
  /** Output channels that a row of weights serves: a row has a byte or a nibble for each. */
  readonly block: number;
  /** Adding one row. */
  readonly row: number;
  /** One neuron at one step, at rest, with its share of what each step of a block begins and ends with. */
  readonly update: number;
  /** On top, where it fires. */
  readonly spike: number;
  /** One kernel position at one step of a block. */
  readonly tap: number;
  /** Beginning one kernel position of a block at one output position, once for all steps. */
  readonly begin: number;
  /** Listing events: one that arrives, and one input neuron whether it fires or not. 0 where events arrive listed. */
  readonly inputSpike: number;
  readonly input: number;
  /** Before the layer runs: expanding one row of 8- or of 4-bit weights, and adding two rows. 0 where rows are read as they lie. */
  readonly expand: { readonly 8: number; readonly 4: number };
  readonly addRows: number;
}

/** Cycles of the kernel that evaluates single neurons. */
interface LazyKernelCost {
  readonly kind: 'lazy';
  /** One choice: bringing its row, and of nibbles spreading it. */
  readonly begin: number;
  /** One neuron at one step. */
  readonly evaluation: number;
  /** Adding one weight. */
  readonly operation: number;
}

/** Cycles of the readout (rules R1 to R4). */
interface ReadoutKernelCost {
  readonly kind: 'readout';
  /** Looking at one input's train, for one output channel. */
  readonly input: number;
  /** On top, where it has a spike: weighted over time and multiplied nine times. */
  readonly train: number;
  /** One pixel: the search among its thresholds. */
  readonly pixel: number;
}

/** Of eight and of sixteen channels a row; zeros are what a kernel has not unless its line says so. */
const ROWS = {
  kind: 'rows',
  block: 8,
  spike: 0,
  tap: 0,
  begin: 0,
  inputSpike: 0,
  input: 0,
  expand: { 8: 0, 4: 0 },
  addRows: 0,
} as const;
const WIDE = { ...ROWS, block: 16 } as const;

/**
 * Cycles a unit of work, waits for flash apart, on a Cortex-M0+ with gcc 12 -O2. Fitted by least squares, none below 0, to what
 * the emulated RP2040 took for each layer of models that were shipped once and of random ones, and rounded. Of the full-size model in
 * int8 they explain every layer to 8 %, the last one to 14 %. A new kernel is a line here.
 */
export const KERNEL_COSTS = {
  /** td_block.h with fsvae_run_bytes() of armv6m.S: 8-bit weights, lanes, F = 0, tau = 1/4. */
  'run bytes, assembly': {
    ...ROWS,
    row: 14.8,
    update: 24.4,
    spike: 6.2,
    tap: 21.2,
    begin: 361,
    inputSpike: 34.6,
    input: 69.3,
  },
  /** td_block.h, 8-bit weights in lanes: rows in assembly, neurons in C. */
  'run bytes': { ...ROWS, row: 15.2, update: 37.2, spike: 2, tap: 27, begin: 361, inputSpike: 22, input: 55 },
  'run nibbles': { ...ROWS, row: 27, update: 36.6, spike: 1.4, tap: 29, begin: 361, inputSpike: 24.8, input: 63.8 },
  /** td_block.h, sums in 32 bits. */
  'run plain': { ...ROWS, row: 244, update: 54.4, spike: 4, tap: 0, begin: 270, inputSpike: 22, input: 55 },
  /** wide.h: rows of bytes, and of halves, whose rows are counted by group of inputs. */
  'run wide bytes': { ...WIDE, row: 25.5, update: 13.8, inputSpike: 40 },
  'run wide halves': {
    ...WIDE,
    row: 21.4,
    update: 13.8,
    inputSpike: 24,
    input: 120,
    expand: { 8: 59, 4: 244 },
    addRows: 36,
  },
  /** prior.h and wide.h, step by step. */
  'step bytes': { ...ROWS, row: 14, update: 140, spike: 42 },
  'step nibbles': { ...ROWS, row: 25.6, update: 170 },
  'step plain': { ...ROWS, row: 229, update: 125, spike: 42 },
  'step wide bytes': { ...WIDE, row: 34.9, update: 36.4 },
  /** prior.h, fsvae_lazy_run(). */
  'lazy bytes': { kind: 'lazy', begin: 170, evaluation: 161, operation: 5.27 },
  'lazy nibbles': { kind: 'lazy', begin: 1085, evaluation: 213, operation: 4.86 },
  /** readout.h. */
  readout: { kind: 'readout', input: 8, train: 50, pixel: 170 },
} as const satisfies Readonly<Record<string, RowKernelCost | LazyKernelCost | ReadoutKernelCost>>;

export type KernelName = keyof typeof KERNEL_COSTS;

type RowKernelName = {
  [Name in KernelName]: (typeof KERNEL_COSTS)[Name] extends RowKernelCost ? Name : never;
}[KernelName];

/** pcg32.h: one choice. */
const CHOICE_CYCLES = 143;

/** Of a choice's cycles those during which no row is on its way. */
const LAZY_ALONE_CYCLES = 380;

/** A cache through which flash is read, least recently used. */
export interface FlashCache {
  readonly lineBytes: number;
  readonly sets: number;
  readonly ways: number;
  /** What a miss costs the core, in its cycles. */
  readonly missCycles: number;
  /** What a read in bulk costs, past the cache: to begin one, and each word of 32 bits. */
  readonly bulk: { readonly beginCycles: number; readonly wordCycles: number };
}

/** A look at one slot for the one used longest ago, where a piece comes into a cache of rows that is full: row_cache.h. */
const SLOT_SEARCH_CYCLES = 7;

export interface LayerCost {
  /** The row of a trace, or the readout. */
  readonly name: string;
  /** null: it has none, as the choices. */
  readonly kernel: KernelName | null;
  /** Waits for flash apart. */
  readonly coreCycles: number;
  /** Waits for constants in flash. Those for code are not modelled: they are few. */
  readonly waitCycles: number;
  /** Both. */
  readonly cycles: number;
}

export interface ImageCost {
  /** The rows of a trace, then the readout. */
  readonly layers: readonly LayerCost[];
  readonly coreCycles: number;
  readonly waitCycles: number;
  readonly cycles: number;
}

/** The kernel that runs a layer: what td_block.h and prior.h choose by the same conditions on ARMv6-M. */
export function kernelOf(planned: PlannedLayer, leak: Leak, how: 'run' | 'step'): RowKernelName {
  const { layer, kernel } = planned;
  if (kernel === 'plain') return `${how} plain`;
  if (kernel === 'halves') return 'run wide halves';
  if (kernel === 'bytes') return `${how} wide bytes`;
  if (layer.weightBits === 4) return `${how} nibbles`;
  const assembly = how === 'run' && layer.fractionBits === 0 && leak.multiplier === 1 && leak.shift === 2;
  return assembly ? 'run bytes, assembly' : `${how} bytes`;
}

/** How much there is of a layer in blocks of `block` channels, whatever fires. */
function extent(layer: SpikingLayer, block: number) {
  const blocks = Math.ceil(layer.bias.length / block);
  if (layer.kind === 'linear') {
    const { inFeatures, outFeatures } = layer;
    return {
      blocks,
      inputs: inFeatures,
      inputNeurons: inFeatures,
      outputs: outFeatures,
      size: 1,
      positions: 1,
      taps: 1,
      kernel: 1,
    };
  }
  const { inChannels, outChannels, inSize: size } = layer;
  return {
    blocks,
    inputs: inChannels,
    inputNeurons: inChannels * size * size,
    outputs: outChannels,
    size,
    positions: 4 * size * size,
    // Pairs of an output position and an input position that it sees (rule S3).
    taps: (3 * size - 1) ** 2,
    kernel: 9,
  };
}

/** Core cycles of a layer that adds rows. */
function rowCycles(cost: RowKernelCost, planned: PlannedLayer, work: LayerWork, timeSteps: number): number {
  const { layer, group, eventsPerSpike } = planned;
  const { blocks, inputs, outputs, positions, taps, inputNeurons, kernel } = extent(layer, cost.block);
  const rows = (work.synapticOperations / outputs) * blocks * eventsPerSpike;
  const groups = blocks * kernel * (inputs / group);
  return (
    cost.row * rows +
    cost.update * blocks * cost.block * positions * timeSteps +
    cost.spike * work.spikes +
    (cost.tap * timeSteps + cost.begin) * blocks * taps +
    cost.inputSpike * work.inputSpikes * eventsPerSpike +
    (cost.input * inputNeurons) / group +
    groups * (group * cost.expand[layer.weightBits] + (2 ** group - 1 - group) * cost.addRows)
  );
}

/** Lines that are touched when of `count` things of `bytes` bytes each, one after the other, a share is read. */
function touchedLines(cache: FlashCache, count: number, bytes: number, share: number): number {
  const lines = (count * bytes) / cache.lineBytes;
  return bytes >= cache.lineBytes ? lines * share : lines * (1 - (1 - share) ** (cache.lineBytes / bytes));
}

/** Share of `lines` neighbouring lines that has to be read again when they are read over and over in the same order. */
function reread(cache: FlashCache, lines: number): number {
  const held = cache.ways * cache.sets;
  if (lines <= held) return 0;
  // Sets with one line more than they hold lose all of them; the others none.
  return Math.min(1, ((cache.ways + 1) * (lines - held)) / lines);
}

/** Lines missed when they are touched in several passes: all of the first pass, and of the others what was not kept. */
function missesOfPasses(again: number, passes: number, first: number, each: number): number {
  return first * (1 - again) + passes * each * again;
}

function paramsLines(cache: FlashCache, layer: SpikingLayer, channels: number): number {
  return (channels * (needsWideParams(layer) ? 8 : 4)) / cache.lineBytes;
}

/** Cycles of reading `words` words in bulk, in `pieces` pieces. */
function bulkCycles({ bulk }: FlashCache, words: number, pieces: number): number {
  return words * bulk.wordCycles + pieces * bulk.beginCycles;
}

/**
 * Waits of a layer that runs through all steps: its weights are read once, in bulk, before it runs or while it does; or once for
 * each row of the input map.
 */
function runWaits(
  cache: FlashCache,
  planned: PlannedLayer,
  work: LayerWork,
  block: number,
  coreCycles: number,
): number {
  const { layer } = planned;
  const { blocks, inputs, size, kernel } = extent(layer, block);
  const bytes = (block * layer.weightBits) / 8;
  const rows = blocks * kernel * inputs;
  const params = paramsLines(cache, layer, blocks * block);
  const bulk = bulkCycles(cache, (rows * bytes) / 4, blocks * kernel);
  if (planned.staged) return Math.max(0, bulk - coreCycles) + params * cache.missCycles;
  if (planned.kernel === 'halves') return bulk + params * cache.missCycles;
  const share = work.activeInputs / (inputs * size);
  const again = size === 1 || planned.wholeMap ? 0 : reread(cache, (rows * bytes) / cache.lineBytes);
  // Below the map's last row there is none.
  const below = size === 1 ? 1 : (3 * size - 1) / (3 * size);
  const each = touchedLines(cache, rows, bytes, share) * below + params;
  const first = touchedLines(cache, rows, bytes, 1 - (1 - share) ** size) + params;
  return missesOfPasses(again, size, first, each) * cache.missCycles;
}

/** Pieces that come into a hidden layer's cache: as many as with the images that the plan looked at, by this one's spikes. */
function piecesBrought({ rowReads }: PlannedHiddenLayer, work: LayerWork): number {
  return (rowReads.brought * work.inputSpikes) / Math.max(1, rowReads.spikes);
}

/** Waits of a hidden layer of the prior: its rows are read in bulk into a cache of rows, or once a step where they lie. */
function stepWaits(cache: FlashCache, plan: Plan, planned: PlannedHiddenLayer, work: LayerWork, block: number): number {
  const { layer, slots, rowReads } = planned;
  const { timeSteps } = plan.model.config;
  const { blocks, inputs } = extent(layer, block);
  const bytes = (block * layer.weightBits) / 8;
  const params = paramsLines(cache, layer, blocks * block);
  if (slots > 0) {
    const brought = piecesBrought(planned, work);
    const share = work.inputSpikes / Math.max(1, rowReads.spikes);
    const lines = rowReads.inPlace * share * blocks * Math.ceil(bytes / cache.lineBytes);
    return bulkCycles(cache, (brought * blocks * bytes) / 4, brought) + (lines + params) * cache.missCycles;
  }
  const share = work.inputSpikes / (timeSteps * inputs);
  const each = touchedLines(cache, blocks * inputs, bytes, share) + params;
  const first = touchedLines(cache, blocks * inputs, bytes, work.activeInputs / inputs) + params;
  return missesOfPasses(reread(cache, priorLines(cache, plan)), timeSteps, first, each) * cache.missCycles;
}

/** Lines that one step of the prior reads at most, of the hidden layers that are read where they lie. */
function priorLines(cache: FlashCache, { hidden }: Plan): number {
  const inPlace = hidden.filter(({ slots }) => slots === 0);
  return inPlace.reduce((sum, { layer }) => sum + (layer.weight.length * layer.weightBits) / 8, 0) / cache.lineBytes;
}

/** Waits of the prior's last layer: for the next choice's row, as far as evaluating this one does not take as long. */
function lazyWaits(cache: FlashCache, plan: Plan, coreCycles: number): number {
  const { timeSteps, latentChannels } = plan.model.config;
  const choices = timeSteps * latentChannels;
  const row = bulkCycles(cache, lazyRowWords(plan.lazy.layer), 1);
  return choices * Math.max(0, row - (coreCycles / choices - LAZY_ALONE_CYCLES));
}

function readoutCycles({ readout }: IntegerModel, work: ImageWork): number {
  const { size, inChannels, outChannels } = readout;
  const { input, train, pixel } = KERNEL_COSTS.readout;
  return outChannels * (size * size * (input * inChannels + pixel) + train * work.readoutTrains);
}

/**
 * Predicts one image's cycles on one Cortex-M0+ core.
 *
 * @param work of one image, or the mean of several (meanWork() in runtime-ts/work.ts)
 * @param cache through which flash is read; undefined: flash answers at once
 */
export function predictCost(plan: Plan, work: ImageWork, cache: FlashCache | undefined): ImageCost {
  const { model } = plan;
  const { timeSteps, latentChannels } = model.config;
  const cost = (
    name: string,
    kernel: KernelName | null,
    coreCycles: number,
    waits: (cache: FlashCache) => number,
  ): LayerCost => {
    const waitCycles = cache === undefined ? 0 : waits(cache);
    return { name, kernel, coreCycles, waitCycles, cycles: coreCycles + waitCycles };
  };
  const workOf = (planned: PlannedLayer): LayerWork => work.layers.find((layer) => layer.name === planned.layer.name)!;
  const run = (planned: PlannedLayer): LayerCost => {
    const kernel = kernelOf(planned, model.leak, 'run');
    const costs = KERNEL_COSTS[kernel];
    const done = workOf(planned);
    const coreCycles = rowCycles(costs, planned, done, timeSteps);
    return cost(planned.layer.name, kernel, coreCycles, (through) =>
      runWaits(through, planned, done, costs.block, coreCycles),
    );
  };
  const step = (planned: PlannedHiddenLayer): LayerCost => {
    const kernel = kernelOf(planned, model.leak, 'step');
    const costs = KERNEL_COSTS[kernel];
    const done = workOf(planned);
    const search = piecesBrought(planned, done) * planned.slots * SLOT_SEARCH_CYCLES;
    return cost(planned.layer.name, kernel, rowCycles(costs, planned, done, timeSteps) + search, (through) =>
      stepWaits(through, plan, planned, done, costs.block),
    );
  };
  const lazyWork = work.layers[model.prior.length - 1];
  const lazyKernel = plan.lazy.layer.weightBits === 8 ? 'lazy bytes' : 'lazy nibbles';
  const { begin, evaluation, operation } = KERNEL_COSTS[lazyKernel];
  const lazyCycles =
    begin * timeSteps * latentChannels + evaluation * lazyWork.lifUpdates + operation * lazyWork.synapticOperations;
  const { readout } = model;
  const layers = [
    cost('choices', null, CHOICE_CYCLES * timeSteps * latentChannels, () => 0),
    ...plan.hidden.map((planned) => step(planned)),
    cost('z', lazyKernel, lazyCycles, (through) => lazyWaits(through, plan, lazyCycles)),
    ...[plan.decoderInput, ...plan.decoder].map((planned) => run(planned)),
    cost(
      'readout',
      'readout',
      readoutCycles(model, work),
      (through) =>
        through.missCycles *
        (touchedLines(through, readout.weight.length, readout.weightBits / 8, 1) +
          touchedLines(through, readout.thresholds.length, 4, 1)),
    ),
  ];
  const total = (of: (layer: LayerCost) => number): number => layers.reduce((sum, layer) => sum + of(layer), 0);
  return {
    layers,
    coreCycles: total((layer) => layer.coreCycles),
    waitCycles: total((layer) => layer.waitCycles),
    cycles: total((layer) => layer.cycles),
  };
}
