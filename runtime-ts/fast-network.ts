/**
 * Draws the same images as network.ts in less time, with nothing to watch: sums of two channels in one addition, and of
 * the prior's last layer only the neurons that are picked. network.ts states the rules; the tests compare the two.
 */

import { LazyLayer } from './lazy-layer.js';
import { sumWeights } from './layers.js';
import type { IntegerModel, SpikingLayer } from './model.js';
import { RunningLayer } from './network.js';
import { sumWeightsInPairs } from './packed-sums.js';
import { readImage, weightSpikes } from './readout.js';

/** Keeps its state arrays between images; one instance draws one image at a time. */
export class FastNetwork {
  private readonly hidden: RunningLayer[];
  private readonly last: LazyLayer;
  private readonly decoder: RunningLayer[];
  private readonly weighted: Int32Array;

  constructor(private readonly model: IntegerModel) {
    const { timeSteps } = model.config;
    const run = (layer: SpikingLayer): RunningLayer =>
      new RunningLayer(layer, model.leak, sumWeightsInPairs(layer) ?? sumWeights(layer));
    this.hidden = model.prior.slice(0, -1).map(run);
    this.last = new LazyLayer(model.prior[model.prior.length - 1], model.leak, timeSteps);
    this.decoder = [model.decoderInput, ...model.decoder].map(run);
    this.weighted = new Int32Array(model.readout.size * model.readout.size * model.readout.inChannels);
  }

  /** Rule P1, as Network.runPrior(). */
  runPrior(choices: Uint8Array): Uint8Array {
    const { timeSteps, latentChannels, choices: k } = this.model.config;
    const z = new Uint8Array(timeSteps * latentChannels);
    for (const layer of this.hidden) layer.reset();
    this.last.reset();
    let previous: Uint8Array = new Uint8Array(latentChannels);
    for (let t = 0; t < timeSteps; t++) {
      this.last.step(this.hidden.reduce((spikes, layer) => layer.step(spikes), previous));
      for (let i = t * latentChannels, c = 0; c < latentChannels; i++, c++) {
        z[i] = this.last.fires(k * c + choices[i]) ? 1 : 0;
      }
      previous = z.subarray(t * latentChannels, (t + 1) * latentChannels);
    }
    return z;
  }

  /** Rules D1, S3, R1 to R4, as Network.runDecoder(). */
  runDecoder(z: Uint8Array): Uint8Array {
    const { timeSteps, latentChannels } = this.model.config;
    for (const layer of this.decoder) layer.reset();
    this.weighted.fill(0);
    for (let t = 0; t < timeSteps; t++) {
      const latent = z.subarray(t * latentChannels, (t + 1) * latentChannels);
      const spikes = this.decoder.reduce((input, layer) => layer.step(input), latent);
      weightSpikes(this.model.readout, spikes, t, this.weighted);
    }
    return readImage(this.model.readout, this.weighted);
  }
}
