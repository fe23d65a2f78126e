/** Something that draws images of the model and can be looked into: the golden model, or a board. */

import type { Constants, ConstantsRequest } from './frame.js';

/** Rows of a trace, their sizes, and how many steps there are. */
export interface TargetShape {
  readonly layerNames: readonly string[];
  readonly layerNeurons: readonly number[];
  readonly timeSteps: number;
  readonly channels: number;
  readonly imageSize: number;
}

export interface TargetImage {
  /** channels * size * size bytes, channel-major. */
  readonly image: Uint8Array;
  /** Counts of the target's own clock; undefined where it has none. */
  readonly cycles?: bigint;
  /** Wall-clock milliseconds until the answer began (drawing), and while it came in (the link); 0 without a link. */
  readonly waitMs: number;
  readonly transferMs: number;
}

export interface TargetTrace {
  /** One array of T CRC-32s per row. */
  readonly digests: readonly Uint32Array[];
  /** Spikes per row over all steps; 0 for `choices`. */
  readonly spikes: ArrayLike<number>;
  /** CRC-32 of the image. */
  readonly imageCrc: number;
}

/** The latent of an image. */
export interface TargetLatent extends Omit<TargetImage, 'image'> {
  /** Packed (rule T2). */
  readonly latent: Uint8Array;
}

export interface TargetReconstruction extends TargetImage {
  /** Sum of the squared differences between the bytes of the image and of its original. */
  readonly squaredError: number;
}

/** Encoder and posterior of a target. Images: channels * size * size bytes, channel-major; seeds: taken modulo 2^64. */
export interface TargetEncoder {
  /** First 16 hex digits of its SHA-256. */
  readonly hash: string;
  /** CRC-32 over its constants as they are read from flash; undefined where they lie in no flash. */
  readonly weightChecksum?: number;
  /** Rows of its trace, from the choices drawn to z, and their sizes. */
  readonly rows: readonly { readonly name: string; readonly neurons: number }[];
  encode(image: Uint8Array, seed: bigint): Promise<TargetLatent>;
  reconstruct(image: Uint8Array, seed: bigint): Promise<TargetReconstruction>;
  /** `latentCrc`: of the packed latent. */
  trace(image: Uint8Array, seed: bigint): Promise<Omit<TargetTrace, 'imageCrc'> & { readonly latentCrc: number }>;
  /** Counts of its clock for the last image that was encoded, by row; undefined where none are kept. */
  cycles?(): Promise<number[]>;
}

export interface Target {
  /** For messages and reports. */
  readonly name: string;
  readonly shape: TargetShape;
  /** Counts of the clock behind TargetImage.cycles in a second; undefined where there is none. */
  readonly cyclesPerSecond: number | undefined;
  /** The image of a seed, taken modulo 2^64. */
  sample(seed: bigint): Promise<TargetImage>;
  /** The image of a packed latent. */
  decode(latent: Uint8Array): Promise<TargetImage>;
  trace(seed: bigint): Promise<TargetTrace>;
  /** All spikes of a row at a step: bit i & 7 of byte i >> 3. Not for the row `choices`. */
  spikes(seed: bigint, layer: number, step: number): Promise<Uint8Array>;
  /** Membranes before reset of `count` neurons from `first`; for the row `choices`, the indices drawn. */
  membranes(seed: bigint, layer: number, step: number, first: number, count: number): Promise<Int32Array>;
  /** Counts of its clock for the last image that was drawn, by row, then the readout; undefined where none are kept. */
  layerCycles?(): Promise<number[]>;
  /** Constants as they lie in the target's memory; undefined where there is no memory to look into. */
  constants?(request: ConstantsRequest): Promise<Constants>;
  /** undefined where encoder and posterior are not on board. */
  readonly encoder?: TargetEncoder | undefined;
  close(): Promise<void>;
}
