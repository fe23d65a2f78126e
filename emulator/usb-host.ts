/**
 * The computer at the other end of the RP2040's USB: a host of one full-speed device, a CDC-ACM serial port.
 *
 * rp2040js has the controller's registers; what it does with buffers is replaced, because it takes and gives a packet the
 * moment a buffer is made available, whatever its toggle, and so can tell no slow host from a fast one. Here packets go
 * over a bus, one at a time, each with the time that it takes there, and what a device may not do ends the emulator with
 * its reason. A buffer that is not available is a NAK: the host tries again, which costs nothing here.
 *
 * What it models and what not: docs/boards.md.
 */

import type { RP2040 } from 'rp2040js';

const DEVICE = 1;
const CONFIGURATION = 2;
const STRING = 3;
const DEVICE_QUALIFIER = 6;

const CLEAR_FEATURE = 0x01;
const GET_DESCRIPTOR = 0x06;
const SET_ADDRESS = 0x05;
const SET_CONFIGURATION = 0x09;
const SET_LINE_CODING = 0x20;
const SET_CONTROL_LINE_STATE = 0x22;

/** Offsets in the memory that controller and processor share (datasheet section 4.1.2.5). */
const BUFFER_CONTROL = 0x80;
const BUFFER_CONTROL_END = 0x100;
const EP0_BUFFER = 0x100;
const ENABLED = 1 << 31;
const DOUBLE_BUFFERED = 1 << 30;
const INTERRUPT_PER_BUFFER = 1 << 29;
const FULL = 1 << 15;
const DATA1 = 1 << 13;
const STALL = 1 << 11;
const AVAILABLE = 1 << 10;
const LENGTH = 0x3ff;

const SIE_CTRL = 0x4c;
const SIE_STATUS = 0x50;
const EP0_INTERRUPT_PER_BUFFER = 1 << 29;
const PULL_UP = 1 << 16;
const BUS_RESET = 1 << 19;
const SETUP_RECEIVED = 1 << 17;
const RESUME = 1 << 11;
const SUSPENDED = 1 << 4;
const CONTROLLER_ENABLED = 1;

const PACKET_BYTES = 64;
/** What Linux's driver asks for at a time: it hands on what it has when that is full, or a shorter packet comes. */
const READ_BYTES = 2 * PACKET_BYTES;
const NANOSECONDS_PER_BYTE = (8 * 1000) / 12;
/** Bytes' worth of time that a transaction takes beside its data (USB 2.0, section 5.8.4). */
const OVERHEAD_BYTES = 13;
/** A bus reset, and what a device is given to recover from it (USB 2.0, section 7.1.7). */
const RESET_NANOSECONDS = 10e6;

/** rp2040js's controller, with what it keeps to itself. */
interface Controller {
  sieCtrl: number;
  sieStatus: number;
  mainCtrl: number;
  addrEndp: number;
  epStallArm: number;
  rawWriteValue: number;
  sieStatusUpdated(): void;
  indicateBufferReady(endpoint: number, out: boolean): void;
  DPRAMUpdated(offset: number, value: number): void;
  writeUint32(offset: number, value: number): void;
}

export interface UsbHostOptions {
  /** Takes what the device sends. */
  readonly onBytes: (bytes: Uint8Array) => void;
  /** False: the serial port is found and left closed. */
  readonly opens?: boolean;
}

export interface LineState {
  /** Data terminal ready: a program has the port open. */
  readonly open: boolean;
  readonly baudRate?: number;
}

/** The device refused a control transfer. */
const REFUSED = Symbol('stall');

interface Control {
  readonly setup: Uint8Array;
  readonly data: Uint8Array;
  readonly done: (answer: Uint8Array | typeof REFUSED) => void;
  stage: 'setup' | 'data' | 'status';
  /** 0 or DATA1: what comes next. */
  toggle: number;
  readonly received: number[];
  sent: number;
}

interface Transaction {
  readonly bytes: number;
  readonly run: () => void;
}

function setupPacket(type: number, request: number, value: number, index: number, length: number): Uint8Array {
  return Uint8Array.of(type, request, value & 255, value >> 8, index & 255, index >> 8, length & 255, length >> 8);
}

export class UsbHost {
  /** The device's descriptors as it gave them, by kind and index: '1.0' device, '2.0' configuration, '3.N' strings. */
  readonly descriptors = new Map<string, Uint8Array>();
  /** Packets of data that have gone over the bus, both ways. */
  packets = 0;
  private readonly controller: Controller;
  private readonly alarm: { schedule(nanoseconds: number): void };
  /** What the alarm is for. */
  private inFlight: Transaction | undefined;
  private readonly controls: Control[] = [];
  private connected = false;
  private address = 0;
  private configured = false;
  private inEndpoint = 0;
  private outEndpoint = 0;
  private inToggle = 0;
  private outToggle = 0;
  private lastWasIn = false;
  private readonly outgoing: Uint8Array[] = [];
  private outgoingAt = 0;
  private incoming: number[] = [];
  private reads = true;
  /** Endpoints whose toggles are about to start over. */
  private clearing = 0;
  /** Buffer controls as the program wrote them last. */
  private readonly written = new Int32Array((BUFFER_CONTROL_END - BUFFER_CONTROL) / 4);

  constructor(
    private readonly chip: RP2040,
    private readonly options: UsbHostOptions,
  ) {
    const controller = chip.usbCtrl as unknown as Controller;
    this.controller = controller;
    this.alarm = chip.clock.createAlarm(() => {
      const { inFlight } = this;
      this.inFlight = undefined;
      inFlight?.run();
      this.kick();
    });
    const write = controller.writeUint32.bind(controller);
    controller.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset === SIE_STATUS && (controller.rawWriteValue & SUSPENDED) !== 0) controller.sieStatus &= ~SUSPENDED;
      if (offset === SIE_STATUS) controller.sieStatusUpdated();
      if (offset === SIE_CTRL) this.connectWhenPulledUp();
    };
    controller.DPRAMUpdated = (offset, value) => {
      if (offset < BUFFER_CONTROL || offset >= BUFFER_CONTROL_END) return;
      const at = (offset - BUFFER_CONTROL) >> 2;
      if ((value & AVAILABLE) !== 0 && (this.written[at] | AVAILABLE) !== value) {
        throw new Error('a USB buffer was made available in the same store as its other bits (datasheet 4.1.2.5.1)');
      }
      this.written[at] = value;
      this.kick();
    };
  }

  /** Something happens on the bus, or will without anybody's doing. */
  get busy(): boolean {
    return this.inFlight !== undefined;
  }

  /** Bytes for the device, in order. They wait until it takes them. */
  send(bytes: Uint8Array): void {
    if (bytes.length > 0) this.outgoing.push(bytes.slice());
    this.kick();
  }

  /** Whether the host asks for what the device has. It does unless told. */
  listen(reads: boolean): void {
    this.reads = reads;
    this.kick();
  }

  /** What opening and closing a port, or setting its speed, does: each in its own request, the speed first. */
  setLine({ open, baudRate }: LineState): void {
    if (baudRate !== undefined) {
      const coding = Uint8Array.of(baudRate & 255, (baudRate >> 8) & 255, (baudRate >> 16) & 255, 0, 0, 0, 8);
      this.control(0x21, SET_LINE_CODING, 0, 0, coding);
    }
    this.control(0x21, SET_CONTROL_LINE_STATE, open ? 3 : 0, 0, new Uint8Array());
  }

  /**
   * A control transfer of one's own.
   *
   * @param data what the host sends, or how many bytes it asks for
   * @param done takes what the device sent; undefined where it refused
   */
  control(
    type: number,
    request: number,
    value: number,
    index: number,
    data: Uint8Array | number,
    done: (answer: Uint8Array | undefined) => void = () => undefined,
  ): void {
    const length = typeof data === 'number' ? data : data.length;
    this.controls.push({
      setup: setupPacket(type, request, value, index, length),
      data: typeof data === 'number' ? new Uint8Array() : data,
      done: (answer) => done(answer === REFUSED ? undefined : answer),
      stage: 'setup',
      toggle: 0,
      received: [],
      sent: 0,
    });
    this.kick();
  }

  /**
   * Starts the toggles of both data endpoints over, as a driver does that has lost its place. No data goes over the bus
   * meanwhile.
   */
  clearHalts(): void {
    const clear = (endpoint: number, then: () => void): void => {
      this.clearing++;
      this.control(0x02, CLEAR_FEATURE, 0, endpoint, new Uint8Array(), () => {
        this.clearing--;
        then();
      });
    };
    clear(this.outEndpoint, () => (this.outToggle = 0));
    clear(0x80 | this.inEndpoint, () => (this.inToggle = 0));
  }

  /** Nothing on the bus for 3 ms, as when the computer sleeps. */
  suspend(): void {
    this.controller.sieStatus |= SUSPENDED;
    this.controller.sieStatusUpdated();
    this.reads = false;
  }

  resume(): void {
    this.controller.sieStatus |= RESUME;
    this.controller.sieStatusUpdated();
    this.listen(true);
  }

  // -- finding out what it is --

  private connectWhenPulledUp(): void {
    const { sieCtrl, mainCtrl } = this.controller;
    const up = (sieCtrl & PULL_UP) !== 0 && (mainCtrl & CONTROLLER_ENABLED) !== 0;
    if (up && !this.connected) {
      this.connected = true;
      this.after(RESET_NANOSECONDS, () => this.reset());
    }
  }

  /** The bus reset that every device is found with; again for a device that is in use. */
  reset(): void {
    this.controls.length = 0;
    this.clearing = 0;
    this.address = 0;
    this.configured = false;
    this.incoming = [];
    this.controller.sieStatus |= BUS_RESET;
    this.controller.sieStatusUpdated();
    this.after(RESET_NANOSECONDS, () => this.enumerate());
  }

  private after(nanoseconds: number, run: () => void): void {
    this.inFlight = { bytes: 0, run };
    this.alarm.schedule(nanoseconds);
  }

  private describe(kind: number, index: number, length: number, then?: (found: Uint8Array) => void): void {
    this.control(
      0x80,
      GET_DESCRIPTOR,
      kind * 256 + index,
      kind === STRING && index > 0 ? 0x0409 : 0,
      length,
      (found) => {
        if (found === undefined) return;
        this.descriptors.set(`${kind}.${index}`, found);
        then?.(found);
      },
    );
  }

  /** As Linux does it, in the order that it does it. */
  private enumerate(): void {
    this.describe(DEVICE, 0, 64);
    this.control(0x00, SET_ADDRESS, 7, 0, new Uint8Array(), () => (this.address = 7));
    this.describe(DEVICE, 0, 18, (device) => {
      this.describe(DEVICE_QUALIFIER, 0, 10);
      this.describe(CONFIGURATION, 0, 9, (start) => {
        this.describe(CONFIGURATION, 0, start[2] | (start[3] << 8), (whole) => {
          this.describe(STRING, 0, 255);
          for (const at of [14, 15, 16]) if (device[at] !== 0) this.describe(STRING, device[at], 255);
          this.configure(whole);
        });
      });
    });
  }

  private configure(configuration: Uint8Array): void {
    for (let at = 0; at < configuration.length; at += Math.max(2, configuration[at])) {
      const [, kind, address, attributes] = configuration.subarray(at);
      if (kind !== 5 || attributes !== 2) continue;
      if ((address & 0x80) !== 0) this.inEndpoint = address & 15;
      else this.outEndpoint = address & 15;
    }
    this.control(0x00, SET_CONFIGURATION, configuration[5], 0, new Uint8Array(), (taken) => {
      if (taken === undefined) throw new Error('the USB device refuses its own configuration');
      this.configured = true;
      this.inToggle = 0;
      this.outToggle = 0;
      this.setLine({ open: this.options.opens ?? true, baudRate: 115_200 });
    });
  }

  // -- the bus --

  private kick(): void {
    if (this.inFlight !== undefined || !this.connected) return;
    const next = this.nextControl() ?? this.nextData();
    if (next === undefined) return;
    this.inFlight = next;
    this.alarm.schedule((OVERHEAD_BYTES + next.bytes) * NANOSECONDS_PER_BYTE);
  }

  private controlAt(endpoint: number, out: boolean): number {
    return BUFFER_CONTROL + 8 * endpoint + (out ? 4 : 0);
  }

  /** The buffer that a program has made available; undefined: NAK. */
  private available(endpoint: number, out: boolean): number | undefined {
    const value = this.chip.usbDPRAMView.getUint32(this.controlAt(endpoint, out), true);
    if (endpoint > 0) {
      const control = this.endpointControl(endpoint, out);
      if ((control & ENABLED) === 0) return undefined;
      if ((control & DOUBLE_BUFFERED) !== 0) throw new Error('double-buffered USB endpoints are not modelled');
    }
    return (value & AVAILABLE) === 0 ? undefined : value;
  }

  private stalls(out: boolean): boolean {
    const armed = (this.controller.epStallArm & (out ? 2 : 1)) !== 0;
    return armed && (this.chip.usbDPRAMView.getUint32(this.controlAt(0, out), true) & STALL) !== 0;
  }

  private endpointControl(endpoint: number, out: boolean): number {
    return this.chip.usbDPRAMView.getUint32(8 * endpoint + (out ? 4 : 0), true);
  }

  private bufferOf(endpoint: number, out: boolean): number {
    return endpoint === 0 ? EP0_BUFFER : this.endpointControl(endpoint, out) & 0xffc0;
  }

  /** The controller gives a buffer back. */
  private giveBack(endpoint: number, out: boolean, value: number): void {
    const at = this.controlAt(endpoint, out);
    this.chip.usbDPRAMView.setUint32(at, value, true);
    this.written[(at - BUFFER_CONTROL) >> 2] = value;
    const asked =
      endpoint === 0
        ? this.controller.sieCtrl & EP0_INTERRUPT_PER_BUFFER
        : this.endpointControl(endpoint, out) & INTERRUPT_PER_BUFFER;
    if (asked !== 0) this.controller.indicateBufferReady(endpoint, out);
  }

  private checkToggle(endpoint: number, value: number, expected: number, what: string): void {
    const name = (toggle: number): string => ((toggle & DATA1) === 0 ? 'DATA0' : 'DATA1');
    if ((value & DATA1) !== expected) {
      throw new Error(
        `the USB device has ${name(value)} for ${what} of endpoint ${endpoint}, the host ${name(expected)}: it would be lost`,
      );
    }
    const device = this.controller.addrEndp & 0x7f;
    if (device !== this.address) throw new Error(`the USB device answers to address ${device}, not ${this.address}`);
  }

  /** IN: what the device has, or undefined when it has nothing yet. */
  private take(endpoint: number, toggle: () => number, then: (data: Uint8Array) => void): Transaction | undefined {
    const value = this.available(endpoint, false);
    if (value === undefined) return undefined;
    return {
      bytes: value & LENGTH,
      run: () => {
        // Looked at again: a program may have taken it back, or filled it anew, while it waited for its turn.
        const now = this.available(endpoint, false);
        if (now === undefined) return;
        this.checkToggle(endpoint, now, toggle(), 'a packet');
        if ((now & FULL) === 0)
          throw new Error(`endpoint ${endpoint} of the USB device sends a buffer that is not full`);
        const from = this.bufferOf(endpoint, false);
        const data = this.chip.usbDPRAM.slice(from, from + (now & LENGTH));
        this.giveBack(endpoint, false, now & ~(AVAILABLE | FULL));
        then(data);
      },
    };
  }

  /** OUT: what the host has, or undefined while the device takes nothing. */
  private give(endpoint: number, toggle: () => number, data: Uint8Array, then: () => void): Transaction | undefined {
    if (this.available(endpoint, true) === undefined) return undefined;
    return {
      bytes: data.length,
      run: () => {
        const now = this.available(endpoint, true);
        if (now === undefined) return;
        this.checkToggle(endpoint, now, toggle(), 'a buffer');
        if ((now & LENGTH) < data.length)
          throw new Error(`endpoint ${endpoint} of the USB device has too small a buffer`);
        this.chip.usbDPRAM.set(data, this.bufferOf(endpoint, true));
        this.giveBack(endpoint, true, (now & ~(AVAILABLE | LENGTH)) | FULL | data.length);
        then();
      },
    };
  }

  private nextControl(): Transaction | undefined {
    const control = this.controls[0];
    if (control === undefined) return undefined;
    const { setup } = control;
    const reads = (setup[0] & 0x80) !== 0;
    const wanted = setup[6] | (setup[7] << 8);
    const finish = (answer: Uint8Array | typeof REFUSED): void => {
      this.controls.shift();
      control.done(answer);
    };
    const advance = (): void => {
      control.toggle ^= DATA1;
    };
    const toggle = (): number => control.toggle;
    if (control.stage === 'setup') {
      return {
        bytes: setup.length,
        run: () => {
          this.chip.usbDPRAM.set(setup, 0);
          this.controller.epStallArm = 0;
          this.controller.sieStatus |= SETUP_RECEIVED;
          this.controller.sieStatusUpdated();
          control.toggle = DATA1;
          control.stage = wanted > 0 ? 'data' : 'status';
        },
      };
    }
    const statusIn = control.stage === 'status' ? !reads : reads;
    if (this.stalls(!statusIn)) return { bytes: 0, run: () => finish(REFUSED) };
    if (control.stage === 'status') {
      const done = (): void => finish(Uint8Array.from(control.received));
      const status = (): number => DATA1;
      return reads
        ? this.give(0, status, new Uint8Array(), done)
        : this.take(0, status, (data) => {
            if (data.length > 0) throw new Error('the USB device acknowledges a control transfer with data');
            done();
          });
    }
    if (reads) {
      return this.take(0, toggle, (data) => {
        advance();
        control.received.push(...data);
        if (data.length < PACKET_BYTES || control.received.length >= wanted) control.stage = 'status';
      });
    }
    const data = control.data.subarray(control.sent, control.sent + PACKET_BYTES);
    return this.give(0, toggle, data, () => {
      advance();
      control.sent += data.length;
      if (control.sent === control.data.length) control.stage = 'status';
    });
  }

  /** In and out by turns, when both can be. */
  private nextData(): Transaction | undefined {
    if (!this.configured || this.clearing > 0) return undefined;
    const first = this.lastWasIn ? this.nextOut() : this.nextIn();
    return first ?? (this.lastWasIn ? this.nextIn() : this.nextOut());
  }

  private nextIn(): Transaction | undefined {
    if (!this.reads) return undefined;
    return this.take(
      this.inEndpoint,
      () => this.inToggle,
      (data) => {
        this.packets++;
        this.lastWasIn = true;
        this.inToggle ^= DATA1;
        this.incoming.push(...data);
        if (data.length === PACKET_BYTES && this.incoming.length < READ_BYTES) return;
        const bytes = Uint8Array.from(this.incoming);
        this.incoming = [];
        if (bytes.length > 0) this.options.onBytes(bytes);
      },
    );
  }

  private nextOut(): Transaction | undefined {
    if (this.outgoing.length === 0) return undefined;
    const bytes = this.outgoing[0];
    const data = bytes.subarray(this.outgoingAt, this.outgoingAt + PACKET_BYTES);
    return this.give(
      this.outEndpoint,
      () => this.outToggle,
      data,
      () => {
        this.packets++;
        this.lastWasIn = false;
        this.outToggle ^= DATA1;
        this.outgoingAt += data.length;
        if (this.outgoingAt === bytes.length) {
          this.outgoing.shift();
          this.outgoingAt = 0;
        }
      },
    );
  }
}
