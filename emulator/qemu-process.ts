#!/usr/bin/env node
/**
 * Runs an ELF file on one of QEMU's Arm boards and bridges its first UART to a pseudo-terminal, so that the harness opens
 * it as it would open the board.
 *
 *   node qemu-process.js MACHINE PROGRAM.elf
 *
 * Prints one line of JSON, {"pty":"/dev/pts/N"}, once the board runs, and serves until stdin closes. What QEMU says goes
 * to stderr.
 */

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { Duplex } from 'node:stream';
import { QEMU, QEMU_MISSING, qemuArguments } from './qemu.js';
import { openTerminal } from './terminal.js';

function fail(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

function main(machine: string | undefined, program: string | undefined): void {
  if (machine === undefined || program === undefined) fail('usage: qemu-process MACHINE PROGRAM.elf');
  try {
    accessSync(program, constants.R_OK);
  } catch (error) {
    fail(`${program} cannot be read: ${(error as Error).message}`);
  }
  // Node makes its pipes of sockets, which go both ways.
  const qemu = spawn(QEMU, qemuArguments(machine, program), { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
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
  qemu.on('error', (error) => fail('code' in error && error.code === 'ENOENT' ? QEMU_MISSING : error.message));
  qemu.on('close', (code, signal) => {
    if (stopping) process.exit(0);
    fail(`${QEMU} ended (${signal ?? `exit code ${String(code)}`})`);
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

main(process.argv[2], process.argv[3]);
