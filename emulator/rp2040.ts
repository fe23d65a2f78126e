/**
 * An RP2040 that runs an image: rp2040js's core and peripherals, started as the chip's boot ROM starts them, with a
 * memory bus and a loop of our own. The bus refuses what the chip refuses; the loop keeps the clock exact and costs
 * little. rp2040js has one core; the second one, a further object of its class with its own view of what is private to
 * a core, is made when the program launches it.
 *
 * What it models and what not: docs/boards.md.
 */

import { type Logger, RP2040 } from 'rp2040js';
import { boot2IsSealed, BOOT2_BYTES } from '../codegen/image/boot2.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { FlashChip } from './flash-chip.js';
import { type CoreIndex, type Launch, LaunchRom, Mailboxes, RETURNED } from './second-core.js';
import { UsbHost, type UsbHostOptions } from './usb-host.js';
import { watchFlashReads, XipCache } from './xip-cache.js';

const ROM_END = 0x4000;
/** The boot ROM's table, and where its functions lie here. */
const ROM_MAGIC = 0x10;
const ROM_MAGIC_VALUE = 0x0201754d;
const ROM_LOOKUP = 0x18;
const ROM_RESET_USB_BOOT = 0x4255;
const ROM_LOOKUP_CODE = 0x40;
const RESET_USB_BOOT_CODE = 0x60;
const FLASH_ORIGIN = 0x10000000;
/** Flash appears four times, with and without the cache. */
const FLASH_END = 0x14000000;
const FLASH_OFFSET_MASK = 0x00ffffff;
const RAM_ORIGIN = 0x20000000;
const RAM_BYTES = 0x42000;
/** The port bars this much below RAM, where the stack ends. */
const BELOW_STACK = RAM_ORIGIN - 0x10000;
const SSI_PERIPHERAL = 0x18000;
/** DMA's request for words that the flash interface has received (datasheet section 2.5.3.1). */
const DREQ_XIP_SSIRX = 39;
const PSM_PERIPHERAL = 0x40010;
/** Power-on state machine: FRCE_OFF and its bit for core 1 (datasheet section 2.13.5). */
const FRCE_OFF = 0x04;
const FRCE_OFF_PROC1 = 1 << 16;
/** SIO registers that rp2040js has not, or has for core 0 only (datasheet section 2.3.1.7). */
const SIO_CPUID = 0x00;
const FIFO_ST = 0x50;
const FIFO_WR = 0x54;
const FIFO_RD = 0x58;
/** Interrupts that only one core gets: of the FIFOs, its own; of the pins, in rp2040js, core 0 (section 2.3.2). */
const IRQ_IO_BANK0 = 13;
const IRQ_SIO_PROC0 = 15;
const IRQ_SIO_PROC1 = 16;
const ONLY_CORE_0 = (1 << IRQ_IO_BANK0) | (1 << IRQ_SIO_PROC0);
const SYST_CSR = 0x010;
/** Memory protection unit (ARMv6-M reference manual). */
const MPU_CTRL = 0xe000ed94;
const MPU_RBAR = 0xe000ed9c;
const MPU_RASR = 0xe000eda0;
const WFE = 0xbf20;
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
/** The program entered the boot ROM's boot loader. */
class BootLoader extends Error {}
/** The program started the chip again. */
class Restart extends Error {}

export interface Rp2040Options {
  /** Takes every byte that the program sends over UART0. */
  readonly onUartByte: (byte: number) => void;
  /** A computer at the other end of USB. Without it the cable is not plugged in. */
  readonly usb?: UsbHostOptions;
  /** Told of every hard fault, in one line: what the program did, and where. Its own handler runs after that. */
  readonly onFault?: (what: string) => void;
  /**
   * Told when the program enters the boot ROM's USB boot loader, which ends the run: from then on the chip is idle.
   * Without it there is no boot ROM to enter.
   */
  readonly onBootLoader?: () => void;
  /**
   * Takes `bkpt` instructions, with their number and the cycles so far: marks in a program that is to be measured.
   * Without it they are hard faults, as on a chip without a debugger. `cycles` are those of the core that met it.
   */
  readonly onBreakpoint?: (code: number, cycles: number, core: CoreIndex) => void;
  /**
   * Counts reads of flash against a model of the XIP cache, and lets each miss cost the core that missed so many cycles;
   * XIP_MISS_CYCLES is what it costs a Pico. Without it flash is read without waits.
   */
  readonly xip?: { readonly missCycles: number };
  /** Size of the board's flash; default 2 MiB, the Pico's. What the chip's flash interface cannot reach is 16 MiB. */
  readonly flashBytes?: number;
}

type Core = RP2040['core'];

/** One of the two processors. */
interface Side {
  readonly index: CoreIndex;
  readonly core: Core;
  /** Cycles that passed in earlier lives of the chip, and while the core slept: core.cycles counts only the others. */
  other: number;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

export class EmulatedRp2040 {
  private chip!: RP2040;
  private first!: Side;
  /** Core 1, from its launch to its reset. */
  private second: Side | undefined;
  /** The core that executes, whose time it is for everybody. */
  private active!: Side;
  /** The chip as core 1 sees it: what is private to a core is its own. */
  private secondView!: RP2040;
  private mailboxes!: Mailboxes;
  private launchRom!: LaunchRom;
  /** Takes core 1's SysTick out of the clock. */
  private stopSecondSystick: () => void = () => undefined;
  private readonly xip: XipCache | undefined;
  private host: UsbHost | undefined;
  private clock!: DerivedClock;
  private fifo!: Fifo;
  /** While an alarm is served, the time for which it was set. */
  private alarmNanos: number | undefined;
  /** Core 0's cycle count up to which the cores may run without a look at anything else. */
  private until = 0;
  private inBootLoader = false;
  private lockedUp: string | undefined;
  private readonly pending: Uint8Array[] = [];
  private pendingAt = 0;
  /** When the next received byte may enter the FIFO. */
  private receiveAt = 0;
  private readonly flashBytes: number;
  /** Bytes of flash that can be read as memory: none while its interface is not set for it. */
  private readableFlash = 0;

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
    this.xip = options.xip === undefined ? undefined : new XipCache(options.xip.missCycles);
    this.boot(new Uint8Array(RAM_BYTES), 0);
  }

  /**
   * @param ram what RAM holds: a restart leaves it as it was
   * @param cycles that have passed in earlier lives
   */
  private boot(ram: Uint8Array, cycles: number): void {
    const chip = new RP2040();
    const { core } = chip;
    this.chip = chip;
    this.first = { index: 0, core, other: cycles };
    this.second = undefined;
    this.active = this.first;
    this.xip?.flush();
    this.clock = chip.clock as unknown as DerivedClock;
    this.fifo = (chip.uart[0] as unknown as { rxFIFO: Fifo }).rxFIFO;
    chip.logger = this.refusals();
    Object.defineProperty(this.clock, 'nanosCounter', {
      get: () => this.alarmNanos ?? this.cycles * NANOSECONDS_PER_CYCLE,
      set: () => undefined,
    });
    // An alarm set by the program itself ends the stretch that it was set in.
    const link = this.clock.linkAlarm.bind(this.clock);
    this.clock.linkAlarm = (delayNanos, alarm) => {
      const linked = link(delayNanos, alarm);
      this.until = Math.min(this.until, Math.ceil(alarm.nanos / NANOSECONDS_PER_CYCLE) - this.first.other);
      return linked;
    };
    chip.flash.fill(0xff);
    chip.flash.set(this.image);
    chip.sram.set(ram);
    chip.sram.set(this.image.subarray(0, BOOT2_BYTES), BOOT2_ADDRESS - RAM_ORIGIN);
    this.connectMemory();
    this.connectSecondCore();
    this.host = this.options.usb && new UsbHost(chip, this.options.usb);
    core.cycles = 0;
    core.SP = BOOT2_ADDRESS; // the boot ROM's own stack; the program sets its own
    core.LR = 0;
    core.PC = BOOT2_ADDRESS;
    chip.uart[0].onByte = this.options.onUartByte;
    const { onBreakpoint } = this.options;
    chip.onBreak = (code) => {
      if (onBreakpoint === undefined) throw new Fault(`an undefined instruction or a breakpoint (${code})`);
      onBreakpoint(code, this.cycles, this.active.index);
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
    const info = (component: string, message: string): void => {
      if (component === 'CortexM0Core' && message === 'SEV') this.sendEvent();
    };
    return { debug: () => undefined, info, warn: refuse, error: refuse };
  }

  /** SEV sets the event register of both cores, and ends a WFE of either (ARMv6-M reference manual). */
  private sendEvent(): void {
    this.first.core.eventRegistered = true;
    if (this.second === undefined) this.launchRom.event();
    else this.second.core.eventRegistered = true;
    this.until = 0;
  }

  /** The mailboxes between the cores, the boot ROM that holds core 1, and what resets it. */
  private connectSecondCore(): void {
    const { chip } = this;
    this.mailboxes = new Mailboxes((interrupt0, interrupt1) => {
      this.first.core.setInterrupt(IRQ_SIO_PROC0, interrupt0);
      this.second?.core.setInterrupt(IRQ_SIO_PROC1, interrupt1);
    });
    this.launchRom = new LaunchRom(
      this.mailboxes,
      () => (this.first.core.eventRegistered = true),
      (launch) => this.launch(launch),
    );
    const view = Object.create(chip, {
      core: { get: () => this.second!.core },
      ppb: { value: undefined, writable: true },
      sio: { value: undefined, writable: true },
    }) as { -readonly [K in keyof RP2040]: RP2040[K] };
    this.secondView = view as unknown as RP2040;
    // The divider and the interpolators are a core's own, pins and spinlocks are shared (datasheet section 2.3.1).
    view.sio = new (chip.sio.constructor as new (chip: RP2040) => RP2040['sio'])(this.secondView);
    for (const shared of [
      'gpioValue',
      'gpioOutputEnable',
      'qspiGpioValue',
      'qspiGpioOutputEnable',
      'spinLock',
    ] as const) {
      Object.defineProperty(view.sio, shared, {
        get: () => chip.sio[shared],
        set: (value: number) => (chip.sio[shared] = value),
      });
    }
    this.connectMailboxes(chip.sio, 0);
    this.connectMailboxes(view.sio, 1);

    const psm = chip.peripherals[PSM_PERIPHERAL];
    const write = psm.writeUint32.bind(psm);
    let off = false;
    psm.writeUint32 = (offset, value) => {
      write(offset, value);
      const now = (psm.readUint32(FRCE_OFF) & FRCE_OFF_PROC1) !== 0;
      if (now && !off) this.dropSecond();
      if (!now && off) this.launchRom.start();
      off = now;
    };
    this.launchRom.start();
  }

  private connectMailboxes(sio: RP2040['sio'], index: CoreIndex): void {
    const { mailboxes } = this;
    const read = sio.readUint32.bind(sio);
    const write = sio.writeUint32.bind(sio);
    sio.readUint32 = (offset) => {
      if (offset === SIO_CPUID) return index;
      if (offset === FIFO_ST) return mailboxes.status(index);
      if (offset === FIFO_RD) return mailboxes.read(index);
      return read(offset);
    };
    sio.writeUint32 = (offset, value) => {
      if (offset === FIFO_ST) mailboxes.clear(index, value);
      else if (offset === FIFO_WR) mailboxes.write(index, value);
      else write(offset, value);
    };
  }

  /** Core 1 leaves the boot ROM. From here on the loop runs two cores. */
  private launch(launch: Launch): void {
    const { chip, first } = this;
    const view = this.secondView as { -readonly [K in keyof RP2040]: RP2040[K] };
    const core = new (chip.core.constructor as new (chip: RP2040) => Core)(this.secondView);
    this.second = { index: 1, core, other: this.cycles };
    const ppb = new (chip.ppb.constructor as new (chip: RP2040, name: string) => RP2040['ppb'])(this.secondView, 'PPB');
    view.ppb = ppb;
    const unlisten = chip.addClockListener((frequency) => (ppb.systickTimer.frequency = frequency));
    this.stopSecondSystick = () => {
      ppb.writeUint32(SYST_CSR, 0);
      unlisten();
    };
    this.connectCore(core, this.secondView, 1);
    core.VTOR = launch.vectors;
    core.SP = launch.stack;
    core.LR = RETURNED | 1;
    core.PC = launch.entry & ~1;

    // An interrupt that ends a sleep is taken when that core runs, at its own time, not within the other's instruction.
    for (const each of [first.core, core]) {
      each.setInterrupt = (irq, value) => {
        const bit = 1 << irq;
        if (!value) each.pendingInterrupts &= ~bit;
        else if ((each.pendingInterrupts & bit) === 0) {
          each.pendingInterrupts |= bit;
          each.interruptsUpdated = true;
          this.until = 0;
        }
      };
    }
    chip.setInterrupt = (irq, value) => {
      first.core.setInterrupt(irq, value);
      if ((ONLY_CORE_0 & (1 << irq)) === 0) this.second?.core.setInterrupt(irq, value);
    };
    core.pendingInterrupts = first.core.pendingInterrupts & ~ONLY_CORE_0;
    this.mailboxes.signal();
    this.until = 0;
  }

  /** Core 1 is held in reset. */
  private dropSecond(): void {
    const { first, second } = this;
    this.launchRom.stop();
    if (second === undefined) return;
    this.catchUp(first);
    this.stopSecondSystick();
    this.active = first;
    this.second = undefined;
    this.until = 0;
  }

  /** The time that passed while a core slept. */
  private catchUp(side: Side): void {
    side.other += Math.max(0, this.cycles - side.core.cycles - side.other);
  }

  /**
   * The cores' accesses, with the chip's refusals: misaligned ones, stores to flash, reads of flash beyond its size or
   * while its interface is not set for them, the boot ROM that is not there. RAM and flash are read here and now, which
   * is also faster than rp2040js's own way; everything else is rp2040js's.
   */
  private connectMemory(): void {
    const { chip, flashBytes } = this;
    const alarm = chip.clock.createAlarm(() => ssi.tick());
    const wanting = (channel: { active: number; treq: number }): boolean =>
      channel.active !== 0 && channel.treq === DREQ_XIP_SSIRX;
    const ssi: FlashChip = new FlashChip(
      () => {
        this.readableFlash = ssi.readable ? flashBytes : 0;
      },
      {
        memory: chip.flash.subarray(0, flashBytes),
        now: () => this.clock.nanosCounter / NANOSECONDS_PER_CYCLE,
        callAfter: (cycles) => alarm.schedule(cycles * NANOSECONDS_PER_CYCLE),
        request: () => {
          const channel = chip.dma.channels.find(wanting);
          channel?.transfer();
          return channel !== undefined;
        },
        signal: (waiting) => (waiting ? chip.dma.setDREQ(DREQ_XIP_SSIRX) : chip.dma.clearDREQ(DREQ_XIP_SSIRX)),
        timed: this.options.xip !== undefined,
      },
    );
    this.readableFlash = 0;
    chip.peripherals[SSI_PERIPHERAL] = ssi;
    this.connectCore(chip.core, chip, 0);
  }

  private connectCore(core: Core, chip: RP2040, index: CoreIndex): void {
    const { flashBytes } = this;
    const { sram, flash } = chip;
    const flash16 = new Uint16Array(flash.buffer);
    const flash32 = new Uint32Array(flash.buffer);
    const ram16 = new Uint16Array(sram.buffer);
    const ram32 = new Uint32Array(sram.buffer);

    const misaligned = (what: string, address: number): never => {
      throw new Fault(`a misaligned ${what} of ${hex(address)}`, address);
    };
    /** Offset in flash of an address that is not in the first of its four places, or undefined: not flash. */
    const flashOffset = (address: number): number | undefined => {
      if (address < ROM_END)
        throw new Fault(`an access to the boot ROM at ${hex(address)}, which is not there`, address);
      if (address < FLASH_ORIGIN || address >= FLASH_END) return undefined;
      const offset = address & FLASH_OFFSET_MASK;
      if (this.readableFlash === 0) {
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
      if (inFlash >= 0 && inFlash < this.readableFlash) return flash32[inFlash >>> 2];
      if (address < ROM_END) return this.romWord(address); // the port asks there whether there is a boot ROM
      const offset = flashOffset(address);
      return offset === undefined ? chip.readUint32(address) : flash32[offset >>> 2];
    };
    core.readUint16 = (value) => {
      const address = value >>> 0;
      if ((address & 1) !== 0) misaligned('halfword read', address);
      const inFlash = address - FLASH_ORIGIN;
      if (inFlash >= 0 && inFlash < this.readableFlash) return flash16[inFlash >>> 1];
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) return ram16[inRam >>> 1];
      // All of the boot ROM that is there: where core 1 ends up when its program returns. wfi; b RETURNED
      if ((address & ~3) === RETURNED) return address === RETURNED ? 0xbf30 : 0xe7fd;
      if (address < ROM_END && this.options.onBootLoader !== undefined) return this.romCode(address, core);
      const offset = flashOffset(address);
      return offset === undefined ? chip.readUint16(address) : flash16[offset >>> 1];
    };
    core.readUint8 = (value) => {
      const address = value >>> 0;
      const inRam = address - RAM_ORIGIN;
      if (inRam >= 0 && inRam < RAM_BYTES) return sram[inRam];
      const inFlash = address - FLASH_ORIGIN;
      if (inFlash >= 0 && inFlash < this.readableFlash) return flash[inFlash];
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
      if (address >= MPU_CTRL && address <= MPU_RASR) protect(address, value >>> 0);
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
    if (this.xip !== undefined) watchFlashReads(core, this.xip, index);
    const protect = protectionOf(core);
  }

  /** What says that there is a boot ROM, and where its functions are looked up (datasheet section 2.8.3). */
  private romWord(address: number): number {
    if (this.options.onBootLoader === undefined) return 0;
    return address === ROM_MAGIC ? ROM_MAGIC_VALUE : address === ROM_LOOKUP ? ROM_LOOKUP_CODE | 1 : 0;
  }

  /** The functions of the boot ROM that are there: the one that looks up, and reset_usb_boot. */
  private romCode(address: number, core: Core): number {
    const found = core.registers[1] === ROM_RESET_USB_BOOT ? RESET_USB_BOOT_CODE | 1 : 0;
    if (address === ROM_LOOKUP_CODE) return 0x2000 | found; // movs r0, #found
    if (address === ROM_LOOKUP_CODE + 2) return 0x4770; // bx lr
    if (address === RESET_USB_BOOT_CODE) throw new BootLoader();
    throw new Fault(`an access to the boot ROM at ${hex(address)}, which is not there`, address);
  }

  /** Cycles since the boot code was first entered, asleep or awake: the time of the core that runs, or ran last. */
  get cycles(): number {
    return this.active.core.cycles + this.active.other;
  }

  /** True while every core waits for an interrupt or event and no received byte is left to give them, nor USB packet. */
  get idle(): boolean {
    if (this.inBootLoader) return true;
    const { first, second } = this;
    if (!first.core.waiting || this.wakes(first.core)) return false;
    if (second !== undefined && (!second.core.waiting || this.wakes(second.core))) return false;
    return this.pending.length === 0 && this.fifo.empty && !(this.host?.busy ?? false);
  }

  /** Reads of flash that were looked up in the XIP cache's model, of core 0 and core 1; `fill(0)` starts over. */
  get xipAccesses(): Float64Array {
    return this.xip?.accesses ?? new Float64Array(2);
  }

  /** Those of them that had to wait for flash. */
  get xipMisses(): Float64Array {
    return this.xip?.misses ?? new Float64Array(2);
  }

  /** Bytes that arrive on UART0, in order. They enter the FIFO only as it has room: none is lost. */
  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.pending.push(bytes.slice());
  }

  /** The computer at the other end of USB; another one after every restart, as the device is found anew. */
  get usb(): UsbHost | undefined {
    return this.host;
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
   * Runs about `cycles` cycles, or until every core sleeps with nothing left to wake it but time.
   *
   * @throws FsvaeError `link` when the core locks up: it faults while it begins or serves a fault; or when the program
   *   breaks a rule of the USB
   */
  run(cycles: number): void {
    if (this.lockedUp !== undefined) throw new FsvaeError('link', this.lockedUp);
    const end = this.cycles + cycles;
    while (this.cycles < end && !this.idle) {
      try {
        if (this.second === undefined) this.runUntil(end);
        else this.runBoth(end);
      } catch (error) {
        const at = this.active.core.PC;
        if (error instanceof BootLoader) {
          this.inBootLoader = true;
          this.options.onBootLoader?.();
        } else if (error instanceof Restart) this.boot(this.chip.sram.slice(), this.cycles);
        else if (error instanceof Fault) this.hardFault(error);
        else throw new FsvaeError('link', `the emulator failed at ${hex(at)}: ${(error as Error).message}`);
      }
    }
  }

  private hardFault(fault: Fault): void {
    const { core, index } = this.active;
    const serving = core.IPSR === HARD_FAULT;
    // Once it has fetched an instruction rp2040js moves on to the next; the chip stacks the address of this one.
    const at = fault.address === core.PC ? core.PC : core.PC - 2;
    const line = `hard fault${index === 0 ? '' : ' on core 1'}: ${fault.message}, in the instruction at ${hex(at)}`;
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

  /** How far the cores may run before something else has to be done, as a cycle count. */
  private nextStop(end: number): number {
    const feedAt = this.pending.length > 0 ? Math.max(this.receiveAt, this.cycles + 1) : Infinity;
    return Math.min(end, this.nextAlarmAt(), feedAt);
  }

  /** When time alone may end a sleep: an alarm, or a byte that arrives. Infinity: never. */
  private nextWake(): number {
    return Math.min(this.nextAlarmAt(), this.pending.length > 0 ? this.receiveAt : Infinity);
  }

  /** The loop while core 1 is not launched. */
  private runUntil(end: number): void {
    const { first } = this;
    const { core } = first;
    while (this.cycles < end && this.second === undefined) {
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
        const next = this.nextWake();
        if (next === Infinity) return;
        first.other += Math.max(1, next - this.cycles);
        continue;
      }
      this.until = this.nextStop(end) - first.other;
      do {
        core.executeInstruction();
      } while (core.cycles < this.until && !core.waiting);
    }
  }

  /** Whether a sleeping core has been given a reason to go on. A masked interrupt ends WFI, but not WFE. */
  private wakes(core: Core): boolean {
    const interrupt = (core.pendingInterrupts & core.enabledInterrupts) !== 0 || core.pendingSystick;
    return this.sleepsForEvent(core) ? core.eventRegistered || (interrupt && !core.PM) : interrupt;
  }

  /** By the instruction that it sleeps in; rp2040js does not tell. */
  private sleepsForEvent(core: Core): boolean {
    const { sram, flash } = this.chip;
    const at = ((core.PC & ~1) >>> 0) - 2;
    const [memory, offset] = at >= RAM_ORIGIN ? [sram, at - RAM_ORIGIN] : [flash, at & FLASH_OFFSET_MASK];
    return at > ROM_END && (memory[offset] | (memory[offset + 1] << 8)) === WFE;
  }

  private wake(side: Side): void {
    const { core } = side;
    if (!core.waiting || !this.wakes(core)) return;
    if (this.sleepsForEvent(core)) core.eventRegistered = false;
    core.waiting = false;
    core.interruptsUpdated = true;
    this.catchUp(side);
  }

  /**
   * The loop for two cores. The one with fewer cycles runs next, core 0 when they are even, so that what they do to each
   * other happens in one order only. A sleeping core does not run; when it wakes its time is that of whatever woke it.
   */
  private runBoth(end: number): void {
    const { first } = this;
    const zero = first.core;
    while (this.second !== undefined) {
      const { second } = this;
      const one = second.core;
      this.wake(first);
      this.wake(second);
      if (!zero.waiting || !one.waiting) {
        const firstIsNext = one.waiting || (!zero.waiting && zero.cycles + first.other <= one.cycles + second.other);
        this.active = firstIsNext ? first : second;
      }
      if (this.cycles >= end) return;
      this.feedUart();
      this.runAlarms();
      if ((zero.waiting && this.wakes(zero)) || (one.waiting && this.wakes(one))) continue;
      if (zero.waiting && one.waiting) {
        const next = this.idle ? Infinity : this.nextWake();
        if (next === Infinity) return;
        this.active.other += Math.max(1, next - this.cycles);
        continue;
      }
      // In core 0's count, as `until` is.
      const lead = second.other - first.other;
      this.until = this.nextStop(end) - first.other;
      if (one.waiting) {
        do {
          zero.executeInstruction();
        } while (zero.cycles < this.until && !zero.waiting);
      } else if (zero.waiting) {
        do {
          one.executeInstruction();
        } while (one.cycles + lead < this.until && !one.waiting);
      } else {
        do {
          if (zero.cycles <= one.cycles + lead) {
            this.active = first;
            zero.executeInstruction();
          } else {
            this.active = second;
            one.executeInstruction();
          }
        } while ((zero.cycles < this.until || one.cycles + lead < this.until) && !zero.waiting && !one.waiting);
      }
    }
  }
}

/**
 * A core's memory protection unit, as far as it guards a stack: one region of RAM without access. Regions elsewhere are
 * ignored, so a core that has none in RAM pays nothing. Fetches and halfword reads are not looked at. A hard fault's
 * handler runs without it, as MPU_CTRL.HFNMIENA = 0 asks.
 *
 * @returns takes a store to one of its registers
 */
function protectionOf(core: Core): (register: number, value: number) => void {
  let control = 0;
  let base = 0;
  let attributes = 0;
  let from = 0;
  let bytes = 0;
  const check = (what: string, value: number): void => {
    const offset = (value >>> 0) - from;
    if (offset >= 0 && offset < bytes && core.IPSR !== HARD_FAULT) {
      const address = hex(value);
      throw new Fault(`a ${what} of ${address}, which the memory protection unit bars`, value >>> 0);
    }
  };
  let installed = false;
  const install = (): void => {
    installed = true;
    const { readUint32, readUint8, writeUint32, writeUint16, writeUint8 } = core;
    core.readUint32 = (address) => (check('read', address), readUint32(address));
    core.readUint8 = (address) => (check('read', address), readUint8(address));
    core.writeUint32 = (address, value) => (check('store', address), writeUint32(address, value));
    core.writeUint16 = (address, value) => (check('store', address), writeUint16(address, value));
    core.writeUint8 = (address, value) => (check('store', address), writeUint8(address, value));
  };
  return (register, value) => {
    if (register === MPU_CTRL) control = value;
    if (register === MPU_RBAR) base = value;
    if (register === MPU_RASR) attributes = value;
    const size = 2 ** (((attributes >> 1) & 31) + 1);
    const start = base - (base % size);
    const barred = (control & 1) !== 0 && (attributes & 1) !== 0 && ((attributes >> 24) & 7) === 0;
    const inRam = start >= RAM_ORIGIN && start < RAM_ORIGIN + RAM_BYTES;
    from = start;
    bytes = barred && inRam ? size : 0;
    if (bytes > 0 && !installed) install();
  };
}
