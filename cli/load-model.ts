/** Models by name or path: an integer model as it is, a checkpoint by way of quantization. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseCheckpoint } from '../codegen/checkpoint/checkpoint.js';
import { type FloatModel, readFloatModel } from '../codegen/float/network.js';
import { PACKAGE_ROOT } from '../codegen/package-root.js';
import { parseBitsOption } from '../codegen/quantize/bits.js';
import { layerNames, quantize, spikingLayerNames } from '../codegen/quantize/quantize.js';
import { parseThresholdScaleOption } from '../codegen/quantize/threshold-scale.js';
import { printableName } from '../codegen/emit/view.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { decodeModel, isModelFile } from '../runtime-ts/model-file.js';
import type { IntegerModel } from '../runtime-ts/model.js';
import { parseSafetensors } from '../runtime-ts/safetensors.js';

export const DEFAULT_MODEL = 'mnist';

/** Larger files are not networks of this kind: the paper's largest has 16 MB. */
const MOST_BYTES = 1 << 30;

export interface ModelOptions {
  readonly model: string;
  /** undefined: 8 for a checkpoint; an integer model has its bits already. */
  readonly bits?: string;
  readonly tau?: number;
  readonly threshold?: number;
  /** undefined: 1 for a checkpoint; an integer model has its thresholds already. */
  readonly thresholdScale?: string;
}

export interface LoadedModel {
  readonly name: string;
  readonly path: string;
  readonly model: IntegerModel;
  /** The float model, where the file was a checkpoint. */
  readonly float: FloatModel | undefined;
}

/** Names of the models that come with the package. */
export function shippedModels(): string[] {
  const folder = join(PACKAGE_ROOT, 'models');
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, `${name}.safetensors`)))
    .sort();
}

function resolvePath(nameOrPath: string): string {
  if (shippedModels().includes(nameOrPath))
    return join(PACKAGE_ROOT, 'models', nameOrPath, `${nameOrPath}.safetensors`);
  return nameOrPath;
}

export function readModelBytes(nameOrPath: string): { bytes: Uint8Array; path: string } {
  const path = resolvePath(nameOrPath);
  let size: number;
  try {
    size = statSync(path).size;
  } catch {
    throw new FsvaeError(
      'usage',
      `no model or checkpoint ${JSON.stringify(nameOrPath)}: it is neither a file nor one of ${shippedModels().join(', ')}`,
    );
  }
  if (size > MOST_BYTES) throw new FsvaeError('input', `${path} has ${size} bytes; at most ${MOST_BYTES} are read`);
  return { bytes: readFileSync(path), path };
}

/** True for a safetensors file that holds an integer model. */
export function holdsIntegerModel(bytes: Uint8Array): boolean {
  // A zip begins with "PK"; safetensors with the length of its header.
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return false;
  try {
    return isModelFile(parseSafetensors(bytes).metadata);
  } catch {
    return false;
  }
}

export function loadFloatModel(nameOrPath: string, options: Pick<ModelOptions, 'tau' | 'threshold'> = {}): FloatModel {
  const { bytes, path } = readModelBytes(nameOrPath);
  if (holdsIntegerModel(bytes)) {
    throw new FsvaeError(
      'input',
      `${path} is an integer model already; this command needs the checkpoint it came from`,
    );
  }
  const checkpoint = parseCheckpoint(bytes, path);
  if (['fc_mu.weight', 'latent_layer.weight'].some((name) => checkpoint.tensors.has(name))) {
    throw new FsvaeError(
      'input',
      `${path} is a network without spikes, for which there is no integer model: only train, eval and anomaly --against take it`,
    );
  }
  return readFloatModel(checkpoint, {
    ...(options.tau === undefined ? {} : { tau: options.tau }),
    ...(options.threshold === undefined ? {} : { threshold: options.threshold }),
  });
}

/**
 * @throws FsvaeError `usage` for a name that is no file, or options that an integer model cannot take; `input` for a
 *   file that is no network
 */
export function loadModel(options: ModelOptions): LoadedModel {
  const { bytes, path } = readModelBytes(options.model);
  const name = printableName(
    basename(path)
      .replace(/\.[^.]*$/, '')
      .replace(/\.int[48]$/, ''),
  );
  if (holdsIntegerModel(bytes)) {
    const { bits, tau, threshold, thresholdScale } = options;
    if ([bits, tau, threshold, thresholdScale].some((value) => value !== undefined)) {
      throw new FsvaeError(
        'usage',
        `${path} is quantized already: --bits, --tau, --threshold and --threshold-scale need its checkpoint`,
      );
    }
    return { name, path, model: decodeModel(bytes).model, float: undefined };
  }
  const float = loadFloatModel(options.model, options);
  const model = quantize(float, {
    ...parseBitsOption(options.bits ?? '8', layerNames(float)),
    ...parseThresholdScaleOption(options.thresholdScale ?? '1', spikingLayerNames(float)),
  });
  return { name, path, model, float };
}
