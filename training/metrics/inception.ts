/**
 * Inception score and FID by a network that the user supplies as ONNX; none comes with this program. ONNX Runtime's
 * WebAssembly build runs it: an optional peer, loaded when it is asked for.
 */

import type { InferenceSession } from 'onnxruntime-web';
import { readBytes } from '../../codegen/checkpoint/file.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { type Filter, FloatResize } from './resize.js';
import type { ImageBatch } from './samples.js';

export const ONNXRUNTIME = 'onnxruntime-web@1.30.0';

/** What the network's input values are: 0 .. 255, 0 .. 1, -1 .. 1, or torchvision's normalisation of ImageNet. */
export const RANGES = ['255', '1', 'symmetric', 'imagenet'] as const;
export type Range = (typeof RANGES)[number];

/** torchvision's, of red, green and blue in 0 .. 1. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/** For a network whose input does not say its size. */
const USUAL_SIZE = 299;

/** Images that the network sees at once: its maps are large. */
const RUN_BATCH = 8;

export interface InceptionOptions {
  readonly range: Range;
  readonly filter: Filter;
}

export interface InceptionOutput {
  /** Images times `dimensions`, for FID; undefined where the network has no output `features`. */
  readonly features: Float32Array | undefined;
  /** Images times classes, for the inception score; undefined where it has no output `logits`. */
  readonly probabilities: Float32Array | undefined;
}

interface Tensor {
  readonly dims: readonly number[];
  readonly data: unknown;
}

/** A value in -1 .. 1 in the network's range. */
function ranged(value: number, channel: number, range: Range): number {
  if (range === 'symmetric') return value;
  const unit = (value + 1) / 2;
  if (range === '1') return unit;
  if (range === '255') return 255 * unit;
  return (unit - IMAGENET.mean[channel]) / IMAGENET.deviation[channel];
}

function softmax(logits: Float32Array): Float32Array {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (value) => value / sum);
}

async function loadRuntime(): Promise<typeof import('onnxruntime-web')> {
  try {
    return await import('onnxruntime-web');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes('onnxruntime-web')) {
      throw new FsvaeError(
        'usage',
        `--inception needs ONNX Runtime, which is not installed: npm install ${ONNXRUNTIME} beside fsvae-codegen`,
      );
    }
    throw error;
  }
}

export class InceptionNetwork {
  private constructor(
    private readonly runtime: typeof import('onnxruntime-web'),
    private readonly session: InferenceSession,
    private readonly path: string,
    private readonly size: number,
    private readonly options: InceptionOptions,
  ) {}

  get hasFeatures(): boolean {
    return this.session.outputNames.includes('features');
  }

  get hasLogits(): boolean {
    return this.session.outputNames.includes('logits');
  }

  /**
   * @param path an ONNX file: one input (N, 3, side, side) in single precision, N left open; outputs `features` (N, any), `logits`
   *   (N, classes) or both
   * @throws FsvaeError `usage` when there is no such file or no ONNX Runtime, `input` for a network of another kind
   */
  static async open(path: string, options: InceptionOptions): Promise<InceptionNetwork> {
    const bytes = readBytes(path);
    const runtime = await loadRuntime();
    runtime.env.wasm.numThreads = 1;
    runtime.env.logLevel = 'error';
    let session: InferenceSession;
    try {
      session = await runtime.InferenceSession.create(bytes, { executionProviders: ['wasm'] });
    } catch (error) {
      throw new FsvaeError('input', `${path}: ONNX Runtime does not take it: ${(error as Error).message}`);
    }
    const [input] = session.inputMetadata;
    const shape = input !== undefined && input.isTensor ? input.shape : [];
    const type = input !== undefined && input.isTensor ? input.type : 'no tensor';
    const [, channels, height, width] = shape;
    if (
      session.inputNames.length !== 1 ||
      type !== 'float32' ||
      shape.length !== 4 ||
      (typeof channels === 'number' && channels !== 3) ||
      (height !== width && typeof height === 'number' && typeof width === 'number')
    ) {
      throw new FsvaeError(
        'input',
        `${path}: takes ${session.inputNames.length} input(s), the first ${type} (${shape.join(', ')}); expected one, float32 (N, 3, side, side)`,
      );
    }
    if (!session.outputNames.some((name) => name === 'features' || name === 'logits')) {
      throw new FsvaeError(
        'input',
        `${path}: gives ${session.outputNames.join(', ')}; expected an output named features (for FID), logits (for the inception ` +
          'score), or both: name them when exporting (docs/evaluation.md)',
      );
    }
    return new InceptionNetwork(runtime, session, path, typeof height === 'number' ? height : USUAL_SIZE, options);
  }

  /** @param batch of images with 1 channel, which is repeated, or 3; any size */
  async run({ count, images }: ImageBatch, channels: number, size: number): Promise<InceptionOutput> {
    const found = { features: [] as Float32Array[], logits: [] as Float32Array[] };
    for (let first = 0; first < count; first += RUN_BATCH) {
      const taken = Math.min(RUN_BATCH, count - first);
      const input = this.inputOf(images, first, taken, channels, size);
      const side = this.size;
      const tensor = new this.runtime.Tensor('float32', input, [taken, 3, side, side]);
      const outputs = await this.session.run({ [this.session.inputNames[0]]: tensor });
      for (const name of ['features', 'logits'] as const) {
        if (this.session.outputNames.includes(name)) found[name].push(this.rows(name, outputs[name], taken));
      }
    }
    const whole = (parts: readonly Float32Array[]): Float32Array => {
      const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      return all;
    };
    const logits = whole(found.logits);
    const classes = logits.length / count;
    const probabilities = new Float32Array(logits.length);
    for (let n = 0; n < count && classes > 0; n++) {
      probabilities.set(softmax(logits.subarray(n * classes, (n + 1) * classes)), n * classes);
    }
    return {
      features: this.hasFeatures ? whole(found.features) : undefined,
      probabilities: this.hasLogits ? probabilities : undefined,
    };
  }

  private rows(name: string, { dims, data }: Tensor, count: number): Float32Array {
    // (N, d), also with maps of one pixel behind.
    const fits = dims[0] === count && dims.slice(2).every((one) => one === 1) && dims.length >= 2;
    if (!fits || !(data instanceof Float32Array)) {
      throw new FsvaeError('input', `${this.path}: ${name} is (${dims.join(', ')}), expected float32 (${count}, any)`);
    }
    if (!data.every((value) => Number.isFinite(value))) {
      throw new FsvaeError(
        'input',
        `${this.path}: ${name} is not finite: is --inception-range ${this.options.range} right for it?`,
      );
    }
    return data.slice();
  }

  /** Resized first, then cut to -1 .. 1, which a cubic can leave, then brought to the range. */
  private inputOf(images: Float32Array, first: number, count: number, channels: number, size: number): Float32Array {
    const area = this.size * this.size;
    const input = new Float32Array(count * 3 * area);
    const resize = new FloatResize(size, this.size, this.options.filter);
    const plane = new Float32Array(size * size);
    for (let n = 0; n < count; n++) {
      const from = (first + n) * size * size * channels;
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < plane.length; i++) plane[i] = images[from + i * channels + (channels === 3 ? c : 0)];
        const into = input.subarray((n * 3 + c) * area, (n * 3 + c + 1) * area);
        resize.apply(plane, into);
        for (let i = 0; i < area; i++) into[i] = ranged(Math.min(1, Math.max(-1, into[i])), c, this.options.range);
      }
    }
    return input;
  }
}

export interface InceptionScore {
  /** Over splits of 256 images, as the authors' code takes them. */
  readonly mean: number;
  /** Standard deviation over the splits. */
  readonly deviation: number;
  readonly splits: number;
}

/** exp(mean over images of KL(p(class | image) || p(class))), Salimans et al. 2016; p(class) is the split's mean. */
export function splitScore(probabilities: Float32Array, count: number): number {
  const classes = probabilities.length / count;
  const mean = new Float64Array(classes);
  for (let i = 0; i < probabilities.length; i++) mean[i % classes] += probabilities[i] / count;
  let sum = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i];
    if (p > 0) sum += p * Math.log(p / mean[i % classes]);
  }
  return Math.exp(sum / count);
}

/** @param scores of splits */
export function inceptionScore(scores: readonly number[]): InceptionScore {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scores.length;
  return { mean, deviation: Math.sqrt(variance), splits: scores.length };
}
