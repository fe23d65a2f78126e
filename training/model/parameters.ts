/**
 * Every tensor of the network under the name and in the shape that the authors' code gives it, so that a trained network
 * is a checkpoint like any other.
 */

import type { ModelShape } from '../config/config.js';
import { RandomSequence } from '../random/philox.js';

export interface NamedArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The tensors of a network, as the trainer sees them. */
export interface NetworkTensors {
  /** What the optimiser changes, in a fixed order. */
  readonly trained: readonly NamedArray[];
  /** What training keeps without a gradient: running estimates of batch normalisation. */
  readonly running: readonly NamedArray[];
  /** What the network's state_dict holds besides. */
  readonly constants: readonly NamedArray[];
}

/** Tensors of a layer with batch normalisation. */
export interface LayerParameters {
  readonly name: string;
  readonly weight: NamedArray;
  readonly bias: NamedArray;
  /** Of the normalisation: gamma, beta and the running estimates. */
  readonly gamma: NamedArray;
  readonly beta: NamedArray;
  readonly runningMean: NamedArray;
  readonly runningVariance: NamedArray;
}

/** Tensors of a layer without: the last one. */
export interface ReadoutParameters {
  readonly name: string;
  readonly weight: NamedArray;
  readonly bias: NamedArray;
}

export interface Parameters extends NetworkTensors {
  readonly encoder: readonly LayerParameters[];
  readonly beforeLatent: LayerParameters;
  readonly prior: readonly LayerParameters[];
  readonly posterior: readonly LayerParameters[];
  readonly decoderInput: LayerParameters;
  readonly decoder: readonly LayerParameters[];
  readonly readout: ReadoutParameters;
}

/** alpha of tdBN: in posterior and prior, else. */
export const ALPHA_LATENT = 2;
export const ALPHA = 1;

/** Layers that a device runs and that spike, in order. */
export function generatorLayers({ prior, decoderInput, decoder }: Parameters): LayerParameters[] {
  return [...prior, decoderInput, ...decoder];
}

/** Collects tensors and draws their first values; each has a sequence of its own. */
export class Builder {
  readonly trained: NamedArray[] = [];
  readonly running: NamedArray[] = [];

  constructor(private readonly seed: number) {}

  private add(list: NamedArray[], name: string, shape: readonly number[], value: number): NamedArray {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value);
    const array = { name, shape, data };
    list.push(array);
    return array;
  }

  /** PyTorch's default for linear layers and convolutions: uniform within 1 / sqrt(fan-in). */
  private uniform(name: string, shape: readonly number[], fanIn: number): NamedArray {
    const random = new RandomSequence(this.seed, 'weights', this.trained.length);
    const array = this.add(this.trained, name, shape, 0);
    const bound = 1 / Math.sqrt(fanIn);
    for (let i = 0; i < array.data.length; i++) array.data[i] = bound * (2 * random.uniform() - 1);
    return array;
  }

  /** @param fanIn as PyTorch counts it: the weight's second size times the kernel's area, also in transposed convolutions */
  readout(name: string, shape: readonly number[], outputs: number): ReadoutParameters {
    const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
    return {
      name,
      weight: this.uniform(`${name}.weight`, shape, fanIn),
      bias: this.uniform(`${name}.bias`, [outputs], fanIn),
    };
  }

  /** @param norm name of its normalisation */
  layer(name: string, shape: readonly number[], outputs: number, norm = `${name}.bn`): LayerParameters {
    return {
      ...this.readout(name, shape, outputs),
      gamma: this.add(this.trained, `${norm}.weight`, [outputs], 1),
      beta: this.add(this.trained, `${norm}.bias`, [outputs], 0),
      runningMean: this.add(this.running, `${norm}.running_mean`, [outputs], 0),
      runningVariance: this.add(this.running, `${norm}.running_var`, [outputs], 1),
    };
  }
}

/** Width of the bottom map in pixels. */
export function bottomSize({ imageSize, hiddenChannels }: Pick<ModelShape, 'imageSize' | 'hiddenChannels'>): number {
  return imageSize / 2 ** hiddenChannels.length;
}

/** All tensors, with their first values drawn from the seed. */
export function createParameters(shape: ModelShape, seed: number): Parameters {
  const { channels, hiddenChannels, latentChannels: c, choices } = shape;
  const build = new Builder(seed);
  const widths = [channels, ...hiddenChannels];
  const bottom = widths[widths.length - 1] * bottomSize(shape) ** 2;
  const chain = (prefix: string, sizes: readonly number[]): LayerParameters[] =>
    sizes.slice(1).map((out, i) => build.layer(`${prefix}.layers.${i}`, [out, sizes[i]], out));

  const encoder = hiddenChannels.map((out, i) => build.layer(`encoder.${i}`, [out, widths[i], 3, 3, 1], out));
  const beforeLatent = build.layer('before_latent_layer', [c, bottom], c);
  const prior = chain('prior', [c, 2 * c, 4 * c, choices * c]);
  const posterior = chain('posterior', [2 * c, 2 * c, 4 * c, choices * c]);
  const decoderInput = build.layer('decoder_input', [bottom, c], bottom);
  const down = [...hiddenChannels].reverse();
  const decoder = down.map((from, i) => {
    const last = i === down.length - 1;
    const to = last ? from : down[i + 1];
    return build.layer(last ? 'final_layer.0' : `decoder.${i}`, [from, to, 3, 3, 1], to);
  });
  const readout = build.readout('final_layer.1', [down[down.length - 1], channels, 3, 3, 1], channels);
  return {
    encoder,
    beforeLatent,
    prior,
    posterior,
    decoderInput,
    decoder,
    readout,
    trained: build.trained,
    running: build.running,
    constants: constantTensors(shape),
  };
}

/** Weight of each time step in the output membrane (paper eq. 21), as the authors' code stores it. */
export function readoutCoefficients(timeSteps: number): Float32Array {
  return Float32Array.from({ length: timeSteps }, (_, t) => 0.8 ** (timeSteps - 1 - t));
}

/** What the authors' state_dict holds besides weights and running estimates. */
function constantTensors({ latentChannels, timeSteps }: ModelShape): NamedArray[] {
  const zeros = new Float32Array(latentChannels);
  return [
    { name: 'prior.initial_input', shape: [1, latentChannels, 1], data: zeros },
    { name: 'posterior.initial_input', shape: [1, latentChannels, 1], data: zeros },
    {
      name: 'membrane_output_layer.coef',
      shape: [1, 1, 1, 1, timeSteps],
      data: readoutCoefficients(timeSteps),
    },
  ];
}
