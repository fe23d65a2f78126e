/** The ANN VAE of the paper's Table 1: a Gaussian latent between encoder and decoder. */

import type { BaselineConfig } from '../config/config.js';
import { allocate, scoped, upload, values } from '../engine/wasm.js';
import { requireFiniteGradients } from '../model/finite.js';
import type { Network, ReconstructedImages, StepPosition, TrainedStep } from '../model/network.js';
import { NotFinite } from '../model/layer.js';
import { RandomSequence } from '../random/philox.js';
import { imageError } from './image-error.js';
import { BaselineDecoder, BaselineEncoder } from './stack.js';
import type { BaselineTensors } from './tensors.js';

/** z = mean + exp(logVariance / 2) * noise. */
function reparameterised(mean: Float32Array, logVariance: Float32Array, noise: Float32Array): Float32Array {
  return mean.map((value, i) => value + Math.exp(0.5 * logVariance[i]) * noise[i]);
}

/** From the normal distribution of each latent feature to the standard one: sum over features, mean over the batch. */
function divergence(mean: Float32Array, logVariance: Float32Array, batch: number): number {
  let sum = 0;
  for (let i = 0; i < mean.length; i++) {
    sum -= 0.5 * (1 + logVariance[i] - mean[i] * mean[i] - Math.exp(logVariance[i]));
  }
  return sum / batch;
}

export class Vae implements Network {
  private readonly encoder: BaselineEncoder;
  private readonly decoder: BaselineDecoder;

  /** @param klWeight of the divergence in the loss: the authors' code has 1 / batches per epoch */
  constructor(
    private readonly config: BaselineConfig,
    readonly tensors: BaselineTensors,
    private readonly klWeight: number,
  ) {
    this.encoder = new BaselineEncoder(config.model, tensors);
    this.decoder = new BaselineDecoder(config.model, tensors);
  }

  private load(): void {
    this.encoder.load();
    this.decoder.load();
  }

  /** (count, C) standard normal numbers. */
  private noise(purpose: 'posterior' | 'prior', count: number, occasion: number): Float32Array {
    const random = new RandomSequence(this.config.seed, purpose, occasion);
    return Float32Array.from({ length: count * this.config.model.latentChannels }, () => random.normal());
  }

  /** `distance` is the divergence, without its weight. */
  step(images: Float32Array, batch: number, { step }: StepPosition): TrainedStep {
    return this.stepWith(images, batch, this.noise('posterior', batch, step));
  }

  /** A step with the given noise, (batch, C). */
  stepWith(images: Float32Array, batch: number, noise: Float32Array): TrainedStep {
    return scoped(() => {
      this.load();
      const [mean, logVariance] = this.encoder.forward(images, batch, 'train');
      const shape = mean.shape as [number, number];
      const z = reparameterised(values(mean), values(logVariance), noise);
      const made = this.decoder.forward(upload(z, shape), 'train');
      const { mse, dImages } = imageError(made, images);
      const distance = divergence(values(mean), values(logVariance), batch);
      const loss = mse + this.klWeight * distance;
      if (!Number.isFinite(loss)) throw new NotFinite('the divergence');

      const gradients = new Map<string, Float32Array>();
      const dz = this.decoder.backward(made, dImages, gradients);
      const dMean = allocate(shape);
      const dLogVariance = allocate(shape);
      const [m, v, d, dm, dv] = [mean, logVariance, dz, dMean, dLogVariance].map(values);
      const weight = this.klWeight / batch;
      for (let i = 0; i < d.length; i++) {
        dm[i] = d[i] + weight * m[i];
        dv[i] = 0.5 * (d[i] * Math.exp(0.5 * v[i]) * noise[i] + weight * (Math.exp(v[i]) - 1));
      }
      this.encoder.backward([dMean, dLogVariance], gradients);
      requireFiniteGradients(gradients);
      return { losses: { loss, mse, distance }, gradients };
    });
  }

  /** With noise, also in evaluation, as the authors' code measures it. */
  reconstruct(images: Float32Array, count: number, occasion: number): ReconstructedImages {
    return scoped(() => {
      this.load();
      const [mean, logVariance] = this.encoder.forward(images, count, 'evaluate');
      const z = reparameterised(values(mean), values(logVariance), this.noise('posterior', count, occasion));
      return { images: this.decoder.forward(upload(z, mean.shape as [number, number]), 'evaluate') };
    });
  }

  sample(count: number, occasion: number): Float32Array {
    return scoped(() => {
      this.load();
      const z = upload(this.noise('prior', count, occasion), [count, this.config.model.latentChannels]);
      return this.decoder.forward(z, 'evaluate');
    });
  }
}
