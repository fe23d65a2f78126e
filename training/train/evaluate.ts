/** A trained network on images: reconstructions, and what they cost. */

import { type Checkpoint, requireFinite } from '../../codegen/checkpoint/checkpoint.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseConfig, type TrainingConfig } from '../config/config.js';
import { imageBatch, type ImageSet } from '../data/image-set.js';
import { startEngine } from '../engine/wasm.js';
import { drawTrainingChoices } from '../model/draws.js';
import { Fsvae } from '../model/fsvae.js';
import { createParameters, type NetworkTensors, type Parameters } from '../model/parameters.js';

/** @throws FsvaeError `input` for a tensor that is missing, has another shape, or holds a value that is not finite */
export function fillTensors({ trained, running }: NetworkTensors, { source, tensors }: Checkpoint): void {
  for (const { name, shape, data } of [...trained, ...running]) {
    const tensor = tensors.get(name);
    if (tensor === undefined || tensor.shape.join() !== shape.join()) {
      const found = tensor === undefined ? 'missing' : `(${tensor.shape.join(', ')})`;
      throw new FsvaeError('input', `${source}: ${name} is ${found}, expected (${shape.join(', ')})`);
    }
    requireFinite(name, tensor, source);
    data.set(tensor.data);
  }
}

export interface TrainedNetwork {
  readonly config: TrainingConfig;
  readonly parameters: Parameters;
}

/**
 * A whole network, encoder and posterior included, from any checkpoint with the authors' names: sizes follow from shapes.
 *
 * @param neuron tau and threshold, which no checkpoint holds
 * @throws FsvaeError `input` for a checkpoint that lacks a tensor or has one of another shape, or a value that is not finite
 */
export function readTrainedNetwork(
  checkpoint: Checkpoint,
  neuron: { readonly tau?: number; readonly threshold?: number },
): TrainedNetwork {
  const { source, tensors } = checkpoint;
  const shapeOf = (name: string, dimensions: number): readonly number[] => {
    const shape = tensors.get(name)?.shape;
    if (shape?.length !== dimensions) {
      throw new FsvaeError(
        'input',
        `${source}: ${shape === undefined ? `holds no ${name}` : `${name} is (${shape.join(', ')})`}: this command needs a ` +
          'whole FSVAE, with encoder and posterior; convert and the shipped models keep prior and decoder only',
      );
    }
    return shape;
  };
  const hiddenChannels: number[] = [];
  const channels = shapeOf('encoder.0.weight', 5)[1];
  while (tensors.has(`encoder.${hiddenChannels.length}.weight`)) {
    hiddenChannels.push(shapeOf(`encoder.${hiddenChannels.length}.weight`, 5)[0]);
  }
  const [latentChannels, bottom] = shapeOf('before_latent_layer.weight', 2);
  const side = Math.sqrt(bottom / hiddenChannels[hiddenChannels.length - 1]);
  const model = {
    channels,
    imageSize: side * 2 ** hiddenChannels.length,
    hiddenChannels,
    latentChannels,
    choices: shapeOf('prior.layers.2.weight', 2)[0] / latentChannels,
    timeSteps: shapeOf('membrane_output_layer.coef', 5)[4],
  };
  const config = parseConfig({ model, neuron }, source);
  const parameters = createParameters(config.model, 0);
  fillTensors(parameters, checkpoint);
  return { config, parameters };
}

export interface ReconstructedBatch {
  readonly count: number;
  /** Values in -1 .. 1, channel last. */
  readonly inputs: Float32Array;
  readonly outputs: Float32Array;
  /** Picked spikes (T, C) of image n. */
  latent(n: number): Uint8Array;
  /** Mean spikes of prior and decoder, per image. */
  readonly spikes: number;
}

/** Reconstructs images batch by batch, in their order, in evaluation mode. */
export async function* reconstructions(
  { config, parameters }: TrainedNetwork,
  images: ImageSet,
  { batchSize, seed }: { readonly batchSize: number; readonly seed: number },
): AsyncGenerator<ReconstructedBatch> {
  await startEngine();
  const model = new Fsvae(config, parameters);
  const { timeSteps, latentChannels: c, choices } = config.model;
  for (let first = 0; first < images.count; first += batchSize) {
    const count = Math.min(batchSize, images.count - first);
    const inputs = imageBatch(
      images,
      Uint32Array.from({ length: count }, (_, i) => first + i),
    );
    const drawn = drawTrainingChoices(seed, 'posterior', first, timeSteps * count * c, choices);
    const { images: outputs, z, spikes } = model.reconstruct(inputs, count, timeSteps, drawn);
    yield {
      count,
      inputs,
      outputs,
      spikes,
      latent: (n) =>
        Uint8Array.from({ length: timeSteps * c }, (_, i) => z[(Math.floor(i / c) * count + n) * c + (i % c)]),
    };
  }
}
