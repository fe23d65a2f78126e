/**
 * A step in shards: the batch in equal parts, each with tdBN statistics of its own ("ghost batches", Hoffer et al. 2017), gradients and
 * running estimates averaged in the order of the shards. How many there are is part of the config; who computes them is not,
 * so any number of threads gives the same bits.
 */

import { Worker } from 'node:worker_threads';
import { type ErrorKind, FsvaeError } from '../../runtime-ts/errors.js';
import { timeStepsOf, type TrainingConfig } from '../config/config.js';
import { startEngine } from '../engine/wasm.js';
import { drawStep, shardDraws } from '../model/draws.js';
import { Fsvae, type Losses, type StepResult } from '../model/fsvae.js';
import { FsvaeNetwork } from '../model/fsvae-network.js';
import { NotFinite } from '../model/layer.js';
import type { Network, ReconstructedImages, StepPosition, TrainedStep } from '../model/network.js';
import { createParameters, type NamedArray, type Parameters } from '../model/parameters.js';

interface ShardResult extends StepResult {
  /** tdBN's running estimates after the shard, in the order of Parameters.running. */
  readonly running: readonly Float32Array[];
}

function shardStep(
  model: Fsvae,
  config: TrainingConfig,
  parameters: Parameters,
  images: Float32Array,
  shard: number,
  { epoch, step }: StepPosition,
): ShardResult {
  const { batchSize, shards, model: shape } = config;
  const timeSteps = timeStepsOf(config, epoch);
  const draws = drawStep(config, epoch, step, batchSize, timeSteps);
  const own = shardDraws(draws, shard, shards, timeSteps, shape.latentChannels);
  const result = model.step(images, batchSize / shards, timeSteps, own);
  return { ...result, running: parameters.running.map(({ data }) => data.slice()) };
}

/** What the threads say to each other. */
export interface ShardTask {
  readonly shard: number;
  readonly position: StepPosition;
  readonly images: Float32Array;
  /** All values before the step: trained, then running. */
  readonly values: readonly Float32Array[];
}

export type ShardAnswer =
  | { readonly result: ShardResult }
  | { readonly notFinite: string }
  | { readonly refused: { readonly kind: ErrorKind; readonly message: string } };

/** The worker's side: computes tasks for one config. */
export async function shardComputer(config: TrainingConfig): Promise<(task: ShardTask) => ShardAnswer> {
  await startEngine();
  const parameters = createParameters(config.model, 0);
  const model = new Fsvae(config, parameters);
  return ({ shard, position, images, values }) => {
    [...parameters.trained, ...parameters.running].forEach(({ data }, i) => data.set(values[i]));
    try {
      return { result: shardStep(model, config, parameters, images, shard, position) };
    } catch (error) {
      if (error instanceof NotFinite) return { notFinite: error.what };
      if (error instanceof FsvaeError) return { refused: { kind: error.kind, message: error.message } };
      throw error;
    }
  };
}

class Thread {
  private readonly worker: Worker;

  constructor(config: TrainingConfig) {
    this.worker = new Worker(new URL('./shard-worker.js', import.meta.url), { workerData: config });
  }

  /** @throws NotFinite, FsvaeError as Fsvae.step */
  async compute(task: ShardTask): Promise<ShardResult> {
    const answer = await new Promise<ShardAnswer>((resolve, reject) => {
      const { worker } = this;
      const ended = (code: number): void => reject(new Error(`a training thread ended with code ${code}`));
      worker.once('error', reject);
      worker.once('exit', ended);
      worker.once('message', (message: ShardAnswer) => {
        worker.off('error', reject);
        worker.off('exit', ended);
        resolve(message);
      });
      worker.postMessage(task);
    });
    if ('notFinite' in answer) throw new NotFinite(answer.notFinite);
    if ('refused' in answer) throw new FsvaeError(answer.refused.kind, answer.refused.message);
    return answer.result;
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

/** Sums of doubles, in order, divided once. */
function mean(lists: readonly Float32Array[]): Float32Array {
  return lists[0].map((_, i) => lists.reduce((sum, list) => sum + list[i], 0) / lists.length);
}

function combine(
  results: readonly ShardResult[],
  running: readonly NamedArray[],
): Losses & { readonly gradients: StepResult['gradients'] } {
  running.forEach(({ data }, i) => data.set(mean(results.map((result) => result.running[i]))));
  const average = (key: keyof Losses): number => results.reduce((sum, result) => sum + result[key], 0) / results.length;
  return {
    loss: average('loss'),
    mse: average('mse'),
    distance: average('distance'),
    spikes: average('spikes'),
    gradients: new Map(
      [...results[0].gradients.keys()].map((name) => [
        name,
        mean(results.map(({ gradients }) => gradients.get(name)!)),
      ]),
    ),
  };
}

/** An FSVAE whose steps are computed in shards: in this thread one after the other, or side by side in threads of their own. */
export class ShardedFsvae implements Network {
  readonly threads: number;
  private readonly whole: FsvaeNetwork;
  /** Of this thread, for steps; pictures and reconstructions have `whole`. */
  private readonly model: Fsvae;
  private running: readonly Thread[] = [];

  /** @param workers threads at most; shards beyond them wait for one. They start with the first step. */
  constructor(
    private readonly config: TrainingConfig,
    readonly tensors: Parameters,
    workers: number,
  ) {
    this.threads = Math.min(workers, config.shards);
    this.whole = new FsvaeNetwork(config, tensors);
    this.model = new Fsvae(config, tensors);
  }

  /**
   * @param images of a whole batch: batchSize * size * size * channels values
   * @throws NotFinite naming the first layer or gradient that is not; the running estimates may have moved
   */
  async step(images: Float32Array, _batch: number, position: StepPosition): Promise<TrainedStep> {
    const { config, tensors } = this;
    const { shards } = config;
    const perShard = images.length / shards;
    const imagesOf = (shard: number): Float32Array => images.subarray(shard * perShard, (shard + 1) * perShard);
    const results: ShardResult[] = [];
    if (this.threads === 1) {
      const before = tensors.running.map(({ data }) => data.slice());
      for (let shard = 0; shard < shards; shard++) {
        tensors.running.forEach(({ data }, i) => data.set(before[i]));
        results.push(shardStep(this.model, config, tensors, imagesOf(shard), shard, position));
      }
    } else {
      if (this.running.length === 0) this.running = Array.from({ length: this.threads }, () => new Thread(config));
      const values = [...tensors.trained, ...tensors.running].map(({ data }) => data);
      let next = 0;
      const work = async (thread: Thread): Promise<void> => {
        while (next < shards) {
          const shard = next++;
          results[shard] = await thread.compute({ shard, position, images: imagesOf(shard).slice(), values });
        }
      };
      await Promise.all(this.running.map(work));
    }
    const { gradients, ...losses } = combine(results, tensors.running);
    return { losses: { timeSteps: timeStepsOf(config, position.epoch), ...losses }, gradients };
  }

  reconstruct(images: Float32Array, count: number, occasion: number): ReconstructedImages {
    return this.whole.reconstruct(images, count, occasion);
  }

  sample(count: number, occasion: number): Float32Array {
    return this.whole.sample(count, occasion);
  }

  async end(): Promise<void> {
    await Promise.all(this.running.map((thread) => thread.end()));
    this.running = [];
  }
}
