/**
 * Which neurons fire together, seen on a few images of the golden model: what decides how inputs are best grouped
 * (firmware-templates/kernels/wide.h). It moves cycles, never bits.
 */

import type { ConvTransposeLayer, IntegerModel } from '../../runtime-ts/model.js';
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

/** The input maps of the decoder's convolutions, by the layer that reads them. */
export function mapActivity(model: IntegerModel): ReadonlyMap<ConvTransposeLayer, MapActivity> {
  const { timeSteps, latentChannels, choices } = model.config;
  const network = new Network(model);
  const firstMap = model.prior.length + 1; // row of a trace: decoder_input
  const seen = model.decoder.map((): Uint8Array[] => []);
  for (let seed = 0; seed < SEEDS; seed++) {
    const z = network.runPrior(drawChoices(BigInt(seed), timeSteps, latentChannels, choices));
    network.runDecoder(z, (row, _step, fired) => seen[row - firstMap]?.push(fired.slice()));
  }
  return new Map(
    model.decoder.map((layer, i) => {
      const fired = new Uint8Array(seen[i].reduce((sum, map) => sum + map.length, 0));
      seen[i].reduce((at, map) => (fired.set(map, at), at + map.length), 0);
      return [layer, { channels: layer.inChannels, images: SEEDS, fired }];
    }),
  );
}

/** Times that each pair of channels fired together. */
function coincidences({ channels, fired }: MapActivity): Float64Array {
  const counts = new Float64Array(channels * channels);
  const now: number[] = [];
  for (let at = 0; at < fired.length; at += channels) {
    now.length = 0;
    for (let c = 0; c < channels; c++) if (fired[at + c] !== 0) now.push(c);
    for (const a of now) for (const b of now) counts[a * channels + b]++;
  }
  return counts;
}

function countEvents({ channels, fired }: MapActivity, members: Uint16Array, size: number): number {
  let events = 0;
  for (let at = 0; at < fired.length; at += channels) {
    for (let i = 0; i < channels; i += size) {
      let any = 0;
      for (let m = i; m < i + size; m++) any |= fired[at + members[m]];
      events += any;
    }
  }
  return events;
}

/**
 * Groups of inputs that fire together, greedily: the busiest input left, then whoever fired with the group most often.
 *
 * @param size inputs in a group; divides the number of channels
 */
export function groupInputs(activity: MapActivity, size: number): Grouping {
  const { channels } = activity;
  const together = coincidences(activity);
  const left = new Set(Array.from({ length: channels }, (_, c) => c));
  const members = new Uint16Array(channels);
  /** The input left with the highest score; of equals the first. */
  const take = (score: (input: number) => number): number => {
    let best = -1;
    for (const input of left) if (best < 0 || score(input) > score(best)) best = input;
    left.delete(best);
    return best;
  };
  for (let i = 0; i < channels; i += size) {
    members[i] = take((input) => together[input * channels + input]);
    for (let m = 1; m < size; m++) {
      const group = members.slice(i, i + m);
      members[i + m] = take((input) => group.reduce((sum, other) => sum + together[input * channels + other], 0));
    }
    members.subarray(i, i + size).sort();
  }
  const spikes = activity.fired.reduce((sum, spike) => sum + spike, 0);
  return { size, members, eventsPerSpike: spikes === 0 ? 1 : countEvents(activity, members, size) / spikes };
}

/** Spikes of an input map, for each image. */
export function spikesPerImage({ fired, images }: MapActivity): number {
  return fired.reduce((sum, spike) => sum + spike, 0) / images;
}
