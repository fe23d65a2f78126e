/**
 * The network as its authors' code computes it, in double precision: sizes inferred from a checkpoint's shapes, tdBN
 * folded into weights and biases (exactly: in evaluation tdBN is an affine map of each channel).
 */

import { type Checkpoint, requireFinite } from '../checkpoint/checkpoint.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { ModelConfig } from '../../runtime-ts/model.js';

/** Fully connected spiking layer. `weight[out * inFeatures + in]`. */
export interface FloatLinear {
  readonly kind: 'linear';
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** Transposed convolution, kernel 3, stride 2, padding 1, output padding 1. `weight[((in * outC + out) * 3 + ky) * 3 + kx]`. */
export interface FloatConvTranspose {
  readonly kind: 'conv-transpose';
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Height and width of the input map. */
  readonly inSize: number;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** Last layer: transposed convolution, kernel 3, stride 1, padding 1; then the output membrane's time coefficients and tanh. */
export interface FloatReadout {
  readonly kind: 'readout';
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly size: number;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
  /** Weight of time step t (paper eq. 21): T entries. */
  readonly coefficients: Float64Array;
}

/** Convolution, kernel 3, stride 2, padding 1, of the encoder. `weight[((out * inC + in) * 3 + ky) * 3 + kx]`. */
export interface FloatConv {
  readonly kind: 'conv';
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Height and width of the input map; the output map is half as large. */
  readonly inSize: number;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

export interface FloatModel {
  readonly config: ModelConfig;
  /** Leak: u[t] = tau * u[t-1] * (1 - o[t-1]) + x[t] (paper eq. 1). */
  readonly tau: number;
  /** Vth: fires when u > Vth, strictly (paper eq. 3). */
  readonly threshold: number;
  readonly prior: readonly FloatLinear[];
  /** Rows in the checkpoint's order: channel-major, c * S * S + y * S + x. */
  readonly decoderInput: FloatLinear;
  readonly decoder: readonly FloatConvTranspose[];
  readonly readout: FloatReadout;
}

export interface FloatModelOptions {
  /** The authors' code has 0.25 for every checkpoint; it is not stored in the file. */
  readonly tau?: number;
  /** Likewise 0.2. It enters tdBN too. */
  readonly threshold?: number;
}

/** Zheng et al. 2021: alpha scales the normalised input; the authors' code has 2 in prior and posterior, else 1. */
export const ALPHA_PRIOR = 2;
export const ALPHA_DECODER = 1;
const EPSILON = 1e-5;

const MOST_CHOICES = 256;
const MOST_TIME_STEPS = 32;
const MOST_LAYERS = 16;
/** The integer model's own limit (model-file). */
const MOST_IMAGE_SIZE = 1024;
/** Each layer doubles the map, so a few bytes of weights could ask for gigabytes; the paper's largest layer has 2^17. */
const MOST_NEURONS = 2 ** 20;

/** Of another network everything is wrong: so many of each kind are listed, the rest counted. */
const SHOWN_PROBLEMS = 6;

/** Parts of a whole checkpoint that generation does not use. */
const UNUSED = /^(encoder\.|before_latent_layer\.|posterior\.)/;

type Shape = readonly (number | string)[];

/** Collects everything that is wrong with a checkpoint's names and shapes, to report it at once. */
export class TensorTable {
  private readonly problems: string[] = [];
  private readonly used = new Set<string>();

  constructor(private readonly checkpoint: Checkpoint) {}

  get source(): string {
    return this.checkpoint.source;
  }

  names(): Iterable<string> {
    return this.checkpoint.tensors.keys();
  }

  has(name: string): boolean {
    return this.checkpoint.tensors.has(name);
  }

  shape(name: string): readonly number[] | undefined {
    return this.checkpoint.tensors.get(name)?.shape;
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  /**
   * Marks a tensor as used and checks its shape; a string in `expected` stands for any size and names it.
   *
   * @returns its shape, or undefined when it is missing or has another
   */
  expect(name: string, expected: Shape): readonly number[] | undefined {
    this.used.add(name);
    const shape = this.shape(name);
    if (shape === undefined) {
      this.problem(`missing ${name}, expected (${expected.join(', ')})`);
      return undefined;
    }
    const fits =
      shape.length === expected.length && expected.every((size, i) => typeof size === 'string' || size === shape[i]);
    if (!fits || shape.some((size) => size < 1)) {
      this.problem(`${name} is (${shape.join(', ')}), expected (${expected.join(', ')})`);
      return undefined;
    }
    return shape;
  }

  /** Values of a tensor whose shape has been accepted. */
  values(name: string): Float64Array {
    const tensor = this.checkpoint.tensors.get(name)!;
    requireFinite(name, tensor, this.checkpoint.source);
    return Float64Array.from(tensor.data);
  }

  /**
   * @param others tensors that somebody else uses
   * @throws FsvaeError `input` with the problems found so far and the tensors that nothing used, the first few of both
   */
  finish(others: RegExp): void {
    const unexpected = [...this.checkpoint.tensors.keys()].filter(
      (name) => !this.used.has(name) && !others.test(name) && !name.endsWith('.num_batches_tracked'),
    );
    const extra = unexpected.map((name) => `unexpected ${name} (${this.shape(name)!.join(', ')})`);
    const shown = [...this.problems.slice(0, SHOWN_PROBLEMS), ...extra.slice(0, SHOWN_PROBLEMS)];
    if (shown.length === 0) return;
    const more = this.problems.length + extra.length - shown.length;
    throw new FsvaeError(
      'input',
      `${this.checkpoint.source} is not an FSVAE checkpoint: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
    );
  }
}

const BN_PARTS = ['weight', 'bias', 'running_mean', 'running_var'] as const;

/**
 * Checks weight, bias and tdBN of a layer.
 *
 * @returns the weight's shape; where it is not the expected one, the shape it has, so that one wrong tensor is reported
 *   as one, and not also as all that should have followed from it
 */
export function expectLayer(
  table: TensorTable,
  name: string,
  weight: Shape,
  outAxis: number,
): readonly number[] | undefined {
  const shape = table.expect(`${name}.weight`, weight) ?? table.shape(`${name}.weight`);
  const out = shape?.[outAxis] ?? weight[outAxis];
  table.expect(`${name}.bias`, [out]);
  for (const part of BN_PARTS) table.expect(`${name}.bn.${part}`, [out]);
  return shape;
}

/** Affine map of tdBN: y = factor * x + offset. */
export function batchNorm(
  table: TensorTable,
  name: string,
  alpha: number,
  threshold: number,
): { factor: Float64Array; offset: Float64Array } {
  const [gamma, beta, mean, variance] = BN_PARTS.map((part) => table.values(`${name}.bn.${part}`));
  const negative = variance.findIndex((value) => value < 0);
  if (negative >= 0) {
    throw new FsvaeError(
      'input',
      `${table.source}: tensor "${name}.bn.running_var"[${negative}] is ${variance[negative]}, but a variance is >= 0: ` +
        'the file is damaged',
    );
  }
  const factor = gamma.map((g, c) => (alpha * threshold * g) / Math.sqrt(variance[c] + EPSILON));
  return { factor, offset: factor.map((f, c) => beta[c] - mean[c] * f) };
}

/** Finite tensors can still multiply to infinity, in float64 checkpoints or with an absurd threshold. */
export function requireFoldable(table: TensorTable, name: string, weight: Float64Array, bias: Float64Array): void {
  for (const [part, values] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      throw new FsvaeError(
        'input',
        `${table.source}: ${name}.${part}, element ${at}, is ${values[at]} once tdBN is folded into it: ` +
          'the training diverged; take an earlier checkpoint',
      );
    }
  }
}

export function foldedLinear(table: TensorTable, name: string, alpha: number, threshold: number): FloatLinear {
  const [outFeatures, inFeatures] = table.shape(`${name}.weight`)!;
  const { factor, offset } = batchNorm(table, name, alpha, threshold);
  const weight = table.values(`${name}.weight`).map((w, i) => w * factor[Math.floor(i / inFeatures)]);
  const bias = table.values(`${name}.bias`).map((b, c) => b * factor[c] + offset[c]);
  requireFoldable(table, name, weight, bias);
  return { kind: 'linear', name, inFeatures, outFeatures, weight, bias };
}

function foldedConvTranspose(table: TensorTable, name: string, inSize: number, threshold: number): FloatConvTranspose {
  const [inChannels, outChannels] = table.shape(`${name}.weight`)!;
  const { factor, offset } = batchNorm(table, name, ALPHA_DECODER, threshold);
  const weight = table.values(`${name}.weight`).map((w, i) => w * factor[Math.floor(i / 9) % outChannels]);
  const bias = table.values(`${name}.bias`).map((b, c) => b * factor[c] + offset[c]);
  requireFoldable(table, name, weight, bias);
  return { kind: 'conv-transpose', name, inChannels, outChannels, inSize, weight, bias };
}

/** Layers `PREFIX.0`, `PREFIX.1`, ... up to the highest that has any tensor, so that what it lacks is listed. */
export function countLayers(table: TensorTable, prefix: string): number {
  let count = 0;
  for (const name of table.names()) {
    const index = name.startsWith(`${prefix}.`) ? /^(\d{1,2})\./.exec(name.slice(prefix.length + 1)) : null;
    if (index !== null && Number(index[1]) < MOST_LAYERS) count = Math.max(count, Number(index[1]) + 1);
  }
  return count;
}

/**
 * Reads the prior and decoder of a checkpoint. Everything about the network follows from shapes; tau and the threshold
 * are constants of the authors' code, so they are options here.
 *
 * @throws FsvaeError `input` listing all missing, unexpected, misshaped and too large tensors, or naming a value that is
 *   not finite or a variance below 0; `usage` for tau outside 0 <= tau < 1 or a threshold that is not above 0
 */
export function readFloatModel(checkpoint: Checkpoint, options: FloatModelOptions = {}): FloatModel {
  const tau = options.tau ?? 0.25;
  const threshold = options.threshold ?? 0.2;
  if (!(threshold > 0 && threshold < Infinity)) {
    throw new FsvaeError('usage', `threshold ${threshold} must be a number greater than 0`);
  }
  if (!(tau >= 0 && tau < 1)) throw new FsvaeError('usage', `tau ${tau} must be at least 0 and less than 1`);
  const table = new TensorTable(checkpoint);

  const decoderInputShape = expectLayer(table, 'decoder_input', ['bottom map', 'C'], 0);
  const latentChannels = decoderInputShape?.[1];
  const c = latentChannels ?? 'C';

  const priorLayers = Math.max(1, countLayers(table, 'prior.layers'));
  let width: number | string = c;
  for (let i = 0; i < priorLayers; i++) {
    const shape = expectLayer(table, `prior.layers.${i}`, ['outputs', width], 0);
    width = shape?.[0] ?? 'inputs';
  }
  let choices: number | undefined;
  if (typeof width === 'number' && latentChannels !== undefined) {
    choices = width / latentChannels;
    if (!Number.isInteger(choices) || choices > MOST_CHOICES) {
      table.problem(
        `prior.layers.${priorLayers - 1}.weight has ${width} outputs, expected k * C with C = ${latentChannels} and k from 1 to ${MOST_CHOICES}`,
      );
    }
  }
  if (table.has('prior.initial_input')) {
    const accepted = table.expect('prior.initial_input', [1, c, 1]);
    if (accepted !== undefined && table.values('prior.initial_input').some((value) => value !== 0)) {
      table.problem('prior.initial_input is not all 0, but the network is defined to start from no spikes');
    }
  }

  const decoderLayers = countLayers(table, 'decoder');
  const convNames = [...Array.from({ length: decoderLayers }, (_, i) => `decoder.${i}`), 'final_layer.0'];
  let channels: number | string = 'channels';
  const convShapes = convNames.map((name) => {
    const shape = expectLayer(table, name, [channels, 'outputs', 3, 3, 1], 1);
    channels = shape?.[1] ?? 'channels';
    return shape;
  });
  const readoutShape = table.expect('final_layer.1.weight', [channels, 'image channels', 3, 3, 1]);
  table.expect('final_layer.1.bias', [readoutShape?.[1] ?? 'image channels']);
  const coefShape = table.expect('membrane_output_layer.coef', [1, 1, 1, 1, 'T']);
  const timeSteps = coefShape?.[4];
  if (timeSteps !== undefined && timeSteps > MOST_TIME_STEPS) {
    table.problem(`membrane_output_layer.coef has T = ${timeSteps}, expected 1 to ${MOST_TIME_STEPS}`);
  }

  const bottomChannels = convShapes[0]?.[0];
  let bottomSize = 0;
  if (decoderInputShape !== undefined && bottomChannels !== undefined) {
    bottomSize = Math.sqrt(decoderInputShape[0] / bottomChannels);
    if (!Number.isInteger(bottomSize)) {
      table.problem(
        `decoder_input.weight has ${decoderInputShape[0]} outputs, expected a square map of ${bottomChannels} channels for ${convNames[0]}`,
      );
    } else {
      convShapes.forEach((shape, i) => {
        const size = bottomSize * 2 ** (i + 1);
        const neurons = size * size * (shape?.[1] ?? 1);
        if (neurons > MOST_NEURONS) {
          table.problem(`${convNames[i]} gives a map of ${neurons} neurons, at most ${MOST_NEURONS} are taken`);
        }
      });
      const size = bottomSize * 2 ** convShapes.length;
      if (size > MOST_IMAGE_SIZE)
        table.problem(`the image has ${size} pixels a side, at most ${MOST_IMAGE_SIZE} are taken`);
    }
  }
  table.finish(UNUSED);

  const prior = Array.from({ length: priorLayers }, (_, i) =>
    foldedLinear(table, `prior.layers.${i}`, ALPHA_PRIOR, threshold),
  );
  const decoder = convNames.map((name, i) => foldedConvTranspose(table, name, bottomSize * 2 ** i, threshold));
  const imageSize = bottomSize * 2 ** decoder.length;
  const [inChannels, imageChannels] = readoutShape!;
  return {
    config: {
      channels: imageChannels,
      imageSize,
      latentChannels: latentChannels!,
      choices: choices!,
      timeSteps: timeSteps!,
    },
    tau,
    threshold,
    prior,
    decoderInput: foldedLinear(table, 'decoder_input', ALPHA_DECODER, threshold),
    decoder,
    readout: {
      kind: 'readout',
      name: 'final_layer.1',
      inChannels,
      outChannels: imageChannels,
      size: imageSize,
      weight: table.values('final_layer.1.weight'),
      bias: table.values('final_layer.1.bias'),
      coefficients: table.values('membrane_output_layer.coef'),
    },
  };
}
