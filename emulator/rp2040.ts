/**
 * An RP2040 that runs an image: rp2040js's core and peripherals, started as the chip's boot ROM starts them, with a
 * memory bus and a loop of our own. The bus refuses what the chip refuses; the loop keeps the clock exact and costs
 * little.
 *
 * What it models and what not: docs/boards.md.
 */

import { type Logger, RP2040 } from 'rp2040js';
import { boot2IsSealed, BOOT2_BYTES } from '../codegen/image/boot2.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { FlashChip } from './flash-chip.js';

const ROM_END = 0x4000;
const FLASH_ORIGIN = 0x10000000;
/** Flash appears four times, with and without the cache. */
const FLASH_END = 0x14000000;
const FLASH_OFFSET_MASK = 0x00ffffff;
const RAM_ORIGIN = 0x20000000;
const RAM_BYTES = 0x42000;
/** The port bars this much below RAM, where the stack ends. */
const BELOW_STACK = RAM_ORIGIN - 0x10000;
const SSI_PERIPHERAL = 0x18000;
const AIRCR = 0xe000ed0c;
const AIRCR_RESET = 0x05fa0004;
const HARD_FAULT = 3;
/** Where the boot ROM copies the second-stage boot: the top of the last RAM bank. */
const BOOT2_ADDRESS = 0x20041f00;
/** 125 MHz. rp2040js's clock counts nanoseconds, so a cycle is a whole number of them. */
const NANOSECONDS_PER_CYCLE = 8;
/** What the receive FIFO of a UART holds; what comes beyond is lost, on the chip and in rp2040js. */
const UART_FIFO_BYTES = 32;
/**
 * Cycles between two received bytes: ten times as fast as 115,200 baud at 125 MHz, so that little time is spent on
 * waiting, and still slow enough for an interrupt handler to keep up.
 */
const RECEIVE_CYCLES = 1085;

/** rp2040js's clock, whose time is derived from the core's cycle counter: exact at every read, nothing to tick. */
interface DerivedClock {
  nextAlarm: { nanos: number; next: DerivedClock['nextAlarm']; callback: () => void; scheduled: boolean } | null;
  nanosCounter: number;
  linkAlarm(delayNanos: number, alarm: NonNullable<DerivedClock['nextAlarm']>): unknown;
}

/** A UART's receive FIFO, which rp2040js keeps to itself: how full it is must be seen, or bytes would be lost. */
interface Fifo {
  readonly itemCount: number;
  readonly empty: boolean;
}

/** The program did what the chip answers with a hard fault. */
class Fault extends Error {
  /** @param address what was accessed, where that is known */
  constructor(
    message: string,
    readonly address?: number,
  ) {
    super(message);
  }
}
/** The program started the chip again. */
class Restart extends Error {}

export interface Rp2040Options {
  /** Takes every byte that the program sends over UART0. */
  readonly onUartByte: (byte: number) => void;
  /** Told of every hard fault, in one line: what the program did, and where. Its own handler runs after that. */
  readonly onFault?: (what: string) => void;
  /**
   * Takes `bkpt` instructions, with their number and the cycles so far: marks in a program that is to be measured.
   * Without it they are hard faults, as on a chip without a debugger.
   */
  readonly onBreakpoint?: (code: number, cycles: number) => void;
  /** Size of the board's flash; default 2 MiB, the Pico's. What the chip's flash interface cannot reach is 16 MiB. */
  readonly flashBytes?: number;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

export class EmulatedRp2040 {
  /** Cycles that passed in earlier lives of the chip, and while the core slept: core.cycles counts only the others. */
  private otherCycles = 0;
  private chip!: RP2040;
  private clock!: DerivedClock;
  private fifo!: Fifo;
  /** While an alarm is served, the time for which it was set. */
  private alarmNanos: number | undefined;
  /** The core's cycle count up to which it may run without a look at anything else. */
  private until = 0;
  private lockedUp: string | undefined;
  private readonly pending: Uint8Array[] = [];
  private pendingAt = 0;
  /** When the next received byte may enter the FIFO. */
  private receiveAt = 0;
  private readonly flashBytes: number;

  /**
   * Loads an image as it would lie in flash and boots it: checks the second-stage boot's checksum as the boot ROM does,
   * copies it to RAM and enters it there with lr = 0. It finds its own way into the program.
   *
   * @param image flash from its first byte on
   * @throws FsvaeError `input` when the image has no valid boot code: a Pico would not start it either; `fit` when it is
   *   larger than the flash
   */
  constructor(
    private readonly image: Uint8Array,
    private readonly options: Rp2040Options,
  ) {
    this.flashBytes = options.flashBytes ?? 2 << 20;
    if (!boot2IsSealed(image)) {
      throw new FsvaeError(
        'input',
        'the image begins with no boot code of valid checksum; the boot ROM would refuse it',
      );
    }
    if (image.length > this.flashBytes || this.flashBytes > FLASH_OFFSET_MASK + 1) {
      throw new FsvaeError('fit', `the image of ${image.length} bytes is larger than the flash of ${this.flashBytes}`);
    }
    this.boot(new Uint8Array(RAM_BYTES));
  }

  /** @param ram what RAM holds: a restart leaves it as it was */
  private boot(ram: Uint8Array): void {
    const chip = new RP2040();
    const { core } = chip;
    this.chip = chip;
    this.clock = chip.clock as unknown as DerivedClock;
    this.fifo = (chip.uart[0] as unknown as { rxFIFO: Fifo }).rxFIFO;
    chip.logger = this.refusals();
    Object.defineProperty(this.clock, 'nanosCounter', {
      get: () => this.alarmNanos ?? (core.cycles + this.otherCycles) * NANOSECONDS_PER_CYCLE,
      set: () => undefined,
    });
    // An alarm set by the program itself ends the stretch that it was set in.
    const link = this.clock.linkAlarm.bind(this.clock);
    this.clock.linkAlarm = (delayNanos, alarm) => {
      const linked = link(delayNanos, alarm);
      this.until = Math.min(this.until, Math.ceil(alarm.nanos / NANOSECONDS_PER_CYCLE) - this.otherCycles);
      return linked;
    };
    chip.flash.fill(0xff);
    chip.flash.set(this.image);
    chip.sram.set(ram);
    chip.sram.set(this.image.subarray(0, BOOT2_BYTES), BOOT2_ADDRESS - RAM_ORIGIN);
    this.connectMemory();
    core.cycles = 0;
    core.SP = BOOT2_ADDRESS; // the boot ROM's own stack; the program sets its own
    core.LR = 0;
    core.PC = BOOT2_ADDRESS;
    chip.uart[0].onByte = this.options.onUartByte;
    const { onBreakpoint } = this.options;
    chip.onBreak = (code) => {
      if (onBreakpoint === undefined) throw new Fault(`an undefined instruction or a breakpoint (${code})`);
      onBreakpoint(code, this.cycles);
    };
    for (const [index, peripheral] of Object.entries(chip.peripherals)) {
      if ('onWatchdogTrigger' in peripheral) {
        (peripheral as { onWatchdogTrigger: () => void }).onWatchdogTrigger = () => {
          throw new Restart(index);
        };
      }
    }
  }

  /** rp2040js reports through its logger, and goes on, where the chip faults. */
  private refusals(): Logger {
    const refuse = (component: string, message: string): void => {
      if (component === 'RP2040' || component === 'CortexM0Core') throw new Fault(message);
    };
    return { debug: () => undefined, info: () => undefined, warn: refuse, error: refuse };
  }

  /**
   * The core's accesses, with the chip's refusals: misaligned ones, stores to flash, reads of flash beyond its size or
   * while its interface is not set for them, the boot ROM that is not there. RAM and flash are read here and now, which
   * is also faster than rp2040js's own way; everything else is rp2040js's.
   */
  private connectMemory(): void {
    const { chip, flashBytes } = this;
    const { core, sram, flash } = chip;
    const flash16 = new Uint16Array(flash.buffer);
    const flash32 = new Uint32Array(flash.buffer);
    const ram16 = new Uint16Array(sram.buffer);
    const ram32 = new Uint32Array(sram.buffer);
    let readableFlash = 0;
    const ssi = new FlashChip(() => {
      readableFlash = ssi.readable ? flashBytes : 0;
    });
    chip.peripherals[SSI_PERIPHERAL] = ssi;

    const misaligned = (what: string, address: number): never => {
      throw new Fault(`a misaligned ${what} of ${hex(address)}`, address);
    };
    /** Offset in flash of an address that is not in the first of its four places, or undefined: not flash. */
    const flashOffset = (address: number): number | undefined => {
      if (address < ROM_END)
        throw new Fault(`an access to the boot ROM at ${hex(address)}, which is not there`, address);
      if (address < FLASH_ORIGIN || address >= FLASH_END) return undefined;
      const offset = address & FLASH_OFFSET_MASK;
      if (readableFlash === 0) {
        throw new Fault(`a read of flash at ${hex(address)} while its interface is not set for it`, address);
      }
      if (offset >= flashBytes) throw new Fault(`a read beyond the flash at ${hex(address)}`, address);
      return offset;
    };
    const refuseStore = (address: number): void => {
      if (address >= BELOW_STACK && address < RAM_ORIGIN) {
        throw new Fault(`a store to ${hex(address)}, below the stack, which overflowed`, address);
      }
      if (address < FLASH_END) throw new Fault(`a store to ${hex(address)}, which is no RAM`, address);
    };

    core.readUint32 = (value) => {
      const address = value >>> 0;
      if ((address & 3) !== 0) misaligned('word read', address);
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) return ram32[inRam >>> 2];
      const inFlash = address - FLASH_ORIGIN;
      if (inFlash >= 0 && inFlash < readableFlash) return flash32[inFlash >>> 2];
      if (address < ROM_END) return 0; // the port asks there whether there is a boot ROM
      const offset = flashOffset(address);
      return offset === undefined ? chip.readUint32(address) : flash32[offset >>> 2];
    };
    core.readUint16 = (value) => {
      const address = value >>> 0;
      if ((address & 1) !== 0) misaligned('halfword read', address);
      const inFlash = address - FLASH_ORIGIN;
      if (inFlash >= 0 && inFlash < readableFlash) return flash16[inFlash >>> 1];
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) return ram16[inRam >>> 1];
      const offset = flashOffset(address);
      return offset === undefined ? chip.readUint16(address) : flash16[offset >>> 1];
    };
    core.readUint8 = (value) => {
      const address = value >>> 0;
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) return sram[inRam];
      const inFlash = address - FLASH_ORIGIN;
      if (inFlash >= 0 && inFlash < readableFlash) return flash[inFlash];
      const offset = flashOffset(address);
      return offset === undefined ? chip.readUint8(address) : flash[offset];
    };
    core.writeUint32 = (at, value) => {
      const address = at >>> 0;
      if ((address & 3) !== 0) misaligned('word store', address);
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) {
        ram32[inRam >>> 2] = value;
        return;
      }
      refuseStore(address);
      if (address === AIRCR && value >>> 0 === AIRCR_RESET) throw new Restart('AIRCR');
      chip.writeUint32(address, value);
    };
    core.writeUint16 = (at, value) => {
      const address = at >>> 0;
      if ((address & 1) !== 0) misaligned('halfword store', address);
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) {
        ram16[inRam >>> 1] = value;
        return;
      }
      refuseStore(address);
      chip.writeUint16(address, value);
    };
    core.writeUint8 = (at, value) => {
      const address = at >>> 0;
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) {
        sram[inRam] = value;
        return;
      }
      refuseStore(address);
      chip.writeUint8(address, value);
    };
  }

  /** Cycles since the boot code was first entered, asleep or awake. */
  get cycles(): number {
    return this.chip.core.cycles + this.otherCycles;
  }

  /** True while the core waits for an interrupt and no received byte is left to give it. */
  get idle(): boolean {
    return this.chip.core.waiting && this.pending.length === 0 && this.fifo.empty;
  }

  /** Bytes that arrive on UART0, in order. They enter the FIFO only as it has room: none is lost. */
  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.pending.push(bytes.slice());
  }

  /** A copy of RAM or flash. */
  read(address: number, count: number): Uint8Array {
    const { sram, flash } = this.chip;
    return address >= RAM_ORIGIN
      ? sram.slice(address - RAM_ORIGIN, address - RAM_ORIGIN + count)
      : flash.slice(address - FLASH_ORIGIN, address - FLASH_ORIGIN + count);
  }

  private feedUart(): void {
    if (this.pending.length === 0 || this.cycles < this.receiveAt || this.fifo.itemCount === UART_FIFO_BYTES) return;
    const bytes = this.pending[0];
    this.receiveAt = this.cycles + RECEIVE_CYCLES;
    this.chip.uart[0].feedByte(bytes[this.pendingAt++]);
    if (this.pendingAt === bytes.length) {
      this.pending.shift();
      this.pendingAt = 0;
    }
  }

  private runAlarms(): void {
    const { clock } = this;
    while (clock.nextAlarm !== null && clock.nextAlarm.nanos <= clock.nanosCounter) {
      const alarm = clock.nextAlarm;
      clock.nextAlarm = alarm.next;
      alarm.scheduled = false;
      // What the alarm sets next counts from its own time, not from the end of the instruction that ran over it.
      this.alarmNanos = alarm.nanos;
      try {
        alarm.callback();
      } finally {
        this.alarmNanos = undefined;
      }
    }
  }

  /**
   * Runs about `cycles` cycles, or until the core sleeps with nothing left to wake it but time.
   *
   * @throws FsvaeError `link` when the core locks up: it faults while it begins or serves a fault
   */
  run(cycles: number): void {
    if (this.lockedUp !== undefined) throw new FsvaeError('link', this.lockedUp);
    const end = this.cycles + cycles;
    while (this.cycles < end && !this.idle) {
      const { core } = this.chip;
      try {
        this.runUntil(end);
      } catch (error) {
        if (error instanceof Restart) this.restart();
        else if (error instanceof Fault) this.hardFault(error);
        else throw new FsvaeError('link', `the emulator failed at ${hex(core.PC)}: ${(error as Error).message}`);
      }
    }
  }

  private restart(): void {
    this.otherCycles += this.chip.core.cycles;
    this.boot(this.chip.sram.slice());
  }

  private hardFault(fault: Fault): void {
    const { core } = this.chip;
    const serving = core.IPSR === HARD_FAULT;
    // Once it has fetched an instruction rp2040js moves on to the next; the chip stacks the address of this one.
    const at = fault.address === core.PC ? core.PC : core.PC - 2;
    const line = `hard fault: ${fault.message}, in the instruction at ${hex(at)}`;
    this.options.onFault?.(line);
    core.PC = at;
    core.waiting = false;
    try {
      if (serving) throw new Fault('it was serving a fault');
      core.exceptionEntry(HARD_FAULT);
      core.PC &= ~1;
      core.cycles += 15;
    } catch (error) {
      const why = serving ? 'while it served another' : `and its stack took no more: ${(error as Error).message}`;
      this.lockedUp = `the emulated RP2040 locked up: ${line} ${why}`;
      throw new FsvaeError('link', this.lockedUp);
    }
  }

  /** The cycle count at which the next alarm is due. */
  private nextAlarmAt(): number {
    const alarm = this.clock.nextAlarm;
    return alarm === null ? Infinity : Math.ceil(alarm.nanos / NANOSECONDS_PER_CYCLE);
  }

  private runUntil(end: number): void {
    const { core } = this.chip;
    while (this.cycles < end) {
      this.feedUart();
      this.runAlarms();
      if (core.waiting) {
        if (this.idle) return;
        if ((core.pendingInterrupts & core.enabledInterrupts) !== 0 || core.pendingSystick) {
          // Pending before the core fell asleep: rp2040js would miss it, the chip wakes at once.
          core.waiting = false;
          core.interruptsUpdated = true;
          continue;
        }
        // Nothing but time can end this sleep: it passes until something happens, the core's counter stands still.
        const next = Math.min(this.nextAlarmAt(), this.pending.length > 0 ? this.receiveAt : Infinity);
        if (next === Infinity) return;
        this.otherCycles += Math.max(1, next - this.cycles);
        continue;
      }
      const feedAt = this.pending.length > 0 ? Math.max(this.receiveAt, this.cycles + 1) : Infinity;
      this.until = Math.min(end, this.nextAlarmAt(), feedAt) - this.otherCycles;
      do {
        core.executeInstruction();
      } while (core.cycles < this.until && !core.waiting);
    }
  }
}
