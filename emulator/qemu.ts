/** QEMU's emulators: programs of the machine, not of npm. */

import { spawnSync } from 'node:child_process';
import { FsvaeError } from '../runtime-ts/errors.js';

/** One of QEMU's programs: each emulates boards of one family of processors. */
export interface QemuProgram {
  readonly program: string;
  readonly debianPackage: string;
  /** What its machines need beside what all are given. */
  readonly machineArguments: readonly string[];
}

const ARM: QemuProgram = {
  program: 'qemu-system-arm',
  debianPackage: 'qemu-system-arm',
  machineArguments: [],
};

/** Without `-bios none` it would start a boot program of its own in place of ours. */
const RISCV32: QemuProgram = {
  program: 'qemu-system-riscv32',
  debianPackage: 'qemu-system-misc',
  machineArguments: ['-bios', 'none'],
};

/** The program that emulates boards with this core, as a description names it. */
export function qemuFor(core: string): QemuProgram {
  return core.startsWith('riscv') ? RISCV32 : ARM;
}

/** The Arm one. */
export const QEMU = ARM.program;

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
export function qemuArguments(qemu: QemuProgram, machine: string, programPath: string): string[] {
  return [
    ...['-M', machine, ...qemu.machineArguments, '-kernel', programPath],
    ...['-icount', 'shift=0'],
    ...['-display', 'none', '-monitor', 'none', '-nic', 'none'],
    ...['-qmp', 'stdio'],
    ...['-chardev', 'socket,id=uart,fd=3', '-serial', 'chardev:uart'],
  ];
}

/** What to say where it is not installed. */
export function qemuMissing({ program, debianPackage }: QemuProgram): string {
  return `${program} is not installed: install it (Debian: apt-get install ${debianPackage})`;
}

/** @throws FsvaeError `toolchain` when it is not installed, with how to install it */
export function requireQemu(qemu: QemuProgram = ARM): void {
  const run = spawnSync(qemu.program, ['--version'], { encoding: 'utf8' });
  if (run.status !== 0) throw new FsvaeError('toolchain', qemuMissing(qemu));
}
