/** The golden model as verification sees it: images, digests, spikes and membranes for a seed. */

import { crc32 } from './crc32.js';
import { DigestRows } from './digests.js';
import type { IntegerModel } from './model.js';
import { modelHash } from './model-file.js';
import { Network, type Observer, type TraceRow, traceRows } from './network.js';
import { drawChoices } from './pcg32.js';
import { latentBytes, packLatent, packSpikes, unpackSpikes } from './spike-bits.js';
import { FsvaeError } from './errors.js';
import { FastNetwork } from './fast-network.js';
import { type ImageWork, WorkCounter } from './work.js';

/** Digests of one image: one CRC-32 per row and step (rule T3). */
export interface GoldenTrace {
  /** One array of T digests per row of traceRows(). */
  readonly digests: Uint32Array[];
  /** Spikes per row, summed over all steps; 0 for `choices`. */
  readonly spikes: Uint32Array;
  readonly image: Uint8Array;
  readonly imageCrc: number;
}

/** All spikes and membranes of one image: `spikes[row]` and `membranes[row]` hold T * neurons entries, time-major. */
export interface FullTrace {
  readonly choices: Uint8Array;
  readonly spikes: Uint8Array[];
  readonly membranes: Int32Array[];
  readonly image: Uint8Array;
}

export class GoldenModel {
  readonly hash: string;
  readonly rows: readonly TraceRow[];
  private readonly network: Network;
  private fastNetwork: FastNetwork | undefined;
  private workCounter: WorkCounter | undefined;
  private readonly thresholds: (Int32Array | undefined)[];
  private last: { seed: bigint; trace: FullTrace } | undefined;

  constructor(readonly model: IntegerModel) {
    this.hash = modelHash(model);
    this.rows = traceRows(model);
    this.network = new Network(model);
    this.thresholds = [
      undefined,
      ...model.prior.map((layer) => layer.threshold),
      model.decoderInput.threshold,
      ...model.decoder.map((layer) => layer.threshold),
    ];
  }

  get layerNames(): string[] {
    return this.rows.map((row) => row.name);
  }

  get layerNeurons(): number[] {
    return this.rows.map((row) => row.neurons);
  }

  /** For images and latents alone; laid out when first needed. Whatever is watched runs in `network`. */
  private get fast(): FastNetwork {
    return (this.fastNetwork ??= new FastNetwork(this.model));
  }

  /** Rule G3. T * C indices for a seed of 64 bits. */
  choices(seed: bigint): Uint8Array {
    const { timeSteps, latentChannels, choices } = this.model.config;
    return drawChoices(seed, timeSteps, latentChannels, choices);
  }

  /** The image of a seed: channels * size * size bytes, channel-major. */
  sample(seed: bigint): Uint8Array {
    return this.fast.runDecoder(this.fast.runPrior(this.choices(seed)));
  }

  /** The latent of a seed, packed (rule T2). */
  latent(seed: bigint): Uint8Array {
    const z = this.fast.runPrior(this.choices(seed));
    const { timeSteps, latentChannels } = this.model.config;
    return packLatent(z, timeSteps, latentChannels);
  }

  /**
   * The image of a packed latent (rule T2).
   *
   * @throws FsvaeError `input` when the latent has another length
   */
  decode(latent: Uint8Array): Uint8Array {
    const { timeSteps, latentChannels } = this.model.config;
    const expected = latentBytes(timeSteps, latentChannels);
    if (latent.length !== expected) {
      throw new FsvaeError('input', `latent has ${latent.length} bytes, but this model's has ${expected}`);
    }
    const run = latentBytes(1, latentChannels);
    const z = new Uint8Array(timeSteps * latentChannels);
    for (let t = 0; t < timeSteps; t++) z.set(unpackSpikes(latent, t * run, latentChannels), t * latentChannels);
    return this.fast.runDecoder(z);
  }

  /** Rule T3: the digests of a seed. */
  trace(seed: bigint): GoldenTrace {
    const choices = this.choices(seed);
    const gathered = new DigestRows(this.rows.length, this.model.config.timeSteps, choices);
    const observe: Observer = (row, step, fired) => gathered.add(row, step, fired);
    const { digests, spikes } = gathered;
    const image = this.network.runDecoder(this.network.runPrior(choices, observe), observe);
    return { digests, spikes, image, imageCrc: crc32(image) };
  }

  /** Everything there is to see of one image; kept until another seed is asked for. */
  fullTrace(seed: bigint): FullTrace {
    if (this.last?.seed === seed) return this.last.trace;
    const { timeSteps } = this.model.config;
    const spikes = this.rows.map((row) => new Uint8Array(timeSteps * row.neurons));
    const membranes = this.rows.map((row) => new Int32Array(timeSteps * row.neurons));
    const observe: Observer = (row, step, fired, membrane) => {
      spikes[row].set(fired, step * this.rows[row].neurons);
      membranes[row].set(membrane, step * this.rows[row].neurons);
    };
    const choices = this.choices(seed);
    membranes[0].set(choices);
    const image = this.network.runDecoder(this.network.runPrior(choices, observe), observe);
    const trace = { choices, spikes, membranes, image };
    this.last = { seed, trace };
    return trace;
  }

  /** Spikes, synaptic operations and LIF updates of a seed's image, layer by layer. */
  work(seed: bigint): ImageWork {
    this.workCounter ??= new WorkCounter(this.model, this.network);
    return this.workCounter.count(this.choices(seed));
  }

  /** All spikes of a row at a step, packed (rule T1). */
  spikes(seed: bigint, row: number, step: number): Uint8Array {
    const { neurons } = this.rows[row];
    return packSpikes(this.fullTrace(seed).spikes[row], step * neurons, neurons);
  }

  /** The membrane before reset of one neuron and the threshold it met. For `choices`, the index drawn. */
  membrane(seed: bigint, row: number, step: number, neuron: number): { membrane: number; threshold: number } {
    const { neurons } = this.rows[row];
    const trace = this.fullTrace(seed);
    const thresholds = this.thresholds[row];
    let channel = neuron;
    if (this.rows[row].name === 'z') {
      const { latentChannels, choices } = this.model.config;
      channel = neuron * choices + trace.choices[step * latentChannels + neuron];
    }
    return {
      membrane: trace.membranes[row][step * neurons + neuron],
      threshold: thresholds === undefined ? 0 : thresholds[channel % thresholds.length],
    };
  }
}
