/**
 * The float network, layer by layer over all time steps. Spike trains are Uint8Array, T x neurons, time-major; neurons
 * of maps are position-major, (y * size + x) * channels + channel, those of decoder_input too.
 */

import type { FloatConv, FloatConvTranspose, FloatLinear, FloatModel, FloatReadout } from './network.js';

/** Sum of a neuron's weights over the inputs, bias included: `currents` is overwritten. Inputs are spikes, or pixels. */
type Currents = (input: ArrayLike<number>, currents: Float64Array) => void;

function linearCurrents(layer: FloatLinear): Currents {
  const { inFeatures, outFeatures, weight, bias } = layer;
  const column = new Float64Array(weight.length); // [in][out]
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) column[i * outFeatures + o] = weight[o * inFeatures + i];
  }
  return (input, currents) => {
    currents.set(bias);
    for (let i = 0; i < inFeatures; i++) {
      const value = input[i];
      if (value === 0) continue;
      const start = i * outFeatures;
      for (let o = 0; o < outFeatures; o++) currents[o] += value * column[start + o];
    }
  };
}

function convTransposeCurrents(layer: FloatConvTranspose): Currents {
  const { inChannels, outChannels, inSize, weight, bias } = layer;
  const outSize = 2 * inSize;
  const taps = new Float64Array(weight.length); // [in][ky][kx][out]
  for (let i = 0; i < inChannels; i++) {
    for (let o = 0; o < outChannels; o++) {
      for (let k = 0; k < 9; k++) taps[(i * 9 + k) * outChannels + o] = weight[(i * outChannels + o) * 9 + k];
    }
  }
  return (input, currents) => {
    for (let position = 0; position < outSize * outSize; position++) currents.set(bias, position * outChannels);
    for (let y = 0; y < inSize; y++) {
      for (let x = 0; x < inSize; x++) {
        for (let i = 0; i < inChannels; i++) {
          if (input[(y * inSize + x) * inChannels + i] === 0) continue;
          const firstKx = x === 0 ? 1 : 0;
          const run = (3 - firstKx) * outChannels;
          for (let ky = y === 0 ? 1 : 0; ky < 3; ky++) {
            const from = (i * 9 + ky * 3 + firstKx) * outChannels;
            const to = ((2 * y + ky - 1) * outSize + 2 * x + firstKx - 1) * outChannels;
            for (let o = 0; o < run; o++) currents[to + o] += taps[from + o];
          }
        }
      }
    }
  };
}

/** Kernel 3, stride 2, padding 1: what lies at (y, x) reaches (floor(y / 2), x / 2 likewise), and at odd places the next. */
function convCurrents(layer: FloatConv): Currents {
  const { inChannels, outChannels, inSize, weight, bias } = layer;
  const outSize = inSize / 2;
  const taps = new Float64Array(weight.length); // [in][ky][kx][out]
  for (let o = 0; o < outChannels; o++) {
    for (let i = 0; i < inChannels; i++) {
      for (let k = 0; k < 9; k++) taps[(i * 9 + k) * outChannels + o] = weight[(o * inChannels + i) * 9 + k];
    }
  }
  return (input, currents) => {
    for (let position = 0; position < outSize * outSize; position++) currents.set(bias, position * outChannels);
    for (let y = 0; y < inSize; y++) {
      for (let x = 0; x < inSize; x++) {
        for (let i = 0; i < inChannels; i++) {
          const value = input[(y * inSize + x) * inChannels + i];
          if (value === 0) continue;
          for (let toY = y >> 1; toY <= (y + 1) >> 1 && toY < outSize; toY++) {
            for (let toX = x >> 1; toX <= (x + 1) >> 1 && toX < outSize; toX++) {
              const from = (i * 9 + (y + 1 - 2 * toY) * 3 + (x + 1 - 2 * toX)) * outChannels;
              const to = (toY * outSize + toX) * outChannels;
              for (let o = 0; o < outChannels; o++) currents[to + o] += value * taps[from + o];
            }
          }
        }
      }
    }
  };
}

type FloatSpiking = FloatLinear | FloatConvTranspose | FloatConv;

/** Rearranged weights are kept as long as their layer is: rearranging costs as much as running. */
const currentsOf = new WeakMap<FloatSpiking, Currents>();

function currentsFor(layer: FloatSpiking): Currents {
  let currents = currentsOf.get(layer);
  if (currents === undefined) {
    currents =
      layer.kind === 'linear'
        ? linearCurrents(layer)
        : layer.kind === 'conv'
          ? convCurrents(layer)
          : convTransposeCurrents(layer);
    currentsOf.set(layer, currents);
  }
  return currents;
}

/** Neurons of a layer's output. */
export function floatNeurons(layer: FloatSpiking): number {
  if (layer.kind === 'linear') return layer.outFeatures;
  const area = layer.inSize * layer.inSize * layer.outChannels;
  return layer.kind === 'conv' ? area / 4 : 4 * area;
}

/** One layer that can be run step by step. */
export class FloatLayerState {
  readonly neurons: number;
  readonly spikes: Uint8Array;
  /** Before reset: what was compared with the threshold. */
  readonly membrane: Float64Array;
  private readonly carried: Float64Array;
  private readonly currents: Currents;

  constructor(
    layer: FloatSpiking,
    private readonly tau: number,
    private readonly threshold: number,
  ) {
    this.neurons = floatNeurons(layer);
    this.currents = currentsFor(layer);
    this.spikes = new Uint8Array(this.neurons);
    this.membrane = new Float64Array(this.neurons);
    this.carried = new Float64Array(this.neurons);
  }

  /** Paper eq. 1 to 3. */
  step(input: ArrayLike<number>): Uint8Array {
    const { membrane, carried, spikes, tau, threshold } = this;
    this.currents(input, membrane);
    for (let n = 0; n < membrane.length; n++) {
      const u = tau * carried[n] + membrane[n];
      const fires = u > threshold;
      membrane[n] = u;
      spikes[n] = fires ? 1 : 0;
      carried[n] = fires ? 0 : u;
    }
    return spikes;
  }
}

/**
 * One layer over all steps. Maps are position-major: T x inSize x inSize x inChannels in, twice as large out.
 *
 * @param input T x inputs spikes
 * @param membranes takes T x outputs membranes before reset
 * @returns T x outputs spikes
 */
export function runLayer(
  layer: FloatLinear | FloatConvTranspose,
  input: Uint8Array,
  timeSteps: number,
  tau: number,
  threshold: number,
  membranes?: Float64Array,
): Uint8Array {
  const state = new FloatLayerState(layer, tau, threshold);
  const inputs = input.length / timeSteps;
  const spikes = new Uint8Array(timeSteps * state.neurons);
  for (let t = 0; t < timeSteps; t++) {
    spikes.set(state.step(input.subarray(t * inputs, (t + 1) * inputs)), t * state.neurons);
    membranes?.set(state.membrane, t * state.neurons);
  }
  return spikes;
}

/** From channel-major (a checkpoint's order of decoder_input) to position-major, step by step. */
export function toPositionMajor<A extends Uint8Array | Float64Array>(
  values: A,
  timeSteps: number,
  channels: number,
): A {
  const neurons = values.length / timeSteps;
  const area = neurons / channels;
  const sorted = values.slice() as A;
  for (let t = 0; t < timeSteps; t++) {
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < area; p++) sorted[t * neurons + p * channels + c] = values[t * neurons + c * area + p];
    }
  }
  return sorted;
}

/**
 * Paper eq. 21: the last convolution at every step, the output membrane's coefficients over time, tanh.
 *
 * @param spikes T x size x size x inChannels
 * @returns the image in -1 .. 1, channel-major
 */
export function runReadout(readout: FloatReadout, spikes: Uint8Array, timeSteps: number): Float64Array {
  const { inChannels, outChannels, size, weight, bias, coefficients } = readout;
  const neurons = size * size * inChannels;
  const weighted = new Float64Array(neurons);
  let total = 0;
  for (let t = 0; t < timeSteps; t++) {
    total += coefficients[t];
    for (let n = 0; n < neurons; n++) if (spikes[t * neurons + n] !== 0) weighted[n] += coefficients[t];
  }
  const image = new Float64Array(outChannels * size * size);
  for (let o = 0; o < outChannels; o++) image.fill(total * bias[o], o * size * size, (o + 1) * size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let i = 0; i < inChannels; i++) {
        const value = weighted[(y * size + x) * inChannels + i];
        if (value === 0) continue;
        for (let ky = 0; ky < 3; ky++) {
          const toY = y + ky - 1;
          if (toY < 0 || toY >= size) continue;
          for (let kx = 0; kx < 3; kx++) {
            const toX = x + kx - 1;
            if (toX < 0 || toX >= size) continue;
            for (let o = 0; o < outChannels; o++) {
              image[(o * size + toY) * size + toX] += value * weight[(i * outChannels + o) * 9 + ky * 3 + kx];
            }
          }
        }
      }
    }
  }
  return image.map(Math.tanh);
}

export interface PriorRun {
  /** T x neurons spikes of each layer. */
  readonly layers: Uint8Array[];
  /** T x C picked spikes. */
  readonly z: Uint8Array;
}

/**
 * The prior, step by step from its own choices (paper eq. 9 and 13).
 *
 * @param choices T x C indices, each 0 .. k - 1
 */
export function runPrior(model: FloatModel, choices: Uint8Array): PriorRun {
  const { timeSteps, latentChannels, choices: k } = model.config;
  const states = model.prior.map((layer) => new FloatLayerState(layer, model.tau, model.threshold));
  const layers = states.map((state) => new Uint8Array(timeSteps * state.neurons));
  const z = new Uint8Array(timeSteps * latentChannels);
  let input: Uint8Array = new Uint8Array(latentChannels);
  for (let t = 0; t < timeSteps; t++) {
    let spikes = input;
    states.forEach((state, i) => {
      spikes = state.step(spikes);
      layers[i].set(spikes, t * state.neurons);
    });
    input = z.subarray(t * latentChannels, (t + 1) * latentChannels);
    for (let c = 0; c < latentChannels; c++) input[c] = spikes[k * c + choices[t * latentChannels + c]];
  }
  return { layers, z };
}

export interface DecoderRun {
  /** T x neurons spikes of decoder_input (position-major), decoder.* and final_layer.0. */
  readonly layers: Uint8Array[];
  /** In -1 .. 1, channel-major. */
  readonly image: Float64Array;
}

/** @param z T x C spikes */
export function runDecoder(model: FloatModel, z: Uint8Array): DecoderRun {
  const { timeSteps } = model.config;
  const first = runLayer(model.decoderInput, z, timeSteps, model.tau, model.threshold);
  const layers = [toPositionMajor(first, timeSteps, model.decoder[0].inChannels)];
  for (const layer of model.decoder) {
    layers.push(runLayer(layer, layers[layers.length - 1], timeSteps, model.tau, model.threshold));
  }
  return { layers, image: runReadout(model.readout, layers[layers.length - 1], timeSteps) };
}
