#!/usr/bin/env node
/**
 * Runs a UF2 image and bridges UART0 to a pseudo-terminal, so that the harness opens it as it would open a Pico.
 *
 *   node rp2040-process.js IMAGE.uf2
 *
 * Prints one line of JSON, {"pty":"/dev/pts/N"}, and serves until stdin closes.
 */

import { readFileSync } from 'node:fs';
import * as pty from '@lydell/node-pty';
import { decodeUf2 } from '../codegen/image/uf2.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { EmulatedRp2040 } from './rp2040.js';

/** The boot loader takes no other (RP2040 datasheet section 2.8.4.2). */
const RP2040_FAMILY = 0xe48bff56;
const FLASH_ORIGIN = 0x10000000;
/** Between looks at the pseudo-terminal: 4 ms of the chip's time, about 20 ms of ours. */
const SLICE_CYCLES = 500_000;

interface PtyMaster {
  write(data: Uint8Array): boolean;
  on(event: 'data', listener: (data: Buffer | string) => void): void;
}

function loadFlash(path: string): Uint8Array {
  const uf2 = decodeUf2(readFileSync(path), path);
  if (uf2.familyId !== RP2040_FAMILY || uf2.address !== FLASH_ORIGIN) {
    throw new FsvaeError('input', `${path} is for another chip: family 0x${uf2.familyId.toString(16)}`);
  }
  return uf2.bytes;
}

function main(path: string | undefined): void {
  if (path === undefined) throw new FsvaeError('usage', 'usage: rp2040-process IMAGE.uf2');
  let sent: number[] = [];
  const chip = new EmulatedRp2040(loadFlash(path), { onUartByte: (byte) => sent.push(byte) });

  // The declared types leave out open(), which only Unix has.
  const { open } = pty as unknown as {
    open(options: { encoding: null }): { master: PtyMaster; slave: { pause(): void }; ptsName: string };
  };
  const terminal = open({ encoding: null });
  // Else node-pty reads the other side itself and takes bytes away from whoever opens it.
  terminal.slave.pause();

  let scheduled = false;
  const slice = (): void => {
    scheduled = false;
    chip.run(SLICE_CYCLES);
    if (sent.length > 0) {
      terminal.master.write(Uint8Array.from(sent));
      sent = [];
    }
    // Asleep with nothing to do: the next byte from the host starts it again, and no core is burnt meanwhile.
    if (!chip.idle) schedule();
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => guarded(slice));
  };
  terminal.master.on('data', (data) => {
    chip.receive(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
    schedule();
  });
  process.stdin.on('end', () => process.exit(0));
  process.stdin.resume();
  process.stdout.write(`${JSON.stringify({ pty: terminal.ptsName })}\n`);
  schedule();
}

function guarded(step: () => void): void {
  try {
    step();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

guarded(() => main(process.argv[2]));
