/** A WebAssembly project in a real browser: a page that loads it as port/README.md says. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { WASM_LOADER, WASM_PROGRAM } from '../../emulator/wasm.js';
import type { ByteTransport } from '../../harness/transport.js';
import { launch, open, staticHost } from '../playground/browser.js';

const PAGE = `<!doctype html>
<title>fsvae</title>
<link rel="icon" href="data:,">
<script type="module">
  import { load } from './fsvae.mjs';
  let sent = [];
  const response = await fetch('fsvae.wasm');
  const model = await load(await response.arrayBuffer(), (bytes) => sent.push(...bytes));
  globalThis.receive = (bytes) => {
    sent = [];
    model.receive(Uint8Array.from(bytes));
    return sent;
  };
  globalThis.sample = (seed) => Array.from(model.sample(seed));
  globalThis.decode = (latent) => Array.from(model.decode(Uint8Array.from(latent)));
  document.title = 'loaded';
</script>`;

export interface WasmPage {
  /** The serial application in it. */
  readonly transport: ByteTransport;
  sample(seed: bigint): Promise<Uint8Array>;
  decode(latent: Uint8Array): Promise<Uint8Array>;
  /** @throws Error with what the browser complained about */
  close(): Promise<void>;
}

async function call(page: Page, expression: string): Promise<Uint8Array> {
  return Uint8Array.from((await page.evaluate(expression)) as number[]);
}

/** @param project folder of a built project */
export async function openWasmPage(project: string): Promise<WasmPage> {
  const host = await staticHost(
    project,
    new Map([
      ['index.html', Buffer.from(PAGE)],
      ['fsvae.mjs', readFileSync(join(project, WASM_LOADER))],
      ['fsvae.wasm', readFileSync(join(project, WASM_PROGRAM))],
    ]),
  );
  const browser = await launch();
  const { page, faults } = await open(browser, host.url);
  const close = async (): Promise<void> => {
    await browser.close();
    await host.close();
    if (faults.length > 0) throw new Error(faults.join('\n'));
  };
  try {
    await page.waitForFunction("document.title === 'loaded'");
  } catch (error) {
    await close();
    throw error;
  }
  let listener: (bytes: Uint8Array) => void = () => undefined;
  return {
    transport: {
      name: 'wasm in Chromium',
      write: async (bytes) => listener(await call(page, `receive([${bytes.join()}])`)),
      onBytes: (heard) => void (listener = heard),
      onClose: () => undefined,
      close,
    },
    sample: (seed) => call(page, `sample(${seed}n)`),
    decode: (latent) => call(page, `decode([${latent.join()}])`),
    close,
  };
}
