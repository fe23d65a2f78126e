/**
 * What an image will cost on a Cortex-M0+, from the plan and from what the golden model counts of spikes, before anything
 * is compiled or run: for each layer its kernel's events, neuron updates and so on, times what each of them costs, and the
 * lines of flash that it will miss. `npm run bench` prints the prediction beside the measurement.
 */

import type { LayerWork, ImageWork } from '../../runtime-ts/work.js';
import type { IntegerModel, Leak, SpikingLayer } from '../../runtime-ts/model.js';
import type { Plan, PlannedLayer } from './plan.js';
import { needsWideParams } from './weights.js';

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
}

/** Cycles of the kernel that evaluates single neurons. */
interface LazyKernelCost {
  readonly kind: 'lazy';
  /** One neuron at one step. */
  readonly evaluation: number;
  /** Adding one weight. */
  readonly operation: number;
}

/** Cycles of the readout (rules R1 to R4). */
interface ReadoutKernelCost {
  readonly kind: 'readout';
  /** Weighting one input's train over time. */
  readonly input: number;
  /** Beginning one kernel position of one pixel. */
  readonly tap: number;
  /** One product. */
  readonly product: number;
  /** One pixel: the search among its thresholds. */
  readonly pixel: number;
}

/** td_block.h and prior.h; zeros are what a kernel has not unless its line says so. */
const ROWS = { kind: 'rows', block: 8, tap: 0, begin: 0, inputSpike: 0, input: 0 } as const;

/**
 * Cycles a unit of work, waits for flash apart, on a Cortex-M0+ with gcc 12 -O2. Fitted by least squares, none below 0, to what
 * the emulated RP2040 took for each layer of the shipped models and of random ones, and rounded. Of the full-size model in int8
 * and int4 they explain every layer to 0.5 %, of the tiny one and of random ones to a tenth. A new kernel is a line here.
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
  /** prior.h, fsvae_td_linear_step(). */
  'step bytes': { ...ROWS, row: 14, update: 140, spike: 42 },
  'step nibbles': { ...ROWS, row: 26, update: 135, spike: 57 },
  'step plain': { ...ROWS, row: 229, update: 125, spike: 42 },
  /** prior.h, fsvae_lazy_fires(). */
  'lazy bytes': { kind: 'lazy', evaluation: 162, operation: 6.03 },
  'lazy nibbles': { kind: 'lazy', evaluation: 180, operation: 34 },
  /** readout.h. */
  'readout bytes': { kind: 'readout', input: 18, tap: 30, product: 8.6, pixel: 170 },
  'readout nibbles': { kind: 'readout', input: 18, tap: 30, product: 18.5, pixel: 170 },
} as const satisfies Readonly<Record<string, RowKernelCost | LazyKernelCost | ReadoutKernelCost>>;

export type KernelName = keyof typeof KERNEL_COSTS;

type RowKernelName = {
  [Name in KernelName]: (typeof KERNEL_COSTS)[Name] extends RowKernelCost ? Name : never;
}[KernelName];

/** pcg32.h: one choice. */
const CHOICE_CYCLES = 114;

/** A cache through which flash is read, least recently used. */
export interface FlashCache {
  readonly lineBytes: number;
  readonly sets: number;
  readonly ways: number;
  /** What a miss costs the core, in its cycles. */
  readonly missCycles: number;
}

export interface LayerCost {
  /** The row of a trace, or the readout. */
  readonly name: string;
  /** null: it has none, as the choices. */
  readonly kernel: KernelName | null;
  /** Waits for flash apart. */
  readonly coreCycles: number;
  /** Lines of constants that the cache does not hold. Those of code are not modelled: they are few. */
  readonly misses: number;
  /** Core cycles and misses. */
  readonly cycles: number;
}

export interface ImageCost {
  /** The rows of a trace, then the readout. */
  readonly layers: readonly LayerCost[];
  readonly coreCycles: number;
  readonly misses: number;
  readonly cycles: number;
}

/** The kernel that runs a layer: what td_block.h and prior.h choose by the same conditions on ARMv6-M. */
export function kernelOf(planned: PlannedLayer, leak: Leak, how: 'run' | 'step'): RowKernelName {
  const { layer, lanes } = planned;
  if (!lanes) return `${how} plain`;
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
function rowCycles(cost: RowKernelCost, layer: SpikingLayer, work: LayerWork, timeSteps: number): number {
  const { blocks, outputs, positions, taps, inputNeurons } = extent(layer, cost.block);
  const rows = (work.synapticOperations / outputs) * blocks;
  return (
    cost.row * rows +
    cost.update * blocks * cost.block * positions * timeSteps +
    cost.spike * work.spikes +
    (cost.tap * timeSteps + cost.begin) * blocks * taps +
    cost.inputSpike * work.inputSpikes +
    cost.input * inputNeurons
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

/** Misses of a layer that runs through all steps: its weights are read once for each row of the input map. */
function runMisses(cache: FlashCache, layer: SpikingLayer, work: LayerWork, block: number): number {
  const { blocks, inputs, size, kernel } = extent(layer, block);
  const bytes = (block * layer.weightBits) / 8;
  const rows = blocks * kernel * inputs;
  const share = work.activeInputs / (inputs * size);
  const params = paramsLines(cache, layer, blocks * block);
  const again = size === 1 ? 0 : reread(cache, (rows * bytes) / cache.lineBytes);
  // Below the map's last row there is none.
  const below = size === 1 ? 1 : (3 * size - 1) / (3 * size);
  const each = touchedLines(cache, rows, bytes, share) * below + params;
  const first = touchedLines(cache, rows, bytes, 1 - (1 - share) ** size) + params;
  return missesOfPasses(again, size, first, each);
}

/** Misses of a hidden layer of the prior: its weights are read once a step, and the whole prior between two steps. */
function stepMisses(cache: FlashCache, plan: Plan, layer: SpikingLayer, work: LayerWork, block: number): number {
  const { timeSteps } = plan.model.config;
  const { blocks, inputs } = extent(layer, block);
  const bytes = (block * layer.weightBits) / 8;
  const share = work.inputSpikes / (timeSteps * inputs);
  const params = paramsLines(cache, layer, blocks * block);
  const each = touchedLines(cache, blocks * inputs, bytes, share) + params;
  const first = touchedLines(cache, blocks * inputs, bytes, work.activeInputs / inputs) + params;
  return missesOfPasses(reread(cache, priorLines(cache, plan.model)), timeSteps, first, each);
}

/** Lines that one step of the prior reads at most: all hidden layers, and of the last one a row for each channel. */
function priorLines(cache: FlashCache, { prior, config }: IntegerModel): number {
  const bytes = prior.map((layer, i) => {
    const outputs = i === prior.length - 1 ? config.latentChannels : layer.outFeatures;
    return (outputs * layer.inFeatures * layer.weightBits) / 8;
  });
  return bytes.reduce((sum, value) => sum + value, 0) / cache.lineBytes;
}

/** Misses of the prior's last layer: a row of weights by input for each choice, which looking back reads again, near. */
function lazyMisses(cache: FlashCache, plan: Plan, work: LayerWork): number {
  const { layer } = plan.lazy;
  const { timeSteps, latentChannels } = plan.model.config;
  const choices = timeSteps * latentChannels;
  const share = 1 - (1 - work.inputSpikes / (timeSteps * layer.inFeatures)) ** (work.lifUpdates / choices);
  const touched = touchedLines(cache, layer.inFeatures, layer.weightBits / 8, share) + 1;
  const whole =
    touchedLines(cache, layer.weight.length, layer.weightBits / 8, 1) + paramsLines(cache, layer, layer.outFeatures);
  // Another neuron at each step: what little of the layer the cache held is not what is read next.
  const again = reread(cache, Math.max(whole, priorLines(cache, plan.model)));
  return missesOfPasses(again, choices, Math.min(whole, choices * touched), touched);
}

function readoutCost(cost: ReadoutKernelCost, { readout }: IntegerModel): number {
  const { size, inChannels, outChannels } = readout;
  const taps = outChannels * (3 * size - 2) ** 2;
  return (
    cost.input * size * size * inChannels +
    cost.tap * taps +
    cost.product * taps * inChannels +
    cost.pixel * size * size * outChannels
  );
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
    misses: (cache: FlashCache) => number,
  ): LayerCost => {
    const missed = cache === undefined ? 0 : misses(cache);
    return { name, kernel, coreCycles, misses: missed, cycles: coreCycles + missed * (cache?.missCycles ?? 0) };
  };
  const blocked = (planned: PlannedLayer, how: 'run' | 'step'): LayerCost => {
    const { layer } = planned;
    const kernel = kernelOf(planned, model.leak, how);
    const costs = KERNEL_COSTS[kernel];
    const done = work.layers.find(({ name }) => name === layer.name)!;
    return cost(layer.name, kernel, rowCycles(costs, layer, done, timeSteps), (through) =>
      how === 'step'
        ? stepMisses(through, plan, layer, done, costs.block)
        : runMisses(through, layer, done, costs.block),
    );
  };
  const lazyWork = work.layers[model.prior.length - 1];
  const lazyKernel = plan.lazy.layer.weightBits === 8 ? 'lazy bytes' : 'lazy nibbles';
  const { evaluation, operation } = KERNEL_COSTS[lazyKernel];
  const { readout } = model;
  const readoutKernel = readout.weightBits === 8 ? 'readout bytes' : 'readout nibbles';
  const layers = [
    cost('choices', null, CHOICE_CYCLES * timeSteps * latentChannels, () => 0),
    ...plan.hidden.map((planned) => blocked(planned, 'step')),
    cost('z', lazyKernel, evaluation * lazyWork.lifUpdates + operation * lazyWork.synapticOperations, (through) =>
      lazyMisses(through, plan, lazyWork),
    ),
    ...[plan.decoderInput, ...plan.decoder].map((planned) => blocked(planned, 'run')),
    cost(
      'readout',
      readoutKernel,
      readoutCost(KERNEL_COSTS[readoutKernel], model),
      (through) =>
        touchedLines(through, readout.weight.length, readout.weightBits / 8, 1) +
        touchedLines(through, readout.thresholds.length, 4, 1),
    ),
  ];
  const total = (of: (layer: LayerCost) => number): number => layers.reduce((sum, layer) => sum + of(layer), 0);
  return {
    layers,
    coreCycles: total((layer) => layer.coreCycles),
    misses: total((layer) => layer.misses),
    cycles: total((layer) => layer.cycles),
  };
}
