/** A built WebAssembly project: where its files lie in it, and what its loader gives. */

import type { load, Model } from '../firmware-templates/ports/wasm/fsvae.mjs';

export const WASM_LOADER = 'port/fsvae.mjs';
export const WASM_PROGRAM = 'build/fsvae.wasm';

export type WasmModel = Model;

/** The loader, imported. */
export interface WasmLoader {
  readonly load: typeof load;
}
