/** From a linked program to what a board takes: a flat image and a UF2 file, and what they use of the board. */

import { readFileSync, writeFileSync } from 'node:fs';
import type { Board } from '../../boards/board.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { sealBoot2 } from './boot2.js';
import { readElf, type Elf } from './elf.js';
import { encodeUf2 } from './uf2.js';

export interface Image {
  /** Flat image from the start of flash, gaps filled with 0xff as erased flash is. */
  readonly bytes: Uint8Array;
  readonly flashUsed: number;
  /** Everything the linker placed in RAM: stack, data, zeroed data. */
  readonly ramUsed: number;
}

/**
 * Lays the program's segments out as they will lie in flash.
 *
 * @throws FsvaeError `usage` for a board without flash; `fit` when a segment lies outside the board's flash
 */
export function flatImage(elf: Elf, board: Board): Image {
  const memory = board.memory;
  if (memory === null) throw new FsvaeError('usage', `${board.name} has no flash image: it runs the program itself`);
  const { flash, ram } = memory;
  let end = 0;
  let ramUsed = 0;
  for (const segment of elf.segments) {
    if (segment.bytes.length > 0) {
      const offset = segment.loadAddress - flash.origin;
      if (offset < 0 || offset + segment.bytes.length > flash.bytes) {
        throw new FsvaeError(
          'fit',
          `the program has bytes at 0x${segment.loadAddress.toString(16)}, outside the flash of ${board.name}`,
        );
      }
      end = Math.max(end, offset + segment.bytes.length);
    }
    if (segment.address >= ram.origin && segment.address < ram.origin + ram.bytes) {
      ramUsed = Math.max(ramUsed, segment.address + segment.memoryBytes - ram.origin);
    }
  }
  const bytes = new Uint8Array(end).fill(0xff);
  for (const segment of elf.segments) {
    if (segment.bytes.length > 0) bytes.set(segment.bytes, segment.loadAddress - flash.origin);
  }
  return { bytes, flashUsed: end, ramUsed };
}

export interface ImageFiles extends Image {
  readonly binPath: string;
  /** undefined for a board that takes no UF2. */
  readonly uf2Path: string | undefined;
}

/** Writes the boot code's checksum into the program itself, so that whoever flashes the ELF file gets it too. */
function sealProgram(elf: Elf, board: Board): void {
  if (board.boot2 === null || board.memory === null) return;
  const { origin } = board.memory.flash;
  const first = elf.segments.find((segment) => segment.loadAddress === origin && segment.bytes.length > 0);
  if (first === undefined) {
    throw new FsvaeError(
      'toolchain',
      `the program has no second-stage boot at 0x${origin.toString(16)}; ${board.name} needs one`,
    );
  }
  sealBoot2(first.bytes);
}

/**
 * Completes the ELF file with the boot code's checksum, and makes NAME.bin and NAME.uf2 beside it.
 *
 * @param elfPath path of the linked program, NAME.elf
 * @throws FsvaeError `toolchain` when the program lacks the boot code that the board needs; `fit` when a part of it lies
 *   outside the board's flash
 */
export function writeImage(elfPath: string, board: Board): ImageFiles {
  const file = readFileSync(elfPath);
  const elf = readElf(file, elfPath);
  sealProgram(elf, board);
  const image = flatImage(elf, board);
  if (board.boot2 !== null) writeFileSync(elfPath, file);
  const stem = elfPath.replace(/\.elf$/, '');
  const binPath = `${stem}.bin`;
  writeFileSync(binPath, image.bytes);
  let uf2Path: string | undefined;
  if (board.uf2 !== null && board.memory !== null) {
    uf2Path = `${stem}.uf2`;
    writeFileSync(uf2Path, encodeUf2(image.bytes, board.memory.flash.origin, board.uf2.familyId));
  }
  return { ...image, binPath, uf2Path };
}

/** Where a project's compiled files go, in its folder. */
export const BUILD_FOLDER = 'build';
