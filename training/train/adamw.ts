/** AdamW with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch's AdamW computes it, in single precision. */

import type { TrainingConfig } from '../config/config.js';
import type { NamedArray } from '../model/parameters.js';

export type OptimizerConfig = TrainingConfig['optimizer'];

/** Learning rate of a step, counted from 0, of `total` in the run: see the config's `schedule`. */
export function learningRateAt({ learningRate, schedule }: OptimizerConfig, step: number, total: number): number {
  const done = step / total;
  const factor = { constant: 1, linear: 1 - done, cosine: (1 + Math.cos(Math.PI * done)) / 2 }[schedule];
  return learningRate * factor;
}

/** Running means of gradients and of their squares, one for each trained tensor. */
export interface Moments {
  readonly first: Float32Array;
  readonly second: Float32Array;
}

export class AdamW {
  readonly moments: readonly Moments[];

  /** @param updates how often it has stepped already, for a run that goes on */
  constructor(
    private readonly parameters: readonly NamedArray[],
    private readonly config: OptimizerConfig,
    private updates = 0,
  ) {
    this.moments = parameters.map(({ data }) => ({
      first: new Float32Array(data.length),
      second: new Float32Array(data.length),
    }));
  }

  /**
   * One step; all parameters decay, those of tdBN too, as in the authors' code.
   *
   * @param gradients by parameter name; what has none stays as it is
   * @param learningRate of this step
   */
  step(gradients: ReadonlyMap<string, Float32Array>, learningRate = this.config.learningRate): void {
    this.updates++;
    const { weightDecay, beta1, beta2, epsilon } = this.config;
    const decay = 1 - learningRate * weightDecay;
    const stepSize = learningRate / (1 - beta1 ** this.updates);
    const correction = Math.sqrt(1 - beta2 ** this.updates);
    this.parameters.forEach(({ name, data }, index) => {
      const gradient = gradients.get(name);
      if (gradient === undefined) return;
      const { first, second } = this.moments[index];
      for (let i = 0; i < data.length; i++) {
        const g = gradient[i];
        first[i] += (g - first[i]) * (1 - beta1);
        second[i] = second[i] * beta2 + (1 - beta2) * g * g;
        data[i] = data[i] * decay - (stepSize * first[i]) / (Math.sqrt(second[i]) / correction + epsilon);
      }
    });
  }
}
