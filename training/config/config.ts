/** What is trained and how: one JSON file, checked before anything relies on it. docs/training.md explains every field. */

import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { FsvaeError } from '../../runtime-ts/errors.js';

function integer(low: number, high: number) {
  const error = `must be a whole number from ${low} to ${high}`;
  return z.int(error).min(low, error).max(high, error);
}

function real(low: number, high: number) {
  const error = `must be a number from ${low} to ${high}`;
  return z.number(error).min(low, error).max(high, error);
}

/** What every network has. @param latentChannels the default */
function imageModel(latentChannels: number) {
  return {
    /** 1 (grey) or 3 (RGB). */
    channels: integer(1, 3).default(1),
    /** Pixels a side; the bottom map has imageSize / 2^(number of hidden channels). */
    imageSize: integer(2, 256).default(32),
    /** Of the encoder, from the image down; the decoder has them in reverse. */
    hiddenChannels: z.array(integer(1, 1024)).min(1).max(7).default([32, 64, 128, 256]),
    /** C. */
    latentChannels: integer(1, 1024).default(latentChannels),
  };
}

function checkImageModel(
  { channels, imageSize, hiddenChannels }: { channels: number; imageSize: number; hiddenChannels: readonly number[] },
  context: { addIssue(issue: { code: 'custom'; path: string[]; message: string }): void },
): void {
  const step = 2 ** hiddenChannels.length;
  if (imageSize % step !== 0) {
    const message = `must be a multiple of ${step}: each of ${hiddenChannels.length} hidden layers halves it`;
    context.addIssue({ code: 'custom', path: ['imageSize'], message });
  }
  if (channels === 2) context.addIssue({ code: 'custom', path: ['channels'], message: 'must be 1 or 3' });
}

const model = z
  .strictObject({
    ...imageModel(128),
    /** k: outputs of posterior and prior that one latent spike is chosen from. */
    choices: integer(1, 256).default(20),
    /** T. */
    timeSteps: integer(1, 32).default(16),
  })
  .superRefine(checkImageModel);

const neuron = z.strictObject({
  /** Leak: u[t] = tau * u[t-1] * (1 - o[t-1]) + x[t]. */
  tau: real(0, 255 / 256)
    .multipleOf(1 / 256, 'must be a multiple of 1/256')
    .default(0.25),
  threshold: real(0.001, 100).default(0.2),
  /**
   * Derivative of a spike by its membrane. `authors`: 1 / width where |u| < width / 2, as their code has it; `paper`: the
   * same around the threshold.
   */
  surrogate: z.enum(['authors', 'paper']).default('authors'),
  width: real(0.01, 100).default(1),
});

const loss = z.strictObject({
  /** Between posterior and prior: `mmd-psp` and `mmd` as means of squares, `kld` times 1e-4 (Table 3 of the paper). */
  distance: z.enum(['mmd-psp', 'mmd', 'kld']).default('mmd-psp'),
  /** Added for each spike of prior and decoder, per image: trades spikes against quality. */
  spikeCost: real(0, 1).default(0),
});

/** The chance that the prior sees its own output, rising over the epochs; the paper starts at 0. */
const scheduledSampling = z.strictObject({
  from: real(0, 1).default(0.1),
  to: real(0, 1).default(0.3),
  /** Time steps before this one are never replaced. */
  firstStep: integer(0, 31).default(5),
});

const optimizer = z.strictObject({
  learningRate: real(1e-8, 1).default(1e-3),
  /** Of the learning rate over the run's steps: it stays, or falls to zero along a line or half a cosine. */
  schedule: z.enum(['constant', 'linear', 'cosine']).default('constant'),
  weightDecay: real(0, 1).default(1e-3),
  beta1: real(0, 0.9999).default(0.9),
  beta2: real(0, 0.999999).default(0.999),
  epsilon: real(1e-12, 1e-2).default(1e-8),
});

const WEIGHT_BITS = 'must be 8, 4, or an object that gives layers 8 or 4, such as {"prior": 4}';
const weightBits = z.union([z.literal(8), z.literal(4)], WEIGHT_BITS);

/** Prior and decoder compute in the integers that `quantize` makes of them (docs/quantization-aware.md). */
const quantization = z.strictObject({
  /**
   * Of all weights; or by layer, for a state_dict name or all names that begin with it and a dot. Later entries win, layers
   * without one have 8, as with the option `--bits`.
   */
  bits: z.union([weightBits, z.record(z.string(), weightBits)], WEIGHT_BITS).default(8),
  /** Encoder and posterior stay as they are, running statistics included: a step is shorter, and small batches do no harm. */
  freezePosterior: z.boolean().default(false),
});

/** Names of the layers that a device runs, in order. */
export function generatorLayerNames({ hiddenChannels }: Pick<ModelShape, 'hiddenChannels'>): string[] {
  return [
    ...[0, 1, 2].map((i) => `prior.layers.${i}`),
    'decoder_input',
    ...hiddenChannels.slice(1).map((_, i) => `decoder.${i}`),
    'final_layer.0',
    'final_layer.1',
  ];
}

function covers(prefix: string, name: string): boolean {
  return name === prefix || name.startsWith(`${prefix}.`);
}

/** How anything is trained. */
const training = {
  optimizer: optimizer.prefault({}),
  batchSize: integer(2, 4096).default(250),
  epochs: integer(1, 100_000).default(150),
  /** Mirror half of the images, as the paper does for CIFAR10 and CelebA. */
  flips: z.boolean().default(false),
  seed: integer(0, Number.MAX_SAFE_INTEGER).default(0),
};

const fsvae = z
  .strictObject({
    kind: z.literal('fsvae').default('fsvae'),
    model: model.prefault({}),
    neuron: neuron.prefault({}),
    loss: loss.prefault({}),
    /** null: always the posterior's spikes (teacher forcing). */
    scheduledSampling: scheduledSampling.nullable().prefault({}),
    /** null: real numbers throughout. */
    quantization: quantization.nullable().default(null),
    /**
     * Equal parts of a batch that threads compute side by side, each normalised by its own statistics; more of them are another
     * training, more threads are not.
     */
    shards: integer(1, 64).default(1),
    /** First epochs with fewer time steps, which cost less: each entry's steps hold before epoch `until`. */
    curriculum: z
      .array(z.strictObject({ until: integer(1, 100_000), timeSteps: integer(1, 32) }))
      .max(16)
      .default([]),
    ...training,
  })
  .superRefine(({ model: { timeSteps, hiddenChannels }, batchSize, shards, curriculum, quantization }, context) => {
    if (shards > 1 && (batchSize % shards !== 0 || batchSize < 2 * shards)) {
      const message = `must part batchSize, ${batchSize}, into equal parts of 2 images or more`;
      context.addIssue({ code: 'custom', path: ['shards'], message });
    }
    const names = generatorLayerNames({ hiddenChannels });
    for (const prefix of typeof quantization?.bits === 'object' ? Object.keys(quantization.bits) : []) {
      if (names.some((name) => covers(prefix, name))) continue;
      const message = `is no layer of prior or decoder; they are ${names.join(', ')}`;
      context.addIssue({ code: 'custom', path: ['quantization', 'bits', prefix], message });
    }
    curriculum.forEach((stage, i) => {
      if (i > 0 && stage.until <= curriculum[i - 1].until) {
        context.addIssue({ code: 'custom', path: ['curriculum', i, 'until'], message: 'must be above the one before' });
      }
      if (stage.timeSteps > timeSteps) {
        const message = `must be at most model.timeSteps, ${timeSteps}`;
        context.addIssue({ code: 'custom', path: ['curriculum', i, 'timeSteps'], message });
      }
    });
  });

/** Networks without spikes to compare with: no neurons, no time, no choices. */
function baseline<K extends string>(kind: K, latentChannels: number) {
  return z.strictObject({
    kind: z.literal(kind),
    model: z.strictObject(imageModel(latentChannels)).superRefine(checkImageModel).prefault({}),
    ...training,
  });
}

/** By kind: the FSVAE, the ANN VAE of Table 1, and the autoencoder in whose latent the Fréchet distance is measured. */
const SCHEMAS = { fsvae, vae: baseline('vae', 128), autoencoder: baseline('autoencoder', 64) } as const;

/** Of an FSVAE. */
export type TrainingConfig = z.infer<typeof fsvae>;
export type ModelShape = TrainingConfig['model'];
export type BaselineConfig = z.infer<(typeof SCHEMAS)['vae' | 'autoencoder']>;
export type BaselineShape = BaselineConfig['model'];
/** Of any network. */
export type NetworkConfig = TrainingConfig | BaselineConfig;
export type NetworkKind = NetworkConfig['kind'];

function kindOf(value: unknown): string {
  const kind = typeof value === 'object' && value !== null ? (value as { kind?: unknown }).kind : undefined;
  return kind === undefined ? 'fsvae' : String(kind);
}

/**
 * @param value of JSON; fields that are absent have the paper's values
 * @param source path for messages
 * @throws FsvaeError `input`, one line: every field that is out of range, with its limits, or that the kind does not have
 */
export function parseNetworkConfig(value: unknown, source: string): NetworkConfig {
  const kind = kindOf(value);
  const refuse = (problems: string): never => {
    throw new FsvaeError('input', `${source}: ${problems}; docs/training.md lists the fields`);
  };
  if (!Object.hasOwn(SCHEMAS, kind)) refuse(`kind: must be one of ${Object.keys(SCHEMAS).join(', ')}`);
  const parsed = SCHEMAS[kind as NetworkKind].safeParse(value);
  if (parsed.success) return parsed.data;
  return refuse(
    parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`).join('; '),
  );
}

/** As parseNetworkConfig, for an FSVAE. */
export function parseConfig(value: unknown, source: string): TrainingConfig {
  const config = parseNetworkConfig(value, source);
  if (config.kind === 'fsvae') return config;
  throw new FsvaeError('input', `${source}: kind: must be fsvae here, not ${config.kind}`);
}

/**
 * What a config file holds, unchecked: JSON.
 *
 * @throws FsvaeError `usage` when it cannot be read, `input` when it is no JSON
 */
export function readConfigValue(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new FsvaeError(
      'usage',
      `${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`,
    );
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new FsvaeError('input', `${path}: is not JSON`);
  }
}

/** @throws FsvaeError as readConfigValue, and `input` when it is out of range */
export function readConfig(path: string): NetworkConfig {
  return parseNetworkConfig(readConfigValue(path), path);
}

/** Fields that only this trainer has. training/pytorch refuses other values than their defaults. */
const OF_THIS_TRAINER = ['quantization', 'shards'];

function jsonSchemaOf(schema: (typeof SCHEMAS)[NetworkKind]): Record<string, unknown> {
  const { type, additionalProperties, required, properties = {} } = z.toJSONSchema(schema, { io: 'input' });
  const shared = Object.entries(properties).filter(([name]) => !OF_THIS_TRAINER.includes(name));
  const needed = required === undefined ? {} : { required };
  return { type, additionalProperties, ...needed, properties: Object.fromEntries(shared) };
}

/** What training/config/schema.json holds: by kind the fields, defaults and limits, for readers in other languages. */
export function configJsonSchema() {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    oneOf: Object.keys(SCHEMAS).map((kind) => ({ $ref: `#/$defs/${kind}` })),
    $defs: Object.fromEntries(Object.entries(SCHEMAS).map(([kind, schema]) => [kind, jsonSchemaOf(schema)])),
  };
}

/** T of an epoch, counted from 0. */
export function timeStepsOf({ model: { timeSteps }, curriculum }: TrainingConfig, epoch: number): number {
  return curriculum.find(({ until }) => epoch < until)?.timeSteps ?? timeSteps;
}

/** Bits of each layer's weights, for `quantize`; 8 without `quantization`. */
export function layerWeightBits({ quantization, model }: TrainingConfig): Map<string, 8 | 4> {
  const bits = quantization?.bits ?? 8;
  const bitsOf = (name: string): 8 | 4 =>
    typeof bits === 'object'
      ? Object.keys(bits).reduce<8 | 4>((found, prefix) => (covers(prefix, name) ? bits[prefix] : found), 8)
      : bits;
  return new Map(generatorLayerNames(model).map((name) => [name, bitsOf(name)]));
}

/** The same as the option `--bits` of quantize and eval says it. */
export function bitsOption({ quantization }: TrainingConfig): string {
  const bits = quantization?.bits ?? 8;
  if (typeof bits !== 'object') return String(bits);
  return ['8', ...Object.entries(bits).map(([name, value]) => `${name}=${value}`)].join(',');
}
