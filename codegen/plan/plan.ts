/** What will run, and where everything lies: the integer model, decided down to offsets. Templates only write it out. */

import {
  allowsWide,
  type LayerBounds,
  type ModelBounds,
  proveBounds,
  signedBits,
  WIDE_BLOCK,
} from '../../runtime-ts/bounds.js';
import { latentBytes } from '../../runtime-ts/spike-bits.js';
import { modelHash } from '../../runtime-ts/model-file.js';
import { type TraceRow, traceRows } from '../../runtime-ts/network.js';
import type { ConvTransposeLayer, IntegerModel, LinearLayer, SpikingLayer } from '../../runtime-ts/model.js';
import {
  type Activity,
  cacheReads,
  type Grouping,
  groupInputs,
  type MapActivity,
  observe,
  type RowReads,
  spikesPerImage,
} from './activity.js';
import { type Arena, type BufferRequest, placeBuffers } from './arena.js';
import type { EncoderPlan } from './encoder.js';
import { keptBits, lazyBuffers, requireLazyReach } from './stepwise.js';
import {
  inputsOf,
  isWide,
  type Kernel,
  layOutWeights,
  MOST_EVENT,
  mostInputs,
  needsWideParams,
  pieceWords,
  requireReach,
  rowBytes,
  rowWords,
  type Weights,
} from './weights.js';

interface PlannedBase {
  readonly bounds: LayerBounds;
  /** Row of a trace. */
  readonly row: number;
  readonly wideParams: boolean;
}

/** How a layer runs. */
interface Choice {
  readonly kernel: Kernel;
  /** Inputs that one row of halves serves: 1, 2 or 4. */
  readonly group: number;
  /** The inputs, group by group; undefined in groups of one. */
  readonly members: Uint16Array | undefined;
  /** Groups of which somebody fires, for each spike, as seen on a few images: 1 in groups of one. */
  readonly eventsPerSpike: number;
  /** Events of its whole input map are listed before it runs, so that each weight is read once; else two rows of it. */
  readonly wholeMap: boolean;
  /** Rows of bytes are fetched into RAM, those of a block or of one parity of it at a time, where the board can. */
  readonly staged: boolean;
  /** Inputs of a hidden layer whose rows are kept in RAM between steps (row_cache.h); 0: not cached. */
  readonly slots: number;
}

/** A layer whose outputs are computed in blocks of channels. */
export interface PlannedLayer extends PlannedBase, Choice {
  readonly layer: LinearLayer | ConvTransposeLayer;
}

/** A hidden layer of the prior. */
export interface PlannedHiddenLayer extends PlannedLayer {
  /** Of the images that the plan looked at. */
  readonly rowReads: RowReads;
}

/** The prior's last layer, evaluated only where chosen. */
export interface PlannedLazyLayer extends PlannedBase {
  readonly layer: LinearLayer;
}

export interface Plan {
  readonly model: IntegerModel;
  readonly modelName: string;
  /** 64 hexadecimal digits. */
  readonly modelHash: string;
  readonly bounds: ModelBounds;
  readonly rows: readonly TraceRow[];
  /** Bits of a spike train: 16 or 32. */
  readonly trainBits: 16 | 32;
  /** Bits of the membranes that are kept between steps: 16 or 32 (rule B3). */
  readonly membraneBits: 16 | 32;
  readonly hidden: readonly PlannedHiddenLayer[];
  readonly lazy: PlannedLazyLayer;
  readonly decoderInput: PlannedLayer;
  readonly decoder: readonly PlannedLayer[];
  readonly weights: Weights;
  readonly arena: Arena;
  /** Encoder and posterior, where they go on the board too. */
  readonly encoder: EncoderPlan | undefined;
  /** Of the whole arena: what the generator needs, or the encoder, which runs before or after it. */
  readonly arenaBytes: number;
  readonly imageBytes: number;
  readonly latentBytes: number;
}

const PLAIN: Choice = {
  kernel: 'plain',
  group: 1,
  members: undefined,
  eventsPerSpike: 1,
  wholeMap: false,
  staged: false,
  slots: 0,
};

/** The phases of a run, in which buffers live: drawing, prior, decoder_input, then one for each map layer. */
const DRAWING = 0;
const PRIOR = 1;
const DECODER_INPUT = 2;
const mapPhase = (layer: number): number => 3 + layer;

/** Halfwords before the events of a wide layer's list: FSVAE_LIST_HEAD of wide.h. */
const LIST_HEAD = 2;

/** Bytes of one neuron block of a wide hidden layer: fsvae_wide_cells of wide.h. */
const WIDE_CELLS_BYTES = 96;

/** Bytes of the list of one step's events when every input fires. */
function listBytes(inputs: number, { kernel, group }: Pick<Choice, 'kernel' | 'group'>): number {
  return 2 * (inputs / group + (isWide(kernel) ? LIST_HEAD : 0));
}

/** Bytes of the rows of one kernel position and block as they lie in flash. */
function flashBytes(layer: SpikingLayer, { kernel }: Choice): number {
  return inputsOf(layer) * 4 * rowWords(layer.weightBits, kernel);
}

/** Bytes of the rows of halves of one kernel position and block: of each group a row for each pattern but silence. */
function tapBytes(layer: SpikingLayer, { kernel, group }: Choice): number {
  return (inputsOf(layer) / group) * (2 ** group - 1) * rowBytes(layer.weightBits, kernel);
}

/** Buffers of a run and when they are alive. */
function buffers(
  model: IntegerModel,
  trainBytes: number,
  membraneBytes: number,
  choose: (layer: SpikingLayer) => Choice,
): BufferRequest[] {
  const { timeSteps, latentChannels } = model.config;
  const hidden = model.prior.slice(0, -1);
  const last = model.prior[model.prior.length - 1];
  const lastMap = mapPhase(model.decoder.length - 1);
  const widestHidden = Math.max(latentChannels, ...hidden.map((layer) => layer.outFeatures));
  const requests: BufferRequest[] = [];
  const add = (name: string, bytes: number, first: number, end = first): void => {
    requests.push({ name, bytes, first, last: end });
  };
  add('choices', timeSteps * latentChannels, DRAWING, PRIOR);
  add('z', latentChannels * trainBytes, PRIOR, DECODER_INPUT);
  add('fired', (widestHidden + 7) >> 3, PRIOR);
  for (const [name, bytes] of lazyBuffers(last, timeSteps, membraneBytes)) add(name, bytes, PRIOR);
  add('z_events', listBytes(latentChannels, hidden.length === 0 ? PLAIN : choose(hidden[0])), PRIOR);
  hidden.forEach((layer, i) => {
    const { kernel, slots } = choose(layer);
    if (isWide(kernel)) add(`hidden_${i}_cells`, (layer.outFeatures / WIDE_BLOCK) * WIDE_CELLS_BYTES, PRIOR);
    else add(`hidden_${i}_membrane`, layer.outFeatures * membraneBytes, PRIOR);
    if (slots > 0) {
      add(`hidden_${i}_rows`, 4 * pieceWords(layer, kernel) * slots, PRIOR);
      add(`hidden_${i}_slot_of`, 2 * layer.inFeatures, PRIOR);
      add(`hidden_${i}_input_of`, 2 * slots, PRIOR);
      add(`hidden_${i}_used`, slots, PRIOR);
      add(`hidden_${i}_in_place`, 2 * (layer.inFeatures + MOST_RANGES_IN_PLACE * LIST_HEAD), PRIOR);
    }
    if (i < hidden.length - 1) add(`hidden_${i}_events`, listBytes(layer.outFeatures, choose(hidden[i + 1])), PRIOR);
  });
  add('latent_events', timeSteps * listBytes(latentChannels, choose(model.decoderInput)), DECODER_INPUT);
  if (!isWide(choose(model.decoderInput).kernel)) add('latent_count', timeSteps * 2, DECODER_INPUT);
  if (choose(model.decoderInput).staged) {
    // Parameters, and the rows of two parts of two blocks each.
    const { outFeatures } = model.decoderInput;
    add('latent_rows', 4 * outFeatures + 4 * flashBytes(model.decoderInput, choose(model.decoderInput)), DECODER_INPUT);
  }
  add('map_0', model.decoderInput.outFeatures * trainBytes, DECODER_INPUT, mapPhase(0));
  model.decoder.forEach((layer, i) => {
    const now = mapPhase(i);
    const choice = choose(layer);
    const positions = (choice.wholeMap ? layer.inSize : 2) * layer.inSize;
    add(`events_${i}`, positions * timeSteps * listBytes(layer.inChannels, choice), now);
    if (!isWide(choice.kernel)) add(`count_${i}`, positions * timeSteps * 2, now);
    if (choice.kernel === 'halves') {
      // Map to map, the kernel positions of one parity of one block at a time; the last layer's all at once. And what
      // one position is expanded from.
      const taps = now < lastMap ? 4 : (9 * layer.outChannels) / WIDE_BLOCK;
      add(`rows_${i}`, taps * tapBytes(layer, choice) + flashBytes(layer, choice), now);
    } else if (choice.staged) {
      // Parameters, and the kernel positions of two parities of one block.
      add(`rows_${i}`, 4 * layer.outChannels + 6 * flashBytes(layer, choice), now);
    }
    if (now < lastMap) {
      add(`map_${i + 1}`, 4 * layer.inSize * layer.inSize * layer.outChannels * trainBytes, now, now + 1);
    }
  });
  const { size, inChannels, outChannels } = model.readout;
  add('row_pair', 2 * size * inChannels * trainBytes, lastMap);
  add('readout_weights', outChannels * inChannels * 9 * 4, lastMap);
  add('readout_membranes', 2 * outChannels * 4 * (size + 2) * 4, lastMap);
  add('coefficient_tables', trainBytes * 512, lastMap);
  return requests;
}

/** Rule B5: may this wide kernel run this layer? Rows of bytes have neither nibbles nor a fraction. */
function allows(kernel: 'bytes' | 'halves', layer: SpikingLayer, bounds: LayerBounds, model: IntegerModel): boolean {
  return (
    (kernel === 'halves' || (layer.weightBits === 8 && layer.fractionBits === 0)) &&
    inputsOf(layer) <= mostInputs(layer, kernel) &&
    allowsWide(layer, bounds, model)
  );
}

/** What an event costs on a Cortex-M0+, in cycles for sixteen channels: lanes.h, armv6m.S, wide_armv6m.S. */
const EVENT_CYCLES: Readonly<Record<Kernel, number>> = { plain: 200, lanes: 48, bytes: 25, halves: 22 };

/** To expand a row, and to add two rows: wide_rows_armv6m.S. */
const EXPAND_CYCLES = 50;
const ADD_ROWS_CYCLES = 36;

/** Events an image if every spike were one. */
function eventsPerImage(layer: ConvTransposeLayer, activity: MapActivity): number {
  const reach = (3 * layer.inSize - 1) / layer.inSize; // outputs that an input reaches along an axis, borders counted
  return spikesPerImage(activity) * reach * reach * (layer.outChannels / WIDE_BLOCK);
}

/** Cycles an image of rows of halves, as far as they depend on groups: the events, and the rows made for them. */
function halvesCycles(layer: ConvTransposeLayer, activity: MapActivity, { size, eventsPerSpike }: Grouping): number {
  const groups = layer.inChannels / size;
  const rows = groups * (size * EXPAND_CYCLES + (2 ** size - 1 - size) * ADD_ROWS_CYCLES);
  return (
    eventsPerImage(layer, activity) * eventsPerSpike * EVENT_CYCLES.halves + 9 * (layer.outChannels / WIDE_BLOCK) * rows
  );
}

/** Ways to run a convolution with rows of halves that are faster than what it has, the fastest first. */
function halvesChoices(layer: ConvTransposeLayer, activity: MapActivity, now: Kernel, isLast: boolean): Choice[] {
  return [1, 2, 4]
    .filter((size) => layer.inChannels % size === 0)
    .map((size) => groupInputs(activity, size))
    .map((grouping) => ({ ...grouping, cycles: halvesCycles(layer, activity, grouping) }))
    .filter(({ cycles }) => cycles < eventsPerImage(layer, activity) * EVENT_CYCLES[now])
    .sort((a, b) => a.cycles - b.cycles)
    .map(({ size, members, eventsPerSpike }): Choice => {
      return {
        ...PLAIN,
        kernel: 'halves',
        group: size,
        members: size === 1 ? undefined : members,
        eventsPerSpike,
        wholeMap: !isLast,
      };
    })
    .filter((choice) => tapBytes(layer, choice) <= MOST_EVENT);
}

/** Ranges of rows in place that a step of a cached layer can name: FSVAE_MOST_STEP_TAPS of row_cache.h, less the cache. */
const MOST_RANGES_IN_PLACE = 3;

/** With fewer slots than this share of its inputs, most rows would be copied to be read once. */
const LEAST_SHARE = 1 / 4;

/** Fewest and most slots that a cache of a hidden layer's rows may have; undefined where it may have none. */
function slotLimits(layer: LinearLayer, kernel: Kernel): { least: number; most: number } | undefined {
  // Events are 16 bits wide, in the cache and in place.
  const reach = Math.floor(MOST_EVENT / (4 * pieceWords(layer, kernel)));
  const most = Math.min(layer.inFeatures, reach);
  const least = Math.ceil(layer.inFeatures * LEAST_SHARE);
  return layer.inFeatures > MOST_RANGES_IN_PLACE * reach || most < least ? undefined : { least, most };
}

/** On an RP2040: to begin a read of flash in bulk, each word of it, and each word that is read through the cache. */
const BULK_CYCLES = 100;
const BULK_WORD_CYCLES = 16;
const MISSED_WORD_CYCLES = 30;

/** What an image waits for a hidden layer's rows, in cycles. */
function rowCycles(layer: LinearLayer, { kernel, slots }: Choice, activity: Activity): number {
  const words = pieceWords(layer, kernel);
  const { brought, inPlace } = cacheReads(activity.steps.get(layer)!, slots);
  return brought * (BULK_CYCLES + BULK_WORD_CYCLES * words) + inPlace * MISSED_WORD_CYCLES * words;
}

/** Sizes of a cache that are looked at lie about so many bytes apart. */
const SLOT_PART_BYTES = 1024;

/** A larger cache for a hidden layer, and what each byte more of it saves. */
interface SlotChoice {
  readonly layer: LinearLayer;
  readonly choice: Choice;
  readonly gain: number;
}

/**
 * Larger caches for the hidden layers, the one whose bytes save most first: of each layer all sizes, because a cache that
 * is a little larger may save nothing where a much larger one does.
 */
function slotChoices(
  hidden: readonly LinearLayer[],
  choose: (layer: SpikingLayer) => Choice,
  cyclesOf: (layer: LinearLayer, choice: Choice) => number,
): SlotChoice[] {
  return hidden
    .flatMap((layer): SlotChoice[] => {
      const now = choose(layer);
      const limits = slotLimits(layer, now.kernel);
      if (limits === undefined) return [];
      const slotBytes = 4 * pieceWords(layer, now.kernel);
      const part = Math.max(1, Math.floor(SLOT_PART_BYTES / slotBytes));
      const sizes: number[] = [];
      for (let slots = limits.least; slots < limits.most; slots += part) sizes.push(slots);
      return [...sizes, limits.most]
        .filter((slots) => slots > now.slots)
        .map((slots) => {
          const choice = { ...now, slots };
          const saved = cyclesOf(layer, now) - cyclesOf(layer, choice);
          return { layer, choice, gain: saved / (slotBytes * (slots - now.slots)) };
        });
    })
    .filter(({ gain }) => gain > 0)
    .sort((a, b) => b.gain - a.gain);
}

/**
 * Which kernel runs each layer: the fastest whose conditions hold (rules B3, B5), as far as the arena stays within
 * `room` or grows no further than it must be anyhow. The last layers choose first: they have the most events. The prior's
 * hidden layers share what its own phase has left, each byte where it saves most by the row reads that were simulated.
 */
function chooseKernels(
  model: IntegerModel,
  boundsOf: (name: string) => LayerBounds,
  arenaOf: (choose: (layer: SpikingLayer) => Choice) => Arena,
  room: number,
): { choose: (layer: SpikingLayer) => Choice; arena: Arena; activity: Activity } {
  const choices = new Map<string, Choice>();
  const choose = (layer: SpikingLayer): Choice => choices.get(layer.name)!;
  const layers = [...model.prior.slice(0, -1), model.decoderInput, ...model.decoder];
  for (const layer of layers) {
    const bounds = boundsOf(layer.name);
    const narrow: Kernel = signedBits(bounds.sum) <= 16 ? 'lanes' : 'plain';
    const kernel = allows('bytes', layer, bounds, model) ? 'bytes' : narrow;
    requireReach(layer, kernel);
    choices.set(layer.name, { ...PLAIN, kernel });
  }
  let arena = arenaOf(choose);
  const most = Math.max(room, arena.bytes);
  const improve = (layer: SpikingLayer, better: Choice): boolean => {
    const before = choose(layer);
    choices.set(layer.name, better);
    const grown = arenaOf(choose);
    if (grown.bytes <= most) arena = grown;
    else choices.set(layer.name, before);
    return grown.bytes <= most;
  };
  const last = model.decoder[model.decoder.length - 1];
  const candidates = model.decoder.filter((layer) => allows('halves', layer, boundsOf(layer.name), model)).reverse();
  const activity = observe(model);
  for (const layer of candidates) {
    halvesChoices(layer, activity.maps.get(layer)!, choose(layer).kernel, layer === last).some((choice) =>
      improve(layer, choice),
    );
  }
  for (const layer of [model.decoderInput, ...model.decoder]) {
    // The last layer's output is used up two rows at a time: its lists are too, and its weights stay in the cache.
    if (choose(layer).kernel !== 'bytes' || layer === last) continue;
    const wholeMap = layer !== model.decoderInput;
    if (!improve(layer, { ...choose(layer), wholeMap, staged: true }) && wholeMap) {
      improve(layer, { ...choose(layer), wholeMap });
    }
  }
  const hidden = model.prior.slice(0, -1);
  const simulated = new Map<string, number>();
  const cyclesOf = (layer: LinearLayer, choice: Choice): number => {
    const key = `${layer.name} ${choice.slots}`;
    if (!simulated.has(key)) simulated.set(key, rowCycles(layer, choice, activity));
    return simulated.get(key)!;
  };
  while (slotChoices(hidden, choose, cyclesOf).some(({ layer, choice }) => improve(layer, choice)));
  return { choose, arena, activity };
}

/**
 * RAM that an arena may take for speed alone: with stack, frame, image and program it stays below 128 KB.
 */
export const ARENA_ROOM_BYTES = 104 * 1024;

export interface PlanOptions {
  /** RAM, in bytes, that the arena may take for speed; 0: no more than it must. Default: ARENA_ROOM_BYTES. */
  readonly arenaRoomBytes?: number;
  /** Default: none. */
  readonly encoder?: EncoderPlan | undefined;
}

/**
 * Plans a model. No board takes part: the same plan serves all; budget.ts says whether a board holds it.
 *
 * @param modelName a name for people, in the banner and in the board's hello; printable ASCII, at most 32 characters
 * @throws FsvaeError `input` when a layer is too wide for the kernels
 */
export function makePlan(model: IntegerModel, modelName: string, options: PlanOptions = {}): Plan {
  const bounds = proveBounds(model);
  const rows = traceRows(model);
  const boundsOf = (name: string): LayerBounds => bounds.layers.find((layer) => layer.name === name)!;
  const base = (layer: LinearLayer | ConvTransposeLayer): Omit<PlannedBase, 'row'> => ({
    bounds: boundsOf(layer.name),
    wideParams: needsWideParams(layer),
  });
  const blocked = (layer: LinearLayer | ConvTransposeLayer): PlannedLayer => ({
    ...base(layer),
    layer,
    row: rows.findIndex((row) => row.name === layer.name),
    ...choose(layer),
  });
  const last = model.prior[model.prior.length - 1];
  requireLazyReach(last);
  const { encoder } = options;
  const ownBits = keptBits(model.prior.map((layer) => boundsOf(layer.name)));
  const membraneBits = encoder?.membraneBits === 32 ? 32 : ownBits;
  const trainBits = model.config.timeSteps <= 16 ? 16 : 32;
  const { channels, imageSize, timeSteps, latentChannels } = model.config;
  const { choose, arena, activity } = chooseKernels(
    model,
    boundsOf,
    (choice) => placeBuffers(buffers(model, trainBits / 8, membraneBits / 8, choice)),
    options.arenaRoomBytes ?? ARENA_ROOM_BYTES,
  );
  return {
    model,
    modelName,
    modelHash: modelHash(model),
    bounds,
    rows,
    trainBits,
    membraneBits,
    hidden: model.prior.slice(0, -1).map((layer) => ({
      ...blocked(layer),
      rowReads: cacheReads(activity.steps.get(layer)!, choose(layer).slots),
    })),
    lazy: { ...base(last), layer: last, row: model.prior.length },
    decoderInput: blocked(model.decoderInput),
    decoder: model.decoder.map(blocked),
    weights: layOutWeights(
      model,
      (layer) => choose(layer).kernel,
      (layer) => choose(layer).slots > 0,
    ),
    arena,
    encoder,
    arenaBytes: Math.max(arena.bytes, encoder?.arena.bytes ?? 0),
    imageBytes: channels * imageSize * imageSize,
    latentBytes: latentBytes(timeSteps, latentChannels),
  };
}
