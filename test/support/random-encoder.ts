/** Integer encoders with random weights, for the models of random-model.ts. */

import type { ConvLayer, IntegerEncoder } from '../../runtime-ts/encoder-model.js';
import type { LinearLayer } from '../../runtime-ts/model.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import type { RandomModelShape } from './random-model.js';

/** An encoder whose maps are the decoder's in reverse, and whose posterior is as the prior, but for its inputs. */
export function randomEncoder(seed: number, shape: RandomModelShape): IntegerEncoder {
  const random = new Pcg32(BigInt(seed), 11n);
  const { latentChannels, choices, timeSteps, hidden, maps, bottomSize, channels } = shape;
  const imageSize = bottomSize * 2 ** (maps.length - 1);
  let layerIndex = 0;
  /** @param unit of bias and threshold, in weight steps; of a pixel 255 of them */
  const spiking = (
    name: string,
    fanIn: number,
    weights: number,
    outputs: number,
    fractionBits: number,
    unit: number,
  ) => {
    const weightBits = shape.bits[layerIndex++ % shape.bits.length];
    const limit = weightBits === 8 ? 127 : 7;
    const weight = Int8Array.from({ length: weights }, () =>
      shape.heavy ? limit - random.below(3) : random.below(2 * limit + 1) - limit,
    );
    const spread = Math.ceil(limit * Math.sqrt(fanIn)) * unit;
    return {
      name,
      weightBits,
      fractionBits,
      weight,
      bias: Int32Array.from({ length: outputs }, () => random.below(spread + 1) - (spread >> 1)),
      threshold: Int32Array.from({ length: outputs }, () => random.below(spread + 1)),
      scale: new Float64Array(outputs).fill(1),
    };
  };
  const { fractionBits } = shape;
  const linear = (name: string, inFeatures: number, outFeatures: number): LinearLayer => ({
    kind: 'linear',
    inFeatures,
    outFeatures,
    ...spiking(name, inFeatures, inFeatures * outFeatures, outFeatures, fractionBits, 2 ** fractionBits),
  });
  const outputs = maps.slice(1).reverse();
  const convolutions = outputs.map((outChannels, i): ConvLayer => {
    const inChannels = i === 0 ? channels : outputs[i - 1];
    const [bits, unit] = i === 0 ? [0, 100] : [fractionBits, 2 ** fractionBits];
    return {
      kind: 'conv',
      inChannels,
      outChannels,
      inSize: imageSize / 2 ** i,
      ...spiking(`encoder.${i}`, 9 * inChannels, 9 * inChannels * outChannels, outChannels, bits, unit),
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
