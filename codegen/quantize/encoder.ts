/** Float encoder and posterior to integers (rules W and E of docs/arithmetic.md). */

import { type FloatEncoder, spatialColumns } from '../float/encoder.js';
import type { FloatConv, FloatModel } from '../float/network.js';
import type { ConvLayer, IntegerEncoder } from '../../runtime-ts/encoder-model.js';
import { proveEncoderBounds } from '../../runtime-ts/encoder.js';
import { leakFromTau, quantizeLinear, type QuantizeOptions, quantizeSpiking, roundHalfAway } from './quantize.js';

/** Rule E1: no bias or threshold of the first layer beyond this, in its units: 32-bit sums have room for it. */
const LARGEST_PIXEL_CONSTANT = 2 ** 24;

/** Names of all layers, in order. */
export function encoderLayerNames({ convolutions, latentInput, posterior }: FloatEncoder): string[] {
  return [...convolutions, latentInput, ...posterior].map(({ name }) => name);
}

/** Rule E1: weights as in W1, bias and threshold in units of a 255th of a step, the unit of pixels. */
function quantizePixels(layer: FloatConv, vth: number, options: QuantizeOptions): ConvLayer {
  const weightBits = options.layerBits?.get(layer.name) ?? options.bits ?? 8;
  const limit = weightBits === 8 ? 127 : 7;
  const channelOf = (i: number): number => Math.floor(i / (9 * layer.inChannels));
  const largest = new Float64Array(layer.outChannels);
  layer.weight.forEach((w, i) => (largest[channelOf(i)] = Math.max(largest[channelOf(i)], Math.abs(w))));
  const scale = largest.map((w, c) =>
    Math.max(w / limit, (255 * Math.max(Math.abs(layer.bias[c]), vth)) / LARGEST_PIXEL_CONSTANT),
  );
  return {
    ...layer,
    weightBits,
    fractionBits: 0,
    weight: Int8Array.from(layer.weight, (w, i) => roundHalfAway(w / scale[channelOf(i)])),
    bias: Int32Array.from(layer.bias, (b, c) => roundHalfAway((255 * b) / scale[c])),
    threshold: Int32Array.from(scale, (d) => Math.floor((255 * vth) / d)),
    scale,
  };
}

function quantizeConv(layer: FloatConv, vth: number, options: QuantizeOptions): ConvLayer {
  const channelOf = (i: number): number => Math.floor(i / (9 * layer.inChannels));
  return { ...layer, ...quantizeSpiking(layer.name, layer.weight, layer.bias, channelOf, vth, options) };
}

/**
 * Quantizes encoder and posterior.
 *
 * @param options thresholds are not scaled: it would change which latent an image has, not how much it costs to draw
 * @throws FsvaeError `input` where rule B finds a value that could leave 32 bits; `usage` for a tau that cannot be exact
 */
export function quantizeEncoder(
  model: FloatModel,
  encoder: FloatEncoder,
  options: Pick<QuantizeOptions, 'bits' | 'layerBits' | 'layerFractionBits'> = {},
): IntegerEncoder {
  const { threshold: vth } = model;
  const [pixels, ...others] = encoder.convolutions;
  const quantized: IntegerEncoder = {
    config: model.config,
    leak: leakFromTau(model.tau),
    convolutions: [quantizePixels(pixels, vth, options), ...others.map((layer) => quantizeConv(layer, vth, options))],
    latentInput: quantizeLinear(
      spatialColumns(encoder.latentInput, encoder.convolutions.at(-1)!.outChannels),
      vth,
      options,
    ),
    posterior: encoder.posterior.map((layer) => quantizeLinear(layer, vth, options)),
  };
  proveEncoderBounds(quantized);
  return quantized;
}
