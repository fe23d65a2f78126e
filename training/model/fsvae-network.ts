/** The FSVAE for the trainer: its draws, from the seed of its config. */

import { timeStepsOf, type TrainingConfig } from '../config/config.js';
import { drawStep, drawTrainingChoices } from './draws.js';
import { Fsvae } from './fsvae.js';
import type { Network, ReconstructedImages, StepPosition, TrainedStep } from './network.js';
import type { Parameters } from './parameters.js';

export class FsvaeNetwork implements Network {
  private readonly model: Fsvae;

  constructor(
    private readonly config: TrainingConfig,
    readonly tensors: Parameters,
  ) {
    this.model = new Fsvae(config, tensors);
  }

  step(images: Float32Array, batch: number, { epoch, step }: StepPosition): TrainedStep {
    const timeSteps = timeStepsOf(this.config, epoch);
    const draws = drawStep(this.config, epoch, step, batch, timeSteps);
    const { gradients, loss, mse, distance, spikes } = this.model.step(images, batch, timeSteps, draws);
    return { losses: { timeSteps, loss, mse, distance, spikes }, gradients };
  }

  private draw(purpose: 'posterior' | 'prior', count: number, occasion: number): Uint8Array {
    const { seed, model } = this.config;
    return drawTrainingChoices(seed, purpose, occasion, model.timeSteps * count * model.latentChannels, model.choices);
  }

  reconstruct(images: Float32Array, count: number, occasion: number): ReconstructedImages {
    const choices = this.draw('posterior', count, occasion);
    return this.model.reconstruct(images, count, this.config.model.timeSteps, choices);
  }

  sample(count: number, occasion: number): Float32Array {
    return this.model.sample(count, this.config.model.timeSteps, this.draw('prior', count, occasion));
  }
}
