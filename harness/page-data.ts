/**
 * What the page is told beside its own files: docs/playground.md. All of it lies in the folder `data/` next to the page;
 * a static host serves the shipped model's, `fsvae-codegen view` that of the model it was given.
 */

import type { Board } from '../boards/description.js';

/** data/about.json */
export interface PageAbout {
  readonly generatorVersion: string;
  /** The integer model in data/model.safetensors. */
  readonly modelName: string;
  /** CRC-32 of its constants as boards may have them: each plan's order. */
  readonly weightChecksums: readonly number[];
  /** Boards that a project can be generated for. */
  readonly boards: readonly Board[];
  /** The firmware in data/firmware.bin, for the emulated board; null where there is none. */
  readonly firmware: { readonly board: string; readonly flashUsed: number; readonly ramUsed: number } | null;
  /** Whether there is a data/module.wasm: the model's C as a WebAssembly module. */
  readonly module: boolean;
  /** The board that the server of this page is connected to: the port's path, and what to call it. Null: a static page. */
  readonly live: { readonly port: string; readonly title: string } | null;
}

export const ABOUT = 'data/about.json';
export const MODEL = 'data/model.safetensors';
export const FIRMWARE = 'data/firmware.bin';
export const MODULE = 'data/module.wasm';
/** Of a live page: what the board sends, as a response without end; and what is sent to it, as the body of a POST. */
export const BOARD_OUT = 'board/out';
export const BOARD_IN = 'board/in';
