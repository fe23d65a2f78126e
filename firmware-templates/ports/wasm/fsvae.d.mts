/** Types of fsvae.mjs. */

/** An instance of the module, of which each has memory of its own. */
export interface Model {
  readonly channels: number;
  /** Height and width in pixels. */
  readonly imageSize: number;
  /** Bytes of a latent: T runs of C bits, the first bit of a byte its lowest. */
  readonly latentBytes: number;
  /** The image of a seed from 0 to 2^64 - 1: grey levels, channel by channel, row by row. */
  sample(seed: bigint): Uint8Array;
  /**
   * The image of a latent.
   *
   * @throws RangeError for one of another length
   */
  decode(latent: Uint8Array): Uint8Array;
  /**
   * A latent of an image, which decode() draws again; undefined where the model has no encoder.
   *
   * @param seed of the random choices
   * @throws RangeError for an image of another size
   */
  encode?(image: Uint8Array, seed: bigint): Uint8Array;
  /** Bytes for the serial application: any part of a frame, or several. It has answered when this returns. */
  receive(bytes: Uint8Array): void;
}

/**
 * @param wasm the bytes of fsvae.wasm
 * @param write takes what the serial application sends, while receive() runs; images need none of it
 */
export function load(wasm: ArrayBuffer | Uint8Array, write?: (bytes: Uint8Array) => void): Promise<Model>;
