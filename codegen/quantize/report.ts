/**
 * What quantization changed. The prior is chaotic: one spike that differs leads to another, equally valid image. So
 * float and integer are compared layer by layer on the same input, and the decoder as a whole on the same latent;
 * never sample by sample from the same seed.
 */

import type { FloatConvTranspose, FloatLinear, FloatModel } from '../float/network.js';
import { runDecoder, runPrior } from '../float/run.js';
import { layerBounds, readoutBounds, signedBits, type Range } from '../../runtime-ts/bounds.js';
import { lifStep, restingState } from '../../runtime-ts/lif.js';
import { inputNeurons, outputNeurons, sumWeights } from '../../runtime-ts/layers.js';
import type { IntegerModel, SpikingLayer } from '../../runtime-ts/model.js';
import { Network } from '../../runtime-ts/network.js';
import { drawChoices } from '../../runtime-ts/pcg32.js';
import { readImage, weightSpikes } from '../../runtime-ts/readout.js';
import { type ImageWork, meanWork, WorkCounter } from '../../runtime-ts/work.js';

/** One spiking layer. Rates and mismatches are fractions of all neurons and steps of all samples. */
export interface LayerReport {
  readonly name: string;
  readonly weightBits: 8 | 4;
  readonly fractionBits: number;
  /** Smallest and largest weight step of a channel (rule W1). */
  readonly scale: Range;
  readonly threshold: Range;
  readonly sum: Range;
  readonly membrane: Range;
  /** Bits that the membrane needs, with sign. */
  readonly membraneBits: number;
  readonly floatRate: number;
  readonly integerRate: number;
  /** Spikes that differ, given the float layer's own input. */
  readonly mismatch: number;
}

/** Errors of 8-bit pixels. */
export interface ImageReport {
  /** Mean absolute difference in grey levels. */
  readonly meanAbsolute: number;
  readonly largest: number;
  /** Mean squared difference of images scaled to -1 .. 1, as reconstruction losses are given. */
  readonly meanSquared: number;
}

export interface QuantizationReport {
  readonly samples: number;
  readonly firstSeed: bigint;
  readonly layers: readonly LayerReport[];
  readonly readout: {
    readonly name: string;
    readonly weightBits: 8 | 4;
    readonly membrane: Range;
    readonly coefficientBits: number;
  };
  /** The readout alone, given the float decoder's last spikes. */
  readonly readoutError: ImageReport;
  /** The whole decoder, given the same latent. */
  readonly decoderError: ImageReport;
  /** What an image of the integer model takes, drawn by itself from the same seeds; the mean. */
  readonly activity: ImageWork;
}

/** Spikes of an integer layer for given input spikes, T x inputs. */
function runInteger(layer: SpikingLayer, model: IntegerModel, input: Uint8Array): Uint8Array {
  const { timeSteps } = model.config;
  const outputs = outputNeurons(layer);
  const inputs = inputNeurons(layer);
  const add = sumWeights(layer);
  const sums = new Int32Array(outputs);
  const state = restingState(outputs);
  const spikes = new Uint8Array(timeSteps * outputs);
  for (let t = 0; t < timeSteps; t++) {
    add(input.subarray(t * inputs, (t + 1) * inputs), sums);
    lifStep(state, sums, layer, model.leak);
    spikes.set(state.spikes, t * outputs);
  }
  return spikes;
}

class Tally {
  neurons = 0;
  float = 0;
  integer = 0;
  different = 0;

  add(float: Uint8Array, integer: Uint8Array): void {
    this.neurons += float.length;
    for (let i = 0; i < float.length; i++) {
      this.float += float[i];
      this.integer += integer[i];
      if (float[i] !== integer[i]) this.different++;
    }
  }
}

class ImageTally {
  private pixels = 0;
  private absolute = 0;
  private squared = 0;
  private largest = 0;

  /** @param float in -1 .. 1 */
  add(float: Float64Array, integer: Uint8Array): void {
    this.pixels += integer.length;
    integer.forEach((value, i) => {
      const expected = Math.min(255, Math.max(0, Math.floor((float[i] + 1) * 127.5 + 0.5)));
      const difference = Math.abs(expected - value);
      this.absolute += difference;
      this.largest = Math.max(this.largest, difference);
      this.squared += (float[i] - (value / 127.5 - 1)) ** 2;
    });
  }

  report(): ImageReport {
    return {
      meanAbsolute: this.absolute / this.pixels,
      largest: this.largest,
      meanSquared: this.squared / this.pixels,
    };
  }
}

function rangeOfScales(scale: Float64Array): Range {
  return { min: scale.reduce((a, b) => Math.min(a, b), Infinity), max: scale.reduce((a, b) => Math.max(a, b), 0) };
}

/**
 * Draws samples with the float model and runs every integer layer on what its float twin was given.
 *
 * @param onSample called after each sample
 */
export function quantizationReport(
  float: FloatModel,
  model: IntegerModel,
  samples: number,
  firstSeed = 0n,
  onSample?: (done: number) => void,
): QuantizationReport {
  const { timeSteps, latentChannels, choices } = model.config;
  const network = new Network(model);
  const integerLayers: SpikingLayer[] = [...model.prior, model.decoderInput, ...model.decoder];
  const floatLayers: (FloatLinear | FloatConvTranspose)[] = [...float.prior, float.decoderInput, ...float.decoder];
  const tallies = integerLayers.map(() => new Tally());
  const readoutTally = new ImageTally();
  const decoderTally = new ImageTally();
  const counter = new WorkCounter(model, network);
  const works: ImageWork[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const drawn = drawChoices(firstSeed + BigInt(sample), timeSteps, latentChannels, choices);
    const { layers: priorSpikes, z } = runPrior(float, drawn);
    const { layers: decoderSpikes, image } = runDecoder(float, z);
    const previous = new Uint8Array(z.length);
    previous.set(z.subarray(0, z.length - latentChannels), latentChannels);
    const outputs = [...priorSpikes, ...decoderSpikes];
    floatLayers.forEach((_, i) => {
      const input = i === 0 ? previous : i === float.prior.length ? z : outputs[i - 1];
      tallies[i].add(outputs[i], runInteger(integerLayers[i], model, input));
    });
    const last = decoderSpikes[decoderSpikes.length - 1];
    const neurons = last.length / timeSteps;
    const weighted = new Int32Array(neurons);
    for (let t = 0; t < timeSteps; t++) {
      weightSpikes(model.readout, last.subarray(t * neurons, (t + 1) * neurons), t, weighted);
    }
    readoutTally.add(image, readImage(model.readout, weighted));
    decoderTally.add(image, network.runDecoder(z));
    works.push(counter.count(drawn));
    onSample?.(sample + 1);
  }
  return {
    samples,
    firstSeed,
    layers: integerLayers.map((layer, i) => {
      const bounds = layerBounds(layer, model.leak, timeSteps);
      const tally = tallies[i];
      return {
        name: layer.name,
        weightBits: layer.weightBits,
        fractionBits: layer.fractionBits,
        scale: rangeOfScales(layer.scale),
        threshold: bounds.threshold,
        sum: bounds.sum,
        membrane: bounds.membrane,
        membraneBits: signedBits(bounds.membrane),
        floatRate: tally.float / tally.neurons,
        integerRate: tally.integer / tally.neurons,
        mismatch: tally.different / tally.neurons,
      };
    }),
    readout: {
      name: model.readout.name,
      weightBits: model.readout.weightBits,
      membrane: readoutBounds(model.readout).membrane,
      coefficientBits: model.readout.coefficientBits,
    },
    readoutError: readoutTally.report(),
    decoderError: decoderTally.report(),
    activity: meanWork(works),
  };
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

/** One line for people. */
export function formatActivity({ spikes, synapticOperations, lifUpdates }: ImageWork): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
  return (
    `an image takes ${whole(spikes)} spikes, ${whole(synapticOperations)} synaptic operations, ` +
    `${whole(lifUpdates)} LIF updates (mean)`
  );
}

/** A table for people. */
export function formatQuantizationReport(report: QuantizationReport): string {
  const rows = [
    ['layer', 'bits', 'F', 'step d', 'threshold', 'sum', 'membrane', 'fits', 'rate float', 'integer', 'differ'],
    ...report.layers.map((layer) => [
      layer.name,
      String(layer.weightBits),
      String(layer.fractionBits),
      `${layer.scale.min.toExponential(1)} .. ${layer.scale.max.toExponential(1)}`,
      `${layer.threshold.min} .. ${layer.threshold.max}`,
      `${layer.sum.min} .. ${layer.sum.max}`,
      `${layer.membrane.min} .. ${layer.membrane.max}`,
      `${layer.membraneBits} bits`,
      percent(layer.floatRate),
      percent(layer.integerRate),
      percent(layer.mismatch),
    ]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
  const image = (error: ImageReport): string =>
    `mean ${error.meanAbsolute.toFixed(3)}, largest ${error.largest} of 255 grey levels; ` +
    `mean squared ${error.meanSquared.toExponential(2)} (images in -1 .. 1)`;
  return [
    `${report.samples} samples from seed ${report.firstSeed}; every layer is given its float twin's input`,
    ...table,
    `${report.readout.name}: ${report.readout.weightBits} bits, coefficients in 2^-${report.readout.coefficientBits}, ` +
      `output membrane ${report.readout.membrane.min} .. ${report.readout.membrane.max}`,
    `image error, readout alone:  ${image(report.readoutError)}`,
    `image error, whole decoder:  ${image(report.decoderError)}`,
    formatActivity(report.activity),
  ].join('\n');
}
