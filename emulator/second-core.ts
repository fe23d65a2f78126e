/**
 * What lies between the RP2040's two cores: the mailboxes, and the part of the boot ROM that holds core 1 until core 0
 * tells it where to start.
 */

export type CoreIndex = 0 | 1;

/** Words that a mailbox holds (datasheet section 2.3.1). */
const DEPTH = 8;
/** Bits of FIFO_ST. */
const VALID = 1;
const READY = 2;
const WRITE_OVERFLOW = 4;
const READ_UNDERFLOW = 8;

/** Where the boot ROM sleeps for ever once the program that core 1 was given returns. */
export const RETURNED = 0x00000180;

/** The FIFOs of the SIO, one in each direction. A write wakes nobody: that takes SEV, or the interrupt. */
export class Mailboxes {
  /** What waits for core 0, and for core 1. */
  private readonly waiting: [number[], number[]] = [[], []];
  /** The sticky bits of either core's FIFO_ST. */
  private readonly errors: [number, number] = [0, 0];

  /** @param onChange takes the levels of the cores' interrupts: something to read, or an error not cleared */
  constructor(private readonly onChange: (interrupt0: boolean, interrupt1: boolean) => void) {}

  status(core: CoreIndex): number {
    const valid = this.waiting[core].length > 0 ? VALID : 0;
    return valid | (this.waiting[1 - core].length < DEPTH ? READY : 0) | this.errors[core];
  }

  /** The next word for a core; 0, with the error bit, when there is none. */
  read(core: CoreIndex): number {
    const word = this.waiting[core].shift();
    if (word === undefined) this.errors[core] |= READ_UNDERFLOW;
    this.signal();
    return word ?? 0;
  }

  /** A word from a core to the other one; dropped, with the error bit, when that one's mailbox is full. */
  write(core: CoreIndex, word: number): void {
    const to = this.waiting[1 - core];
    if (to.length < DEPTH) to.push(word >>> 0);
    else this.errors[core] |= WRITE_OVERFLOW;
    this.signal();
  }

  /** A store to FIFO_ST: ones clear errors. */
  clear(core: CoreIndex, bits: number): void {
    this.errors[core] &= ~bits;
    this.signal();
  }

  signal(): void {
    const level = (core: CoreIndex): boolean => this.waiting[core].length > 0 || this.errors[core] !== 0;
    this.onChange(level(0), level(1));
  }
}

export interface Launch {
  readonly vectors: number;
  readonly stack: number;
  readonly entry: number;
}

/**
 * Core 1 in the boot ROM (datasheet section 2.8.2). It empties its mailbox and sends a 0, then wants 0 as often as core 0
 * likes, 1, the vector table, the stack pointer, and where to start, and sends each word back. A 0 at any time, or
 * anything but a 1 in the 1's place, starts it over, which core 0 sees by the 0 that comes back. It sleeps in WFE before
 * it looks for a word: who writes one and sends no event waits for ever.
 *
 * It takes no time here; on the chip it takes some tens of cycles a word.
 */
export class LaunchRom {
  private running = false;
  private eventSet = false;
  private toSend: number | undefined;
  /** What came after the zeros: 1, vectors, stack, entry. */
  private words: number[] = [];

  constructor(
    private readonly mailboxes: Mailboxes,
    private readonly wakeCore0: () => void,
    private readonly onLaunch: (launch: Launch) => void,
  ) {}

  /** Core 1 comes out of reset. */
  start(): void {
    this.running = true;
    this.eventSet = false;
    // The ROM reads its mailbox once before it asks whether there is anything: core 1 starts with that error bit set.
    this.mailboxes.read(1);
    this.startOver();
    this.go();
  }

  stop(): void {
    this.running = false;
  }

  /** Core 0 sent an event. */
  event(): void {
    this.eventSet = true;
    this.go();
  }

  private startOver(): void {
    while ((this.mailboxes.status(1) & VALID) !== 0) this.mailboxes.read(1);
    this.words = [];
    this.toSend = 0;
  }

  /** Up to the next WFE that has no event to go on with. */
  private go(): void {
    while (this.running) {
      if (this.toSend !== undefined && (this.mailboxes.status(1) & READY) !== 0) {
        this.mailboxes.write(1, this.toSend);
        this.toSend = undefined;
        this.wakeCore0();
        this.eventSet = true; // SEV reaches its sender too
        if (this.words.length === 4) {
          this.running = false;
          const [, vectors, stack, entry] = this.words;
          this.onLaunch({ vectors, stack, entry });
        }
        continue;
      }
      if (!this.eventSet) return;
      this.eventSet = false;
      if (this.toSend !== undefined || (this.mailboxes.status(1) & VALID) === 0) continue;
      const word = this.mailboxes.read(1);
      if (word === 0 || (this.words.length === 0 && word !== 1)) {
        this.startOver();
      } else {
        this.words.push(word);
        this.toSend = word;
      }
    }
  }
}
