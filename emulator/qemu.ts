/** QEMU's Arm emulator: a program of the machine, not of npm. */

import { spawnSync } from 'node:child_process';
import { FsvaeError } from '../runtime-ts/errors.js';

export const QEMU = 'qemu-system-arm';

/**
 * How the emulator is started.
 *
 * Instructions take one nanosecond of its clock each (`-icount shift=0`): timers, and with them the port's counter, then
 * count instructions, and a run does not depend on how busy this machine is. The UART is bridged to descriptor 3, a
 * socket; the control protocol goes over stdin and stdout.
 *
 * @param machine QEMU's name of the board
 * @param programPath an ELF file
 */
export function qemuArguments(machine: string, programPath: string): string[] {
  return [
    ...['-M', machine, '-kernel', programPath],
    ...['-icount', 'shift=0'],
    ...['-display', 'none', '-monitor', 'none', '-nic', 'none'],
    ...['-qmp', 'stdio'],
    ...['-chardev', 'socket,id=uart,fd=3', '-serial', 'chardev:uart'],
  ];
}

/** What to say where it is not installed. */
export const QEMU_MISSING = `${QEMU} is not installed: install it (Debian: apt-get install qemu-system-arm)`;

/** @throws FsvaeError `toolchain` when it is not installed, with how to install it */
export function requireQemu(): void {
  const run = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
  if (run.status !== 0) throw new FsvaeError('toolchain', QEMU_MISSING);
}
