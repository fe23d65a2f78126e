/** An emulated RP2040 that runs a firmware image, beside the page: its UART's bytes both ways. */

import { EmulatedRp2040 } from '../../emulator/rp2040.js';
import { runInSlices } from '../../emulator/sliced-run.js';
import { XIP_MISS_CYCLES } from '../../emulator/xip-cache.js';
import { serve, tell } from './serve.js';

export type BoardEvent =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'cycles'; readonly cycles: number }
  | { readonly kind: 'fault'; readonly what: string };

/** How often the page hears how far the chip is, in milliseconds. */
const TELL_MS = 100;

let chip: EmulatedRp2040 | undefined;
let wake: () => void = () => undefined;

function report(event: BoardEvent): void {
  tell(event);
}

// A message to oneself comes after those that wait; a timer would be held back to 4 ms a slice.
const turn = new MessageChannel();
let step: () => void = () => undefined;
turn.port1.onmessage = () => {
  try {
    step();
  } catch (error) {
    report({ kind: 'fault', what: error instanceof Error ? error.message : String(error) });
  }
};

const methods = {
  start({ firmware, flashBytes }: { firmware: Uint8Array; flashBytes: number }): void {
    let sent: number[] = [];
    let told = 0;
    const started = new EmulatedRp2040(firmware, {
      onUartByte: (byte) => void sent.push(byte),
      onFault: (what) => report({ kind: 'fault', what }),
      flashBytes,
      xip: { missCycles: XIP_MISS_CYCLES },
    });
    chip = started;
    wake = runInSlices(
      started,
      (next) => {
        step = next;
        turn.port2.postMessage(undefined);
      },
      () => {
        if (sent.length > 0) report({ kind: 'bytes', bytes: Uint8Array.from(sent) });
        sent = [];
        const now = performance.now();
        if (now - told < TELL_MS) return;
        told = now;
        report({ kind: 'cycles', cycles: started.cycles });
      },
    );
    wake();
  },

  /** Bytes for the UART. */
  send(bytes: Uint8Array): void {
    chip?.receive(bytes);
    wake();
  },
};

export type BoardMethods = typeof methods;

serve(methods);
