/**
 * Proves an import: runs the float network on a recorded PyTorch run's choices and latents and compares every layer's
 * spike counts, the recorded spikes, z and the images (docs/recording.md describes the file).
 *
 * The recording summed in single precision in PyTorch's order, this program sums in double precision. A membrane within
 * TIE of the threshold may therefore fall on the other side. Such a tie is only accepted when flipping it reproduces
 * the recording exactly, in its layer and in all layers after it, and it is always reported.
 */

import type { NpzArray } from '../checkpoint/npz.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { FloatConvTranspose, FloatLinear, FloatModel } from './network.js';
import { floatNeurons, runLayer, runReadout, toPositionMajor } from './run.js';

/** Largest distance of a membrane from the threshold, in units of the membrane (the threshold is 0.2), that is a tie. */
export const TIE = 1e-5;
/** Largest difference of a pixel in -1 .. 1: single precision over some thousand additions. */
export const IMAGE_TOLERANCE = 1e-4;

/** Most flips that one layer of one sample may need; the reference needs none. */
const MOST_FLIPS = 3;
/** Ties of one layer that are considered, nearest to the threshold first; the reference has 36 at most. */
const MOST_TIES = 48;
/** Comparisons of a layer's spikes, and runs of a layer, that one sample may cost: some seconds when nothing fits. */
const MOST_ATTEMPTS = 1000;
const MOST_RUNS = 200;

/** A spike that fell on the other side in the recording. */
export interface Tie {
  readonly layer: string;
  readonly sample: number;
  readonly step: number;
  /** Position-major. */
  readonly neuron: number;
  /** Membrane minus threshold here. */
  readonly margin: number;
  /** Spikes of this and later layers of the sample that are different because of it. */
  readonly followers: number;
}

export interface CheckMismatch {
  readonly layer: string;
  readonly sample: number;
  readonly step: number;
  readonly what: string;
  readonly expected: number;
  readonly actual: number;
  /** Ties that had to be flipped in earlier layers to come this far; not in the report's ties: nothing confirmed them. */
  readonly flips: number;
  /** The search for ties that explain it stopped at its limits, so it may still be one. */
  readonly limited: boolean;
}

export interface CheckedLayer {
  readonly name: string;
  /** What the recording holds of it. */
  readonly compared: readonly string[];
  /** Numbers compared: counts, spikes, pixels. */
  readonly values: number;
  /** Samples in which an earlier layer failed: what this one would have been given is unknown. */
  readonly samplesLeftOut: number;
}

export interface CheckReport {
  readonly samples: number;
  readonly layers: readonly CheckedLayer[];
  /** Arrays of counts or spikes in the recording that belong to no layer of prior or decoder: nothing was compared. */
  readonly ignored: readonly string[];
  readonly ties: readonly Tie[];
  readonly mismatches: readonly CheckMismatch[];
  /** Largest difference of a pixel in -1 .. 1. */
  readonly imageError: number;
  readonly passed: boolean;
}

type Layer = FloatLinear | FloatConvTranspose;

/** What the recording says about one layer of one sample; every entry may be absent. */
interface Expectation {
  /** Spikes at each step. */
  readonly counts?: Float64Array;
  /** T x neurons spikes, position-major. */
  readonly spikes?: Uint8Array;
  /** For the prior's last layer: T x C, how many of each channel's k outputs fired. */
  readonly channelCounts?: Uint8Array;
  /** For the prior's last layer of a generated run: T x C picked spikes, and the choices. */
  readonly picked?: { readonly z: Uint8Array; readonly choices: Uint8Array };
}

interface Flip {
  readonly neuron: number;
  readonly step: number;
  readonly margin: number;
  /** The neuron's spikes at all steps once this one is flipped. */
  readonly train: Uint8Array;
}

interface Chain {
  readonly layers: readonly Layer[];
  readonly expectations: readonly Expectation[];
  readonly input: Uint8Array;
  /** Compares what the last layer leads to; undefined: nothing does. */
  readonly finish?: (spikes: Uint8Array) => (Difference & { readonly layer: string }) | undefined;
}

interface Difference {
  readonly step: number;
  readonly what: string;
  readonly expected: number;
  readonly actual: number;
}

class Recording {
  readonly samples: number;
  /** Did z come out of the prior? Else it came out of the posterior, and the prior only saw it. */
  readonly generated: boolean;

  constructor(
    private readonly model: FloatModel,
    private readonly arrays: ReadonlyMap<string, NpzArray>,
  ) {
    const { timeSteps, latentChannels, channels, imageSize } = model.config;
    const first = arrays.get('choices');
    if (first === undefined)
      throw new FsvaeError('input', 'the recording holds no array "choices" (docs/recording.md)');
    this.samples = first.shape[0] ?? 0;
    if (this.samples < 1) throw new FsvaeError('input', 'the recording holds no sample: array "choices" is empty');
    this.shape('choices', [timeSteps, latentChannels]);
    this.shape('z', [latentChannels, timeSteps]);
    this.shape('image', [channels, imageSize, imageSize]);
    this.wholeNumbers('choices', model.config.choices - 1);
    this.wholeNumbers('z', 1);
    this.generated = !['count_q', 'latent_x', 'input'].some((name) => arrays.has(name));
  }

  /** Names of recorded counts and spikes for which `layers` has no layer. */
  unknown(layers: readonly string[]): string[] {
    const known = new Set(['count_q', 'count_p', ...layers.flatMap((name) => [`count_${name}`, `spk_${name}`])]);
    return [...this.arrays.keys()].filter((name) => /^(count|spk)_/.test(name) && !known.has(name));
  }

  /** Asked before anything is narrowed to bytes, where 257 would pass for 1. */
  private wholeNumbers(name: string, largest: number): void {
    const { data } = this.arrays.get(name)!;
    const at = data.findIndex((value: number) => !Number.isInteger(value) || value < 0 || value > largest);
    if (at >= 0) {
      throw new FsvaeError(
        'input',
        `array "${name}" of the recording holds ${data[at]} at element ${at}, but only whole numbers 0 .. ${largest} can be`,
      );
    }
  }

  private shape(name: string, rest: readonly number[]): NpzArray {
    const array = this.arrays.get(name);
    const expected = [this.samples, ...rest];
    if (array === undefined)
      throw new FsvaeError('input', `the recording holds no array "${name}" (docs/recording.md)`);
    if (array.shape.length !== expected.length || expected.some((size, i) => size !== array.shape[i])) {
      throw new FsvaeError(
        'input',
        `array "${name}" of the recording is (${array.shape.join(', ')}), but this checkpoint's is (${expected.join(', ')})`,
      );
    }
    return array;
  }

  /** One sample of an array, or undefined when it is not there. */
  sample(name: string, rest: readonly number[], sample: number): ArrayLike<number> | undefined {
    if (!this.arrays.has(name)) return undefined;
    const { data } = this.shape(name, rest);
    const length = rest.reduce((product, size) => product * size, 1);
    return data.subarray(sample * length, (sample + 1) * length);
  }

  /** (A, T) to (T, A). */
  timeMajor(values: ArrayLike<number>, timeSteps: number): Uint8Array {
    const width = values.length / timeSteps;
    const turned = new Uint8Array(values.length);
    for (let a = 0; a < width; a++)
      for (let t = 0; t < timeSteps; t++) turned[t * width + a] = values[a * timeSteps + t];
    return turned;
  }

  /** Recorded spikes of one of the first two samples: numpy.packbits of (2 or 1, neurons in the checkpoint's order, T). */
  spikes(name: string, neurons: number, channels: number, sample: number): Uint8Array | undefined {
    const array = this.arrays.get(`spk_${name}`);
    if (array === undefined || sample > 1) return undefined;
    const { timeSteps } = this.model.config;
    const packed = Math.min(2, this.samples);
    const bits = packed * neurons * timeSteps;
    if (array.data.length !== Math.ceil(bits / 8)) {
      throw new FsvaeError(
        'input',
        `array "spk_${name}" has ${array.data.length} bytes, but ${packed} samples take ${Math.ceil(bits / 8)}`,
      );
    }
    const spikes = new Uint8Array(neurons * timeSteps);
    for (let i = 0; i < spikes.length; i++) {
      const bit = sample * spikes.length + i;
      spikes[i] = (Number(array.data[bit >> 3]) >> (7 - (bit & 7))) & 1;
    }
    return toPositionMajor(this.timeMajor(spikes, timeSteps), timeSteps, channels);
  }
}

class Checker {
  readonly ties: Tie[] = [];
  readonly mismatches: CheckMismatch[] = [];
  private attempts = 0;
  private runs = 0;
  private limited = false;
  /** The failure furthest down the chain; among several, the first, which took the fewest flips. */
  private deepest: { layer: string; difference: Difference; depth: number; flips: number } | undefined;

  constructor(private readonly model: FloatModel) {}

  private run(layer: Layer, input: Uint8Array, membranes?: Float64Array): Uint8Array {
    const { tau, threshold, config } = this.model;
    return runLayer(layer, input, config.timeSteps, tau, threshold, membranes);
  }

  /** decoder_input's rows are channel-major in a checkpoint; everything here is position-major. */
  private ordered<A extends Uint8Array | Float64Array>(layer: Layer, values: A): A {
    if (layer !== this.model.decoderInput) return values;
    return toPositionMajor(values, this.model.config.timeSteps, this.model.decoder[0].inChannels);
  }

  private difference(spikes: Uint8Array, expected: Expectation): Difference | undefined {
    const { timeSteps, choices: k, latentChannels } = this.model.config;
    const neurons = spikes.length / timeSteps;
    for (let t = 0; t < timeSteps; t++) {
      const at = spikes.subarray(t * neurons, (t + 1) * neurons);
      if (expected.counts !== undefined) {
        const actual = at.reduce((sum, spike) => sum + spike, 0);
        if (actual !== expected.counts[t]) return { step: t, what: 'spikes', expected: expected.counts[t], actual };
      }
      if (expected.spikes !== undefined) {
        const n = at.findIndex((spike, i) => spike !== expected.spikes![t * neurons + i]);
        if (n >= 0) return { step: t, what: `spike of neuron ${n}`, expected: 1 - at[n], actual: at[n] };
      }
      for (let c = 0; c < latentChannels && (expected.channelCounts ?? expected.picked) !== undefined; c++) {
        if (expected.channelCounts !== undefined) {
          const actual = at.subarray(k * c, k * (c + 1)).reduce((sum, spike) => sum + spike, 0);
          const wanted = expected.channelCounts[t * latentChannels + c];
          if (actual !== wanted) return { step: t, what: `outputs of channel ${c}`, expected: wanted, actual };
        }
        if (expected.picked !== undefined) {
          const actual = at[k * c + expected.picked.choices[t * latentChannels + c]];
          const wanted = expected.picked.z[t * latentChannels + c];
          if (actual !== wanted) return { step: t, what: `z of channel ${c}`, expected: wanted, actual };
        }
      }
    }
    return undefined;
  }

  /** Every membrane that is a tie, with the neuron's train when that spike is flipped. */
  private flips(membranes: Float64Array, spikes: Uint8Array): Flip[] {
    const { tau, threshold, config } = this.model;
    const { timeSteps } = config;
    const neurons = spikes.length / timeSteps;
    const found: Flip[] = [];
    for (let i = 0; i < membranes.length; i++) {
      const margin = membranes[i] - threshold;
      if (Math.abs(margin) > TIE) continue;
      const neuron = i % neurons;
      const step = Math.floor(i / neurons);
      const train = Uint8Array.from({ length: timeSteps }, (_, t) => spikes[t * neurons + neuron]);
      train[step] = 1 - train[step];
      let carried = train[step] === 1 ? 0 : membranes[i];
      for (let t = step + 1; t < timeSteps; t++) {
        const at = t * neurons + neuron;
        const before = spikes[at - neurons] === 1 ? 0 : membranes[at - neurons];
        const u = tau * carried + (membranes[at] - tau * before);
        train[t] = u > threshold ? 1 : 0;
        carried = train[t] === 1 ? 0 : u;
      }
      found.push({ neuron, step, margin, train });
    }
    found.sort((a, b) => Math.abs(a.margin) - Math.abs(b.margin));
    if (found.length > MOST_TIES) this.limited = true;
    return found.slice(0, MOST_TIES);
  }

  /** Whether the flips bring every step's count to the recorded one: cheap, and settles nearly all sets. */
  private balances(flips: readonly Flip[], spikes: Uint8Array, missing: Float64Array): boolean {
    const neurons = spikes.length / missing.length;
    return missing.every((wanted, t) => {
      let change = 0;
      for (const { neuron, train } of flips) change += train[t] - spikes[t * neurons + neuron];
      return change === wanted;
    });
  }

  private fail(layer: string, difference: Difference, depth: number, flips: number): void {
    if (this.deepest === undefined || depth > this.deepest.depth) this.deepest = { layer, difference, depth, flips };
  }

  private apply(spikes: Uint8Array, flips: readonly Flip[]): Uint8Array {
    const flipped = spikes.slice();
    const neurons = spikes.length / this.model.config.timeSteps;
    for (const { neuron, train } of flips) train.forEach((spike, t) => (flipped[t * neurons + neuron] = spike));
    return flipped;
  }

  /** Sets of flips, the smaller ones first, at most one flip a neuron. */
  private *subsets(flips: readonly Flip[]): Generator<Flip[]> {
    const choose = function* (from: number, size: number, chosen: Flip[]): Generator<Flip[]> {
      if (size === 0) {
        yield chosen;
        return;
      }
      for (let i = from; i < flips.length; i++) {
        if (chosen.some(({ neuron }) => neuron === flips[i].neuron)) continue;
        yield* choose(i + 1, size - 1, [...chosen, flips[i]]);
      }
    };
    for (let size = 0; size <= Math.min(MOST_FLIPS, flips.length); size++) yield* choose(0, size, []);
  }

  /**
   * Depth first through the layers: in each, the smallest sets of flips first that reproduce the recording to the end.
   *
   * @param flipped number of flips in the layers before
   */
  private solve(
    chain: Chain,
    depth: number,
    input: Uint8Array,
    flipped: number,
  ): { layer: number; flips: Flip[] }[] | undefined {
    // The first pass through the chain is always made; what comes after it is search.
    if (++this.runs > MOST_RUNS + chain.layers.length) {
      this.limited = true;
      return undefined;
    }
    if (depth === chain.layers.length) {
      const difference = chain.finish?.(input);
      if (difference === undefined) return [];
      this.fail(difference.layer, difference, depth, flipped);
      return undefined;
    }
    const { timeSteps } = this.model.config;
    const layer = chain.layers[depth];
    const neurons = floatNeurons(layer);
    const raw = new Float64Array(timeSteps * neurons);
    const spikes = this.ordered(layer, this.run(layer, input, raw));
    const flips = this.flips(this.ordered(layer, raw), spikes);
    const { counts } = chain.expectations[depth];
    const missing = counts?.map(
      (count, t) => count - spikes.subarray(t * neurons, (t + 1) * neurons).reduce((sum, spike) => sum + spike, 0),
    );
    for (const subset of this.subsets(flips)) {
      // The unflipped spikes are always compared in full: what differs there is what is reported.
      if (subset.length > 0 && missing !== undefined && !this.balances(subset, spikes, missing)) continue;
      if (++this.attempts > MOST_ATTEMPTS) {
        this.limited = true;
        return undefined;
      }
      const tried = this.apply(spikes, subset);
      const difference = this.difference(tried, chain.expectations[depth]);
      if (difference !== undefined) {
        this.fail(layer.name, difference, depth, flipped);
        continue;
      }
      const rest = this.solve(chain, depth + 1, tried, flipped + subset.length);
      if (rest !== undefined) return [{ layer: depth, flips: subset }, ...rest];
      if (this.runs > MOST_RUNS + chain.layers.length) return undefined;
    }
    return undefined;
  }

  /** Spikes of all layers from `from` on, with the flips of a solution. */
  private replay(chain: Chain, solution: readonly { flips: Flip[] }[]): Uint8Array[] {
    const outputs: Uint8Array[] = [];
    let input = chain.input;
    chain.layers.forEach((layer, depth) => {
      input = this.apply(this.ordered(layer, this.run(layer, input)), solution[depth].flips);
      outputs.push(input);
    });
    return outputs;
  }

  /** @returns how many layers of the chain were compared, what finishes it counted as one: all unless one failed */
  check(chain: Chain, sample: number): number {
    const all = chain.layers.length + 1;
    this.attempts = 0;
    this.runs = 0;
    this.limited = false;
    this.deepest = undefined;
    const solution = this.solve(chain, 0, chain.input, 0);
    if (solution === undefined) {
      const { layer, difference, depth, flips } = this.deepest!;
      const { step, what, expected, actual } = difference;
      this.mismatches.push({ layer, sample, step, what, expected, actual, flips, limited: this.limited });
      return depth + 1;
    }
    if (solution.every(({ flips }) => flips.length === 0)) return all;
    const flipped = this.replay(chain, solution);
    solution.forEach(({ flips }, depth) => {
      for (const flip of flips) {
        const without = solution.map((entry) => ({ flips: entry.flips.filter((other) => other !== flip) }));
        const plain = this.replay(chain, without);
        let followers = -1; // the tie itself is none
        flipped.forEach((spikes, i) => spikes.forEach((spike, n) => (followers += spike === plain[i][n] ? 0 : 1)));
        this.ties.push({
          layer: chain.layers[depth].name,
          sample,
          step: flip.step,
          neuron: flip.neuron,
          margin: flip.margin,
          followers,
        });
      }
    });
    return all;
  }
}

/**
 * Compares a recorded run with the float network.
 *
 * @param arrays as read from the .npz file; shapes as docs/recording.md gives them
 * @throws FsvaeError `input` when an array that must be there is not, or has another shape than the checkpoint gives
 */
export function checkRecordedRun(model: FloatModel, arrays: ReadonlyMap<string, NpzArray>): CheckReport {
  const { timeSteps, latentChannels, channels, imageSize } = model.config;
  const recording = new Recording(model, arrays);
  const checker = new Checker(model);
  const decoderLayers: Layer[] = [model.decoderInput, ...model.decoder];
  const recorded = new Map<string, { compared: Set<string>; values: number; samplesLeftOut: number }>();
  /** What one sample's chain holds to compare, layer by layer; booked once it is known how far the comparison came. */
  let pending: { layer: string; what: string; count: number }[] = [];
  const counted = (layer: string, what: string, count: number): void => {
    pending.push({ layer, what, count });
  };
  const book = (reached: ReadonlySet<string>): void => {
    const leftOut = new Set<string>();
    for (const { layer, what, count } of pending) {
      const entry = recorded.get(layer) ?? { compared: new Set(), values: 0, samplesLeftOut: 0 };
      entry.compared.add(what);
      if (reached.has(layer)) entry.values += count;
      else leftOut.add(layer);
      recorded.set(layer, entry);
    }
    for (const layer of leftOut) recorded.get(layer)!.samplesLeftOut++;
    pending = [];
  };
  const names = (layers: readonly { readonly name: string }[]): string[] => layers.map(({ name }) => name);
  const expectation = (layer: Layer, mapChannels: number, sample: number): Expectation => {
    const counts = recording.sample(`count_${layer.name}`, [timeSteps], sample);
    const spikes = recording.spikes(layer.name, floatNeurons(layer), mapChannels, sample);
    if (counts !== undefined) counted(layer.name, 'counts', timeSteps);
    if (spikes !== undefined) counted(layer.name, 'spikes', spikes.length);
    return {
      ...(counts === undefined ? {} : { counts: Float64Array.from(counts) }),
      ...(spikes === undefined ? {} : { spikes }),
    };
  };

  let imageError = 0;
  for (let sample = 0; sample < recording.samples; sample++) {
    const choices = Uint8Array.from(recording.sample('choices', [timeSteps, latentChannels], sample)!);
    const z = recording.timeMajor(recording.sample('z', [latentChannels, timeSteps], sample)!, timeSteps);

    // The prior sees the recorded z, so that one tie does not carry on into another digit.
    const shifted = new Uint8Array(z.length);
    shifted.set(z.subarray(0, z.length - latentChannels), latentChannels);
    const expectations = model.prior.map((layer) => expectation(layer, layer.outFeatures, sample));
    const last = model.prior[model.prior.length - 1].name;
    const channelCounts = recording.sample('count_p', [latentChannels, timeSteps], sample);
    if (channelCounts !== undefined) counted(last, 'counts by channel', channelCounts.length);
    if (recording.generated) counted(last, 'z', z.length);
    expectations[expectations.length - 1] = {
      ...expectations[expectations.length - 1],
      ...(channelCounts === undefined ? {} : { channelCounts: recording.timeMajor(channelCounts, timeSteps) }),
      ...(recording.generated ? { picked: { z, choices } } : {}),
    };
    book(
      new Set(
        names(model.prior).slice(0, checker.check({ layers: model.prior, expectations, input: shifted }, sample)),
      ),
    );

    const pixels = Float64Array.from(recording.sample('image', [channels, imageSize, imageSize], sample)!);
    counted(model.readout.name, 'image', pixels.length);
    const reached = checker.check(
      {
        layers: decoderLayers,
        expectations: decoderLayers.map((layer) =>
          expectation(layer, layer.kind === 'linear' ? model.decoder[0].inChannels : layer.outChannels, sample),
        ),
        input: z,
        finish: (spikes) => {
          const image = runReadout(model.readout, spikes, timeSteps);
          let worst = 0;
          let error = 0;
          image.forEach((value, i) => {
            const difference = Math.abs(value - pixels[i]);
            // A recorded NaN compares with nothing: it is as wrong as a pixel can be.
            const distance = Number.isNaN(difference) ? Infinity : difference;
            if (distance > error) {
              error = distance;
              worst = i;
            }
          });
          if (error > IMAGE_TOLERANCE) {
            return {
              layer: model.readout.name,
              step: timeSteps - 1,
              what: `pixel ${worst}`,
              expected: pixels[worst],
              actual: image[worst],
            };
          }
          imageError = Math.max(imageError, error);
          return undefined;
        },
      },
      sample,
    );
    book(new Set(names([...decoderLayers, model.readout]).slice(0, reached)));
    const failed = checker.mismatches.at(-1);
    if (failed?.sample === sample && failed.layer === model.readout.name) {
      const error = Math.abs(failed.actual - failed.expected);
      imageError = Number.isNaN(error) ? Infinity : Math.max(imageError, error);
    }
  }
  const order = names([...model.prior, ...decoderLayers, model.readout]);
  return {
    samples: recording.samples,
    layers: [...recorded]
      .sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
      .map(([name, entry]) => ({ ...entry, name, compared: [...entry.compared] })),
    ignored: recording.unknown(order),
    ties: checker.ties,
    mismatches: checker.mismatches,
    imageError,
    passed: checker.mismatches.length === 0,
  };
}

/** A table and every tie and mismatch, for people. */
export function formatCheckReport(report: CheckReport): string {
  const width = Math.max(...report.layers.map((layer) => layer.name.length));
  const lines = [`${report.samples} recorded samples`];
  for (const layer of report.layers) {
    const ties = report.ties.filter((tie) => tie.layer === layer.name).length;
    const mismatches = report.mismatches.filter((mismatch) => mismatch.layer === layer.name).length;
    const compared = report.samples - layer.samplesLeftOut;
    const equal = compared === 0 ? 'NOT COMPARED' : ties > 0 ? `equal but for ${ties} ties` : 'equal';
    const verdict =
      (mismatches > 0 ? `${mismatches} MISMATCHES` : equal) +
      (layer.samplesLeftOut > 0 ? `; ${layer.samplesLeftOut} samples left out, an earlier layer failed` : '');
    lines.push(
      `  ${layer.name.padEnd(width)}  ${String(layer.values).padStart(8)} ${layer.compared.join(', ')}: ${verdict}`,
    );
  }
  if (report.ignored.length > 0) lines.push(`  not compared, no layer here: ${report.ignored.join(', ')}`);
  for (const tie of report.ties) {
    lines.push(
      `  tie: ${tie.layer}, sample ${tie.sample}, step ${tie.step}, neuron ${tie.neuron}: membrane ` +
        `${tie.margin >= 0 ? 'above' : 'below'} the threshold by ${Math.abs(tie.margin).toExponential(2)}, which single ` +
        `precision rounds to the other side; ${tie.followers} later spikes follow it; flipped, the recording is reproduced`,
    );
  }
  for (const { layer, sample, step, what, expected, actual, flips, limited } of report.mismatches) {
    lines.push(
      `  MISMATCH: ${layer}, sample ${sample}, step ${step}: ${what}: recorded ${expected}, here ${actual}` +
        (flips > 0 ? `, after ${flips} ties flipped in earlier layers` : '') +
        (limited ? ' (not every combination of ties was tried)' : ''),
    );
  }
  if (report.mismatches.some(({ what }) => what.startsWith('z of channel'))) {
    lines.push('  if this z came from the posterior, record latent_x or count_q too (docs/recording.md)');
  }
  const images = report.layers.find(({ compared }) => compared.includes('image'));
  lines.push(
    images === undefined || images.values === 0
      ? 'no image was compared'
      : `images differ by ${report.imageError.toExponential(2)} at most (allowed ${IMAGE_TOLERANCE}, in -1 .. 1)`,
    report.passed ? 'the checkpoint reproduces the recorded run' : 'the checkpoint does NOT reproduce the recorded run',
  );
  return lines.join('\n');
}
