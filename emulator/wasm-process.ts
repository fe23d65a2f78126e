#!/usr/bin/env node
/**
 * Runs a WebAssembly module and bridges its serial application to a pseudo-terminal, so that the harness opens it as it would
 * open a board.
 *
 *   node wasm-process.js PROJECT
 *
 * PROJECT is the folder of a built project. Its own loader is used, port/fsvae.mjs, on build/fsvae.wasm.
 * Prints one line of JSON, {"pty":"/dev/pts/N"}, and serves until stdin closes.
 */

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WASM_LOADER, WASM_PROGRAM, type WasmLoader } from './wasm.js';
import { openTerminal } from './terminal.js';

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function main(project: string | undefined): Promise<void> {
  if (project === undefined) throw new Error('usage: wasm-process PROJECT');
  const terminal = openTerminal();
  const { load } = (await import(pathToFileURL(resolve(project, WASM_LOADER)).href)) as WasmLoader;
  const module = await load(readFileSync(join(project, WASM_PROGRAM)), (bytes) => terminal.write(bytes));
  terminal.onData((data) => {
    try {
      module.receive(data);
    } catch (error) {
      fail(error);
    }
  });
  process.stdin.on('end', () => process.exit(0));
  process.stdin.on('error', () => process.exit(0));
  process.stdin.resume();
  process.stdout.write(`${JSON.stringify({ pty: terminal.name })}\n`);
}

main(process.argv[2]).catch(fail);
