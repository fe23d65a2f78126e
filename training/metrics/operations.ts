/**
 * Additions and multiplications of one image (the paper's Table 2), counted exactly from the spikes of real passes, beside the
 * authors' way of counting. docs/evaluation.md says what is counted and where theirs differs.
 */

import { values } from '../engine/wasm.js';
import type { ModelShape } from '../config/config.js';
import type { Fsvae } from '../model/fsvae.js';
import {
  type Connection,
  connectionsOf,
  denseOperations,
  fanOuts,
  neuronsOf,
  type VaeConnections,
} from './connections.js';

export interface Operations {
  readonly additions: number;
  readonly multiplications: number;
}

/** One layer, of one image in the mean. */
export interface LayerOperations extends Operations {
  readonly name: string;
  readonly neurons: number;
  /** Spikes that arrive, over all steps; 0 for the first convolution, which sees the image. */
  readonly inputSpikes: number;
  /** Spikes that it fires, over all steps; 0 for the readout. */
  readonly spikes: number;
  /** By the formulas of the authors' code, with the posterior's passes as often as it makes them. */
  readonly authors: Operations;
}

export interface OperationCount extends Operations {
  readonly layers: readonly LayerOperations[];
  /** The authors' formulas for the whole, their pass of the prior included. */
  readonly authors: Operations;
}

/** The authors' code divides its sums by the number of batches; this many images are in one. */
export const AUTHORS_BATCH = 250;

function total(parts: readonly Operations[]): Operations {
  return {
    additions: parts.reduce((sum, { additions }) => sum + additions, 0),
    multiplications: parts.reduce((sum, { multiplications }) => sum + multiplications, 0),
  };
}

/** Sums over images, for each time step. */
interface LayerSums {
  readonly connection: Connection;
  readonly fanOuts: Uint32Array;
  readonly arriving: Float64Array;
  /** Outputs that those spikes reach: weights added. */
  readonly reached: Float64Array;
  readonly spikes: Float64Array;
}

/** How often the authors' code runs a layer's time step t. */
type Passes = (t: number) => number;
const ONCE: Passes = () => 1;

/** Watches the passes of a float network and counts. */
export class OperationCounter {
  private readonly connections: VaeConnections;
  private readonly layers: LayerSums[];
  private readonly readout: LayerSums;
  private images = 0;

  constructor(
    private readonly shape: ModelShape,
    private readonly model: Fsvae,
  ) {
    this.connections = connectionsOf(shape, 'fsvae');
    const { encoder, toLatent, posterior, prior, decoder, readout } = this.connections;
    this.layers = [...encoder, ...toLatent, ...posterior, ...prior, ...decoder].map((one) => this.sums(one));
    this.readout = this.sums(readout);
  }

  private sums(connection: Connection): LayerSums {
    const zeros = (): Float64Array => new Float64Array(this.shape.timeSteps);
    return { connection, fanOuts: fanOuts(connection), arriving: zeros(), reached: zeros(), spikes: zeros() };
  }

  /**
   * Runs `pass`, one reconstruction or sampling of all T steps, and adds what it does.
   *
   * @param images of this pass
   */
  watch<T>(images: number, pass: () => T): T {
    const { timeSteps } = this.shape;
    this.images += images;
    this.model.layers.forEach((layer, i) => {
      const sums = this.layers[i];
      const sampled = sums.connection.name.startsWith('prior.');
      let step = 0;
      layer.observe = (input, spikes, steps) => {
        // A pass of fewer steps looks for the posterior's z, and all of them are made again; the prior that samples has no other.
        if (steps < timeSteps && !sampled) return;
        if (i > 0) addArriving(sums, values(input), steps, step);
        addSpikes(sums.spikes, values(spikes), steps, step);
        if (i === this.layers.length - 1) addArriving(this.readout, values(spikes), steps, step);
        step += steps;
      };
    });
    try {
      return pass();
    } finally {
      for (const layer of this.model.layers) layer.observe = undefined;
    }
  }

  /** Encoder, posterior and decoder, in the mean over the images of the reconstructions watched. */
  reconstruction(): OperationCount {
    const { timeSteps: T } = this.shape;
    const layers = this.layers.map((sums, i) => {
      const isPosterior = sums.connection.name.startsWith('posterior.');
      return this.spiking(sums, i === 0, isPosterior ? (t) => T - t : ONCE);
    });
    const all = [...layers, this.membrane()];
    // The prior is run for the loss alone.
    const own = all.filter(({ name }) => !name.startsWith('prior.'));
    return { ...total(own), layers: own, authors: total(all.map(({ authors }) => authors)) };
  }

  /** Prior and decoder, in the mean over the images of the samples watched. */
  generation(): OperationCount {
    const { timeSteps: T } = this.shape;
    const { prior, decoder } = this.connections;
    const names = new Set([...prior, ...decoder].map(({ name }) => name));
    const layers = this.layers
      .filter(({ connection }) => names.has(connection.name))
      .map((sums) => this.spiking(sums, false, sums.connection.name.startsWith('prior.') ? (t) => T - t : ONCE));
    const all = [...layers, this.membrane()];
    return { ...total(all), layers: all, authors: total(all.map(({ authors }) => authors)) };
  }

  private mean(sums: Float64Array, factor: (t: number) => number = () => 1): number {
    return sums.reduce((sum, value, t) => sum + value * factor(t), 0) / this.images;
  }

  private spiking(sums: LayerSums, seesImage: boolean, passes: Passes): LayerOperations {
    const { timeSteps: T } = this.shape;
    const { connection } = sums;
    const neurons = neuronsOf(connection);
    // A neuron that has fired starts again from 0, and none has anything to carry into the first step.
    const carried = (T - 1) * neurons - this.mean(sums.spikes, (t) => (t < T - 1 ? 1 : 0));
    const currents = seesImage ? denseOperations(connection) : this.mean(sums.reached);
    const steps = Array.from({ length: T }, (_, t) => passes(t)).reduce((sum, count) => sum + count, 0);
    const theirs = authorsCurrents(connection, seesImage ? steps : undefined, this.mean(sums.arriving, passes));
    const bias = seesImage ? steps * connection.inputs * connection.size ** 2 : steps * neurons;
    return {
      name: connection.name,
      neurons,
      inputSpikes: this.mean(sums.arriving),
      spikes: this.mean(sums.spikes),
      additions: currents + carried,
      multiplications: (seesImage ? currents : 0) + carried,
      authors: {
        additions: theirs + bias + steps * neurons,
        multiplications: (seesImage ? theirs : 0) + steps * neurons - this.mean(sums.spikes, passes),
      },
    };
  }

  /** Output neurons that never fire: u = 0.8 u + current. */
  private membrane(): LayerOperations {
    const { timeSteps: T } = this.shape;
    const { connection, arriving, reached } = this.readout;
    const neurons = neuronsOf(connection);
    const carried = (T - 1) * neurons;
    const inputSpikes = this.mean(arriving);
    return {
      name: connection.name,
      neurons,
      inputSpikes,
      spikes: 0,
      additions: this.mean(reached) + carried,
      multiplications: carried,
      authors: { additions: authorsCurrents(connection, undefined, inputSpikes) + T * neurons, multiplications: 0 },
    };
  }
}

function addSpikes(into: Float64Array, spikes: Float32Array, steps: number, first: number): void {
  const perStep = spikes.length / steps;
  for (let t = 0; t < steps; t++) {
    let sum = 0;
    for (let i = t * perStep; i < (t + 1) * perStep; i++) sum += spikes[i];
    into[first + t] += sum;
  }
}

function addArriving(
  { arriving, reached, fanOuts }: LayerSums,
  input: Float32Array,
  steps: number,
  first: number,
): void {
  const perStep = input.length / steps;
  for (let t = 0; t < steps; t++) {
    let [spikes, outputs] = [0, 0];
    for (let from = t * perStep; from < (t + 1) * perStep; from += fanOuts.length) {
      for (let i = 0; i < fanOuts.length; i++) {
        if (input[from + i] === 0) continue;
        spikes++;
        outputs += fanOuts[i];
      }
    }
    arriving[first + t] += spikes;
    reached[first + t] += outputs;
  }
}

/**
 * CountMulAddSNN of the authors' utils.py, without its biases: spikes times 9 times outputs, divided by stride^2 for a
 * convolution and multiplied by it for a transposed one, which is stride^2 too many.
 *
 * @param imageSteps for the first convolution, how often it sees the whole image
 */
function authorsCurrents(
  { kind, inputs, outputs, size, stride }: Connection,
  imageSteps: number | undefined,
  arriving: number,
): number {
  const elements = imageSteps === undefined ? arriving : imageSteps * inputs * size * size;
  if (kind === 'linear') return elements * outputs;
  return elements * 9 * outputs * (kind === 'convolution' ? 1 / stride ** 2 : stride ** 2);
}

/** What the ANN VAE of the same shape does, which no image changes. */
export interface AnnOperations {
  /** Encoder, latent and decoder. */
  readonly reconstruction: Operations;
  /** Decoder alone. */
  readonly generation: Operations;
  /** CountMulAddANN of the authors' utils.py, for a reconstruction. */
  readonly authors: Operations;
}

/**
 * Multiply-adds of convolutions and linear layers with BatchNorm folded in, the bias being the first summand, and drawing
 * the latent (mean + exp(log-variance / 2) * normal number). LeakyReLU's multiplications depend on the image and are left out.
 */
export function annOperations(shape: ModelShape): AnnOperations {
  const { encoder, toLatent, decoder, readout } = connectionsOf(shape, 'vae');
  const dense = (connections: readonly Connection[]): Operations => {
    const count = connections.reduce((sum, one) => sum + denseOperations(one), 0);
    return { additions: count, multiplications: count };
  };
  const latent = { additions: shape.latentChannels, multiplications: 2 * shape.latentChannels };
  const generation = dense([...decoder, readout]);
  const all = [...encoder, ...toLatent, ...decoder, readout];
  const theirs = all.map(({ kind, inputs, outputs, size, stride }): Operations => {
    const elements = inputs * size * size;
    // Both sizes are the input's in their code: a linear layer counts inputs^2, and as many biases as it has inputs.
    const multiplications =
      kind === 'linear'
        ? inputs ** 2
        : elements * 9 * outputs * (kind === 'convolution' ? 1 / stride ** 2 : stride ** 2);
    return { multiplications, additions: multiplications + elements };
  });
  return {
    reconstruction: total([dense([...encoder, ...toLatent]), latent, generation]),
    generation,
    authors: total(theirs),
  };
}
