/**
 * A run's state as one safetensors file: the network under the authors' names, the optimiser's moments, and how far the run
 * is. With the seed in its config that is all: every random number is a function of seed and step.
 */

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { readBytes } from '../../codegen/checkpoint/file.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { encodeSafetensors, parseSafetensors, type Tensor } from '../../runtime-ts/safetensors.js';
import { type NetworkConfig, parseNetworkConfig } from '../config/config.js';
import type { NamedArray, NetworkTensors } from '../model/parameters.js';
import type { AdamW } from './adamw.js';

const FORMAT = 'fsvae-training';
const VERSION = '1';

/** How far a run is. */
export interface RunPosition {
  /** Steps done, in all. */
  readonly step: number;
  /** Epoch of the next step, from 0. */
  readonly epoch: number;
  /** Steps of that epoch that are done. */
  readonly stepOfEpoch: number;
}

function floats({ shape, data }: NamedArray): Tensor {
  return { dtype: 'F32', shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

function networkTensors({ trained, running, constants }: NetworkTensors): Map<string, Tensor> {
  const arrays = [...trained, ...running, ...constants];
  return new Map(arrays.map((array) => [array.name, floats(array)]));
}

/** Everything that the run needs to go on. @param images fingerprint of what it is trained on */
export function encodeRun(
  config: NetworkConfig,
  parameters: NetworkTensors,
  optimizer: AdamW,
  position: RunPosition,
  images: string,
): Uint8Array {
  const tensors = networkTensors(parameters);
  parameters.trained.forEach(({ name, shape }, i) => {
    const { first, second } = optimizer.moments[i];
    tensors.set(`optimizer.first.${name}`, floats({ name, shape, data: first }));
    tensors.set(`optimizer.second.${name}`, floats({ name, shape, data: second }));
  });
  return encodeSafetensors(tensors, {
    format: FORMAT,
    version: VERSION,
    config: JSON.stringify(config),
    position: JSON.stringify(position),
    images,
  });
}

/**
 * The network alone: what `fsvae-codegen quantize` reads, and `load_state_dict` of the authors' class of its kind once
 * safetensors.torch.load_file has read it.
 */
export function encodeNetwork(config: NetworkConfig, parameters: NetworkTensors, steps: number): Uint8Array {
  const tensors = networkTensors(parameters);
  for (const { name } of parameters.running.filter((array) => array.name.endsWith('.running_var'))) {
    const count = BigInt64Array.of(BigInt(steps));
    const data = new Uint8Array(count.buffer);
    tensors.set(name.replace(/running_var$/, 'num_batches_tracked'), { dtype: 'I64', shape: [], data });
  }
  const sorted = new Map([...tensors].sort(([a], [b]) => (a < b ? -1 : 1)));
  // Eight-byte numbers last of all would lie unaligned behind an odd count of floats: they come first.
  const wide = [...sorted].filter(([, { dtype }]) => dtype === 'I64');
  const rest = [...sorted].filter(([, { dtype }]) => dtype !== 'I64');
  return encodeSafetensors(new Map([...wide, ...rest]), { config: JSON.stringify(config) });
}

export interface SavedRun {
  readonly config: NetworkConfig;
  readonly position: RunPosition;
  readonly images: string;
  /** Fills parameters and moments from the file. @throws FsvaeError `input` naming a tensor that is missing or misshaped */
  restore(parameters: NetworkTensors, optimizer: AdamW): void;
}

/** @throws FsvaeError `usage` when there is no such file, `input` when it is damaged or something else */
export function readRun(path: string): SavedRun {
  const refuse = (why: string): never => {
    throw new FsvaeError('input', `${path}: ${why}; take an earlier copy, or train anew in another folder`);
  };
  const bytes = readBytes(path);
  let parsed: ReturnType<typeof parseSafetensors>;
  try {
    parsed = parseSafetensors(bytes);
  } catch (error) {
    return refuse((error as Error).message);
  }
  const { tensors, metadata } = parsed;
  if (metadata['format'] !== FORMAT || metadata['version'] !== VERSION) {
    refuse(`is not a training checkpoint of format ${FORMAT} ${VERSION}`);
  }
  const json = (key: string): unknown => {
    try {
      return JSON.parse(metadata[key] ?? '');
    } catch {
      return refuse(`its metadata holds no readable ${JSON.stringify(key)}`);
    }
  };
  const config = parseNetworkConfig(json('config'), path);
  const position = json('position') as RunPosition;
  const counts = [position?.step, position?.epoch, position?.stepOfEpoch];
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) refuse('its position is not whole numbers');

  const fill = (name: string, shape: readonly number[], target: Float32Array): void => {
    const tensor = tensors.get(name);
    if (tensor === undefined || tensor.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
      const found = tensor === undefined ? 'missing' : `${tensor.dtype} (${tensor.shape.join(', ')})`;
      refuse(`tensor "${name}" is ${found}, expected F32 (${shape.join(', ')})`);
    }
    target.set(new Float32Array(new Uint8Array(tensor!.data).buffer)); // a copy: the data may lie at any address
  };
  return {
    config,
    position,
    images: metadata['images'] ?? '',
    restore: (parameters, optimizer) => {
      for (const { name, shape, data } of [...parameters.trained, ...parameters.running]) fill(name, shape, data);
      parameters.trained.forEach(({ name, shape }, i) => {
        fill(`optimizer.first.${name}`, shape, optimizer.moments[i].first);
        fill(`optimizer.second.${name}`, shape, optimizer.moments[i].second);
      });
    },
  };
}

/**
 * Writes a file so that at every moment either the old or the new one is there, whole: to a file beside it, out of the
 * system's buffers, then renamed over it.
 *
 * @throws FsvaeError `usage` when it cannot be written; what was there before is untouched
 */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const beside = `${path}.partial`;
  try {
    const file = openSync(beside, 'w');
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new FsvaeError(
      'usage',
      `${path} cannot be written (${code}); the ${basename(path)} of before, if there is one, is whole: make room, then --resume`,
    );
  }
  // The rename itself is on the disk only once the folder is.
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
