#!/usr/bin/env node
/**
 * Runs a UF2 image and bridges UART0, or USB, to a pseudo-terminal, so that the harness opens it as it would open a Pico.
 *
 *   node rp2040-process.js IMAGE.uf2 [FLASH_BYTES] [--usb] [--xip]
 *
 * Prints one line of JSON, {"pty":"/dev/pts/N"}, and serves until stdin closes. Hard faults of the program are told on
 * stderr, a line each.
 *
 * With --usb a host finds the USB device and opens its serial port; bytes for it wait until it is found.
 *
 * A pseudo-terminal does not pass on how it is opened. A line `touch` on stdin does on the bus what a host does whose port is
 * opened at 1200 baud and closed, and is answered with `{"touched":true}`.
 *
 * With --xip, reads of flash cost what they cost by the model of the XIP cache (xip-cache.ts). A line `xip` on stdin is
 * answered with a line on stdout: cycles since the start, and what each core counted since the last answer.
 *
 *   {"cycles":123456,"xip":[{"accesses":1000,"misses":10},{"accesses":0,"misses":0}]}
 */

import { readFileSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { decodeUf2 } from '../codegen/image/uf2.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { EmulatedRp2040 } from './rp2040.js';
import { runInSlices } from './sliced-run.js';
import { openTerminal } from './terminal.js';
import { XIP_MISS_CYCLES } from './xip-cache.js';

/** The boot loader takes no other (RP2040 datasheet section 2.8.4.2). */
const RP2040_FAMILY = 0xe48bff56;
const FLASH_ORIGIN = 0x10000000;
/** The largest flash that the chip can have, 16 MiB, with UF2's half of overhead. */
const MOST_FILE_BYTES = 2 * (16 << 20);

function loadFlash(path: string): Uint8Array {
  let file: Uint8Array;
  try {
    if (statSync(path).size > MOST_FILE_BYTES) throw new FsvaeError('input', `${path} is too large for a UF2 file`);
    file = readFileSync(path);
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    throw new FsvaeError('usage', `${path} cannot be read: ${(error as Error).message}`);
  }
  const uf2 = decodeUf2(file, path);
  if (uf2.familyId !== RP2040_FAMILY || uf2.address !== FLASH_ORIGIN) {
    throw new FsvaeError(
      'input',
      `${path} is for another chip: family 0x${uf2.familyId.toString(16)}, address 0x${uf2.address.toString(16)}`,
    );
  }
  return uf2.bytes;
}

/** Answers questions about the chip, a line each, and ends the process when stdin closes. */
function answerQuestions(chip: EmulatedRp2040, schedule: () => void): void {
  const answer = (question: string): unknown => {
    if (question === 'touch' && chip.usb !== undefined) {
      chip.usb.setLine({ open: true, baudRate: 1200 });
      chip.usb.setLine({ open: false });
      schedule();
      return { touched: true };
    }
    if (question !== 'xip') return { error: `unknown question: ${question.slice(0, 80)}` };
    const { xipAccesses, xipMisses } = chip;
    const xip = [0, 1].map((core) => ({ accesses: xipAccesses[core], misses: xipMisses[core] }));
    xipAccesses.fill(0);
    xipMisses.fill(0);
    return { cycles: chip.cycles, xip };
  };
  createInterface({ input: process.stdin }).on('line', (question) => {
    process.stdout.write(`${JSON.stringify(answer(question.trim()))}\n`);
  });
  process.stdin.on('end', () => process.exit(0));
  process.stdin.on('error', () => process.exit(0));
}

function main(args: readonly string[]): void {
  const [path, flashBytes, ...more] = args.filter((arg) => arg !== '--xip' && arg !== '--usb');
  const usb = args.includes('--usb');
  const wrongBytes = flashBytes !== undefined && !/^[1-9][0-9]{0,8}$/.test(flashBytes);
  if (path === undefined || wrongBytes || more.length > 0) {
    throw new FsvaeError('usage', 'usage: rp2040-process IMAGE.uf2 [FLASH_BYTES] [--usb] [--xip]');
  }
  let sent: number[] = [];
  const chip = new EmulatedRp2040(loadFlash(path), {
    onUartByte: (byte) => void (usb || sent.push(byte)),
    ...(usb ? { usb: { onBytes: (bytes: Uint8Array) => void sent.push(...bytes) } } : {}),
    onBootLoader: () => process.stderr.write('the program entered the boot loader\n'),
    onFault: (what) => process.stderr.write(`${what}\n`),
    ...(flashBytes === undefined ? {} : { flashBytes: Number(flashBytes) }),
    ...(args.includes('--xip') ? { xip: { missCycles: XIP_MISS_CYCLES } } : {}),
  });

  const terminal = openTerminal();

  const wake = runInSlices(
    chip,
    (step) => void setImmediate(() => guarded(step)),
    () => {
      if (sent.length === 0) return;
      terminal.write(Uint8Array.from(sent));
      sent = [];
    },
  );
  terminal.onData((data) => {
    if (usb) chip.usb!.send(data);
    else chip.receive(data);
    wake();
  });
  answerQuestions(chip, wake);
  process.stdout.write(`${JSON.stringify({ pty: terminal.name })}\n`);
  wake();
}

function guarded(step: () => void): void {
  try {
    step();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

guarded(() => main(process.argv.slice(2)));
