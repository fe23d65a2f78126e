/** What the page is given beside its own files: a model, its firmware, the boards there are (harness/page-data.ts). */

import { listBoards } from '../boards/board.js';
import type { ImageFiles } from '../codegen/image/image.js';
import { makePlan } from '../codegen/plan/plan.js';
import { wordBytes } from '../runtime-ts/words.js';
import { GENERATOR_VERSION } from '../codegen/project.js';
import { ABOUT, FIRMWARE, MODEL, MODULE, type PageAbout } from '../harness/page-data.js';
import { crc32 } from '../runtime-ts/crc32.js';
import { encodeModel } from '../runtime-ts/model-file.js';
import type { LoadedModel } from './load-model.js';

export interface PageParts {
  readonly loaded: LoadedModel;
  /** Firmware for the emulated board of the page; undefined: it has none. */
  readonly firmware?: { readonly board: string; readonly image: ImageFiles };
  /** The model's C as a WebAssembly module; undefined: the page has none. */
  readonly module?: Uint8Array;
  readonly live?: NonNullable<PageAbout['live']>;
}

/** @returns files by path, relative to the page */
export function pageData({ loaded, firmware, module, live }: PageParts): Map<string, Uint8Array> {
  const { model, name } = loaded;
  const plans = [makePlan(model, name), makePlan(model, name, { arenaRoomBytes: 0 })];
  const about: PageAbout = {
    generatorVersion: GENERATOR_VERSION,
    modelName: name,
    weightChecksums: plans.map((plan) => crc32(wordBytes(plan.weights.words))),
    boards: listBoards(),
    firmware:
      firmware === undefined
        ? null
        : { board: firmware.board, flashUsed: firmware.image.flashUsed, ramUsed: firmware.image.ramUsed },
    module: module !== undefined,
    live: live ?? null,
  };
  return new Map([
    [ABOUT, new TextEncoder().encode(JSON.stringify(about))],
    [MODEL, encodeModel(model, { name, generator: GENERATOR_VERSION })],
    ...(firmware === undefined ? [] : ([[FIRMWARE, firmware.image.bytes]] as [string, Uint8Array][])),
    ...(module === undefined ? [] : ([[MODULE, module]] as [string, Uint8Array][])),
  ]);
}
