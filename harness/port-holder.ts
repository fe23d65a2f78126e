/** Which programs have a serial port open, where the system tells. */

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { promisify } from 'node:util';

export interface PortHolder {
  readonly pid: number;
  /** The program's name; '' where the system keeps it to itself. */
  readonly program: string;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // ended meanwhile, or another user's
  }
}

/** Linux: every process's open files, those of other users only for root. */
function holdersByProc(path: string): PortHolder[] {
  const wanted = realPath(path);
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) =>
      entries(`/proc/${pid}/fd`).some((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`) === wanted;
        } catch {
          return false;
        }
      }),
    )
    .map((pid) => {
      let program = '';
      try {
        program = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
      } catch {
        // Ended meanwhile.
      }
      return { pid: Number(pid), program };
    });
}

/** What `lsof -F pc` says: a line `p` with each process's number, then a line `c` with its program's name. */
export function parseLsof(output: string): PortHolder[] {
  const holders: PortHolder[] = [];
  for (const line of output.split('\n')) {
    if (/^p\d+$/.test(line)) holders.push({ pid: Number(line.slice(1)), program: '' });
    else if (line.startsWith('c') && holders.length > 0) {
      holders[holders.length - 1] = { ...holders[holders.length - 1], program: line.slice(1) };
    }
  }
  return holders;
}

/**
 * Programs that have a port open, this one left out. Of another user's programs Linux and macOS tell only root.
 *
 * @returns undefined where the system does not tell at all (Windows)
 */
export async function portHolders(path: string): Promise<PortHolder[] | undefined> {
  if (process.platform === 'win32') return undefined;
  let holders: PortHolder[];
  if (process.platform === 'linux') holders = holdersByProc(path);
  else {
    // lsof ends with 1 when nobody has the file open.
    const output = await promisify(execFile)('lsof', ['-F', 'pc', path], { timeout: 5000 }).then(
      ({ stdout }) => stdout,
      (error: unknown) => String((error as { stdout?: string }).stdout ?? ''),
    );
    holders = parseLsof(output);
  }
  return holders.filter(({ pid }) => pid !== process.pid);
}

/** For messages: `minicom (process 4711) and screen (process 12)`. */
export function formatHolders(holders: readonly PortHolder[]): string {
  return holders
    .map(({ pid, program }) => `${program.replace(/[^ -~]/g, '?') || 'a program'} (process ${pid})`)
    .join(' and ');
}
