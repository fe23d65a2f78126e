/** Integer encoders with random weights, for the models of random-model.ts. */

import type { ConvLayer, IntegerEncoder } from '../../runtime-ts/encoder-model.js';
import type { LinearLayer } from '../../runtime-ts/model.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { randomSpiking, type RandomModelShape } from './random-model.js';

/** An encoder whose maps are the decoder's in reverse, and whose posterior is as the prior, but for its inputs. */
export function randomEncoder(seed: number, shape: RandomModelShape): IntegerEncoder {
  const random = new Pcg32(BigInt(seed), 11n);
  const { latentChannels, choices, timeSteps, hidden, maps, bottomSize, channels } = shape;
  const imageSize = bottomSize * 2 ** (maps.length - 1);
  // No wide kernels run here, so no thresholds need be 3 modulo 4.
  const layers = { ...shape, aligned: false };
  let layerIndex = 0;
  const linear = (name: string, inFeatures: number, outFeatures: number): LinearLayer => ({
    kind: 'linear',
    inFeatures,
    outFeatures,
    ...randomSpiking(random, layers, layerIndex++, {
      name,
      fanIn: inFeatures,
      weights: inFeatures * outFeatures,
      channels: outFeatures,
    }),
  });
  const outputs = maps.slice(1).reverse();
  const convolutions = outputs.map((outChannels, i): ConvLayer => {
    const inChannels = i === 0 ? channels : outputs[i - 1];
    // The first layer sees pixels of up to 255 steps, and has no fraction.
    const pixels = i === 0 ? ([0, 100] as const) : [];
    return {
      kind: 'conv',
      inChannels,
      outChannels,
      inSize: imageSize / 2 ** i,
      ...randomSpiking(
        random,
        layers,
        layerIndex++,
        { name: `encoder.${i}`, fanIn: 9 * inChannels, weights: 9 * inChannels * outChannels, channels: outChannels },
        ...pixels,
      ),
    };
  });
  const widths = [2 * latentChannels, ...hidden, latentChannels * choices];
  return {
    config: { channels, imageSize, latentChannels, choices, timeSteps },
    leak: shape.leak,
    convolutions,
    latentInput: linear('before_latent_layer', maps[1] * bottomSize * bottomSize, latentChannels),
    posterior: widths.slice(1).map((width, i) => linear(`posterior.layers.${i}`, widths[i], width)),
  };
}
