/** A real browser for the page, and what a static host does: files below some path. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** Path of a Chromium; undefined where there is none. */
export const CHROMIUM = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
  .filter((path) => path !== undefined)
  .find((path) => existsSync(path));

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM!,
    // Nothing but the page may ask for anything.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface Opened {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors on its console, exceptions, and requests to other hosts, as they happen: to be empty. */
  readonly faults: string[];
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: 'light' | 'dark';
}

export async function open(
  browser: Browser,
  url: string,
  { width = 1280, height = 900, colorScheme }: Look = {},
): Promise<Opened> {
  const context = await browser.newContext({
    viewport: { width, height },
    ...(colorScheme === undefined ? {} : { colorScheme }),
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(url).origin) faults.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return { context, page, faults };
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

export interface StaticHost {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * @param folder served below `/some/where/`
 * @param data what lies over it, by path
 */
export async function staticHost(folder: string, data: ReadonlyMap<string, Uint8Array>): Promise<StaticHost> {
  const below = '/some/where/';
  const server: Server = createServer((request, response) => {
    const path = normalize(new URL(request.url!, 'http://x').pathname);
    const name = path.slice(below.length) || 'index.html';
    const file = join(folder, name);
    const content =
      data.get(name) ??
      (!name.startsWith('data/') && existsSync(file) && statSync(file).isFile() ? readFileSync(file) : undefined);
    if (!path.startsWith(below) || content === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream' }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A canvas's pixels, grey. Written as text: the tests are compiled without a browser's types. */
export async function pixels(page: Page, id: string): Promise<number[]> {
  return page.evaluate(`(() => {
    const canvas = document.getElementById(${JSON.stringify(id)});
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return Array.from(data).filter((_, i) => i % 4 === 0);
  })()`);
}

/** Drops a file on the page, as from a file manager. */
export async function dropFile(page: Page, name: string, bytes: Uint8Array): Promise<void> {
  await page.evaluate(`(() => {
    const text = atob(${JSON.stringify(Buffer.from(bytes).toString('base64'))});
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(text, (c) => c.charCodeAt(0))], ${JSON.stringify(name)}));
    document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
  })()`);
}
