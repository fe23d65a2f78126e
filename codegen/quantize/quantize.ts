/** Float model to integer model (rules W and R3, R4 of docs/arithmetic.md). */

import type { FloatConvTranspose, FloatLinear, FloatModel, FloatReadout } from '../float/network.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { proveBounds, readoutBounds } from '../../runtime-ts/bounds.js';
import type {
  ConvTransposeLayer,
  IntegerModel,
  Leak,
  LinearLayer,
  ReadoutLayer,
  SpikingLayer,
} from '../../runtime-ts/model.js';
import { PIXEL_THRESHOLDS } from '../../runtime-ts/readout.js';

export interface QuantizeOptions {
  /** Bits of all weights that `layerBits` does not name; 8 unless told. */
  readonly bits?: 8 | 4;
  /** Bits of single layers, by state_dict name. */
  readonly layerBits?: ReadonlyMap<string, 8 | 4>;
  /** F of single layers, by state_dict name, in place of rule W4's. */
  readonly layerFractionBits?: ReadonlyMap<string, number>;
  /** s of rule W3, by state_dict name of a spiking layer: its thresholds times this. 1 unless told; above 0. */
  readonly layerThresholdScale?: ReadonlyMap<string, number>;
}

/** Rule W1: no bias or threshold beyond this many weight steps. */
const LARGEST_CONSTANT = 8191;
/** Rule W4. */
const SMALLEST_THRESHOLD = 64;
const MOST_FRACTION_BITS = 8;
/** Rule R1. */
const MOST_COEFFICIENT_BITS = 12;

/** To the nearest integer, a half away from zero. */
export function roundHalfAway(x: number): number {
  return Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
}

/**
 * tau as an integer multiply and shift (rule L1): exact where tau is a multiple of 1/256.
 *
 * @throws FsvaeError `usage` when tau is outside 0 .. 1 or not a multiple of 1/256
 */
export function leakFromTau(tau: number): Leak {
  let multiplier = tau * 256;
  if (!Number.isInteger(multiplier) || multiplier < 0 || multiplier > 256) {
    throw new FsvaeError('usage', `tau ${tau} cannot be exact: it must be a multiple of 1/256 from 0 to 1`);
  }
  let shift = 8;
  while (shift > 0 && multiplier % 2 === 0) {
    multiplier /= 2;
    shift--;
  }
  return { multiplier, shift };
}

/** Rule W1. */
export function channelStep(largestWeight: number, largestConstant: number, weightLimit: number): number {
  return Math.max(largestWeight / weightLimit, largestConstant / LARGEST_CONSTANT);
}

/** Rule W5: the least step from d on whose threshold is 3 modulo 4; d itself where the threshold is less than 3. */
function alignedStep(d: number, vth: number, unit: number): number {
  const threshold = Math.floor((vth / d) * unit);
  const aligned = threshold - ((threshold + 1) % 4);
  // Half a unit above the threshold wanted: dividing again cannot round past it.
  return aligned === threshold || aligned < 3 ? d : (vth * unit) / (aligned + 0.5);
}

interface QuantizedSpiking {
  weightBits: 8 | 4;
  fractionBits: number;
  weight: Int8Array;
  bias: Int32Array;
  threshold: Int32Array;
  scale: Float64Array;
}

/**
 * @param channelOf output channel of each entry of `weight`
 * @param vth the layer's threshold, scaled already (s * Vth of rule W3)
 */
export function quantizeSpiking(
  name: string,
  weight: Float64Array,
  bias: Float64Array,
  channelOf: (index: number) => number,
  vth: number,
  options: QuantizeOptions,
): QuantizedSpiking {
  const weightBits = options.layerBits?.get(name) ?? options.bits ?? 8;
  const limit = weightBits === 8 ? 127 : 7;
  const channels = bias.length;
  const largest = new Float64Array(channels);
  weight.forEach((w, i) => {
    const c = channelOf(i);
    largest[c] = Math.max(largest[c], Math.abs(w));
  });
  const finest = largest.map((w, c) => channelStep(w, Math.max(Math.abs(bias[c]), vth), limit));
  const smallest = finest.reduce((least, d) => Math.min(least, vth / d), Infinity);
  let fractionBits = options.layerFractionBits?.get(name);
  if (fractionBits === undefined) {
    fractionBits = 0;
    while (fractionBits < MOST_FRACTION_BITS && Math.floor(smallest * 2 ** fractionBits) < SMALLEST_THRESHOLD) {
      fractionBits++;
    }
  }
  const unit = 2 ** fractionBits;
  const scale = finest.map((d) => alignedStep(d, vth, unit));
  return {
    weightBits,
    fractionBits,
    weight: Int8Array.from(weight, (w, i) => roundHalfAway(w / scale[channelOf(i)])),
    bias: Int32Array.from(bias, (b, c) => roundHalfAway((b / scale[c]) * unit)),
    threshold: Int32Array.from(scale, (d) => Math.floor((vth / d) * unit)),
    scale,
  };
}

export function quantizeLinear(layer: FloatLinear, vth: number, options: QuantizeOptions): LinearLayer {
  const { inFeatures, outFeatures } = layer;
  const channelOf = (i: number): number => Math.floor(i / inFeatures);
  return {
    kind: 'linear',
    name: layer.name,
    inFeatures,
    outFeatures,
    ...quantizeSpiking(layer.name, layer.weight, layer.bias, channelOf, vth, options),
  };
}

function quantizeConvTranspose(layer: FloatConvTranspose, vth: number, options: QuantizeOptions): ConvTransposeLayer {
  const { inChannels, outChannels, inSize } = layer;
  const channelOf = (i: number): number => Math.floor(i / 9) % outChannels;
  return {
    kind: 'conv-transpose',
    name: layer.name,
    inChannels,
    outChannels,
    inSize,
    ...quantizeSpiking(layer.name, layer.weight, layer.bias, channelOf, vth, options),
  };
}

/** Rule D1: rows of a layer that feeds a map, from the checkpoint's channel-major order to position-major. */
export function positionMajorRows(layer: FloatLinear, channels: number): FloatLinear {
  const { inFeatures, outFeatures } = layer;
  const area = outFeatures / channels;
  const weight = new Float64Array(layer.weight.length);
  const bias = new Float64Array(outFeatures);
  for (let position = 0; position < area; position++) {
    for (let c = 0; c < channels; c++) {
      const from = c * area + position;
      const to = position * channels + c;
      weight.set(layer.weight.subarray(from * inFeatures, (from + 1) * inFeatures), to * inFeatures);
      bias[to] = layer.bias[from];
    }
  }
  return { ...layer, weight, bias };
}

/** Rules R1 to R4. */
function quantizeReadout(layer: FloatReadout, options: QuantizeOptions): ReadoutLayer {
  const { inChannels, outChannels } = layer;
  const weightBits = options.layerBits?.get(layer.name) ?? options.bits ?? 8;
  const limit = weightBits === 8 ? 127 : 7;
  const channelOf = (i: number): number => Math.floor(i / 9) % outChannels;
  const largest = new Float64Array(outChannels);
  layer.weight.forEach((w, i) => {
    const c = channelOf(i);
    largest[c] = Math.max(largest[c], Math.abs(w));
  });
  // A channel without weights still needs a step; its pixel depends on the bias alone.
  const scale = largest.map((w, c) => channelStep(w, Math.max(Math.abs(layer.bias[c]), 2 ** -10), limit));
  const weight = Int8Array.from(layer.weight, (w, i) => roundHalfAway(w / scale[channelOf(i)]));
  for (let coefficientBits = MOST_COEFFICIENT_BITS; coefficientBits >= 0; coefficientBits--) {
    const unit = 2 ** coefficientBits;
    const coefficients = Int32Array.from(layer.coefficients, (c) => roundHalfAway(c * unit));
    const total = coefficients.reduce((sum, c) => sum + c, 0);
    const bias = Int32Array.from(layer.bias, (b, c) => roundHalfAway((b / scale[c]) * total));
    const thresholds = new Int32Array(outChannels * PIXEL_THRESHOLDS);
    for (let c = 0; c < outChannels; c++) {
      for (let n = 1; n <= PIXEL_THRESHOLDS; n++) {
        const real = (Math.atanh((2 * n - 1) / 255 - 1) / scale[c]) * unit;
        thresholds[c * PIXEL_THRESHOLDS + n - 1] = Math.ceil(Math.min(Math.max(real, -(2 ** 31)), 2 ** 31 - 1));
      }
    }
    const readout: ReadoutLayer = {
      kind: 'readout',
      name: layer.name,
      weightBits,
      inChannels,
      outChannels,
      size: layer.size,
      weight,
      bias,
      coefficientBits,
      coefficients,
      thresholds,
      scale,
    };
    const bounds = readoutBounds(readout);
    if (total < 2 ** 16 && bounds.membrane.min >= -(2 ** 31) && bounds.membrane.max < 2 ** 31) return readout;
  }
  throw new FsvaeError('input', `${layer.name}: its sums leave 32 bits at any precision; the layer is too wide`);
}

/** Names of all layers that spike, in order. */
export function spikingLayerNames(model: FloatModel): string[] {
  return [...model.prior, model.decoderInput, ...model.decoder].map((layer) => layer.name);
}

/** Names of all layers that have weights, in order. */
export function layerNames(model: FloatModel): string[] {
  return [...spikingLayerNames(model), model.readout.name];
}

/**
 * Quantizes a float model.
 *
 * @throws FsvaeError `usage` for a layer name that does not exist, a threshold scale that is not above 0, or a tau that
 *   cannot be exact; `input` where rule B
 *   finds a value that could leave 32 bits
 */
export function quantize(float: FloatModel, options: QuantizeOptions = {}): IntegerModel {
  const names = layerNames(float);
  for (const name of [...(options.layerBits?.keys() ?? []), ...(options.layerFractionBits?.keys() ?? [])]) {
    if (!names.includes(name)) {
      throw new FsvaeError('usage', `there is no layer "${name}"; the layers are ${names.join(', ')}`);
    }
  }
  const spikingNames = spikingLayerNames(float);
  for (const [name, scale] of options.layerThresholdScale ?? []) {
    if (!spikingNames.includes(name)) {
      throw new FsvaeError('usage', `there is no spiking layer "${name}"; they are ${spikingNames.join(', ')}`);
    }
    if (!(scale > 0 && scale < Infinity)) {
      throw new FsvaeError('usage', `${name}: thresholds cannot be scaled by ${scale}, which is not above 0`);
    }
  }
  const vthOf = (layer: { name: string }): number =>
    float.threshold * (options.layerThresholdScale?.get(layer.name) ?? 1);
  const spiking = <F extends { name: string }, I extends SpikingLayer>(
    f: (layer: F, vth: number, o: QuantizeOptions) => I,
  ) => {
    return (layer: F): I => f(layer, vthOf(layer), options);
  };
  const model: IntegerModel = {
    config: float.config,
    leak: leakFromTau(float.tau),
    prior: float.prior.map(spiking(quantizeLinear)),
    decoderInput: spiking(quantizeLinear)(positionMajorRows(float.decoderInput, float.decoder[0].inChannels)),
    decoder: float.decoder.map(spiking(quantizeConvTranspose)),
    readout: quantizeReadout(float.readout, options),
  };
  proveBounds(model);
  return model;
}
