/** One layer's batch normalisation, forward and backward, with running estimates as PyTorch keeps them. */

import { channelMoments, type Moments, type NormGradients } from '../engine/batch-norm.js';
import type { LayerParameters, NamedArray } from './parameters.js';

/** PyTorch's defaults, which the authors' code keeps. */
export const BATCH_NORM_EPSILON = 1e-5;
const MOMENTUM = 0.1;

/**
 * `train`: the batch's statistics, and the running ones follow. `evaluate`: running statistics. `batch`: the batch's, and
 * nothing follows.
 */
export type Statistics = 'train' | 'evaluate' | 'batch';

/** What normalisation makes of currents: an affine map of each channel. */
export interface AffineMap {
  readonly scale: Float32Array;
  readonly shift: Float32Array;
  /** 1 / sqrt(variance + epsilon). */
  readonly inverse: Float64Array;
  /** Of this batch; undefined in evaluation. */
  readonly moments: Moments | undefined;
}

export class BatchNorm {
  /**
   * @param factor besides gamma: alpha * threshold in tdBN, 1 in an ordinary network
   * @param order which of the checkpoint's channels the engine's channel i is
   */
  constructor(
    private readonly parameters: LayerParameters,
    private readonly factor: number,
    private readonly order: ArrayLike<number>,
  ) {}

  private at({ data }: NamedArray, channel: number): number {
    return data[this.order[channel]];
  }

  /** factor * gamma, by channel. */
  gain(): Float64Array {
    const { gamma } = this.parameters;
    return Float64Array.from(gamma.data, (_, c) => this.factor * this.at(gamma, c));
  }

  /**
   * @param currents rows of channels without the layer's bias, which normalisation subtracts again: only the running mean
   *   must know of it
   * @param repeats how often each row is used
   */
  forward(currents: Float32Array, statistics: Statistics, repeats = 1): AffineMap {
    const { beta, bias, runningMean, runningVariance } = this.parameters;
    const gain = this.gain();
    const channels = gain.length;
    const scale = new Float32Array(channels);
    const shift = new Float32Array(channels);
    const inverse = new Float64Array(channels);
    const moments = statistics === 'evaluate' ? undefined : channelMoments(currents, channels);
    if (moments !== undefined && statistics === 'train') {
      this.follow(moments, repeats * (currents.length / channels));
    }
    for (let c = 0; c < channels; c++) {
      const mean = moments?.mean[c] ?? this.at(runningMean, c) - this.at(bias, c);
      inverse[c] = 1 / Math.sqrt((moments?.variance[c] ?? this.at(runningVariance, c)) + BATCH_NORM_EPSILON);
      scale[c] = gain[c] * inverse[c];
      shift[c] = this.at(beta, c) - gain[c] * inverse[c] * mean;
    }
    return { scale, shift, inverse, moments };
  }

  /** The running estimates take a tenth of what this batch has: its variance without bias. */
  private follow({ mean, variance }: Moments, rows: number): void {
    const { bias, runningMean, runningVariance } = this.parameters;
    const follow = (running: NamedArray, c: number, value: number): void => {
      const i = this.order[c];
      running.data[i] = Math.fround(MOMENTUM * value) + Math.fround((1 - MOMENTUM) * running.data[i]);
    };
    for (let c = 0; c < mean.length; c++) {
      follow(runningMean, c, mean[c] + this.at(bias, c));
      follow(runningVariance, c, (variance[c] * rows) / (rows - 1));
    }
  }

  /** Puts the gradients of gamma, beta and the bias under their names: the bias's is exactly 0. */
  putGradients({ beta: dBeta, normalised }: NormGradients, gradients: Map<string, Float32Array>): void {
    const { bias, gamma, beta } = this.parameters;
    const gammaGradient = new Float32Array(dBeta.length);
    const betaGradient = new Float32Array(dBeta.length);
    for (let c = 0; c < dBeta.length; c++) {
      gammaGradient[this.order[c]] = this.factor * normalised[c];
      betaGradient[this.order[c]] = dBeta[c];
    }
    gradients.set(gamma.name, gammaGradient);
    gradients.set(beta.name, betaGradient);
    gradients.set(bias.name, new Float32Array(dBeta.length));
  }
}
