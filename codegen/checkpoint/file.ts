/** Checkpoints on disk. What their bytes mean is read elsewhere, without Node. */

import { readFileSync, statSync } from 'node:fs';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { type Checkpoint, parseCheckpoint } from './checkpoint.js';
import { MAX_TOTAL_BYTES } from './zip.js';

/**
 * A whole file in memory.
 *
 * @throws FsvaeError `usage` when there is no such file or it cannot be read, `input` when it is larger than 512 MiB
 */
export function readBytes(path: string): Uint8Array {
  try {
    // Asked before opening: opening a named pipe would wait for its writer.
    const status = statSync(path);
    if (!status.isFile()) throw new FsvaeError('usage', `${path}: is not a file`);
    if (status.size > MAX_TOTAL_BYTES) {
      throw new FsvaeError('input', `${path}: has ${status.size} bytes, more than the limit of ${MAX_TOTAL_BYTES}`);
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'no such file' : `cannot be read (${code ?? 'unknown reason'})`;
    throw new FsvaeError('usage', `${path}: ${why}`);
  }
}

/**
 * Reads a checkpoint file; its content, not its name, decides the format.
 *
 * @throws FsvaeError `usage` when the file cannot be read, `input` as parseCheckpoint
 */
export function readCheckpoint(path: string): Checkpoint {
  return parseCheckpoint(readBytes(path), path);
}
