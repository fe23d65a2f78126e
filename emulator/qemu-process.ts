#!/usr/bin/env node
/**
 * Runs an ELF file on one of QEMU's boards and bridges its first UART to a pseudo-terminal, so that the harness opens
 * it as it would open the board.
 *
 *   node qemu-process.js CORE MACHINE PROGRAM.elf
 *
 * CORE is the board's, as its description names it; by it the right one of QEMU's programs is taken.
 * Prints one line of JSON, {"pty":"/dev/pts/N"}, once the board runs, and serves until stdin closes. What QEMU says goes
 * to stderr.
 */

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { Duplex } from 'node:stream';
import { qemuArguments, qemuFor, qemuMissing } from './qemu.js';
import { openTerminal } from './terminal.js';

function fail(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

function main(core: string | undefined, machine: string | undefined, program: string | undefined): void {
  if (core === undefined || machine === undefined || program === undefined) {
    fail('usage: qemu-process CORE MACHINE PROGRAM.elf');
  }
  const emulator = qemuFor(core);
  try {
    accessSync(program, constants.R_OK);
  } catch (error) {
    fail(`${program} cannot be read: ${(error as Error).message}`);
  }
  // Node makes its pipes of sockets, which go both ways.
  const qemu = spawn(emulator.program, qemuArguments(emulator, machine, program), {
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
  });
  const uart = qemu.stdio[3] as Duplex;
  process.on('exit', () => qemu.kill('SIGKILL'));
  let stopping = false;
  // It holds nothing that would have to be saved. This process ends when it has, so that it is never left behind.
  const stop = (): void => {
    stopping = true;
    qemu.kill('SIGKILL');
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop);
  process.stdin.on('end', stop);
  process.stdin.on('error', stop);
  process.stdin.resume();
  qemu.on('error', (error) => fail('code' in error && error.code === 'ENOENT' ? qemuMissing(emulator) : error.message));
  qemu.on('close', (code, signal) => {
    if (stopping) process.exit(0);
    fail(`${emulator.program} ended (${signal ?? `exit code ${String(code)}`})`);
  });
  qemu.stdin!.on('error', () => undefined); // told by its end

  const terminal = openTerminal();
  uart.on('error', () => undefined);
  uart.on('data', (data: Uint8Array) => terminal.write(data));
  terminal.onData((data) => void uart.write(data));
  // It greets on its control channel when the board is complete; the greeting and whatever follows are of no use here.
  qemu.stdout!.once('data', () => process.stdout.write(`${JSON.stringify({ pty: terminal.name })}\n`));
  qemu.stdout!.resume();
}

main(process.argv[2], process.argv[3], process.argv[4]);
