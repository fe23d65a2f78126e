/** Networks that reconstruct images, each image with its error: the integer model, its float network, networks without spikes. */

import { parseCheckpoint } from '../codegen/checkpoint/checkpoint.js';
import { readCheckpoint } from '../codegen/checkpoint/file.js';
import { reconstructOn } from '../harness/encoding.js';
import { startProgress, timeLeft } from '../harness/progress.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { GoldenModel } from '../runtime-ts/golden.js';
import { squaredError } from '../runtime-ts/golden-encoder.js';
import { encodeImage, imageOf, type ImageSet, type LoadedEncoder } from './encoder.js';
import type { EncodingTarget } from './encoding-target.js';
import { readModelBytes } from './load-model.js';
import type { Output } from './terminal.js';
import { loadMetrics } from './training.js';

export interface ErrorSource {
  readonly title: string;
  /** Errors of a set's images, in their order and in parts: mean squared over an image's pixels in -1 .. 1. */
  errors(set: ImageSet): Iterable<readonly number[]> | AsyncIterable<readonly number[]>;
}

/** Squared, the distance of neighbouring grey levels: errors are of pixels in -1 .. 1, as in the paper's Table 1. */
export const PIXEL_UNIT = (2 / 255) ** 2;

/** What `--against` may say besides a checkpoint's name. */
export const FLOAT = 'float';

/** Image n drawn again by the golden model, with the choices of seed + n. */
export function redraw(
  encoder: LoadedEncoder,
  golden: GoldenModel,
  set: ImageSet,
  n: number,
  seed: bigint,
): Uint8Array {
  return golden.decode(encodeImage(encoder, imageOf(set, n), seed, n));
}

/**
 * Encoder and decoder in integers: the golden model, or a board, each of whose images is compared with the golden model's.
 *
 * @throws FsvaeError `mismatch`, when the errors are taken, where a board's image differs
 */
export function integerSource(
  encoder: LoadedEncoder,
  golden: GoldenModel,
  seed: bigint,
  board: EncodingTarget | undefined,
): ErrorSource {
  const both = { model: golden, encoder: encoder.golden };
  const drawnBy = async ({ target, encoder: own }: EncodingTarget, image: Uint8Array, n: number) => {
    const { image: drawn, exact } = await reconstructOn(target, own, both, image, seed + BigInt(n));
    if (exact) return drawn;
    throw new FsvaeError(
      'mismatch',
      `image ${n} as ${target.name} reconstructs it differs from the golden model's; fsvae-codegen reconstruct says where it parts`,
    );
  };
  return {
    title: 'integer model',
    async *errors(set) {
      for (let n = 0; n < set.count; n++) {
        const image = imageOf(set, n);
        const drawn = board === undefined ? redraw(encoder, golden, set, n, seed) : await drawnBy(board, image, n);
        yield [(squaredError(image, drawn) / image.length) * PIXEL_UNIT];
      }
    },
  };
}

/**
 * The networks to compare with, in their order.
 *
 * @param against FLOAT, or an ANN VAE or autoencoder: the checkpoint, or the name of a shipped one
 * @throws FsvaeError `input` for a checkpoint of another kind, `usage` where there is none or it takes other images
 */
export async function otherSources(
  against: readonly string[],
  { loaded }: LoadedEncoder,
  seed: bigint,
  neuron: { readonly tau?: number; readonly threshold?: number },
): Promise<ErrorSource[]> {
  if (against.length === 0) return [];
  const tools = await loadMetrics();
  await tools.startEngine();
  return against.map((what) => {
    if (what === FLOAT) {
      const { config, parameters } = tools.readTrainedNetwork(readCheckpoint(loaded.path), neuron);
      const model = new tools.Fsvae(config, parameters);
      return { title: 'float network', errors: (set) => tools.fsvaeErrors(model, config.model, set, seed) };
    }
    const { bytes, path } = readModelBytes(what);
    const { config, parameters } = tools.readBaseline(parseCheckpoint(bytes, path));
    const { channels, imageSize } = loaded.model.config;
    if (config.model.channels !== channels || config.model.imageSize !== imageSize) {
      const shape = (of: typeof config.model): string => `${of.channels} x ${of.imageSize} x ${of.imageSize}`;
      throw new FsvaeError(
        'usage',
        `${path} takes images of ${shape(config.model)}, the model of ${channels} x ${imageSize} x ${imageSize}`,
      );
    }
    // Its seed is a number of the trainer's: 53 bits.
    const seeded = { ...config, seed: Number(BigInt.asUintN(53, seed)) };
    const network =
      seeded.kind === 'vae' ? new tools.Vae(seeded, parameters, 0) : new tools.Autoencoder(seeded.model, parameters);
    const title = seeded.kind === 'vae' ? 'ANN VAE' : 'autoencoder';
    return { title, errors: (set) => tools.baselineErrors(network, set) };
  });
}

/** All errors of a set, with a bar. */
export async function collectErrors(
  output: Output,
  source: ErrorSource,
  set: ImageSet,
  what: string,
): Promise<number[]> {
  const errors: number[] = [];
  const bar = startProgress({ stream: output.stderr, label: `${what}, ${source.title}`, total: set.count });
  const started = performance.now();
  try {
    for await (const part of source.errors(set)) {
      errors.push(...part);
      bar.update(errors.length, timeLeft(started, errors.length, set.count));
    }
  } finally {
    bar.stop();
  }
  return errors;
}
