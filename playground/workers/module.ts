/** The generated C as a WebAssembly module, beside the page: its serial application's bytes both ways. */

import { load, type Model } from '../../firmware-templates/ports/wasm/fsvae.mjs';
import { serve, tell } from './serve.js';

let model: Model | undefined;

const methods = {
  async start(wasm: Uint8Array): Promise<void> {
    model = await load(wasm, (bytes) => tell(bytes));
  },

  /** Bytes for the application, whose answers have been told when this is answered. */
  send(bytes: Uint8Array): void {
    model?.receive(bytes);
  },
};

export type ModuleMethods = typeof methods;

serve(methods);
