/** The metric autoencoder: the Fréchet distance is measured between latents of test images and of samples. */

import type { BaselineShape } from '../config/config.js';
import { scoped, upload, values } from '../engine/wasm.js';
import type { Statistics } from '../model/batch-norm.js';
import { requireFiniteGradients } from '../model/finite.js';
import type { Network, ReconstructedImages, TrainedStep } from '../model/network.js';
import { imageError } from './image-error.js';
import { BaselineDecoder, BaselineEncoder } from './stack.js';
import type { BaselineTensors } from './tensors.js';

export class Autoencoder implements Network {
  private readonly encoder: BaselineEncoder;
  private readonly decoder: BaselineDecoder;

  constructor(
    readonly shape: BaselineShape,
    readonly tensors: BaselineTensors,
  ) {
    this.encoder = new BaselineEncoder(shape, tensors);
    this.decoder = new BaselineDecoder(shape, tensors);
  }

  /** C. */
  get features(): number {
    return this.tensors.latent[0].bias.data.length;
  }

  step(images: Float32Array, batch: number): TrainedStep {
    return scoped(() => {
      this.encoder.load();
      this.decoder.load();
      const [latent] = this.encoder.forward(images, batch, 'train');
      const made = this.decoder.forward(latent, 'train');
      const { mse, dImages } = imageError(made, images);
      const gradients = new Map<string, Float32Array>();
      this.encoder.backward([this.decoder.backward(made, dImages, gradients)], gradients);
      requireFiniteGradients(gradients);
      return { losses: { loss: mse, mse }, gradients };
    });
  }

  reconstruct(images: Float32Array, count: number): ReconstructedImages {
    return scoped(() => {
      this.decoder.load();
      const latent = this.encode(images, count, 'evaluate');
      return { images: this.decoder.forward(upload(latent, [count, this.features]), 'evaluate') };
    });
  }

  /**
   * Latents of images.
   *
   * @param statistics `batch`: of these images, as the authors measure; their code never leaves training mode
   * @returns (count, C)
   */
  encode(images: Float32Array, count: number, statistics: Statistics): Float32Array {
    return scoped(() => {
      this.encoder.load();
      return values(this.encoder.forward(images, count, statistics)[0]).slice();
    });
  }
}
