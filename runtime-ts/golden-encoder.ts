/** The golden encoder as verification sees it: latents and digests for an image and a seed. */

import { DigestRows } from './digests.js';
import { EncoderNetwork, type EncoderRow, encoderRows } from './encoder.js';
import type { ConvLayer, IntegerEncoder } from './encoder-model.js';
import type { LinearLayer } from './model.js';
import { drawChoices } from './pcg32.js';
import { encodeSafetensors, type Tensor } from './safetensors.js';
import { sha256 } from './sha256.js';
import { packLatent } from './spike-bits.js';
import { wordBytes } from './words.js';

/** Digests of one image's way to its latent: one CRC-32 per row and step (rule T3). */
export interface EncoderTrace {
  /** One array of T digests per row of encoderTraceRows(). */
  readonly digests: Uint32Array[];
  /** Spikes per row, summed over all steps; 0 for `choices`. */
  readonly spikes: Uint32Array;
  /** Packed (rule T2). */
  readonly latent: Uint8Array;
}

/** The rows of a trace: the choices drawn, then what fires, from the first convolution to z. */
export function encoderTraceRows(encoder: IntegerEncoder): EncoderRow[] {
  return [{ name: 'choices', neurons: encoder.config.latentChannels }, ...encoderRows(encoder)];
}

function shapeOf(layer: ConvLayer | LinearLayer): number[] {
  return layer.kind === 'conv'
    ? [layer.outChannels, layer.inChannels, layer.inSize]
    : [layer.outFeatures, layer.inFeatures];
}

/**
 * The encoder's name, as modelHash() is the model's: the SHA-256 of everything that its latents follow from, as 64
 * hexadecimal digits.
 */
export function encoderHash({ config, leak, convolutions, latentInput, posterior }: IntegerEncoder): string {
  const tensors = new Map<string, Tensor>();
  const layers = [...convolutions, latentInput, ...posterior];
  for (const { name, weight, bias, threshold } of layers) {
    const bytes = new Uint8Array(weight.buffer, weight.byteOffset, weight.byteLength);
    tensors.set(`${name}.weight`, { dtype: 'I8', shape: [weight.length], data: bytes });
    for (const [part, values] of Object.entries({ bias, threshold })) {
      const data = wordBytes(Uint32Array.from(values));
      tensors.set(`${name}.${part}`, { dtype: 'I32', shape: [values.length], data });
    }
  }
  const { channels, imageSize, latentChannels, choices, timeSteps } = config;
  const header = {
    config: { channels, imageSize, latentChannels, choices, timeSteps },
    leak: { multiplier: leak.multiplier, shift: leak.shift },
    layers: layers.map((layer) => ({
      name: layer.name,
      kind: layer.kind,
      weightBits: layer.weightBits,
      bits: layer.fractionBits,
      shape: shapeOf(layer),
    })),
  };
  return sha256(encodeSafetensors(tensors, { format: 'fsvae-integer-encoder', encoder: JSON.stringify(header) }));
}

export class GoldenEncoder {
  readonly hash: string;
  readonly rows: readonly EncoderRow[];
  private readonly network: EncoderNetwork;

  constructor(readonly encoder: IntegerEncoder) {
    this.hash = encoderHash(encoder);
    this.rows = encoderTraceRows(encoder);
    this.network = new EncoderNetwork(encoder);
  }

  /** Rule G3. T * C indices for a seed, taken modulo 2^64. */
  private choices(seed: bigint): Uint8Array {
    const { timeSteps, latentChannels, choices } = this.encoder.config;
    return drawChoices(BigInt.asUintN(64, seed), timeSteps, latentChannels, choices);
  }

  private pack(z: Uint8Array): Uint8Array {
    const { timeSteps, latentChannels } = this.encoder.config;
    return packLatent(z, timeSteps, latentChannels);
  }

  /**
   * The packed latent of an image (rule T2).
   *
   * @param image channels * size * size bytes, channel-major
   * @param seed of the posterior's choices
   * @throws FsvaeError `input` when the image has another size
   */
  encode(image: Uint8Array, seed: bigint): Uint8Array {
    return this.pack(this.network.encode(image, this.choices(seed)));
  }

  /** Rule T3: the digests of an image and a seed. */
  trace(image: Uint8Array, seed: bigint): EncoderTrace {
    const choices = this.choices(seed);
    const gathered = new DigestRows(this.rows.length, this.encoder.config.timeSteps, choices);
    const z = this.network.encode(image, choices, (row, step, fired) => gathered.add(1 + row, step, fired));
    const { digests, spikes } = gathered;
    return { digests, spikes, latent: this.pack(z) };
  }
}

/** The sum of the squared differences of two images' bytes. */
export function squaredError(image: Uint8Array, other: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < image.length; i++) sum += (image[i] - other[i]) ** 2;
  return sum;
}
