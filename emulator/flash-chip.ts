/**
 * The RP2040's flash interface (SSI, datasheet section 4.10) with a Winbond W25Q16 behind it, as far as boot code, the
 * reading of an id and reads in bulk go: enough to refuse a program that reads flash before it has set the interface up,
 * or that leaves it set up wrongly.
 *
 * A read in bulk: with NDF (CTRLR1) frames set and the chip in continuous read, a frame with address and mode byte is
 * answered with NDF + 1 words, which arrive in the receive FIFO at the speed of the line and raise DREQ_XIP_SSIRX. Until
 * CTRLR1 is 0 again no access to 0x10000000 is answered. On the line it takes
 *
 *     6 clocks   address, 24 bits, four a clock
 *     2 clocks   mode byte
 *     4 clocks   dummy
 *     8 clocks   each word
 *
 * and a clock of the flash takes BAUDR of the system: 24 cycles, then 16 a word, with what boot2.S sets. Execute-in-place
 * and the XIP block's own streaming pay address and dummy clocks for every word, because the SSI has one transfer size
 * and for execute-in-place that is 32 bits: Raspberry Pi's example of both calls this way 2.5 times as fast. Like the
 * cost of a cache miss, never measured on a chip.
 */

import type { Peripheral } from 'rp2040js';

const CTRLR0 = 0x00;
const CTRLR1 = 0x04;
const SSIENR = 0x08;
const SER = 0x10;
const BAUDR = 0x14;
const SR = 0x28;
const DR0 = 0x60;
const DMACR = 0x4c;
const RX_SAMPLE_DLY = 0xf0;
const SPI_CTRLR0 = 0xf4;

const SR_TX_NOT_FULL = 0x02;
const SR_TX_EMPTY = 0x04;
const SR_RX_NOT_EMPTY = 0x08;
const SR_BUSY = 0x01;
const DMACR_RECEIVE = 0x01;

const STATUS_BUSY = 0x01;
const STATUS_WRITE_ENABLED = 0x02;
const STATUS_2_QUAD_ENABLE = 0x02;
/** How often a status read finds the chip still writing. */
const BUSY_READS = 3;

/** What a W25Q answers to 4Bh, after four bytes of silence. */
export const EMULATED_FLASH_ID = Uint8Array.of(0xe6, 0x60, 0x58, 0x38, 0x83, 0x12, 0x4f, 0x2c);

/** Mode bits 5 and 4 of a quad read: 10 keeps the chip in continuous read (W25Q16JV, "Continuous Read Mode"). */
function keepsReading(mode: number): boolean {
  return (mode & 0x30) === 0x20;
}

/** Words or frames that the receive FIFO holds; what comes beyond is lost. */
const FIFO_FRAMES = 16;
const BULK_LEAD_CLOCKS = 6 + 2 + 4;
const BULK_WORD_CLOCKS = 8;

/** What the chip is part of, as far as reads in bulk need it. */
export interface FlashSurroundings {
  /** What the flash holds. */
  readonly memory: Uint8Array;
  /** Cycles of the system clock since the start. */
  readonly now: () => number;
  /** Sees to it that tick() is called so many cycles from now; a later call replaces an earlier one. */
  readonly callAfter: (cycles: number) => void;
  /** Lets DMA take a word that is there; false when no channel wants it. */
  readonly request: () => boolean;
  /** Whether there is a word that no channel has taken yet. */
  readonly signal: (waiting: boolean) => void;
  /** False: words arrive at once. */
  readonly timed: boolean;
}

interface BulkRead {
  readonly from: number;
  readonly words: number;
  readonly start: number;
  readonly leadCycles: number;
  readonly wordCycles: number;
  /** Words that have come in so far. */
  seen: number;
}

export class FlashChip implements Peripheral {
  private readonly registers = new Map<number, number>([[SER, 1]]);
  private sending: number[] = [];
  private received: number[] = [];
  private status2 = 0;
  private writeEnabled = false;
  private busyReads = 0;
  private continuous = false;

  private bulk: BulkRead | undefined;
  /** DMA reads the FIFO while tick() fills it. */
  private ticking = false;

  /** @param onChange told whenever the program may have changed whether flash can be read as memory */
  constructor(
    private readonly onChange: () => void,
    private readonly surroundings: FlashSurroundings,
  ) {}

  private register(offset: number): number {
    return this.registers.get(offset) ?? 0;
  }

  /** True while an access to 0x10000000 and up is answered with what the flash holds. */
  get readable(): boolean {
    const control = this.register(CTRLR0);
    const format = (control >> 21) & 3;
    const frameBits = ((control >> 16) & 31) + 1;
    if (this.register(SSIENR) !== 1 || this.register(SER) !== 1 || this.register(BAUDR) < 2) return false;
    if (frameBits !== 32 || ((control >> 8) & 3) !== 3 || this.register(CTRLR1) !== 0) return false;
    const spi = this.register(SPI_CTRLR0);
    const transfer = spi & 3;
    const addressBits = ((spi >> 2) & 15) * 4;
    const instruction = (spi >> 8) & 3;
    const waits = (spi >> 11) & 31;
    const command = spi >>> 24;
    const serial = format === 0 && transfer === 0 && instruction === 2 && addressBits === 24 && waits === 0;
    if (serial && command === 0x03) return !this.continuous;
    // Address and mode byte in one field of 32 bits; the chip still expects no command, and four dummy clocks.
    const quad = format === 2 && transfer === 2 && instruction === 0 && addressBits === 32 && waits === 4;
    return quad && keepsReading(command) && this.continuous;
  }

  /** True while a frame is taken for the address of a read in bulk. */
  private get readsInBulk(): boolean {
    const control = this.register(CTRLR0);
    const spi = this.register(SPI_CTRLR0);
    const quadWords = ((control >> 21) & 3) === 2 && ((control >> 16) & 31) === 31 && ((control >> 8) & 3) === 3;
    const noCommand = (spi & 3) === 2 && ((spi >> 2) & 15) === 8 && ((spi >> 8) & 3) === 0 && ((spi >> 11) & 31) === 4;
    const on = this.register(SSIENR) === 1 && this.register(SER) === 1 && this.register(BAUDR) >= 2;
    return on && quadWords && noCommand && this.continuous;
  }

  private startBulk(frame: number): void {
    const { now, callAfter, timed } = this.surroundings;
    const clock = timed ? this.register(BAUDR) : 0;
    this.continuous = keepsReading(frame & 0xff);
    this.bulk = {
      from: frame >>> 8,
      words: (this.register(CTRLR1) & 0xffff) + 1,
      start: now(),
      leadCycles: BULK_LEAD_CLOCKS * clock,
      wordCycles: BULK_WORD_CLOCKS * clock,
      seen: 0,
    };
    // Between its start and its end nobody can tell when DMA moved which word, so it moves them when somebody looks.
    callAfter(this.bulk.leadCycles + this.bulk.words * this.bulk.wordCycles);
  }

  /** Time has passed: takes in what has arrived since the last look. */
  tick(): void {
    const { bulk } = this;
    if (bulk === undefined || this.ticking) return;
    this.ticking = true;
    try {
      this.takeIn(bulk);
    } finally {
      this.ticking = false;
    }
    this.signal();
  }

  private signal(): void {
    this.surroundings.signal((this.register(DMACR) & DMACR_RECEIVE) !== 0 && this.received.length > 0);
  }

  private takeIn(bulk: BulkRead): void {
    const { memory, now, request } = this.surroundings;
    const sinceLead = now() - bulk.start - bulk.leadCycles;
    const arrived = bulk.wordCycles === 0 ? bulk.words : Math.min(bulk.words, Math.floor(sinceLead / bulk.wordCycles));
    for (; bulk.seen < arrived; bulk.seen++) {
      if (this.received.length === FIFO_FRAMES) continue;
      const at = bulk.from + 4 * bulk.seen;
      const byte = (i: number): number => memory[(at + i) % memory.length];
      this.received.push(((byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3)) >>> 0);
      if ((this.register(DMACR) & DMACR_RECEIVE) !== 0) while (this.received.length > 0 && request());
    }
    if (bulk.seen === bulk.words) this.bulk = undefined;
  }

  private look(): void {
    this.transfer();
    this.tick();
  }

  readUint32(offset: number): number {
    if (offset === SR) {
      this.look();
      const receiving = this.bulk === undefined ? 0 : SR_BUSY;
      return SR_TX_NOT_FULL | SR_TX_EMPTY | receiving | (this.received.length > 0 ? SR_RX_NOT_EMPTY : 0);
    }
    if (offset === DR0) {
      this.look();
      const word = this.received.shift() ?? 0;
      if (!this.ticking) this.signal();
      return word;
    }
    return this.register(offset);
  }

  writeUint32(offset: number, value: number): void {
    if (offset === DR0) {
      // Both FIFOs hold 16 frames.
      if (this.readsInBulk) {
        if (this.bulk === undefined) this.startBulk(value >>> 0);
      } else if (this.register(SSIENR) === 1 && this.sending.length < FIFO_FRAMES) this.sending.push(value >>> 0);
      return;
    }
    if (offset === SSIENR) {
      // Switching off ends what is under way and empties the FIFOs.
      this.look();
      if (value === 0) {
        this.received = [];
        this.bulk = undefined;
      }
    }
    // While it is on, nothing else can be set (section 4.10.13: "only when SSI_EN = 0").
    if (offset === SSIENR || offset === SER || offset === RX_SAMPLE_DLY || this.register(SSIENR) === 0) {
      this.registers.set(offset, value >>> 0);
    }
    this.onChange();
  }

  writeUint32Atomic(offset: number, value: number, kind: number): void {
    const now = this.register(offset);
    this.writeUint32(offset, [value, now ^ value, now | value, now & ~value][kind]);
  }

  /** What was queued goes out as one command: the chip is selected as long as the queue is not empty. */
  private transfer(): void {
    const frames = this.sending;
    if (frames.length === 0) return;
    this.sending = [];
    const control = this.register(CTRLR0);
    const format = (control >> 21) & 3;
    const frameBits = ((control >> 16) & 31) + 1;
    if (format === 0 && frameBits === 8) {
      this.received.push(
        ...this.serial(frames.map((frame) => frame & 0xff)).slice(0, FIFO_FRAMES - this.received.length),
      );
    } else if (format === 2 && frameBits === 32) {
      this.quad(frames);
    }
    this.onChange();
  }

  /** A command over one data line; returns a byte for every byte. */
  private serial(bytes: readonly number[]): number[] {
    if (this.continuous) {
      // Taken for an address: six clocks on all lines; the mode's upper half is read in the seventh, here bit 1.
      if (bytes.length === 1) this.continuous = (bytes[0] & 0x02) === 0;
      return bytes.map(() => 0xff);
    }
    const answer = bytes.map(() => 0xff);
    const fill = (from: number, byteAt: (index: number) => number): void => {
      for (let i = from; i < answer.length; i++) answer[i] = byteAt(i - from);
    };
    const busy = this.busyReads > 0;
    switch (bytes[0]) {
      case 0x05:
        fill(1, () => (busy ? STATUS_BUSY : 0) | (this.writeEnabled ? STATUS_WRITE_ENABLED : 0));
        if (busy) this.busyReads--;
        break;
      case 0x35:
        fill(1, () => this.status2);
        break;
      case 0x06:
        if (!busy) this.writeEnabled = true;
        break;
      case 0x01:
        if (this.writeEnabled && !busy && bytes.length === 3) {
          this.status2 = bytes[2];
          this.writeEnabled = false;
          this.busyReads = BUSY_READS;
        }
        break;
      case 0x4b:
        if (!busy) fill(5, (i) => EMULATED_FLASH_ID[i % EMULATED_FLASH_ID.length]);
        break;
    }
    return answer;
  }

  /** The first quad read: command EBh on one line, then address and mode on four. */
  private quad(frames: readonly number[]): void {
    const spi = this.register(SPI_CTRLR0);
    const fields = {
      transfer: spi & 3,
      address: (spi >> 2) & 15,
      instruction: (spi >> 8) & 3,
      waits: (spi >> 11) & 31,
    };
    const asExpected = fields.transfer === 1 && fields.address === 8 && fields.instruction === 2 && fields.waits === 4;
    const quadEnabled = (this.status2 & STATUS_2_QUAD_ENABLE) !== 0;
    if (!asExpected || !quadEnabled || this.busyReads > 0 || this.continuous || frames[0] !== 0xeb) return;
    this.continuous = keepsReading(frames[1] ?? 0);
  }
}
