/**
 * The RP2040's flash interface (SSI, datasheet section 4.10) with a Winbond W25Q16 behind it, as far as boot code and
 * the reading of an id go: enough to refuse a program that reads flash before it has set the interface up, or that
 * leaves it set up wrongly.
 */

import type { Peripheral } from 'rp2040js';

const CTRLR0 = 0x00;
const CTRLR1 = 0x04;
const SSIENR = 0x08;
const SER = 0x10;
const BAUDR = 0x14;
const SR = 0x28;
const DR0 = 0x60;
const RX_SAMPLE_DLY = 0xf0;
const SPI_CTRLR0 = 0xf4;

const SR_TX_NOT_FULL = 0x02;
const SR_TX_EMPTY = 0x04;
const SR_RX_NOT_EMPTY = 0x08;

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

export class FlashChip implements Peripheral {
  private readonly registers = new Map<number, number>([[SER, 1]]);
  private sending: number[] = [];
  private received: number[] = [];
  private status2 = 0;
  private writeEnabled = false;
  private busyReads = 0;
  private continuous = false;

  /** @param onChange told whenever the program may have changed whether flash can be read as memory */
  constructor(private readonly onChange: () => void) {}

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

  readUint32(offset: number): number {
    if (offset === SR) {
      this.transfer();
      return SR_TX_NOT_FULL | SR_TX_EMPTY | (this.received.length > 0 ? SR_RX_NOT_EMPTY : 0);
    }
    if (offset === DR0) {
      this.transfer();
      return this.received.shift() ?? 0;
    }
    return this.register(offset);
  }

  writeUint32(offset: number, value: number): void {
    if (offset === DR0) {
      // Both FIFOs hold 16 frames.
      if (this.register(SSIENR) === 1 && this.sending.length < 16) this.sending.push(value >>> 0);
      return;
    }
    if (offset === SSIENR) {
      // Switching off ends what is under way and empties the FIFOs.
      this.transfer();
      if (value === 0) this.received = [];
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
      this.received.push(...this.serial(frames.map((frame) => frame & 0xff)).slice(0, 16 - this.received.length));
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
