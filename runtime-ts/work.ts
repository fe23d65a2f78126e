/**
 * The work that drawing one image takes, counted exactly. The spikes are the plain network's; of the prior's last layer
 * only what a lazy layer evaluates is counted, because that is all that the firmware does.
 */

import { type LazyWork, LazyLayer } from './lazy-layer.js';
import { inputNeurons, outputNeurons } from './layers.js';
import type { IntegerModel, SpikingLayer } from './model.js';
import type { Network } from './network.js';

/** One spiking layer, over all steps of one image. */
export interface LayerWork {
  readonly name: string;
  /** Spikes that arrive. */
  readonly inputSpikes: number;
  /**
   * Channels of the input map that fire at all, counted for each row of the map on its own; of a linear layer the inputs
   * that do. It says which weights are read at least once: half of the neurons never fire for a given image.
   */
  readonly activeInputs: number;
  /** Spikes that it fires; of the prior's last layer those of the chosen neurons, which are z. */
  readonly spikes: number;
  /** Weights added (rules S2, S3): for each spike that arrives, one for each output that it reaches. */
  readonly synapticOperations: number;
  /** Neurons updated (rules L1 to L4), once for each step; of the prior's last layer those evaluated. */
  readonly lifUpdates: number;
}

export interface ImageWork {
  /** The prior's layers, decoder_input, and the decoder's, in order. The readout, which is no spiking layer, is not among them. */
  readonly layers: readonly LayerWork[];
  /** Spike trains with a spike in them that the readout weighs (rule R1), of the last spiking layer's neurons. */
  readonly readoutTrains: number;
  /** Sums over the layers. */
  readonly spikes: number;
  readonly synapticOperations: number;
  readonly lifUpdates: number;
}

/** Outputs that a spike of each input neuron reaches: fewer at two of a map's borders (rule S3). */
export function fanOuts(layer: SpikingLayer): Uint32Array {
  if (layer.kind === 'linear') return new Uint32Array(layer.inFeatures).fill(layer.outFeatures);
  const { inChannels, outChannels, inSize } = layer;
  const reach = (at: number): number => (at === 0 ? 2 : 3);
  return Uint32Array.from({ length: inputNeurons(layer) }, (_, neuron) => {
    const position = Math.floor(neuron / inChannels);
    return reach(Math.floor(position / inSize)) * reach(position % inSize) * outChannels;
  });
}

/** Counts the work of images of one model. */
export class WorkCounter {
  private readonly layers: readonly SpikingLayer[];
  private readonly fanOuts: readonly Uint32Array[];
  private readonly inputs: readonly { rowLength: number; channels: number }[];
  private readonly lazy: LazyLayer;
  private readonly lazyWork: LazyWork = { evaluations: 0, synapticOperations: 0 };

  /** @param network one of this model; it is run by count() */
  constructor(
    private readonly model: IntegerModel,
    private readonly network: Network,
  ) {
    this.layers = [...model.prior, model.decoderInput, ...model.decoder];
    this.fanOuts = this.layers.map(fanOuts);
    this.inputs = this.layers.map((layer) =>
      layer.kind === 'linear'
        ? { rowLength: layer.inFeatures, channels: layer.inFeatures }
        : { rowLength: layer.inSize * layer.inChannels, channels: layer.inChannels },
    );
    const last = model.prior[model.prior.length - 1];
    this.lazy = new LazyLayer(last, model.leak, model.config.timeSteps, this.lazyWork);
  }

  /** @param choices T * C indices, each 0 .. k - 1, from drawChoices() */
  count(choices: Uint8Array): ImageWork {
    const { timeSteps, latentChannels, choices: k } = this.model.config;
    const last = this.model.prior.length - 1;
    const arriving = new Float64Array(this.layers.length);
    const active = this.layers.map((layer) =>
      layer.kind === 'linear' ? new Uint8Array(layer.inFeatures) : new Uint8Array(layer.inSize * layer.inChannels),
    );
    const fired = new Float64Array(this.layers.length);
    const operations = new Float64Array(this.layers.length);
    const weighed = new Uint8Array(outputNeurons(this.layers[this.layers.length - 1]));
    const arrive = (layer: number, spikes: Uint8Array): void => {
      const reached = this.fanOuts[layer];
      const { rowLength, channels } = this.inputs[layer];
      for (let i = 0; i < spikes.length; i++) {
        if (spikes[i] === 0) continue;
        arriving[layer]++;
        operations[layer] += reached[i];
        active[layer][Math.floor(i / rowLength) * channels + (i % channels)] = 1;
      }
    };
    this.lazy.reset();
    this.lazyWork.evaluations = 0;
    this.lazyWork.synapticOperations = 0;
    // Rows of a trace are the choices, then the layers, where z stands for the prior's last one.
    const observe = (row: number, step: number, spikes: Uint8Array): void => {
      const layer = row - 1;
      for (const spike of spikes) fired[layer] += spike;
      if (layer === last - 1) this.lazy.step(spikes);
      if (layer === last) {
        for (let c = 0; c < latentChannels; c++) this.lazy.fires(k * c + choices[step * latentChannels + c]);
        // z is what the decoder reads now and what the prior reads at the next step.
        arrive(last + 1, spikes);
        if (step + 1 < timeSteps) {
          arrive(0, spikes);
          if (last === 0) this.lazy.step(spikes);
        }
      } else if (layer + 1 < this.layers.length) arrive(layer + 1, spikes);
      else spikes.forEach((spike, i) => (weighed[i] |= spike));
    };
    if (last === 0) this.lazy.step(new Uint8Array(latentChannels));
    this.network.runDecoder(this.network.runPrior(choices, observe), observe);
    const layers = this.layers.map((layer, i): LayerWork => {
      const activeInputs = active[i].reduce((sum, one) => sum + one, 0);
      const counted = { name: layer.name, inputSpikes: arriving[i], activeInputs, spikes: fired[i] };
      return i === last
        ? { ...counted, synapticOperations: this.lazyWork.synapticOperations, lifUpdates: this.lazyWork.evaluations }
        : { ...counted, synapticOperations: operations[i], lifUpdates: timeSteps * outputNeurons(layer) };
    });
    const total = (of: (layer: LayerWork) => number): number => layers.reduce((sum, layer) => sum + of(layer), 0);
    return {
      layers,
      readoutTrains: weighed.reduce((sum, one) => sum + one, 0),
      spikes: total((layer) => layer.spikes),
      synapticOperations: total((layer) => layer.synapticOperations),
      lifUpdates: total((layer) => layer.lifUpdates),
    };
  }
}

/** The mean of several images' work, not rounded; one image at least, all of one model. */
export function meanWork(works: readonly ImageWork[]): ImageWork {
  const mean = (of: (work: ImageWork) => number): number =>
    works.reduce((sum, work) => sum + of(work), 0) / works.length;
  return {
    layers: works[0].layers.map(({ name }, i) => ({
      name,
      inputSpikes: mean(({ layers }) => layers[i].inputSpikes),
      activeInputs: mean(({ layers }) => layers[i].activeInputs),
      spikes: mean(({ layers }) => layers[i].spikes),
      synapticOperations: mean(({ layers }) => layers[i].synapticOperations),
      lifUpdates: mean(({ layers }) => layers[i].lifUpdates),
    })),
    readoutTrains: mean(({ readoutTrains }) => readoutTrains),
    spikes: mean(({ spikes }) => spikes),
    synapticOperations: mean(({ synapticOperations }) => synapticOperations),
    lifUpdates: mean(({ lifUpdates }) => lifUpdates),
  };
}
