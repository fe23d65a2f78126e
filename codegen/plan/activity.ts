/**
 * Which neurons fire together and which again, seen on a few images of the golden model: what decides how inputs are best
 * grouped and how rows are best kept in RAM (wide.h and row_cache.h in firmware-templates/kernels). It moves cycles, never
 * bits.
 */

import type { ConvTransposeLayer, IntegerModel, LinearLayer } from '../../runtime-ts/model.js';
import { Network } from '../../runtime-ts/network.js';
import { drawChoices } from '../../runtime-ts/pcg32.js';

/** Images looked at: seeds 0 .. n - 1. Their groups cost less than one per cent more than those of 64 images. */
const SEEDS = 4;

/** The spikes of one map: for each step and position, the channels that fired. */
export interface MapActivity {
  readonly channels: number;
  readonly images: number;
  /** Channels of every (image, step, position), each a byte: 1 where it fired. Runs of `channels`. */
  readonly fired: Uint8Array;
}

/** Inputs by group, and what the groups save. */
export interface Grouping {
  readonly size: number;
  /** All inputs, group by group. */
  readonly members: Uint16Array;
  /** Groups of which somebody fired, for each spike: 1 for groups of one, less the better. */
  readonly eventsPerSpike: number;
}

/** What was seen of a model. */
export interface Activity {
  /** The input maps of the decoder's convolutions, by the layer that reads them. */
  readonly maps: ReadonlyMap<ConvTransposeLayer, MapActivity>;
  /** The inputs of the prior's hidden layers that fire, in order: for each image, for each step. */
  readonly steps: ReadonlyMap<LinearLayer, readonly (readonly number[])[][]>;
}

function indexesOf(fired: Uint8Array): number[] {
  return Array.from(fired.keys()).filter((i) => fired[i] !== 0);
}

const observed = new WeakMap<IntegerModel, Activity>();

/** What the model does on the first few seeds; looked at once a model, since it takes as long as drawing them. */
export function observe(model: IntegerModel): Activity {
  let activity = observed.get(model);
  if (activity === undefined) observed.set(model, (activity = run(model)));
  return activity;
}

function run(model: IntegerModel): Activity {
  const { timeSteps, latentChannels, choices } = model.config;
  const network = new Network(model);
  // Rows of a trace: hidden layers from 1 on, z, decoder_input, the decoder's layers.
  const zRow = model.prior.length;
  const maps = model.decoder.map((): Uint8Array[] => []);
  const hidden = model.prior.slice(0, -1);
  const steps = hidden.map((): number[][][] => []);
  for (let seed = 0; seed < SEEDS; seed++) {
    for (const images of steps) images.push([]);
    steps[0]?.[seed].push([]); // nothing comes before the first step
    const z = network.runPrior(drawChoices(BigInt(seed), timeSteps, latentChannels, choices), (row, step, fired) => {
      if (row < zRow) steps[row]?.[seed].push(indexesOf(fired));
      else if (row === zRow && step + 1 < timeSteps) steps[0]?.[seed].push(indexesOf(fired));
    });
    network.runDecoder(z, (row, _step, fired) => maps[row - zRow - 1]?.push(fired.slice()));
  }
  return {
    maps: new Map(
      model.decoder.map((layer, i) => {
        const fired = new Uint8Array(maps[i].reduce((sum, map) => sum + map.length, 0));
        maps[i].reduce((at, map) => (fired.set(map, at), at + map.length), 0);
        return [layer, { channels: layer.inChannels, images: SEEDS, fired }];
      }),
    ),
    steps: new Map(hidden.map((layer, i) => [layer, steps[i]])),
  };
}

/** What an image has of a hidden layer's rows, its inputs' pieces each counted whole; means of the images seen. */
export interface RowReads {
  /** Inputs that fire, over all steps. */
  readonly spikes: number;
  /** Pieces brought into the cache. */
  readonly brought: number;
  /** Pieces read where they lie. */
  readonly inPlace: number;
}

/** The rows that an image reads with a cache of so many slots, as row_cache.h runs it. */
export function cacheReads(images: readonly (readonly (readonly number[])[])[], slots: number): RowReads {
  let spikes = 0;
  let brought = 0;
  let inPlace = 0;
  for (const steps of images) {
    const lastUse = new Map<number, number>(); // in the order of use: the oldest first
    steps.forEach((inputs, step) => {
      spikes += inputs.length;
      for (const input of inputs) {
        if (!lastUse.delete(input)) continue;
        lastUse.set(input, step);
      }
      for (const input of inputs) {
        if (lastUse.has(input)) continue;
        if (lastUse.size === slots) {
          const oldest = lastUse.entries().next();
          if (oldest.done === true || oldest.value[1] === step) {
            inPlace++;
            continue;
          }
          lastUse.delete(oldest.value[0]);
        }
        lastUse.set(input, step);
        brought++;
      }
    });
  }
  const mean = (total: number): number => total / images.length;
  return { spikes: mean(spikes), brought: mean(brought), inPlace: mean(inPlace) };
}

/** When a channel fired: bit n of the run for the n-th of all images, steps and positions. */
function firings({ channels, fired }: MapActivity): Uint32Array[] {
  const bits = Array.from({ length: channels }, () => new Uint32Array(Math.ceil(fired.length / channels / 32)));
  for (let at = 0, n = 0; at < fired.length; at += channels, n++) {
    for (let c = 0; c < channels; c++) if (fired[at + c] !== 0) bits[c][n >> 5] |= 1 << (n & 31);
  }
  return bits;
}

function bitCount(word: number): number {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Times that at least one of the inputs fired: the events of their group. */
function eventsOf(group: ArrayLike<number>, bits: readonly Uint32Array[]): number {
  let events = 0;
  for (let w = 0; w < bits[0].length; w++) {
    let any = 0;
    for (let m = 0; m < group.length; m++) any |= bits[group[m]][w];
    if (any !== 0) events += bitCount(any);
  }
  return events;
}

/** The busiest input left, then, one by one, whoever adds the fewest events to the group. */
function greedyGroups(channels: number, size: number, bits: readonly Uint32Array[]): number[][] {
  const left = new Set(Array.from({ length: channels }, (_, c) => c));
  /** The input left with the lowest cost; of equals the first. */
  const take = (cost: (input: number) => number): number => {
    let best = -1;
    let least = Infinity;
    for (const input of left) {
      const now = cost(input);
      if (now < least) [best, least] = [input, now];
    }
    left.delete(best);
    return best;
  };
  const groups: number[][] = [];
  while (left.size > 0) {
    const group = [take((input) => -eventsOf([input], bits))];
    while (group.length < size)
      group.push(take((input) => eventsOf([...group, input], bits) - eventsOf([input], bits)));
    groups.push(group);
  }
  return groups;
}

function replaced(group: readonly number[], at: number, input: number): number[] {
  return group.map((member, i) => (i === at ? input : member));
}

/** Exchanges two inputs of two groups as long as that saves events. Returns the events of all. */
function exchangeInputs(groups: number[][], bits: readonly Uint32Array[]): number {
  const events = groups.map((group) => eventsOf(group, bits));
  for (let improved = true; improved;) {
    improved = false;
    for (let i = 0; i < groups.length; i++) {
      for (let j = i + 1; j < groups.length; j++) {
        for (let m = 0; m < groups[i].length; m++) {
          for (let n = 0; n < groups[j].length; n++) {
            const a = replaced(groups[i], m, groups[j][n]);
            const b = replaced(groups[j], n, groups[i][m]);
            const [eventsA, eventsB] = [eventsOf(a, bits), eventsOf(b, bits)];
            if (eventsA + eventsB >= events[i] + events[j]) continue;
            [groups[i], groups[j], events[i], events[j]] = [a, b, eventsA, eventsB];
            improved = true;
          }
        }
      }
    }
  }
  return events.reduce((sum, n) => sum + n, 0);
}

/**
 * Groups of inputs that fire together, so that as few groups as possible are active: greedily, then by exchanges. Not the
 * best grouping there is, which is hard to find; on the shipped network 3 per cent better than greed alone.
 *
 * @param size inputs in a group; divides the number of channels
 */
export function groupInputs(activity: MapActivity, size: number): Grouping {
  const bits = firings(activity);
  const groups = greedyGroups(activity.channels, size, bits);
  const events = exchangeInputs(groups, bits);
  const spikes = bits.reduce((sum, _, c) => sum + eventsOf([c], bits), 0);
  return {
    size,
    members: Uint16Array.from(groups.flatMap((group) => group.sort((a, b) => a - b))),
    eventsPerSpike: spikes === 0 ? 1 : events / spikes,
  };
}

/** Spikes of an input map, for each image. */
export function spikesPerImage({ fired, images }: MapActivity): number {
  return fired.reduce((sum, spike) => sum + spike, 0) / images;
}
