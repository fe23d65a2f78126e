/**
 * The integer model as a file: a safetensors file, so that any tool can open it (docs/formats.md). Metadata carries the
 * sizes as JSON; every array is a named tensor. The same model always gives the same bytes, and their SHA-256 names it.
 */

import { proveBounds } from './bounds.js';
import { FsvaeError } from './errors.js';
import type { ConvTransposeLayer, IntegerModel, LinearLayer, ReadoutLayer, SpikingLayer } from './model.js';
import { PIXEL_THRESHOLDS } from './readout.js';
import { encodeSafetensors, parseSafetensors, type Tensor } from './safetensors.js';
import { sha256 } from './sha256.js';

export const MODEL_FORMAT = 'fsvae-integer-model';
export const MODEL_FORMAT_VERSION = 1;

/** Limits of rule W: a file outside them is refused before anything is allocated for it. */
export const LIMITS = {
  choices: 256,
  timeSteps: 32,
  /** One layer's neurons; 64 x 64 pixels with 256 channels. */
  neurons: 2 ** 20,
  fractionBits: 12,
  coefficientBits: 16,
  leakMultiplier: 256,
  leakShift: 8,
} as const;

interface LayerHeader {
  name: string;
  kind: 'linear' | 'conv-transpose' | 'readout';
  weightBits: 8 | 4;
  /** fractionBits of a spiking layer, coefficientBits of the readout. */
  bits: number;
  /** linear: [out, in]. conv-transpose and readout: [in, out, size of the input map]. */
  shape: number[];
}

interface Header {
  config: IntegerModel['config'];
  leak: IntegerModel['leak'];
  /** How many of the layers are the prior's; the next is decoder_input. */
  priorLayers: number;
  layers: LayerHeader[];
}

function headerOf(model: IntegerModel): Header {
  const spiking = (layer: SpikingLayer): LayerHeader => ({
    name: layer.name,
    kind: layer.kind,
    weightBits: layer.weightBits,
    bits: layer.fractionBits,
    shape:
      layer.kind === 'linear'
        ? [layer.outFeatures, layer.inFeatures]
        : [layer.inChannels, layer.outChannels, layer.inSize],
  });
  const { readout } = model;
  return {
    config: {
      channels: model.config.channels,
      imageSize: model.config.imageSize,
      latentChannels: model.config.latentChannels,
      choices: model.config.choices,
      timeSteps: model.config.timeSteps,
    },
    leak: { multiplier: model.leak.multiplier, shift: model.leak.shift },
    priorLayers: model.prior.length,
    layers: [
      ...[...model.prior, model.decoderInput, ...model.decoder].map(spiking),
      {
        name: readout.name,
        kind: 'readout',
        weightBits: readout.weightBits,
        bits: readout.coefficientBits,
        shape: [readout.inChannels, readout.outChannels, readout.size],
      },
    ],
  };
}

function bytesOf(array: Int8Array | Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function weightShape(header: LayerHeader): number[] {
  return header.kind === 'linear' ? header.shape : [header.shape[0], header.shape[1], 3, 3];
}

/** Output channels: a linear layer's are its neurons. */
function channelsOf(header: LayerHeader): number {
  return header.kind === 'linear' ? header.shape[0] : header.shape[1];
}

/**
 * Encodes a model. Same model, same bytes.
 *
 * @param notes free text for people (where it came from, scores); not part of what the hash names
 */
export function encodeModel(model: IntegerModel, notes: Readonly<Record<string, string>> = {}): Uint8Array {
  const header = headerOf(model);
  const tensors = new Map<string, Tensor>();
  const layers = [...model.prior, model.decoderInput, ...model.decoder, model.readout];
  layers.forEach((layer, index) => {
    const layerHeader = header.layers[index];
    const channels = channelsOf(layerHeader);
    const add = (name: string, dtype: string, shape: number[], array: Int8Array | Int32Array | Float64Array): void => {
      tensors.set(`${layer.name}.${name}`, { dtype, shape, data: bytesOf(array) });
    };
    add('weight', 'I8', weightShape(layerHeader), layer.weight);
    add('bias', 'I32', [channels], layer.bias);
    if (layer.kind === 'readout') {
      add('coefficients', 'I32', [layer.coefficients.length], layer.coefficients);
      add('thresholds', 'I32', [channels, PIXEL_THRESHOLDS], layer.thresholds);
    } else {
      add('threshold', 'I32', [channels], layer.threshold);
    }
    add('scale', 'F64', [channels], layer.scale);
  });
  return encodeSafetensors(tensors, {
    ...notes,
    format: MODEL_FORMAT,
    version: String(MODEL_FORMAT_VERSION),
    model: JSON.stringify(header),
  });
}

/** The model's name: the SHA-256 of its encoding without notes, as 64 hexadecimal digits. */
export function modelHash(model: IntegerModel): string {
  return sha256(encodeModel(model));
}

/** True for a safetensors file that says it holds an integer model; anything else may be a checkpoint. */
export function isModelFile(metadata: Readonly<Record<string, string>>): boolean {
  return metadata.format === MODEL_FORMAT;
}

function refuse(why: string): never {
  throw new FsvaeError('input', `not an integer model: ${why}`);
}

function requireInteger(value: unknown, what: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    refuse(`${what} is ${JSON.stringify(value)}, but must be an integer from ${min} to ${max}`);
  }
  return value as number;
}

function requireObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(`${what} must be an object`);
  return value as Record<string, unknown>;
}

function readHeader(text: string | undefined): Header {
  let json: unknown;
  try {
    json = JSON.parse(text ?? '');
  } catch {
    refuse('its metadata holds no readable "model" entry');
  }
  const root = requireObject(json, '"model"');
  const config = requireObject(root.config, '"config"');
  const leak = requireObject(root.leak, '"leak"');
  if (!Array.isArray(root.layers)) refuse('"layers" must be a list');
  const list = root.layers as unknown[];
  if (list.length < 4 || list.length > 64) refuse(`it has ${list.length} layers, but must have 4 to 64`);
  const layers = list.map((entry, index): LayerHeader => {
    const layer = requireObject(entry, `layer ${index}`);
    const { name, kind, weightBits, shape } = layer;
    if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_.]{0,63}$/.test(name)) {
      refuse(`layer ${index} has a name that is not letters, digits, "_" and "."`);
    }
    if (kind !== 'linear' && kind !== 'conv-transpose' && kind !== 'readout') refuse(`${name} has no known kind`);
    if (weightBits !== 8 && weightBits !== 4) refuse(`${name} has weightBits that are neither 8 nor 4`);
    const dimensions = kind === 'linear' ? 2 : 3;
    if (!Array.isArray(shape) || shape.length !== dimensions) refuse(`${name} must have ${dimensions} sizes`);
    return {
      name: name as string,
      kind: kind as LayerHeader['kind'],
      weightBits: weightBits as 8 | 4,
      bits: requireInteger(
        layer.bits,
        `${name} bits`,
        0,
        kind === 'readout' ? LIMITS.coefficientBits : LIMITS.fractionBits,
      ),
      shape: (shape as unknown[]).map((size) => requireInteger(size, `${name} size`, 1, LIMITS.neurons)),
    };
  });
  return {
    config: {
      channels: requireInteger(config.channels, 'channels', 1, 1024),
      imageSize: requireInteger(config.imageSize, 'imageSize', 1, 1024),
      latentChannels: requireInteger(config.latentChannels, 'latentChannels', 1, LIMITS.neurons),
      choices: requireInteger(config.choices, 'choices', 1, LIMITS.choices),
      timeSteps: requireInteger(config.timeSteps, 'timeSteps', 1, LIMITS.timeSteps),
    },
    leak: {
      multiplier: requireInteger(leak.multiplier, 'leak multiplier', 0, LIMITS.leakMultiplier),
      shift: requireInteger(leak.shift, 'leak shift', 0, LIMITS.leakShift),
    },
    priorLayers: requireInteger(root.priorLayers, 'priorLayers', 1, layers.length - 3),
    layers,
  };
}

/** Copies, so that the array is aligned and owns its bytes. (slice() would not: a Node Buffer's shares its memory.) */
function copyBytes(tensor: Tensor): ArrayBuffer {
  return new Uint8Array(tensor.data).buffer;
}

/**
 * Decodes a model and checks everything that the arithmetic relies on: shapes that fit each other, weights within
 * their bits, ascending pixel thresholds, non-negative thresholds, and the proof of rule B.
 *
 * @throws FsvaeError `input`, one line, naming the tensor
 */
export function decodeModel(bytes: Uint8Array): { model: IntegerModel; notes: Record<string, string> } {
  const { tensors, metadata } = parseSafetensors(bytes);
  if (!isModelFile(metadata)) refuse(`its metadata does not say format "${MODEL_FORMAT}"`);
  if (metadata.version !== String(MODEL_FORMAT_VERSION)) {
    refuse(`it has format version ${metadata.version}, but this program reads ${MODEL_FORMAT_VERSION}: quantize again`);
  }
  const header = readHeader(metadata.model);
  const used = new Set<string>();
  const take = (name: string, dtype: string, shape: number[]): ArrayBuffer => {
    const tensor = tensors.get(name);
    if (tensor === undefined) refuse(`tensor "${name}" is missing`);
    if (tensor.dtype !== dtype || tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i])) {
      refuse(`tensor "${name}" is ${tensor.dtype} [${tensor.shape}], but must be ${dtype} [${shape}]`);
    }
    used.add(name);
    return copyBytes(tensor);
  };
  const { config } = header;

  const arrays = (layer: LayerHeader): { weight: Int8Array; bias: Int32Array; scale: Float64Array } => {
    const channels = channelsOf(layer);
    const weight = new Int8Array(take(`${layer.name}.weight`, 'I8', weightShape(layer)));
    const limit = layer.weightBits === 8 ? 127 : 7;
    const outside = weight.findIndex((w) => w < -limit || w > limit);
    if (outside >= 0) {
      refuse(`"${layer.name}.weight"[${outside}] is ${weight[outside]}, outside -${limit} .. ${limit}`);
    }
    return {
      weight,
      bias: new Int32Array(take(`${layer.name}.bias`, 'I32', [channels])),
      scale: new Float64Array(take(`${layer.name}.scale`, 'F64', [channels])),
    };
  };
  const spiking = (layer: LayerHeader): SpikingLayer => {
    const threshold = new Int32Array(take(`${layer.name}.threshold`, 'I32', [channelsOf(layer)]));
    const negative = threshold.findIndex((value) => value < 0);
    if (negative >= 0) refuse(`"${layer.name}.threshold"[${negative}] is ${threshold[negative]}, but must be >= 0`);
    const { name, weightBits, bits: fractionBits } = layer;
    const base = { name, weightBits, fractionBits, threshold, ...arrays(layer) };
    if (layer.kind === 'linear') {
      return { ...base, kind: 'linear', outFeatures: layer.shape[0], inFeatures: layer.shape[1] };
    }
    const [inChannels, outChannels, inSize] = layer.shape;
    return { ...base, kind: 'conv-transpose', inChannels, outChannels, inSize };
  };
  const linear = (layer: LayerHeader, inFeatures: number): LinearLayer => {
    if (layer.kind !== 'linear') refuse(`${layer.name} must be a linear layer`);
    if (layer.shape[1] !== inFeatures) refuse(`${layer.name} takes ${layer.shape[1]} inputs, but gets ${inFeatures}`);
    return spiking(layer) as LinearLayer;
  };

  let width = config.latentChannels;
  const prior = header.layers.slice(0, header.priorLayers).map((layer) => {
    const read = linear(layer, width);
    width = read.outFeatures;
    return read;
  });
  if (width !== config.latentChannels * config.choices) {
    refuse(`the prior's last layer has ${width} outputs, but C * k is ${config.latentChannels * config.choices}`);
  }
  const decoderInput = linear(header.layers[header.priorLayers], config.latentChannels);

  const maps = header.layers.slice(header.priorLayers + 1, -1);
  const last = header.layers[header.layers.length - 1];
  if (last.kind !== 'readout') refuse('its last layer must be the readout');
  let [inChannels, , inSize] = maps[0].shape;
  if (decoderInput.outFeatures !== inChannels * inSize * inSize) {
    refuse(
      `${decoderInput.name} has ${decoderInput.outFeatures} outputs, but the next layer reads ${inChannels} x ${inSize} x ${inSize}`,
    );
  }
  const follow = (layer: LayerHeader): void => {
    if (layer.shape[0] !== inChannels || layer.shape[2] !== inSize) {
      refuse(
        `${layer.name} reads ${layer.shape[0]} x ${layer.shape[2]} x ${layer.shape[2]}, but gets ${inChannels} x ${inSize} x ${inSize}`,
      );
    }
  };
  const decoder = maps.map((layer) => {
    if (layer.kind !== 'conv-transpose') refuse(`${layer.name} must be a transposed convolution`);
    follow(layer);
    [, inChannels] = layer.shape;
    inSize *= 2;
    if (inChannels * inSize * inSize > LIMITS.neurons) refuse(`${layer.name} has more than ${LIMITS.neurons} neurons`);
    return spiking(layer) as ConvTransposeLayer;
  });
  follow(last);
  if (last.shape[1] !== config.channels || inSize !== config.imageSize) {
    refuse(
      `the readout gives ${last.shape[1]} x ${inSize} pixels, but the image is ${config.channels} x ${config.imageSize}`,
    );
  }
  const readout: ReadoutLayer = {
    kind: 'readout',
    name: last.name,
    weightBits: last.weightBits,
    inChannels,
    outChannels: config.channels,
    size: inSize,
    ...arrays(last),
    coefficientBits: last.bits,
    coefficients: new Int32Array(take(`${last.name}.coefficients`, 'I32', [config.timeSteps])),
    thresholds: new Int32Array(take(`${last.name}.thresholds`, 'I32', [config.channels, PIXEL_THRESHOLDS])),
  };
  if (readout.coefficients.some((coefficient) => coefficient < 0)) {
    refuse(`"${last.name}.coefficients" must not be negative`);
  }
  for (let i = 1; i < readout.thresholds.length; i++) {
    if (i % PIXEL_THRESHOLDS !== 0 && readout.thresholds[i] < readout.thresholds[i - 1]) {
      refuse(`"${last.name}.thresholds" must ascend, but entry ${i} does not`);
    }
  }
  const surplus = [...tensors.keys()].filter((name) => !used.has(name));
  if (surplus.length > 0) refuse(`it holds unexpected tensors: ${surplus.slice(0, 8).join(', ')}`);

  const model: IntegerModel = { config, leak: header.leak, prior, decoderInput, decoder, readout };
  proveBounds(model);
  const notes = Object.fromEntries(
    Object.entries(metadata).filter(([key]) => key !== 'format' && key !== 'version' && key !== 'model'),
  );
  return { model, notes };
}
