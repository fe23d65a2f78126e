/**
 * An RP2040 that runs a UF2 image: rp2040js's core and peripherals, started as the chip's boot ROM starts them, in a
 * loop of our own that keeps the clock exact and costs little.
 *
 * What it models and what not: docs/boards.md.
 */

import { ConsoleLogger, LogLevel, RP2040 } from 'rp2040js';
import { boot2IsSealed, BOOT2_BYTES } from '../codegen/image/boot2.js';
import { FsvaeError } from '../runtime-ts/errors.js';

const FLASH_ORIGIN = 0x10000000;
const RAM_ORIGIN = 0x20000000;
/** Where the boot ROM copies the second-stage boot: the top of the last RAM bank. */
const BOOT2_ADDRESS = 0x20041f00;
/** 125 MHz. rp2040js's clock counts nanoseconds, so a cycle is a whole number of them. */
const NANOSECONDS_PER_CYCLE = 8;
/** What the receive FIFO of a UART holds; what comes beyond is lost, on the chip and in rp2040js. */
const UART_FIFO_BYTES = 32;

/** rp2040js's clock with its time derived from the core's cycle counter: exact at every read, nothing to tick. */
interface DerivedClock {
  nextAlarm: { nanos: number; next: DerivedClock['nextAlarm']; callback: () => void; scheduled: boolean } | null;
  nanosCounter: number;
}

/** A UART's receive FIFO, which rp2040js keeps to itself: how full it is must be seen, or bytes would be lost. */
interface Fifo {
  readonly itemCount: number;
  readonly empty: boolean;
}

export interface Rp2040Options {
  /** Takes every byte that the program sends over UART0. */
  readonly onUartByte: (byte: number) => void;
}

export class EmulatedRp2040 {
  /** Cycles that passed while the core slept; core.cycles counts only the others. */
  private sleptCycles = 0;
  private readonly chip: RP2040;
  private readonly clock: DerivedClock;
  private readonly fifo: Fifo;
  private readonly pending: Uint8Array[] = [];
  private pendingAt = 0;
  private fault: string | undefined;

  /**
   * Loads an image as it would lie in flash and boots it: checks the second-stage boot's checksum as the boot ROM does,
   * copies it to RAM and enters it there with lr = 0. It finds its own way into the program.
   *
   * @param image flash from its first byte on
   * @throws FsvaeError `input` when the image has no valid boot code: a Pico would not start it either
   */
  constructor(image: Uint8Array, options: Rp2040Options) {
    if (!boot2IsSealed(image)) {
      throw new FsvaeError('input', 'the image begins with no boot code of valid checksum; the boot ROM would refuse it');
    }
    const chip = new RP2040();
    this.chip = chip;
    chip.logger = new ConsoleLogger(LogLevel.Error, false);
    if (image.length > chip.flash.length) throw new FsvaeError('input', 'the image is larger than 16 MB of flash');
    this.clock = chip.clock as unknown as DerivedClock;
    const { core } = chip;
    const slept = (): number => this.sleptCycles;
    Object.defineProperty(this.clock, 'nanosCounter', {
      get: () => (core.cycles + slept()) * NANOSECONDS_PER_CYCLE,
      set: () => undefined,
    });
    chip.flash.fill(0xff);
    chip.flash.set(image);
    chip.sram.set(image.subarray(0, BOOT2_BYTES), BOOT2_ADDRESS - RAM_ORIGIN);
    core.reset();
    core.SP = BOOT2_ADDRESS; // the boot ROM's own stack; the program sets its own
    core.LR = 0;
    core.PC = BOOT2_ADDRESS;
    chip.uart[0].onByte = options.onUartByte;
    this.fifo = (chip.uart[0] as unknown as { rxFIFO: Fifo }).rxFIFO;
    chip.onBreak = (code) => {
      this.fault ??= `the program stopped at a breakpoint (${code}) at 0x${core.PC.toString(16)}`;
    };
  }

  /** Cycles since the boot code was entered, asleep or awake. */
  get cycles(): number {
    return this.chip.core.cycles + this.sleptCycles;
  }

  /** True while the core waits for an interrupt and no received byte is left to give it. */
  get idle(): boolean {
    return this.chip.core.waiting && this.pending.length === 0 && this.fifo.empty;
  }

  /** Bytes that arrive on UART0, in order. They enter the FIFO only as it has room: none is lost. */
  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.pending.push(bytes.slice());
  }

  /** A copy of RAM or flash, for tests. */
  read(address: number, count: number): Uint8Array {
    const { sram, flash } = this.chip;
    return address >= RAM_ORIGIN
      ? sram.slice(address - RAM_ORIGIN, address - RAM_ORIGIN + count)
      : flash.slice(address - FLASH_ORIGIN, address - FLASH_ORIGIN + count);
  }

  private feedUart(): void {
    const uart = this.chip.uart[0];
    while (this.pending.length > 0 && this.fifo.itemCount < UART_FIFO_BYTES) {
      const bytes = this.pending[0];
      uart.feedByte(bytes[this.pendingAt++]);
      if (this.pendingAt === bytes.length) {
        this.pending.shift();
        this.pendingAt = 0;
      }
    }
  }

  private runAlarms(): void {
    const { clock } = this;
    while (clock.nextAlarm !== null && clock.nextAlarm.nanos <= clock.nanosCounter) {
      const alarm = clock.nextAlarm;
      clock.nextAlarm = alarm.next;
      alarm.scheduled = false;
      alarm.callback();
    }
  }

  /**
   * Runs about `cycles` cycles, or until the core sleeps with nothing left to wake it but time.
   *
   * @throws FsvaeError `link` when the program faults: it reads or writes where nothing is, misaligned, or breaks
   */
  run(cycles: number): void {
    const { core } = this.chip;
    const end = core.cycles + cycles;
    try {
      while (core.cycles < end) {
        this.feedUart();
        this.runAlarms();
        if (core.waiting) {
          if (this.idle) return;
          // Nothing but an alarm can end this sleep: time passes until the next one, the core's counter stands still.
          const next = this.clock.nextAlarm;
          if (next === null) return;
          this.sleptCycles += Math.max(0, Math.ceil((next.nanos - this.clock.nanosCounter) / NANOSECONDS_PER_CYCLE));
          continue;
        }
        const alarm = this.clock.nextAlarm;
        const untilAlarm = alarm === null ? end : Math.ceil(alarm.nanos / NANOSECONDS_PER_CYCLE) - this.sleptCycles;
        // Short stretches while bytes wait, so that the FIFO fills as the program drains it.
        const stretch = Math.min(end, untilAlarm, core.cycles + (this.pending.length > 0 ? 200 : cycles));
        do {
          core.executeInstruction();
        } while (core.cycles < stretch && !core.waiting);
        if (this.fault !== undefined) break;
      }
    } catch (error) {
      this.fault ??= `${(error as Error).message} at 0x${core.PC.toString(16)}`;
    }
    if (this.fault !== undefined) throw new FsvaeError('link', `the emulated RP2040 stopped: ${this.fault}`);
  }
}
