/** What chance decides in a pass over the network, drawn before it runs: a function of seed and step alone. */

import type { TrainingConfig } from '../config/config.js';
import { RandomSequence } from '../random/philox.js';

export interface Draws {
  /** Which of the k outputs is picked: (T, batch, C). */
  readonly choices: Uint8Array;
  /** For each time step, whether the prior's own output takes the place of z[t] in its input. */
  readonly replaced: readonly boolean[];
  /** For a replaced step, normal numbers (batch, C). */
  noise(timeStep: number): Float32Array;
}

/** Choices for `count` images: (T, count, C), each 0 .. k - 1. */
export function drawTrainingChoices(
  seed: number,
  purpose: 'posterior' | 'prior',
  occasion: number,
  count: number,
  k: number,
): Uint8Array {
  const random = new RandomSequence(seed, purpose, occasion);
  const choices = new Uint8Array(count);
  for (let i = 0; i < count; i++) choices[i] = random.below(k);
  return choices;
}

/** Chance of replacing in an epoch: rises in equal steps and would reach `to` one epoch after the last, as in the authors' code. */
export function replacementChance({ scheduledSampling, epochs }: TrainingConfig, epoch: number): number {
  if (scheduledSampling === null) return 0;
  const { from, to } = scheduledSampling;
  return from + ((to - from) * epoch) / epochs;
}

/** @param step of training, counted over all epochs @param timeSteps T of this epoch */
export function drawStep(config: TrainingConfig, epoch: number, step: number, batch: number, timeSteps: number): Draws {
  const { seed, model, scheduledSampling } = config;
  const values = batch * model.latentChannels;
  const chance = replacementChance(config, epoch);
  const coins = new RandomSequence(seed, 'scheduling', step);
  const replaced = Array.from({ length: timeSteps }, (_, t) => {
    const coin = coins.uniform() < chance;
    return scheduledSampling !== null && t >= scheduledSampling.firstStep && coin;
  });
  return {
    choices: drawTrainingChoices(seed, 'posterior', step, timeSteps * values, model.choices),
    replaced,
    noise: (t) => {
      const random = new RandomSequence(seed, 'noise', step * 32 + t);
      return Float32Array.from({ length: values }, () => random.normal());
    },
  };
}

/**
 * What a shard of a batch sees of its draws: the same coins, its own images' choices and noise.
 *
 * @param draws of the whole batch @param shard 0 .. shards - 1, equal parts of the batch in order
 */
export function shardDraws(
  { choices, replaced, noise }: Draws,
  shard: number,
  shards: number,
  timeSteps: number,
  latentChannels: number,
): Draws {
  const perStep = choices.length / timeSteps;
  const part = perStep / shards;
  if (!Number.isInteger(part / latentChannels)) throw new Error(`a batch does not part into ${shards} equal shards`);
  const own = new Uint8Array(timeSteps * part);
  for (let t = 0; t < timeSteps; t++) {
    const from = t * perStep + shard * part;
    own.set(choices.subarray(from, from + part), t * part);
  }
  return { choices: own, replaced, noise: (t) => noise(t).subarray(shard * part, (shard + 1) * part) };
}
