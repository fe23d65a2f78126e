/** Networks by kind: made new, and read from a checkpoint. The only place that tells one kind from another. */

import type { Checkpoint } from '../../codegen/checkpoint/checkpoint.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { Autoencoder } from '../baselines/autoencoder.js';
import { type BaselineTensors, createBaselineTensors } from '../baselines/tensors.js';
import { Vae } from '../baselines/vae.js';
import { type BaselineConfig, type NetworkConfig, parseNetworkConfig } from '../config/config.js';
import { FsvaeNetwork } from '../model/fsvae-network.js';
import type { Network } from '../model/network.js';
import { createParameters, type NetworkTensors } from '../model/parameters.js';
import { ShardedFsvae } from './shards.js';
import { fillTensors, readTrainedNetwork } from './trained-network.js';

/** What a checkpoint holds. */
export interface SavedNetwork {
  readonly config: NetworkConfig;
  readonly parameters: NetworkTensors;
}

/**
 * A network with its first weights drawn from the config's seed.
 *
 * @param batchesPerEpoch which the VAE's loss depends on
 * @param workers threads at most, for an FSVAE in shards
 */
export function createNetwork(config: NetworkConfig, batchesPerEpoch: number, workers: number): Network {
  const { kind, model, seed } = config;
  switch (kind) {
    case 'fsvae':
      return config.shards > 1
        ? new ShardedFsvae(config, createParameters(model, seed), workers)
        : new FsvaeNetwork(config, createParameters(model, seed));
    case 'vae':
      return new Vae(config, createBaselineTensors(kind, model, seed), 1 / batchesPerEpoch);
    case 'autoencoder':
      return new Autoencoder(model, createBaselineTensors(kind, model, seed));
  }
}

/**
 * A network without spikes from any checkpoint with the authors' names: its kind follows from the names, sizes from shapes.
 *
 * @throws FsvaeError `input` for a checkpoint that lacks a tensor or has one of another shape, or a value that is not finite
 */
export function readBaseline(checkpoint: Checkpoint): {
  readonly config: BaselineConfig;
  readonly parameters: BaselineTensors;
} {
  const { source, tensors } = checkpoint;
  const shapeOf = (name: string): readonly number[] => tensors.get(name)!.shape;
  const kind = tensors.has('latent_layer.weight') ? 'autoencoder' : 'vae';
  const latent = kind === 'vae' ? 'fc_mu.weight' : 'latent_layer.weight';
  for (const [name, dimensions] of [
    ['encoder.0.0.weight', 4],
    [latent, 2],
  ] as const) {
    if (tensors.get(name)?.shape.length !== dimensions) {
      throw new FsvaeError(
        'input',
        `${source}: holds no ${name} of ${dimensions} dimensions: neither the ANN VAE nor the metric autoencoder`,
      );
    }
  }
  const hiddenChannels: number[] = [];
  while (tensors.has(`encoder.${hiddenChannels.length}.0.weight`)) {
    hiddenChannels.push(shapeOf(`encoder.${hiddenChannels.length}.0.weight`)[0]);
  }
  const [latentChannels, bottom] = shapeOf(latent);
  const side = Math.sqrt(bottom / hiddenChannels[hiddenChannels.length - 1]);
  const model = {
    channels: shapeOf('encoder.0.0.weight')[1],
    imageSize: side * 2 ** hiddenChannels.length,
    hiddenChannels,
    latentChannels,
  };
  const config = parseNetworkConfig({ kind, model }, source) as BaselineConfig;
  const parameters = createBaselineTensors(kind, config.model, 0);
  fillTensors(parameters, checkpoint);
  return { config, parameters };
}

/** The metric autoencoder in a checkpoint: trained here or the authors'. @throws FsvaeError `input` for anything else */
export function readAutoencoder(checkpoint: Checkpoint): Autoencoder {
  const { config, parameters } = readBaseline(checkpoint);
  if (config.kind === 'autoencoder') return new Autoencoder(config.model, parameters);
  throw new FsvaeError('input', `${checkpoint.source}: is an ANN VAE, not an autoencoder`);
}

/** Weights to begin a run of that config with. @throws FsvaeError `input` for a checkpoint of another kind */
export function readNetwork(checkpoint: Checkpoint, config: NetworkConfig): SavedNetwork {
  if (config.kind === 'fsvae') return readTrainedNetwork(checkpoint, config.neuron);
  const found = readBaseline(checkpoint);
  if (found.config.kind === config.kind) return found;
  throw new FsvaeError(
    'input',
    `${checkpoint.source}: is a network of kind ${found.config.kind}, but the config says ${config.kind}`,
  );
}
