/**
 * A model of the RP2040's XIP cache (datasheet section 2.6.3.1), through which both cores read flash: 16 KiB, two ways,
 * lines of 8 bytes. The datasheet does not name its replacement; here the way that was used longer ago goes.
 *
 * It counts hits and misses and lets the core that missed wait. Not modelled: that a miss of one core waits for a miss of
 * the other, and that a core fetches ahead of a branch that it then takes.
 */

import type { RP2040 } from 'rp2040js';
import type { CoreIndex } from './second-core.js';

const FLASH_ORIGIN = 0x10000000;
const FLASH_SPAN = 0x04000000;
/** Of the four places where flash appears, only the first is looked up. */
const CACHED_SPAN = 0x01000000;
const LINE_SHIFT = 3;
const SETS = 1024;
const WAYS = 2;

/**
 * What a miss costs with the flash clock that boot2.S sets, in cycles of the system clock: 60.
 *
 * A line of 8 bytes in continuous quad reads (EBh; four bits a clock, no command) takes
 *
 *     6 clocks   address, 24 bits
 *     2 clocks   mode byte
 *     4 clocks   dummy, as SPI_CTRLR0.WAIT_CYCLES says
 *    16 clocks   data, 64 bits
 *     2 clocks   chip select, off and on again
 *
 * and a clock of the flash takes two of the system (BAUDR = 2). Never measured on a chip: it is the least that the line
 * needs, if the interface fetches it in one piece.
 */
export const XIP_MISS_CYCLES = (6 + 2 + 4 + 16 + 2) * 2;

/** The same for whoever predicts misses (codegen/plan/cost.ts). */
export const XIP_CACHE = {
  lineBytes: 1 << LINE_SHIFT,
  sets: SETS,
  ways: WAYS,
  missCycles: XIP_MISS_CYCLES,
  bulk: { beginCycles: 24, wordCycles: 16 },
} as const;

export class XipCache {
  /** By core. */
  readonly accesses = new Float64Array(2);
  readonly misses = new Float64Array(2);
  /** Lines held, by set: the one used last, then the other. */
  private readonly lines = new Int32Array(SETS * WAYS).fill(-1);

  constructor(readonly missCycles: number) {}

  flush(): void {
    this.lines.fill(-1);
  }

  /** @returns cycles that the core has to wait */
  read(offset: number, core: CoreIndex): number {
    this.accesses[core]++;
    if (offset < CACHED_SPAN) {
      const { lines } = this;
      const line = offset >>> LINE_SHIFT;
      const way = (line & (SETS - 1)) * WAYS;
      const last = lines[way];
      if (last === line) return 0;
      const hit = lines[way + 1] === line;
      lines[way + 1] = last;
      lines[way] = line;
      if (hit) return 0;
    }
    this.misses[core]++;
    return this.missCycles;
  }
}

/**
 * Lets a core's reads of flash go through a cache: data reads one by one, instructions as the core fetches them, two in
 * an aligned word. An instruction in a word's upper half that comes after the one in its lower half is no access.
 */
export function watchFlashReads(core: RP2040['core'], cache: XipCache, index: CoreIndex): void {
  const { readUint32, readUint16, readUint8, registers } = core;
  /** Where the word begins that was fetched last. */
  let fetched = -1;
  core.readUint32 = (address) => {
    const offset = (address >>> 0) - FLASH_ORIGIN;
    if (offset >= 0 && offset < FLASH_SPAN) core.cycles += cache.read(offset, index);
    return readUint32(address);
  };
  core.readUint16 = (address) => {
    const offset = (address >>> 0) - FLASH_ORIGIN;
    if (offset >= 0 && offset < FLASH_SPAN) {
      // rp2040js fetches as it reads: from the program counter, and beyond it the second half of a long instruction.
      const ahead = (address >>> 0) - ((registers[15] & ~1) >>> 0);
      if (ahead !== 0 && ahead !== 2) core.cycles += cache.read(offset, index);
      else if ((offset & 2) === 0) {
        fetched = offset;
        core.cycles += cache.read(offset, index);
      } else if (fetched !== offset - 2) core.cycles += cache.read(offset, index);
    }
    return readUint16(address);
  };
  core.readUint8 = (address) => {
    const offset = (address >>> 0) - FLASH_ORIGIN;
    if (offset >= 0 && offset < FLASH_SPAN) core.cycles += cache.read(offset, index);
    return readUint8(address);
  };
}
