/** Tensors of the networks without spikes, under the names and in the shapes that the authors' code gives them. */

import type { BaselineConfig, BaselineShape } from '../config/config.js';
import {
  bottomSize,
  Builder,
  type LayerParameters,
  type NetworkTensors,
  type ReadoutParameters,
} from '../model/parameters.js';

/** The latent's fully connected layers: mean and logarithm of the variance, or the latent itself. */
const LATENT_LAYERS = { vae: ['fc_mu', 'fc_var'], autoencoder: ['latent_layer'] } as const;

export interface BaselineTensors extends NetworkTensors {
  readonly encoder: readonly LayerParameters[];
  readonly latent: readonly ReadoutParameters[];
  readonly decoderInput: ReadoutParameters;
  readonly decoder: readonly LayerParameters[];
  readonly readout: ReadoutParameters;
}

/** All tensors, with their first values drawn from the seed: as PyTorch draws linear layers and convolutions. */
export function createBaselineTensors(
  kind: BaselineConfig['kind'],
  { channels, imageSize, hiddenChannels, latentChannels }: BaselineShape,
  seed: number,
): BaselineTensors {
  const build = new Builder(seed);
  const widths = [channels, ...hiddenChannels];
  const bottom = widths[widths.length - 1] * bottomSize({ imageSize, hiddenChannels }) ** 2;
  const layer = (name: string, shape: readonly number[], outputs: number): LayerParameters =>
    build.layer(`${name}.0`, shape, outputs, `${name}.1`);

  const encoder = hiddenChannels.map((out, i) => layer(`encoder.${i}`, [out, widths[i], 3, 3], out));
  const latent = LATENT_LAYERS[kind].map((name) => build.readout(name, [latentChannels, bottom], latentChannels));
  const decoderInput = build.readout('decoder_input', [bottom, latentChannels], bottom);
  const down = [...hiddenChannels].reverse();
  const [top] = down.slice(-1);
  const decoder = down.slice(1).map((to, i) => layer(`decoder.${i}`, [down[i], to, 3, 3], to));
  const last = build.layer('final_layer.0', [top, top, 3, 3], top, 'final_layer.1');
  const readout = build.readout('final_layer.3', [top, channels, 3, 3], channels);
  return {
    encoder,
    latent,
    decoderInput,
    decoder: [...decoder, last],
    readout,
    trained: build.trained,
    running: build.running,
    constants: [],
  };
}
