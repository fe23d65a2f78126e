/**
 * Latents as a file: a safetensors file (docs/formats.md), so that any tool opens it. One tensor `latents`, U8, one packed
 * latent a row (rule T2); metadata names the model whose decoder draws them.
 */

import { FsvaeError } from '../runtime-ts/errors.js';
import { encodeSafetensors, parseSafetensors } from '../runtime-ts/safetensors.js';
import { latentBytes } from '../runtime-ts/spike-bits.js';

const FORMAT = 'fsvae-latents';
const VERSION = '1';

export interface LatentFile {
  /** SHA-256 of the model, 64 hexadecimal digits. */
  readonly modelHash: string;
  readonly timeSteps: number;
  readonly latentChannels: number;
  /** Packed, latentBytes(T, C) bytes each. */
  readonly latents: readonly Uint8Array[];
}

/** Same latents, same bytes. */
export function encodeLatents({ modelHash, timeSteps, latentChannels, latents }: LatentFile): Uint8Array {
  const size = latentBytes(timeSteps, latentChannels);
  const data = new Uint8Array(latents.length * size);
  latents.forEach((latent, i) => data.set(latent, i * size));
  return encodeSafetensors(new Map([['latents', { dtype: 'U8', shape: [latents.length, size], data }]]), {
    format: FORMAT,
    version: VERSION,
    model: modelHash,
    timeSteps: String(timeSteps),
    latentChannels: String(latentChannels),
  });
}

function count(text: string | undefined, most: number): number | undefined {
  const value = /^\d{1,7}$/.test(text ?? '') ? Number(text) : 0;
  return value >= 1 && value <= most ? value : undefined;
}

/**
 * @param where named in errors
 * @throws FsvaeError `input` for what is no such file, or one whose sizes do not fit each other
 */
export function decodeLatents(bytes: Uint8Array, where: string): LatentFile {
  const { tensors, metadata } = parseSafetensors(bytes);
  const refuse = (why: string): never => {
    throw new FsvaeError('input', `${where} holds no latents: ${why}`);
  };
  if (metadata.format !== FORMAT) refuse(`its metadata does not say format "${FORMAT}"`);
  if (metadata.version !== VERSION) refuse(`it has another version than ${VERSION}: encode again`);
  const timeSteps = count(metadata.timeSteps, 32) ?? refuse('timeSteps must be from 1 to 32');
  const latentChannels = count(metadata.latentChannels, 2 ** 20) ?? refuse('latentChannels must be from 1 to 2^20');
  if (!/^[0-9a-f]{64}$/.test(metadata.model ?? '')) refuse('its metadata names no model');
  const tensor = tensors.get('latents') ?? refuse('tensor "latents" is missing');
  const size = latentBytes(timeSteps, latentChannels);
  if (tensor.dtype !== 'U8' || tensor.shape.length !== 2 || tensor.shape[1] !== size) {
    refuse(`tensor "latents" is ${tensor.dtype} [${tensor.shape}], but must be U8 [images, ${size}]`);
  }
  const latents = Array.from({ length: tensor.shape[0] }, (_, i) => tensor.data.slice(i * size, (i + 1) * size));
  return { modelHash: metadata.model, timeSteps, latentChannels, latents };
}
