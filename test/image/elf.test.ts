import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { loadBoard } from '../../boards/board.js';
import { readElf } from '../../codegen/image/elf.js';
import { flatImage } from '../../codegen/image/image.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from '../emulator/bench-program.js';

interface TestSegment {
  readonly address: number;
  readonly loadAddress: number;
  readonly bytes: Uint8Array;
  readonly memoryBytes?: number;
}

const HEADER = 52;
const PROGRAM_HEADER = 32;
const SECTION_HEADER = 40;

/** A small ELF file, written plainly by the format's tables: segments, then symbols, then their names. */
function elfFile(segments: readonly TestSegment[], symbols: Record<string, number> = {}): Uint8Array {
  const names = Buffer.from(`\0${Object.keys(symbols).join('\0')}\0`, 'latin1');
  const entries = Object.keys(symbols);
  const dataAt = HEADER + PROGRAM_HEADER * segments.length;
  const dataBytes = segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const symbolsAt = dataAt + dataBytes;
  const namesAt = symbolsAt + 16 * (entries.length + 1);
  const sectionsAt = namesAt + names.length;
  const file = new Uint8Array(sectionsAt + 3 * SECTION_HEADER);
  const view = new DataView(file.buffer);
  const put16 = (at: number, value: number): void => view.setUint16(at, value, true);
  const put32 = (at: number, value: number): void => view.setUint32(at, value, true);

  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  put32(24, 0x10000101); // entry
  put32(28, HEADER);
  put32(32, sectionsAt);
  put16(42, PROGRAM_HEADER);
  put16(44, segments.length);
  put16(46, SECTION_HEADER);
  put16(48, 3);

  let offset = dataAt;
  segments.forEach((segment, i) => {
    const at = HEADER + i * PROGRAM_HEADER;
    put32(at, 1);
    put32(at + 4, offset);
    put32(at + 8, segment.address);
    put32(at + 12, segment.loadAddress);
    put32(at + 16, segment.bytes.length);
    put32(at + 20, segment.memoryBytes ?? segment.bytes.length);
    file.set(segment.bytes, offset);
    offset += segment.bytes.length;
  });

  let name = 1;
  entries.forEach((entry, i) => {
    put32(symbolsAt + 16 * (i + 1), name);
    put32(symbolsAt + 16 * (i + 1) + 4, symbols[entry]);
    name += entry.length + 1;
  });
  file.set(names, namesAt);

  const symbolSection = sectionsAt + SECTION_HEADER;
  put32(symbolSection + 4, 2);
  put32(symbolSection + 16, symbolsAt);
  put32(symbolSection + 20, 16 * (entries.length + 1));
  put32(symbolSection + 24, 2);
  const nameSection = sectionsAt + 2 * SECTION_HEADER;
  put32(nameSection + 4, 3);
  put32(nameSection + 16, namesAt);
  put32(nameSection + 20, names.length);
  return file;
}

const RAM = 0x20000000;
const FLASH = 0x10000000;
const PROGRAM = elfFile(
  [
    { address: FLASH, loadAddress: FLASH, bytes: new Uint8Array(256).fill(1) },
    { address: FLASH + 0x100, loadAddress: FLASH + 0x100, bytes: Uint8Array.of(2, 3, 4) },
    { address: RAM + 0x1000, loadAddress: FLASH + 0x108, bytes: Uint8Array.of(5, 6), memoryBytes: 2 },
    { address: RAM + 0x1008, loadAddress: RAM + 0x1008, bytes: new Uint8Array(0), memoryBytes: 100 },
  ],
  { Reset_Handler: FLASH + 0x101, __stack_top: RAM + 0x1000 },
);

describe('ELF reader', () => {
  const board = loadBoard('rp2040');

  it('finds segments and symbols', () => {
    const elf = readElf(PROGRAM, 'x.elf');
    expect(elf.entry).to.equal(0x10000101);
    expect(elf.segments.map(({ bytes, memoryBytes }) => [bytes.length, memoryBytes])).to.deep.equal([
      [256, 256],
      [3, 3],
      [2, 2],
      [0, 100],
    ]);
    expect([...elf.symbols]).to.deep.equal([
      ['Reset_Handler', FLASH + 0x101],
      ['__stack_top', RAM + 0x1000],
    ]);
  });

  it('lays segments out as they lie in flash, gaps erased, and counts what is used', () => {
    const image = flatImage(readElf(PROGRAM, 'x.elf'), board);
    expect(image.flashUsed).to.equal(0x10a);
    expect(image.ramUsed).to.equal(0x1008 + 100);
    expect([...image.bytes.subarray(0x100)]).to.deep.equal([2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 5, 6]);
  });

  for (const [what, loadAddress] of [
    ['before flash', FLASH - 1],
    ['across the end of flash', FLASH + (2 << 20) - 1],
    ['at the other end of addresses', 0xffffffff],
  ] as const) {
    it(`refuses a segment ${what}`, () => {
      const file = elfFile([{ address: loadAddress, loadAddress, bytes: new Uint8Array(2) }]);
      expect(() => flatImage(readElf(file, 'x.elf'), board)).to.throw(FsvaeError, /outside the flash of rp2040/);
    });
  }

  it('is read from a view into a larger buffer', () => {
    const whole = new Uint8Array(PROGRAM.length + 9);
    whole.set(PROGRAM, 5);
    expect(readElf(whole.subarray(5, 5 + PROGRAM.length), 'x.elf')).to.deep.equal(readElf(PROGRAM, 'x.elf'));
  });

  it('refuses a file cut anywhere', () => {
    for (let length = 0; length < PROGRAM.length; length++) {
      expect(() => readElf(PROGRAM.subarray(0, length), 'x.elf'), `${length} bytes`).to.throw(
        FsvaeError,
        /^x\.elf is not a usable ELF file: /,
      );
    }
  });

  for (const [what, at, size, value, reason] of [
    ['64-bit class', 4, 1, 2, 'not 32-bit little-endian'],
    ['big-endian data', 5, 1, 2, 'not 32-bit little-endian'],
    ['program headers beyond the file', 28, 4, 0xfffffff0, 'outside the file'],
    ['sections beyond the file', 32, 4, 0xfffffff0, 'outside the file'],
    ['program headers of 0 bytes', 42, 2, 0, 'headers are short'],
    ['65,535 program headers', 44, 2, 0xffff, 'too many headers'],
    ['65,535 sections', 48, 2, 0xffff, 'too many headers'],
    ['a segment beyond the file', HEADER + 4, 4, 0xfffffff0, 'outside the file'],
    ['a segment of 4 GB', HEADER + 16, 4, 0xffffffff, 'outside the file'],
  ] as const) {
    it(`refuses ${what}`, () => {
      const file = PROGRAM.slice();
      const view = new DataView(file.buffer);
      if (size === 1) view.setUint8(at, value);
      else if (size === 2) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
      expect(() => readElf(file, 'x.elf')).to.throw(FsvaeError, reason);
    });
  }

  it('never fails otherwise than by refusing, whatever bytes change', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(PROGRAM.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
        const file = PROGRAM.slice();
        for (const [at, value] of changes) file[at] = value;
        try {
          flatImage(readElf(file, 'x.elf'), board);
        } catch (error) {
          expect(error).to.be.instanceOf(FsvaeError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`ELF reader, on a program linked with ${compiler}`, () => {
    const board = loadBoard('rp2040');
    let program: BenchImage;
    let file: Buffer;

    before(async function () {
      skipWithoutCompiler(this, 'rp2040', compiler);
      program = await buildBenchImage(compiler);
      file = readFileSync(program.programPath);
    });

    /** Refused, or read: nothing else may happen, whatever the file holds. */
    function readOrRefused(bytes: Uint8Array): void {
      try {
        flatImage(readElf(bytes, 'x.elf'), board);
      } catch (error) {
        if (!(error instanceof FsvaeError)) throw error;
        expect(error.message).not.to.match(/\n/);
      }
    }

    it('finds what the linker placed, and the image that was made of it', () => {
      const elf = readElf(file, 'x.elf');
      const reset = elf.symbols.get('Reset_Handler')!;
      expect(elf.entry | 1).to.equal(reset | 1);
      const image = flatImage(elf, board);
      expect(Buffer.from(image.bytes).equals(program.image.bytes)).to.equal(true);
      const vectors = new DataView(image.bytes.buffer, image.bytes.byteOffset + 256);
      expect(vectors.getUint32(0, true), 'initial stack pointer').to.equal(elf.symbols.get('__stack_top'));
      expect(vectors.getUint32(4, true), 'reset vector').to.equal(reset | 1);
    });

    it('refuses it cut anywhere before its end', () => {
      // The tables lie at the file's end, so that no shorter file can be whole.
      for (let length = 0; length < file.length; length += Math.max(1, Math.floor(file.length / 500))) {
        expect(() => readElf(file.subarray(0, length), 'x.elf'), `${length} bytes`).to.throw(FsvaeError);
      }
    });

    it('is never more than refused with bits flipped, anywhere', () => {
      fc.assert(
        fc.property(fc.array(fc.nat(8 * file.length - 1), { minLength: 1, maxLength: 20 }), (bits) => {
          const copy = Uint8Array.from(file);
          for (const bit of bits) copy[bit >> 3] ^= 1 << (bit & 7);
          readOrRefused(copy);
        }),
        { numRuns: 200 },
      );
    });

    it('is never more than refused with any word of its headers replaced', () => {
      const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
      const tables: [number, number][] = [
        [0, HEADER],
        [view.getUint32(28, true), view.getUint16(44, true) * PROGRAM_HEADER],
        [view.getUint32(32, true), view.getUint16(48, true) * SECTION_HEADER],
      ];
      for (const [start, length] of tables) {
        for (let at = start; at < start + length; at += 2) {
          for (const value of [0, 1, 0x7fff, 0x8000, 0xffff]) {
            const copy = Uint8Array.from(file);
            new DataView(copy.buffer).setUint16(at, value, true);
            readOrRefused(copy);
          }
        }
      }
    });
  });
}
