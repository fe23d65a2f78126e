/** A built WebAssembly project: where its files lie in it, and what its loader (firmware-templates/ports/wasm/fsvae.mjs) gives. */

export const WASM_LOADER = 'port/fsvae.mjs';
export const WASM_PROGRAM = 'build/fsvae.wasm';

/** An instance, of which each has memory of its own. */
export interface WasmModel {
  readonly channels: number;
  readonly imageSize: number;
  /** Bytes of a latent (rule T2). */
  readonly latentBytes: number;
  /** @throws WebAssembly.RuntimeError on a trap */
  sample(seed: bigint): Uint8Array;
  /** @throws RangeError for a latent of another length */
  decode(latent: Uint8Array): Uint8Array;
  /** Bytes for the serial application, which answers before this returns. */
  receive(bytes: Uint8Array): void;
}

export interface WasmLoader {
  /** @param write takes what the serial application sends */
  load(wasm: Uint8Array, write?: (bytes: Uint8Array) => void): Promise<WasmModel>;
}
