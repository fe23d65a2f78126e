/** Trains: epochs, steps, log, pictures, checkpoints. */

import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { pngGrid } from '../../harness/picture.js';
import { formatDuration, type ProgressOptions, startProgress } from '../../harness/progress.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { NetworkConfig } from '../config/config.js';
import { epochOrder, flipCoins, imageBatch, type ImageSet } from '../data/image-set.js';
import { startEngine } from '../engine/wasm.js';
import { NotFinite } from '../model/layer.js';
import type { Network, ReconstructedImages, TrainedStep } from '../model/network.js';
import type { NetworkTensors } from '../model/parameters.js';
import { renderPage } from '../page/page.js';
import type { LogEntry, Picture } from '../page/run.js';
import { AdamW, learningRateAt } from './adamw.js';
import { encodeNetwork, encodeRun, readRun, type RunPosition, writeWhole } from './checkpoint.js';
import { createNetwork, type SavedNetwork } from './networks.js';

/** Files of a run's folder. */
export const RUN_FILES = {
  /** Everything that --resume needs. */
  checkpoint: 'checkpoint.safetensors',
  /** The network alone. */
  network: 'model.safetensors',
  /** Of the test images' latents; beside an autoencoder only, and not written by the trainer. */
  statistics: 'statistics.safetensors',
  log: 'log.jsonl',
  pictures: 'pictures',
  /** Curves, rasters and pictures, in one file. */
  page: 'run.html',
} as const;

/** Besides every epoch: what a kill can cost at most. */
const SAVE_EVERY_MS = 120_000;
const PICTURED = 64;
const PICTURED_RECONSTRUCTIONS = 32;
/** Images whose latent spikes the page shows. */
const RASTERS = 4;

export interface TrainOptions {
  readonly config: NetworkConfig;
  readonly images: ImageSet;
  /** Folder of the run. */
  readonly out: string;
  readonly resume: boolean;
  /** A new run begins with these weights and running statistics instead of random ones: fine-tuning. */
  readonly from?: SavedNetwork;
  /** Stop once so many steps are done in all, earlier runs of the folder included. */
  readonly steps?: number;
  /** Threads for the config's shards; as many as the machine runs at once unless told. No number depends on it. */
  readonly workers?: number;
  readonly stream: ProgressOptions['stream'];
  say(line: string): void;
  /** Asked after each step: stop, and save? */
  stopped?(): boolean;
}

export interface TrainResult {
  readonly position: RunPosition;
  readonly finished: boolean;
  readonly network: Network;
  readonly networkPath: string;
  /** Over the steps of this call, without pictures and files. */
  readonly imagesPerSecond: number;
}

/** -1 .. 1, channel last, to bytes, channel first: as torchvision's save_image rounds them. */
function pictureBytes(values: Float32Array, channels: number, size: number): Uint8Array[] {
  const plane = size * size;
  return Array.from({ length: values.length / (plane * channels) }, (_, n) =>
    Uint8Array.from({ length: plane * channels }, (__, i) => {
      const value = values[(n * plane + (i % plane)) * channels + Math.floor(i / plane)];
      return Math.min(255, Math.max(0, Math.floor(((value + 1) / 2) * 255 + 0.5)));
    }),
  );
}

/** Latent spikes (T, C) of image n. */
function latentOf({ timeSteps, z }: NonNullable<ReconstructedImages['activity']>, n: number, count: number) {
  const channels = z.length / (timeSteps * count);
  const spikes = Uint8Array.from(
    { length: timeSteps * channels },
    (_, i) => z[(Math.floor(i / channels) * count + n) * channels + (i % channels)],
  );
  return { timeSteps, channels, spikes };
}

/** One line for each step; on resuming, lines after the checkpoint are dropped: those steps are done again. */
class Log {
  private readonly path: string;

  constructor(folder: string, position: RunPosition) {
    this.path = join(folder, RUN_FILES.log);
    const kept = existsSync(this.path)
      ? readFileSync(this.path, 'utf8')
          .split('\n')
          .filter((line) => stepOf(line) <= position.step)
      : [];
    writeWhole(this.path, new TextEncoder().encode(kept.map((line) => `${line}\n`).join('')));
  }

  write(entry: LogEntry): void {
    appendFileSync(this.path, `${JSON.stringify(entry)}\n`);
  }

  entries(): LogEntry[] {
    const lines = readFileSync(this.path, 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as LogEntry);
  }
}

/** Infinity for a line that is none, such as one that a kill cut short. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step: number }).step;
  } catch {
    return Infinity;
  }
}

/** Tells sets of images apart. */
export function fingerprint({ count, pixels }: ImageSet): string {
  return `${count} images, CRC-32 ${crc32(pixels).toString(16).padStart(8, '0')}`;
}

class Run {
  readonly network: Network;
  readonly optimizer: AdamW;
  position: RunPosition = { step: 0, epoch: 0, stepOfEpoch: 0 };
  private readonly stepsPerEpoch: number;
  /** Of the images: with others a run would go on, but not to the same numbers. */
  private readonly fingerprint: string;
  private saved = performance.now();
  private order: { readonly epoch: number; readonly indices: Uint32Array } | undefined;

  constructor(private readonly options: TrainOptions) {
    const { config, images, out, resume } = options;
    if (images.count < config.batchSize) {
      throw new FsvaeError(
        'usage',
        `there are ${images.count} images, fewer than batchSize, ${config.batchSize}: lower it to 2 .. ${images.count}`,
      );
    }
    this.stepsPerEpoch = Math.floor(images.count / config.batchSize);
    this.fingerprint = fingerprint(images);
    const path = join(out, RUN_FILES.checkpoint);
    this.network = createNetwork(config, this.stepsPerEpoch, options.workers ?? availableParallelism());
    if (existsSync(path) !== resume) {
      throw new FsvaeError(
        'usage',
        resume
          ? `there is no ${path} to resume from: leave --resume out to begin`
          : `${path} is there already: --resume goes on with it, or give another --out`,
      );
    }
    if (config.kind === 'fsvae' && config.quantization !== null && !resume && options.from === undefined) {
      throw new FsvaeError(
        'usage',
        'quantization fine-tunes a trained network, whose running statistics it keeps: give one with --from, or train ' +
          'without it first',
      );
    }
    const saved = resume ? readRun(path) : undefined;
    this.optimizer = new AdamW(this.tensors.trained, config.optimizer, saved?.position.step);
    if (saved !== undefined) {
      const other = changedFields(saved.config, config);
      if (other.length > 0) {
        throw new FsvaeError(
          'usage',
          `${path} was trained with another config, it differs in ${other.join(', ')}: give that one, or another --out`,
        );
      }
      if (saved.images !== this.fingerprint) {
        throw new FsvaeError(
          'usage',
          `${path} was trained on other images (${saved.images}; these are ${this.fingerprint}): give the same --data and ` +
            '--limit, or another --out',
        );
      }
      saved.restore(this.tensors, this.optimizer);
      this.position = saved.position;
    }
    if (options.from !== undefined) this.beginWith(options.from);
  }

  private get tensors(): NetworkTensors {
    return this.network.tensors;
  }

  /** T may be another: no weight depends on it. */
  private beginWith({ config, parameters }: SavedNetwork): void {
    if (this.options.resume)
      throw new FsvaeError('usage', '--from begins a run and --resume goes on with one: give one');
    const other = changedFields(config.model, this.options.config.model).filter((field) => field !== 'timeSteps');
    if (other.length > 0) {
      throw new FsvaeError(
        'usage',
        `the network of --from is another one than the config's: model.${other.join(', model.')}`,
      );
    }
    this.tensors.trained.forEach(({ data }, i) => data.set(parameters.trained[i].data));
    this.tensors.running.forEach(({ data }, i) => data.set(parameters.running[i].data));
  }

  get totalSteps(): number {
    return this.stepsPerEpoch * this.options.config.epochs;
  }

  /** One step, and the position after it. */
  async step(): Promise<TrainedStep & { readonly epoch: number }> {
    const { config, images } = this.options;
    const { seed, batchSize } = config;
    const { epoch, stepOfEpoch, step } = this.position;
    if (this.order?.epoch !== epoch) this.order = { epoch, indices: epochOrder(seed, epoch, images.count) };
    const indices = this.order.indices.subarray(stepOfEpoch * batchSize, (stepOfEpoch + 1) * batchSize);
    const batch = imageBatch(images, indices, config.flips ? flipCoins(seed, step, batchSize) : undefined);
    let result: TrainedStep;
    try {
      result = await this.network.step(batch, batchSize, this.position);
    } catch (error) {
      throw error instanceof NotFinite ? this.diverged(error) : error;
    }
    this.optimizer.step(result.gradients, learningRateAt(config.optimizer, step, this.totalSteps));
    const last = stepOfEpoch + 1 === this.stepsPerEpoch;
    this.position = {
      step: step + 1,
      epoch: last ? epoch + 1 : epoch,
      stepOfEpoch: last ? 0 : stepOfEpoch + 1,
    };
    return { ...result, epoch };
  }

  private diverged({ what, timeStep }: NotFinite): FsvaeError {
    const { step, epoch } = this.position;
    const when = timeStep === undefined ? '' : `, time step ${timeStep + 1}`;
    return new FsvaeError(
      'diverged',
      `${what} are not finite at step ${step + 1} (epoch ${epoch + 1})${when}; the last checkpoint is from before: ` +
        'lower optimizer.learningRate, in another --out',
    );
  }

  /** The network first: a checkpoint promises that it is there. */
  save(): string {
    const { config, out } = this.options;
    const network = join(out, RUN_FILES.network);
    writeWhole(network, encodeNetwork(config, this.tensors, this.position.step));
    const run = encodeRun(config, this.tensors, this.optimizer, this.position, this.fingerprint);
    writeWhole(join(out, RUN_FILES.checkpoint), run);
    this.saved = performance.now();
    return network;
  }

  saveIfDue(): void {
    if (performance.now() - this.saved >= SAVE_EVERY_MS) this.save();
  }

  /** Samples of the prior, where there is one, images with their reconstructions below them, and the run's page. */
  pictures(log: Log): void {
    const { config, images, out } = this.options;
    const { channels, imageSize: size } = config.model;
    const folder = join(out, RUN_FILES.pictures);
    mkdirSync(folder, { recursive: true });
    const name = (what: string): string =>
      join(folder, `epoch-${String(this.position.epoch).padStart(4, '0')}-${what}.png`);

    const { epoch } = this.position;
    const shownPictures: Picture[] = [];
    const samples = this.network.sample?.(PICTURED, 0);
    if (samples !== undefined) {
      const png = pngGrid(pictureBytes(samples, channels, size), { channels, size }, { scale: 2 });
      writeWhole(name('samples'), png);
      shownPictures.push({ title: `Samples of the prior, epoch ${epoch}`, png });
    }

    const count = Math.min(PICTURED_RECONSTRUCTIONS, images.count);
    const batch = imageBatch(
      images,
      Uint32Array.from({ length: count }, (_, i) => i),
    );
    const made = this.network.reconstruct(batch, count, 0);
    const [inputs, outputs] = [batch, made.images].map((values) => pictureBytes(values, channels, size));
    const across = 8;
    const rows = Array.from({ length: Math.ceil(count / across) }, (_, row) =>
      [inputs, outputs].map((list) => list.slice(row * across, (row + 1) * across)),
    ).flat(2);
    const png = pngGrid(rows, { channels, size }, { scale: 2, columns: across });
    writeWhole(name('reconstructions'), png);
    shownPictures.push({ title: `Images with their reconstructions below them, epoch ${epoch}`, png });

    const page = renderPage({
      name: basename(resolve(out)),
      epochs: config.epochs,
      steps: this.totalSteps,
      log: log.entries(),
      activity: made.activity && {
        rates: made.activity.rates,
        rasters: Array.from({ length: Math.min(RASTERS, count) }, (_, n) => ({
          ...latentOf(made.activity!, n, count),
          picture: pngGrid([inputs[n], outputs[n]], { channels, size }, { scale: 2, columns: 2 }),
        })),
      },
      pictures: shownPictures,
      config,
    });
    writeWhole(join(out, RUN_FILES.page), new TextEncoder().encode(page));
  }
}

/** Fields, as paths, in which two configs differ. */
function changedFields(a: object, b: object, path = ''): string[] {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key) => {
    const [left, right] = [a, b].map((value) => (value as Record<string, unknown>)[key]);
    if (JSON.stringify(left) === JSON.stringify(right)) return [];
    const isBranch = [left, right].every((value) => typeof value === 'object' && value !== null);
    return isBranch ? changedFields(left as object, right as object, `${path}${key}.`) : [`${path}${key}`];
  });
}

/**
 * Trains until the config's epochs are done, or asked to stop.
 *
 * @throws FsvaeError `usage` for a folder that holds a run already, or another one; `input` for a damaged checkpoint;
 *   `diverged` at the first number that is not finite, with step, layer and time step
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { config, images, out, say, stopped } = options;
  mkdirSync(out, { recursive: true });
  say(`engine: ${await startEngine()}`);
  const run = new Run(options);
  const log = new Log(out, run.position);
  const end = Math.min(run.totalSteps, options.steps ?? run.totalSteps);
  const weights = run.network.tensors.trained.reduce((sum, { data }) => sum + data.length, 0);
  say(
    `training ${weights} parameters on ${images.count} images, batches of ${config.batchSize}, ` +
      (run.position.step < end ? `steps ${run.position.step + 1} to ${end}` : `all ${end} steps are done`) +
      (run.network.threads === undefined ? '' : `, on ${run.network.threads} threads`),
  );
  const progress = startProgress({ stream: options.stream, label: 'steps', total: end });
  let seconds = 0;
  let steps = 0;
  let networkPath: string;
  try {
    while (run.position.step < end && stopped?.() !== true) {
      const started = performance.now();
      const { losses, epoch } = await run.step();
      const taken = (performance.now() - started) / 1000;
      seconds += taken;
      steps++;
      const rate = (steps * config.batchSize) / seconds;
      log.write({
        step: run.position.step,
        epoch: epoch + 1,
        ...losses,
        imagesPerSecond: config.batchSize / taken,
      });
      const left = ((end - run.position.step) * seconds) / steps;
      progress.update(
        run.position.step,
        `epoch ${epoch + 1}/${config.epochs}  loss ${losses.loss.toFixed(4)}  mse ${losses.mse.toFixed(4)}  ` +
          `${rate.toFixed(1)} images/s  ${formatDuration(left)} left`,
      );
      if (run.position.stepOfEpoch === 0) {
        run.save();
        run.pictures(log);
      }
      run.saveIfDue();
      // Lets signals in.
      await new Promise((resolve) => setImmediate(resolve));
    }
    networkPath = run.save();
  } finally {
    progress.stop();
    await run.network.end?.();
  }
  return {
    position: run.position,
    finished: run.position.step >= run.totalSteps,
    network: run.network,
    networkPath,
    imagesPerSecond: steps === 0 ? 0 : (steps * config.batchSize) / seconds,
  };
}
