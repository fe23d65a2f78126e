/** Encoder and posterior, step by step (rules E1 to E5 of docs/arithmetic.md; paper eq. 10 to 12). */

import { type LayerBounds, layerBounds, membraneBounds, type Range, rangeOf, requireInt32 } from './bounds.js';
import type { ConvLayer, IntegerEncoder } from './encoder-model.js';
import { FsvaeError } from './errors.js';
import { outputNeurons, type SumWeights, sumWeights } from './layers.js';
import { type LifState, lifStep, restingState } from './lif.js';
import type { LinearLayer } from './model.js';

/** Rule E1: an 8-bit pixel as a whole number: -255 .. 255, all odd, 255 times what the float network sees. */
export function pixelInput(byte: number): number {
  return 2 * byte - 255;
}

function convNeurons(layer: ConvLayer): number {
  return (layer.inSize * layer.inSize * layer.outChannels) / 4;
}

/**
 * Rules E1, E2: what lies at (y, x) of channel `in`, times weight[out][in][ky][kx], is added to output (oy, ox) with
 * y = 2 oy + ky - 1 and x = 2 ox + kx - 1. Outside of the map lies 0.
 */
function sumConv(layer: ConvLayer): (input: ArrayLike<number>, sums: Int32Array) => void {
  const { inChannels, outChannels, inSize, weight } = layer;
  const outSize = inSize / 2;
  const taps = new Int8Array(weight.length); // [in][ky][kx][out]
  for (let o = 0; o < outChannels; o++) {
    for (let i = 0; i < inChannels; i++) {
      for (let k = 0; k < 9; k++) taps[(i * 9 + k) * outChannels + o] = weight[(o * inChannels + i) * 9 + k];
    }
  }
  return (input, sums) => {
    sums.fill(0);
    for (let y = 0; y < inSize; y++) {
      for (let x = 0; x < inSize; x++) {
        for (let i = 0; i < inChannels; i++) {
          const value = input[(y * inSize + x) * inChannels + i];
          if (value === 0) continue;
          for (let toY = y >> 1; toY <= (y + 1) >> 1 && toY < outSize; toY++) {
            for (let toX = x >> 1; toX <= (x + 1) >> 1 && toX < outSize; toX++) {
              const from = (i * 9 + (y + 1 - 2 * toY) * 3 + (x + 1 - 2 * toX)) * outChannels;
              const to = (toY * outSize + toX) * outChannels;
              for (let o = 0; o < outChannels; o++) sums[to + o] += value * taps[from + o];
            }
          }
        }
      }
    }
  };
}

interface RunningLayer {
  readonly state: LifState;
  readonly sums: Int32Array;
  step(input: Uint8Array): Uint8Array;
}

/** A row of an encoder's trace: the convolutions, before_latent_layer, the posterior's layers but the last, z. */
export interface EncoderRow {
  readonly name: string;
  readonly neurons: number;
}

export function encoderRows({ convolutions, latentInput, posterior, config }: IntegerEncoder): EncoderRow[] {
  return [
    ...convolutions.map((layer) => ({ name: layer.name, neurons: convNeurons(layer) })),
    ...[latentInput, ...posterior.slice(0, -1)].map(({ name, outFeatures }) => ({ name, neurons: outFeatures })),
    { name: 'z', neurons: config.latentChannels },
  ];
}

/** Runs an integer encoder. Keeps its state arrays between images; one instance encodes one image at a time. */
export class EncoderNetwork {
  private readonly sumPixels: (input: ArrayLike<number>, sums: Int32Array) => void;
  private readonly pixelSums: Int32Array;
  private readonly pixelState: LifState;
  /** The layers that see spikes, up to the C spikes of the image. */
  private readonly spiking: RunningLayer[];
  private readonly posterior: RunningLayer[];

  constructor(readonly encoder: IntegerEncoder) {
    const { leak, convolutions, latentInput, posterior } = encoder;
    const running = (layer: ConvLayer | LinearLayer): RunningLayer => {
      const neurons = layer.kind === 'conv' ? convNeurons(layer) : outputNeurons(layer);
      const addUp: SumWeights = layer.kind === 'conv' ? sumConv(layer) : sumWeights(layer);
      const state = restingState(neurons);
      const sums = new Int32Array(neurons);
      return {
        state,
        sums,
        step: (input) => {
          addUp(input, sums);
          lifStep(state, sums, layer, leak);
          return state.spikes;
        },
      };
    };
    const [first, ...others] = convolutions;
    this.sumPixels = sumConv(first);
    this.pixelSums = new Int32Array(convNeurons(first));
    this.pixelState = restingState(convNeurons(first));
    this.spiking = [...others, latentInput].map(running);
    this.posterior = posterior.map(running);
  }

  /**
   * The latent of an image.
   *
   * @param image channels * size * size bytes, channel-major
   * @param choices T * C indices, each 0 .. k - 1, from drawChoices()
   * @param observe called after each step of each row of encoderRows()
   * @returns z, T * C spikes, time-major
   */
  encode(
    image: Uint8Array,
    choices: Uint8Array,
    observe?: (row: number, step: number, spikes: Uint8Array, membrane: Int32Array) => void,
  ): Uint8Array {
    const { config, convolutions, leak } = this.encoder;
    const { timeSteps, latentChannels, choices: k, channels, imageSize } = config;
    const area = imageSize * imageSize;
    if (image.length !== channels * area) {
      throw new FsvaeError('input', `the image has ${image.length} bytes, the model takes ${channels * area}`);
    }
    const pixels = Int32Array.from({ length: channels * area }, (_, i) =>
      pixelInput(image[(i % channels) * area + Math.floor(i / channels)]),
    );
    for (const { carried } of [this.pixelState, ...[...this.spiking, ...this.posterior].map(({ state }) => state)]) {
      carried.fill(0);
    }
    this.sumPixels(pixels, this.pixelSums); // rule E1: once, whatever T is
    const z = new Uint8Array(timeSteps * latentChannels);
    const input = new Uint8Array(2 * latentChannels);
    const picked = new Uint8Array(latentChannels);
    const pickedMembrane = new Int32Array(latentChannels);
    const last = this.posterior.length - 1;
    for (let t = 0; t < timeSteps; t++) {
      lifStep(this.pixelState, this.pixelSums, convolutions[0], leak);
      let spikes = this.pixelState.spikes;
      let row = 0;
      observe?.(row++, t, spikes, this.pixelState.membrane);
      for (const layer of this.spiking) {
        spikes = layer.step(spikes);
        observe?.(row++, t, spikes, layer.state.membrane);
      }
      input.set(spikes);
      input.set(picked, latentChannels); // all 0 at the first step
      spikes = input;
      this.posterior.forEach((layer, i) => {
        spikes = layer.step(spikes);
        if (i < last) observe?.(row++, t, spikes, layer.state.membrane);
      });
      const { membrane } = this.posterior[last].state;
      for (let c = 0; c < latentChannels; c++) {
        const chosen = k * c + choices[t * latentChannels + c];
        picked[c] = spikes[chosen];
        pickedMembrane[c] = membrane[chosen];
      }
      z.set(picked, t * latentChannels);
      observe?.(row, t, picked, pickedMembrane);
    }
    return z;
  }
}

/** Rules B1, B2 for a convolution; of the first layer with inputs of up to 255 either way. */
function convBounds(layer: ConvLayer, first: boolean, { leak }: IntegerEncoder, timeSteps: number): LayerBounds {
  const { inChannels, outChannels, weight, bias, threshold, fractionBits } = layer;
  let sum: Range = { min: 0, max: 0 };
  let membrane: Range = { min: 0, max: 0 };
  for (let o = 0; o < outChannels; o++) {
    let [negative, positive] = [0, 0];
    for (let i = 0; i < 9 * inChannels; i++) {
      const w = weight[o * 9 * inChannels + i];
      if (w < 0) negative += w;
      else positive += w;
    }
    const reach = 255 * (positive - negative);
    const own: Range = first ? { min: -reach, max: reach } : { min: negative, max: positive };
    const u = membraneBounds(own, bias[o], threshold[o], fractionBits, leak, timeSteps);
    sum = { min: Math.min(sum.min, own.min), max: Math.max(sum.max, own.max) };
    membrane = { min: Math.min(membrane.min, u.min), max: Math.max(membrane.max, u.max) };
  }
  return {
    name: layer.name,
    sum,
    membrane,
    threshold: rangeOf(threshold),
    bias: rangeOf(bias),
    fanIn: 9 * inChannels,
  };
}

/**
 * Rule B for encoder and posterior.
 *
 * @throws FsvaeError `input` where a sum, a membrane, or a membrane times the leak's multiplier could leave 32 bits
 */
export function proveEncoderBounds(encoder: IntegerEncoder): LayerBounds[] {
  const { config, leak, convolutions, latentInput, posterior } = encoder;
  const { timeSteps } = config;
  const bounds = [
    ...convolutions.map((layer, i) => convBounds(layer, i === 0, encoder, timeSteps)),
    ...[latentInput, ...posterior].map((layer) => layerBounds(layer, leak, timeSteps)),
  ];
  return bounds.map((layer) => requireInt32(layer, leak));
}
