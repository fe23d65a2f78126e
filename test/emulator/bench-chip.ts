/** A test program in the emulated RP2040, asked one thing at a time. */

import { expect } from 'chai';
import { EmulatedRp2040 } from '../../emulator/rp2040.js';

/** As on a bench: a USB cable, and a boot ROM. */
interface Surroundings {
  readonly usb?: boolean;
  readonly onBootLoader?: () => void;
}

export class BenchChip {
  /** What has come over USB. */
  usbReceived: number[] = [];
  readonly faults: string[] = [];
  private sent: number[] = [];
  readonly chip: EmulatedRp2040;

  /** Starts the program, which greets with '!' when it is ready. */
  constructor(
    image: Uint8Array,
    private readonly slice = 100_000,
    xip?: { readonly missCycles: number },
    { usb, onBootLoader }: Surroundings = {},
  ) {
    this.chip = new EmulatedRp2040(image, {
      onUartByte: (byte) => this.sent.push(byte),
      onFault: (what) => this.faults.push(what),
      ...(xip === undefined ? {} : { xip }),
      ...(usb === true ? { usb: { onBytes: (bytes: Uint8Array) => void this.usbReceived.push(...bytes) } } : {}),
      ...(onBootLoader === undefined ? {} : { onBootLoader }),
    });
    expect(this.untilIdle().toString()).to.equal('!');
  }

  /** What the program says until it sleeps; fails when it is still busy after `limit` cycles. */
  untilIdle(limit = 200e6): Buffer {
    this.sent = [];
    const end = this.chip.cycles + limit;
    do {
      this.chip.run(this.slice);
      if (this.chip.cycles > end) throw new Error(`still busy after ${limit} cycles`);
    } while (!this.chip.idle);
    return Buffer.from(this.sent);
  }

  /** What it says to these bytes. */
  echo(bytes: Uint8Array, limit?: number): Buffer {
    this.chip.receive(bytes);
    return this.untilIdle(limit);
  }

  /** What it says over USB to these bytes. */
  usbEcho(bytes: Uint8Array, limit?: number): Buffer {
    this.usbReceived = [];
    this.chip.usb!.send(bytes);
    this.untilIdle(limit);
    return Buffer.from(this.usbReceived);
  }
}
