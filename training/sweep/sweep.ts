/** Trains every point of a sweep in a folder of its own, and scores it: figure 6 and Table 3 of the paper at any size. */

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { NetworkConfig } from '../config/config.js';
import { imageBatch, type ImageSet } from '../data/image-set.js';
import type { Split } from '../data/open.js';
import { startEngine } from '../engine/wasm.js';
import { SquaredError } from '../metrics/reconstruct.js';
import type { Network } from '../model/network.js';
import { writeWhole } from '../train/checkpoint.js';
import { fingerprint, RUN_FILES, train, type TrainOptions } from '../train/trainer.js';
import type { SweepPoint } from './points.js';

const RESULT_FILE = 'result.json';
/** Images of one batch of an evaluation. */
const BATCH = 64;

/** What is measured of a trained network besides its reconstructions, such as a distance of its samples. */
export interface Measure {
  /** As a column is headed. */
  readonly name: string;
  /** What it depends on besides the network: a result with another one is measured again. */
  readonly source: string;
  /** Before anything is trained. @throws FsvaeError for a config whose networks it cannot measure */
  check?(config: NetworkConfig): void;
  /** @returns undefined for a network that has no such thing */
  of(network: Network, test: ImageSet): number | undefined | Promise<number | undefined>;
}

/** Scores of a point, or why it has none. */
export interface SweepResult {
  /** Mean squared error of all test pixels in -1 .. 1; undefined where the training diverged. */
  readonly mse?: number;
  /** Of prior and decoder, mean per image; absent for a network without spikes. */
  readonly spikes?: number;
  readonly measures: Readonly<Record<string, number>>;
  /** What went beyond all numbers, and when. */
  readonly diverged?: string;
}

export interface SweepRow extends SweepResult {
  readonly name: string;
  /** For each varied field, in their order. */
  readonly values: readonly unknown[];
}

export interface SweepOptions extends Pick<TrainOptions, 'stream' | 'say' | 'stopped'> {
  readonly points: readonly SweepPoint[];
  readonly out: string;
  readonly measures: readonly Measure[];
  /** Images at a network's size. */
  images(split: Split, config: NetworkConfig): ImageSet;
}

export interface Sweep {
  /** Of the points that are done, in the order of the points. */
  readonly rows: readonly SweepRow[];
  readonly finished: boolean;
}

/** Error of reconstructions in evaluation mode, and what spikes. */
export function reconstructionScore(
  network: Network,
  images: ImageSet,
): { readonly mse: number; readonly spikes?: number } {
  const error = new SquaredError();
  let spikes: number | undefined;
  for (let first = 0; first < images.count; first += BATCH) {
    const count = Math.min(BATCH, images.count - first);
    const batch = imageBatch(
      images,
      Uint32Array.from({ length: count }, (_, i) => first + i),
    );
    const made = network.reconstruct(batch, count, first);
    error.add(batch, made.images);
    if (made.spikes !== undefined) spikes = (spikes ?? 0) + (made.spikes * count) / images.count;
  }
  return { mse: error.mean, ...(spikes === undefined ? {} : { spikes }) };
}

/** What a result stands for: with anything else it is measured anew. */
function conditions(config: NetworkConfig, images: ImageSet, test: ImageSet, measures: readonly Measure[]): string {
  return JSON.stringify({
    config,
    trainedOn: fingerprint(images),
    testedOn: fingerprint(test),
    measures: measures.map(({ name, source }) => [name, source]),
  });
}

/** The result of a point that is done under the same conditions; a file that is damaged is none. */
function savedResult(folder: string, of: string): SweepResult | undefined {
  const path = join(folder, RESULT_FILE);
  if (!existsSync(path)) return undefined;
  try {
    const { conditions: saved, result } = JSON.parse(readFileSync(path, 'utf8')) as {
      conditions: unknown;
      result: SweepResult;
    };
    return JSON.stringify(saved) === of ? result : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Trains and scores the points one after the other. Points that are done are skipped, one that was interrupted goes on: the
 * same call again is all that resuming takes. A point that diverges is a result too.
 *
 * @throws FsvaeError as train; a folder that holds another run is refused
 */
export async function sweep({ points, out, images, measures, ...options }: SweepOptions): Promise<Sweep> {
  for (const { config } of points) for (const measure of measures) measure.check?.(config);
  await startEngine();
  const rows: SweepRow[] = [];
  for (const [i, { name, values, config }] of points.entries()) {
    const folder = join(out, name);
    const [training, test] = [images('train', config), images('test', config)];
    const of = conditions(config, training, test, measures);
    let result = savedResult(folder, of);
    options.say(`point ${i + 1} of ${points.length}, ${name}${result === undefined ? '' : ': done already'}`);
    if (result === undefined) {
      result = await scored(folder, config, training, test, measures, options);
      if (result === undefined) return { rows, finished: false };
      mkdirSync(folder, { recursive: true });
      const text = JSON.stringify({ conditions: JSON.parse(of) as unknown, result }, undefined, 2);
      writeWhole(join(folder, RESULT_FILE), new TextEncoder().encode(`${text}\n`));
    }
    rows.push({ name, values, ...result });
  }
  return { rows, finished: true };
}

/** @returns undefined when asked to stop before the training was done */
async function scored(
  folder: string,
  config: NetworkConfig,
  images: ImageSet,
  test: ImageSet,
  measures: readonly Measure[],
  options: Pick<TrainOptions, 'stream' | 'say' | 'stopped'>,
): Promise<SweepResult | undefined> {
  try {
    const resume = existsSync(join(folder, RUN_FILES.checkpoint));
    const { finished, network } = await train({ ...options, config, images, out: folder, resume });
    if (!finished) return undefined;
    const measured: Record<string, number> = {};
    for (const measure of measures) {
      const value = await measure.of(network, test);
      if (value !== undefined) measured[measure.name] = value;
    }
    return { ...reconstructionScore(network, test), measures: measured };
  } catch (error) {
    if (error instanceof FsvaeError && error.kind === 'diverged') {
      options.say(error.message);
      return { measures: {}, diverged: error.message };
    }
    throw error;
  }
}
