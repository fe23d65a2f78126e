/** A reader for what the image builder needs of a 32-bit little-endian ELF file: load segments and symbols. */

import { FsvaeError } from '../../runtime-ts/errors.js';

/** A part of the file that is loaded. `bytes` is a view of the file: to change it changes the file's bytes. */
export interface Segment {
  /** Address at which the bytes lie in flash: the physical, or load, address. */
  readonly loadAddress: number;
  /** Address at which the program sees them. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Size in memory: more than the bytes where the rest is zeroed (.bss). */
  readonly memoryBytes: number;
}

export interface Elf {
  readonly entry: number;
  readonly segments: readonly Segment[];
  /** Value of every named symbol. */
  readonly symbols: ReadonlyMap<string, number>;
}

const PT_LOAD = 1;
const SHT_SYMTAB = 2;

/** Most headers that a file may have: linkers write a few dozen. */
const MOST_HEADERS = 4096;
const MOST_SYMBOLS = 1_000_000;
const MOST_NAME_BYTES = 64 << 20;

/**
 * @param where named in errors
 * @throws FsvaeError `input` when the file is no ELF32 or points outside itself
 */
export function readElf(file: Uint8Array, where: string): Elf {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const refuse = (why: string): never => {
    throw new FsvaeError('input', `${where} is not a usable ELF file: ${why}`);
  };
  const inside = (offset: number, length: number, what: string): void => {
    if (offset + length > file.length) refuse(`${what} lies outside the file`);
  };
  if (file.length < 52 || view.getUint32(0) !== 0x7f454c46) refuse('it has no ELF header');
  if (view.getUint8(4) !== 1 || view.getUint8(5) !== 1) refuse('it is not 32-bit little-endian');

  const programOffset = view.getUint32(28, true);
  const sectionOffset = view.getUint32(32, true);
  const programSize = view.getUint16(42, true);
  const programCount = view.getUint16(44, true);
  const sectionSize = view.getUint16(46, true);
  const sectionCount = view.getUint16(48, true);
  if (programCount > MOST_HEADERS || sectionCount > MOST_HEADERS) refuse('it has too many headers');
  if ((programCount > 0 && programSize < 32) || (sectionCount > 0 && sectionSize < 40)) refuse('its headers are short');

  const segments: Segment[] = [];
  for (let i = 0; i < programCount; i++) {
    const at = programOffset + i * programSize;
    inside(at, 32, 'a program header');
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const offset = view.getUint32(at + 4, true);
    const length = view.getUint32(at + 16, true);
    inside(offset, length, 'a segment');
    segments.push({
      address: view.getUint32(at + 8, true),
      loadAddress: view.getUint32(at + 12, true),
      bytes: file.subarray(offset, offset + length),
      memoryBytes: view.getUint32(at + 20, true),
    });
  }

  const symbols = new Map<string, number>();
  let textRead = 0;
  for (let i = 0; i < sectionCount; i++) {
    const at = sectionOffset + i * sectionSize;
    inside(at, 40, 'a section header');
    if (view.getUint32(at + 4, true) !== SHT_SYMTAB) continue;
    const offset = view.getUint32(at + 16, true);
    const count = Math.floor(view.getUint32(at + 20, true) / 16);
    const names = sectionOffset + view.getUint32(at + 24, true) * sectionSize;
    if (count > MOST_SYMBOLS) refuse('it has too many symbols');
    inside(offset, count * 16, 'the symbol table');
    inside(names, 40, 'the symbol names');
    const namesOffset = view.getUint32(names + 16, true);
    const namesLength = view.getUint32(names + 20, true);
    inside(namesOffset, namesLength, 'the symbol names');
    const text = file.subarray(namesOffset, namesOffset + namesLength);
    for (let s = 0; s < count; s++) {
      const start = view.getUint32(offset + 16 * s, true);
      if (start === 0 || start >= text.length) continue;
      const end = text.indexOf(0, start);
      if (end < 0) refuse('a symbol name does not end');
      // Names may share their ends, so a hostile table could make this loop read the same long text for ever.
      textRead += end - start;
      if (textRead > MOST_NAME_BYTES) refuse('its symbol names are too long');
      symbols.set(Buffer.from(text.subarray(start, end)).toString('latin1'), view.getUint32(offset + 16 * s + 4, true));
    }
  }
  return { entry: view.getUint32(24, true), segments, symbols };
}
