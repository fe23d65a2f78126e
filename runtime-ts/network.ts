/**
 * The golden model: the whole network, step by step, as the paper writes it. Every other implementation must give
 * these bits. It computes all neurons at all steps; that the C, and fast-network.ts, compute fewer is their business.
 */

import { type LifState, lifStep, restingState } from './lif.js';
import { outputNeurons, type SumWeights, sumWeights } from './layers.js';
import type { IntegerModel, Leak, SpikingLayer } from './model.js';
import { readImage, weightSpikes } from './readout.js';

/** One layer with its laid-out weights and its neurons' state. */
export class RunningLayer {
  readonly state: LifState;
  private readonly sums: Int32Array;

  constructor(
    private readonly layer: SpikingLayer,
    private readonly leak: Leak,
    private readonly addUp: SumWeights,
  ) {
    this.state = restingState(outputNeurons(layer));
    this.sums = new Int32Array(outputNeurons(layer));
  }

  reset(): void {
    this.state.carried.fill(0);
  }

  step(input: Uint8Array): Uint8Array {
    this.addUp(input, this.sums);
    lifStep(this.state, this.sums, this.layer, this.leak);
    return this.state.spikes;
  }
}

/** What can be watched: called after each step of each row with the spikes and the membranes before reset. */
export type Observer = (row: number, step: number, spikes: Uint8Array, membrane: Int32Array) => void;

/**
 * The rows of a trace, in the order in which a first difference is looked for: the choices drawn, the prior's hidden
 * layers, the latent z that was picked from the prior's last layer, the decoder's layers.
 */
export interface TraceRow {
  readonly name: string;
  readonly neurons: number;
}

export function traceRows(model: IntegerModel): TraceRow[] {
  const latentChannels = model.config.latentChannels;
  return [
    { name: 'choices', neurons: latentChannels },
    ...model.prior.slice(0, -1).map((layer) => ({ name: layer.name, neurons: outputNeurons(layer) })),
    { name: 'z', neurons: latentChannels },
    ...[model.decoderInput, ...model.decoder].map((layer) => ({ name: layer.name, neurons: outputNeurons(layer) })),
  ];
}

/** Runs an integer model. Keeps its state arrays between images; one instance draws one image at a time. */
export class Network {
  private readonly prior: RunningLayer[];
  private readonly decoder: RunningLayer[];
  private readonly weighted: Int32Array;
  /** Row of z in traceRows(). */
  private readonly zRow: number;

  constructor(readonly model: IntegerModel) {
    const run = (layer: SpikingLayer): RunningLayer => new RunningLayer(layer, model.leak, sumWeights(layer));
    this.prior = model.prior.map(run);
    this.decoder = [model.decoderInput, ...model.decoder].map(run);
    this.weighted = new Int32Array(model.readout.size * model.readout.size * model.readout.inChannels);
    this.zRow = model.prior.length;
  }

  /**
   * Rule P1, paper eq. 9 and 13: the prior draws the latent, one step at a time from the step before.
   *
   * @param choices T * C indices, each 0 .. k - 1, from drawChoices()
   * @returns z, T * C spikes, time-major
   */
  runPrior(choices: Uint8Array, observe?: Observer): Uint8Array {
    const { timeSteps, latentChannels, choices: k } = this.model.config;
    const z = new Uint8Array(timeSteps * latentChannels);
    const picked = new Uint8Array(latentChannels);
    const pickedMembrane = new Int32Array(latentChannels);
    const last = this.prior.length - 1;
    for (const layer of this.prior) layer.reset();
    for (let t = 0; t < timeSteps; t++) {
      let spikes: Uint8Array = picked; // z[t - 1]; all 0 at the first step
      if (t === 0) picked.fill(0);
      this.prior.forEach((layer, index) => {
        spikes = layer.step(spikes);
        if (index < last) observe?.(1 + index, t, spikes, layer.state.membrane);
      });
      const { membrane } = this.prior[last].state;
      for (let c = 0; c < latentChannels; c++) {
        const chosen = k * c + choices[t * latentChannels + c];
        picked[c] = spikes[chosen];
        pickedMembrane[c] = membrane[chosen];
      }
      z.set(picked, t * latentChannels);
      observe?.(this.zRow, t, picked, pickedMembrane);
    }
    return z;
  }

  /**
   * Rules D1, S3, R1 to R4, paper eq. 21: the decoder turns a latent into an image.
   *
   * @param z T * C spikes, time-major
   * @returns channels * size * size bytes, channel-major
   */
  runDecoder(z: Uint8Array, observe?: Observer): Uint8Array {
    const { timeSteps, latentChannels } = this.model.config;
    for (const layer of this.decoder) layer.reset();
    this.weighted.fill(0);
    for (let t = 0; t < timeSteps; t++) {
      let spikes = z.subarray(t * latentChannels, (t + 1) * latentChannels);
      this.decoder.forEach((layer, index) => {
        spikes = layer.step(spikes);
        observe?.(this.zRow + 1 + index, t, spikes, layer.state.membrane);
      });
      weightSpikes(this.model.readout, spikes, t, this.weighted);
    }
    return readImage(this.model.readout, this.weighted);
  }
}
