/**
 * The Fully Spiking VAE in training, as its authors' code computes it (fsvae_models/ of kamata1729/FullySpikingVAE).
 *
 * Tensors are (T * batch, features) or (T * batch, height, width, channels), time first. The first convolution sees the same
 * image at all steps and is computed once.
 *
 * With `quantization` in the config, prior, decoder and readout compute in the device's integers, forward.
 */

import * as tf from '@tensorflow/tfjs-core';
import type { TrainingConfig } from '../config/config.js';
import { meanOfChoices, pick, spreadToChoices } from '../engine/choices.js';
import type { NeuronConstants } from '../engine/neurons.js';
import { ConvolutionSynapses, LinearSynapses, upTo } from '../engine/synapses.js';
import { allocate, scoped, upload, values } from '../engine/wasm.js';
import type { Draws } from './draws.js';
import { requireFiniteGradients } from './finite.js';
import { bottomOrder, type Generator, makeGenerator, plainLinear } from './generator.js';
import type { Layer, Membranes, Mode } from './layer.js';
import { distance, distanceWeight } from './loss.js';
import { ALPHA, ALPHA_LATENT, bottomSize, type Parameters } from './parameters.js';
import { SpikingLayer } from './spiking-layer.js';

/** Scheduled sampling compares the mean of the k outputs, plus a little noise that settles ties, with one half. */
const NOISE = 1e-3;

export interface Losses {
  readonly loss: number;
  /** Mean over all pixels of the squared difference of images in -1 .. 1. */
  readonly mse: number;
  /** Between posterior and prior, without its weight. */
  readonly distance: number;
  /** Of prior and decoder, per image. */
  readonly spikes: number;
}

export interface StepResult extends Losses {
  /** By parameter name, in the checkpoint's order; none for what is frozen. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

export interface Reconstruction extends Losses {
  /** batch * size * size * channels values in -1 .. 1, channel last. */
  readonly images: Float32Array;
  /** Picked spikes (T, batch, C). */
  readonly z: Float32Array;
  /** Mean of the k outputs of posterior and prior, (T, batch, C). */
  readonly q: Float32Array;
  readonly p: Float32Array;
  /** Of each spiking layer, at each time step: the share of its neurons that fired, over all images. */
  readonly rates: readonly { readonly layer: string; readonly rates: readonly number[] }[];
}

function neuronConstants({ neuron: { tau, threshold, surrogate, width } }: TrainingConfig): NeuronConstants {
  const centre = surrogate === 'authors' ? 0 : threshold;
  return { tau, threshold, surrogate: { centre, halfWidth: width / 2, height: 1 / width } };
}

export class Fsvae {
  private readonly encoder: readonly SpikingLayer[];
  private readonly beforeLatent: SpikingLayer;
  private readonly posterior: readonly SpikingLayer[];
  private readonly generator: Generator;

  constructor(
    private readonly config: TrainingConfig,
    parameters: Parameters,
  ) {
    const { channels, hiddenChannels, latentChannels: c } = config.model;
    const constants = neuronConstants(config);
    const widths = [channels, ...hiddenChannels];
    const order = bottomOrder(config.model);
    this.encoder = parameters.encoder.map(
      (layer, i) => new SpikingLayer(layer, new ConvolutionSynapses(widths[i], widths[i + 1]), ALPHA, constants),
    );
    this.beforeLatent = new SpikingLayer(
      parameters.beforeLatent,
      new LinearSynapses(order.length, c, order, upTo(c)),
      ALPHA,
      constants,
    );
    this.posterior = parameters.posterior.map(
      (layer) => new SpikingLayer(layer, plainLinear(layer), ALPHA_LATENT, constants),
    );
    this.generator = makeGenerator(config, parameters, constants);
  }

  /** In the order in which a reconstruction runs them. */
  get layers(): readonly Layer[] {
    const { prior, decoderInput, decoder } = this.generator;
    return [...this.encoder, this.beforeLatent, ...this.posterior, ...prior, decoderInput, ...decoder];
  }

  /** Encoder and posterior stay as they are. */
  private get frozen(): boolean {
    return this.config.quantization?.freezePosterior === true;
  }

  private load(steps: number): void {
    for (const layer of [...this.encoder, this.beforeLatent, ...this.posterior]) layer.load();
    this.generator.load(steps);
  }

  /** Runs layers one after the other; frees what is between them unless backward needs it. */
  private run(
    layers: readonly Layer[],
    input: tf.Tensor,
    options: { steps: number; mode: Mode; keep?: boolean },
    residues?: readonly Membranes[],
  ): tf.Tensor {
    let x = input;
    layers.forEach((layer, i) => {
      const spikes = layer.forward(x, residues === undefined ? options : { ...options, residue: residues[i] });
      if (x !== input && options.keep !== true) x.dispose();
      x = spikes;
    });
    return x;
  }

  private encode(images: tf.Tensor4D, steps: number, mode: Mode, keep: boolean): tf.Tensor {
    const batch = images.shape[0];
    const first = this.encoder[0].forward(images, { steps, mode, constantInput: true, keep });
    const map = this.run(this.encoder.slice(1), first, { steps, mode, keep });
    const flat = tf.reshape(map, [steps * batch, map.size / (steps * batch)]);
    return this.beforeLatent.forward(flat, { steps, mode, keep });
  }

  /**
   * The posterior's input, concat(x_E[t], z[t-1]). z is found step by step: in training each time by a pass over all steps so
   * far, with their batch's statistics, as in the authors' code; in evaluation, where nothing depends on the batch, step
   * after step. No gradient goes this way.
   */
  private posteriorInput(latent: tf.Tensor, choices: Uint8Array, steps: number, mode: Mode): tf.Tensor2D {
    const { latentChannels: c, choices: k } = this.config.model;
    const rows = latent.shape[0];
    const batch = rows / steps;
    const found = new Float32Array(rows * 2 * c);
    const x = values(latent);
    for (let row = 0; row < rows; row++) found.set(x.subarray(row * c, (row + 1) * c), row * 2 * c);
    const residues = this.posterior.map((layer) => layer.restingMembranes(batch));
    const rowsOf = (from: number, to: number): tf.Tensor2D =>
      upload<tf.Rank.R2>(found.subarray(from * batch * 2 * c, to * batch * 2 * c), [(to - from) * batch, 2 * c]);
    for (let t = 0; t + 1 < steps; t++) {
      const input = mode === 'train' ? rowsOf(0, t + 1) : rowsOf(t, t + 1);
      const outputs =
        mode === 'train'
          ? this.run(this.posterior, input, { steps: t + 1, mode })
          : this.run(this.posterior, input, { steps: 1, mode }, residues);
      const z = new Float32Array(batch * c);
      const all = values(outputs);
      pick(all.subarray(all.length - z.length * k), choices.subarray(t * z.length, (t + 1) * z.length), k, z);
      for (let n = 0; n < batch; n++) {
        found.set(z.subarray(n * c, (n + 1) * c), ((t + 1) * batch + n) * 2 * c + c);
      }
      tf.dispose([input, outputs]);
    }
    return upload<tf.Rank.R2>(found, [rows, 2 * c]);
  }

  /** The prior's input z[t-1]: the posterior's spikes, or where scheduled sampling says so, the prior's own guess. */
  private priorInput(z: Float32Array, draws: Draws, steps: number, mode: Mode): tf.Tensor2D {
    const { latentChannels: c, choices: k } = this.config.model;
    const perStep = z.length / steps;
    const batch = perStep / c;
    const input = new Float32Array(z.length);
    input.set(z.subarray(0, z.length - perStep), perStep);
    for (let t = 0; mode === 'train' && t + 1 < steps; t++) {
      if (!draws.replaced[t]) continue;
      const soFar = upload<tf.Rank.R2>(input.subarray(0, (t + 1) * perStep), [(t + 1) * batch, c]);
      const outputs = this.run(this.generator.prior, soFar, { steps: t + 1, mode });
      const mean = meanOfChoices(values(outputs).subarray(t * perStep * k), k);
      const noise = draws.noise(t);
      input.set(
        mean.map((value, i) => (Math.fround(value + Math.fround(NOISE * noise[i])) > 0.5 ? 1 : 0)),
        (t + 1) * perStep,
      );
      tf.dispose([soFar, outputs]);
    }
    return upload<tf.Rank.R2>(input, [steps * batch, c]);
  }

  /** @returns images, batch * size * size * channels values in -1 .. 1 */
  private decode(z: tf.Tensor2D, steps: number, mode: Mode, keep: boolean): Float32Array {
    const { decoderInput, decoder, readout } = this.generator;
    const { hiddenChannels } = this.config.model;
    const side = bottomSize(this.config.model);
    const flat = decoderInput.forward(z, { steps, mode, keep });
    const bottom = tf.reshape(flat, [z.shape[0], side, side, hiddenChannels[hiddenChannels.length - 1]]);
    const map = this.run(decoder, bottom, { steps, mode, keep }) as tf.Tensor4D;
    const images = readout.forward(map, mode);
    if (map !== bottom) map.dispose();
    return images;
  }

  private pass(images: Float32Array, batch: number, steps: number, draws: Draws, mode: Mode) {
    const { model, loss } = this.config;
    const { choices: k, latentChannels: c, imageSize, channels } = model;
    const keep = mode === 'train';
    const inference = this.frozen ? { mode: 'evaluate' as const, keep: false } : { mode, keep };
    const input = upload<tf.Rank.R4>(images, [batch, imageSize, imageSize, channels]);
    const latent = this.encode(input, steps, inference.mode, inference.keep);
    const posteriorInput = this.posteriorInput(latent, draws.choices, steps, inference.mode);
    const q = this.run(this.posterior, posteriorInput, { steps, ...inference });
    const z = allocate<tf.Rank.R2>([steps * batch, c]);
    pick(values(q), draws.choices, k, values(z));
    const qMean = meanOfChoices(values(q), k);
    const p = this.run(this.generator.prior, this.priorInput(values(z), draws, steps, mode), { steps, mode, keep });
    const pMean = meanOfChoices(values(p), k);
    const drawn = this.decode(z, steps, mode, keep);

    const difference = drawn.map((value, i) => value - images[i]);
    const mse = difference.reduce((sum, value) => sum + value * value, 0) / difference.length;
    const apart = distance(loss.distance, qMean, pMean, steps, batch);
    const { prior, decoderInput, decoder } = this.generator;
    const spikes = [...prior, decoderInput, ...decoder].reduce((sum, layer) => sum + layer.spikes, 0) / batch;
    const losses: Losses = {
      loss: mse + distanceWeight(loss.distance) * apart.value + loss.spikeCost * spikes,
      mse,
      distance: apart.value,
      spikes,
    };
    return { losses, drawn, difference, apart, z, qMean, pMean, outputShape: q.shape };
  }

  /**
   * Loss and gradients of one batch. tdBN's running estimates move along, once for each pass through a layer, as in the
   * authors' code.
   *
   * @param images batch * size * size * channels values in -1 .. 1, channel last
   * @param steps T of this step
   * @throws NotFinite naming the first layer or gradient that is not, and the time step
   */
  step(images: Float32Array, batch: number, steps: number, draws: Draws): StepResult {
    return scoped(() => {
      this.load(steps);
      const { losses, drawn, difference, apart, outputShape } = this.pass(images, batch, steps, draws, 'train');
      const { prior, decoderInput, decoder, readout } = this.generator;
      const { choices: k } = this.config.model;
      const cost = this.config.loss.spikeCost / batch;
      const gradients = new Map<string, Float32Array>();

      const dImages = difference.map((value) => (2 * value) / difference.length);
      let back = readout.backward(drawn, dImages, gradients);
      for (const layer of [...decoder].reverse()) back = layer.backward(back, gradients, 'input', cost)!;
      back = tf.reshape(back, [steps * batch, back.size / (steps * batch)]);
      const dz = decoderInput.backward(back, gradients, 'input', cost)!;

      let dp: tf.Tensor = allocate(outputShape);
      spreadToChoices(apart.dp, k, values(dp));
      prior.forEach((_, i) => {
        const layer = prior[prior.length - 1 - i];
        const last = i === prior.length - 1;
        const dInput = layer.backward(dp, gradients, last ? 'nothing' : 'input', cost);
        if (dInput !== undefined) dp = dInput;
      });

      if (!this.frozen) {
        const dq = allocate(outputShape);
        spreadToChoices(apart.dq, k, values(dq), { dz: values(dz), choices: draws.choices });
        this.inferenceBackward(dq, gradients);
      }
      requireFiniteGradients(gradients);
      return { ...losses, gradients };
    });
  }

  /** Through posterior and encoder. @param dq gradient of the posterior's spikes; disposed */
  private inferenceBackward(dq: tf.Tensor, gradients: Map<string, Float32Array>): void {
    const { latentChannels: c } = this.config.model;
    const rows = dq.shape[0];
    let back = dq;
    for (const layer of [...this.posterior].reverse()) back = layer.backward(back, gradients, 'input')!;
    back = tf.slice(back as tf.Tensor2D, [0, 0], [rows, c]);
    back = this.beforeLatent.backward(back, gradients, 'input')!;
    const side = bottomSize(this.config.model);
    back = tf.reshape(back, [rows, side, side, back.size / (rows * side * side)]);
    for (let i = this.encoder.length - 1; i > 0; i--) back = this.encoder[i].backward(back, gradients, 'input')!;
    this.encoder[0].backward(back, gradients, 'nothing');
  }

  /** Encodes and decodes in evaluation mode, with running statistics; the prior sees the posterior's spikes. */
  reconstruct(images: Float32Array, batch: number, steps: number, choices: Uint8Array): Reconstruction {
    return scoped(() => {
      this.load(steps);
      const draws: Draws = { choices, replaced: [], noise: () => new Float32Array(0) };
      const { losses, drawn, z, qMean, pMean } = this.pass(images, batch, steps, draws, 'evaluate');
      const rates = this.layers.map((layer) => ({ layer: layer.parameters.name, rates: layer.rates }));
      return { ...losses, images: drawn, z: values(z).slice(), q: qMean, p: pMean, rates };
    });
  }

  /**
   * Draws images from the prior, in evaluation mode.
   *
   * @param choices (T, count, C)
   * @returns count * size * size * channels values in -1 .. 1, channel last
   */
  sample(count: number, steps: number, choices: Uint8Array): Float32Array {
    return scoped(() => {
      this.load(steps);
      const { latentChannels: c, choices: k } = this.config.model;
      const residues = this.generator.prior.map((layer) => layer.restingMembranes(count));
      const perStep = count * c;
      const z = new Float32Array(steps * perStep);
      for (let t = 0; t < steps; t++) {
        const before = t === 0 ? new Float32Array(perStep) : z.subarray((t - 1) * perStep, t * perStep);
        const input = upload<tf.Rank.R2>(before, [count, c]);
        const outputs = this.run(this.generator.prior, input, { steps: 1, mode: 'evaluate' }, residues);
        const range = [t * perStep, (t + 1) * perStep] as const;
        pick(values(outputs), choices.subarray(...range), k, z.subarray(...range));
        tf.dispose([input, outputs]);
      }
      return this.decode(upload<tf.Rank.R2>(z, [steps * count, c]), steps, 'evaluate', false);
    });
  }
}
