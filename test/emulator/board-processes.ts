/** What the tests of the emulators' processes ask about them. */

import { readFileSync } from 'node:fs';
import { startBoardProcess } from '../../harness/process.js';

/** Seconds of processor time that a process has used (Linux). */
export function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/**
 * The last line of an emulator that does not start.
 *
 * @throws Error when it does start
 */
export async function lastWords(emulator: string, ...args: string[]): Promise<string> {
  try {
    const running = await startBoardProcess(process.execPath, [emulator, ...args]);
    await running.close();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it started');
}
