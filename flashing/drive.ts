/**
 * Boards whose boot loader is a drive: finding it by its INFO_UF2.TXT, and copying a UF2 file onto it with every step
 * seen to be done, because the drive goes away by itself at the end and may go away by accident before.
 */

import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { FsvaeError } from '../runtime-ts/errors.js';
import { sleep } from './sleep.js';

export interface BootDrive {
  /** Folder that the drive is mounted at. */
  readonly path: string;
  /** What INFO_UF2.TXT says; '' where it says nothing. */
  readonly boardId: string;
  readonly model: string;
}

/** No boot loader says more about itself. */
const MOST_INFO_BYTES = 4096;

/** Written and seen to be on the drive before more is: its progress is the drive's, not the system's cache's. */
const CHUNK_BYTES = 64 * 1024;

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return []; // not there, or not ours to read
  }
}

/** Mount points out of /proc/self/mounts, where blanks are octal escapes. */
export function mountPoints(mounts: string): string[] {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields.length >= 3 && /^(vfat|msdos|exfat|fuseblk)$/.test(fields[2]))
    .map((fields) =>
      fields[1].replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
}

/** Where this system puts drives that are plugged in. */
export function driveFolders(): string[] {
  if (process.platform === 'win32') {
    return Array.from('DEFGHIJKLMNOPQRSTUVWXYZABC', (letter) => `${letter}:\\`);
  }
  if (process.platform === 'darwin') return foldersIn('/Volumes');
  let mounted: string[] = [];
  try {
    mounted = mountPoints(readFileSync('/proc/self/mounts', 'utf8'));
  } catch {
    // No Linux: what lies at the usual places is looked at alone.
  }
  const usual = ['/media', '/run/media'].flatMap((folder) => [
    ...foldersIn(folder),
    ...foldersIn(folder).flatMap(foldersIn),
  ]);
  return [...new Set([...mounted, ...usual])];
}

/** The boot loader's drive at a folder; undefined: there is none. */
export function driveAt(path: string): BootDrive | undefined {
  let info: string;
  try {
    const file = join(path, 'INFO_UF2.TXT');
    if (!statSync(file).isFile() || statSync(file).size > MOST_INFO_BYTES) return undefined;
    info = readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
  // It is a file of a device that nobody vouches for: what is shown of it is one line of plain characters.
  const field = (name: string): string =>
    (new RegExp(`^${name}:[ \\t]*([^\\r\\n]*)`, 'im').exec(info)?.[1] ?? '')
      .replace(/[^ -~]/g, '?')
      .trim()
      .slice(0, 64);
  return { path, boardId: field('Board-ID'), model: field('Model') };
}

export function findDrives(folders: readonly string[]): BootDrive[] {
  return folders.map(driveAt).filter((drive) => drive !== undefined);
}

/** True for a drive that calls itself, as Board-ID or Model, one of `ids`; letters' case does not count. */
export function isDriveOf(drive: BootDrive, ids: readonly string[]): boolean {
  const called = [drive.boardId, drive.model].map((name) => name.toLowerCase());
  return ids.some((id) => called.includes(id.toLowerCase()));
}

export interface CopyOptions {
  readonly onProgress?: (written: number, total: number) => void;
  /** How long the drive may stay once all is written, in milliseconds: the board starts, and takes it along. */
  readonly leaveMs?: number;
}

function gone(drive: BootDrive): boolean {
  return driveAt(drive.path) === undefined;
}

/**
 * Copies a UF2 file onto a boot drive, and returns when the drive has gone away, which is the board's way to say that it
 * has taken the image and starts it.
 *
 * @throws FsvaeError `flash` when the drive goes away before the last bytes, cannot be written, or stays
 */
export async function copyToDrive(drive: BootDrive, file: Uint8Array, options: CopyOptions = {}): Promise<void> {
  const target = join(drive.path, 'FSVAE.UF2');
  const again =
    'connect the board again with its boot loader running, and start over: a half-written image does no harm';
  const interrupted = (written: number): FsvaeError =>
    new FsvaeError(
      'flash',
      `the drive ${drive.path} went away after ${written} of ${file.length} bytes: was the board unplugged? ${again}`,
    );
  let written = 0;
  let handle: number | undefined;
  try {
    handle = openSync(target, 'w');
    while (written < file.length) {
      if (gone(drive)) throw interrupted(written);
      const count = writeSync(handle, file, written, Math.min(CHUNK_BYTES, file.length - written), written);
      try {
        fsyncSync(handle);
      } catch (error) {
        // The boot loader starts the image when it has the last block, and this may be while the system still waits.
        if (written + count < file.length || !gone(drive)) throw error;
      }
      written += count;
      options.onProgress?.(written, file.length);
      await sleep(0); // for whoever draws the progress
    }
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    if (gone(drive)) throw interrupted(written);
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOSPC'
        ? 'it is full'
        : code === 'EROFS' || code === 'EACCES' || code === 'EPERM'
          ? `it may not be written (${code})`
          : (code ?? String(error));
    throw new FsvaeError('flash', `cannot write ${target} at byte ${written} of ${file.length}: ${why}; ${again}`);
  } finally {
    try {
      if (handle !== undefined) closeSync(handle);
    } catch {
      // Its drive is gone; what was to be said of it has been.
    }
  }
  const leaveMs = options.leaveMs ?? 15_000;
  const end = performance.now() + leaveMs;
  while (!gone(drive)) {
    if (performance.now() > end) {
      throw new FsvaeError(
        'flash',
        `all ${file.length} bytes are on the drive ${drive.path}, but the board has not started them within ` +
          `${leaveMs / 1000} s: is the image for this board? ${again}`,
      );
    }
    await sleep(50);
  }
}

/** On Linux without a desktop nobody mounts the drive: a line that says how, where one waits to be mounted; else ''. */
export function unmountedHint(ids: readonly string[], labels = '/dev/disk/by-label'): string {
  const waiting = ids.map((id) => join(labels, id)).find((path) => existsSync(path));
  return waiting === undefined ? '' : `; it is there but not mounted: udisksctl mount -b ${waiting}`;
}
