/** firmware-templates/ as it lies on disk, read once; and ports that lie elsewhere. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { Templates } from './emit/render.js';
import { PACKAGE_ROOT } from './package-root.js';

function readFolder(folder: string, files: Map<string, Uint8Array>): void {
  for (const entry of readdirSync(join(PACKAGE_ROOT, 'firmware-templates', folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) readFolder(path, files);
    else files.set(path, readFileSync(join(PACKAGE_ROOT, 'firmware-templates', path)));
  }
}

let read: Templates | undefined;

export function packageTemplates(): Templates {
  if (read === undefined) {
    const files = new Map<string, Uint8Array>();
    readFolder('', files);
    read = files;
  }
  return read;
}

/** A port is some files of text; whoever names the wrong folder is told, and not kept waiting. */
const MOST_PORT_BYTES = 1 << 20;

/**
 * The package's templates; and, where `port` is the absolute path of a folder, its files under `ports/` and that path.
 * Folders in it and hidden files are left out.
 *
 * @param port of a board, as `loadBoard` gives it
 * @throws FsvaeError `input` for a folder that cannot be read or holds more than a port does
 */
export function templatesWithPort(port: string): Templates {
  if (!isAbsolute(port)) return packageTemplates();
  const files = new Map(packageTemplates());
  let bytes = 0;
  try {
    for (const entry of readdirSync(port, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.isDirectory()) continue;
      const path = join(port, entry.name);
      bytes += statSync(path).size;
      if (bytes > MOST_PORT_BYTES) {
        throw new FsvaeError(
          'input',
          `the port ${port} holds more than ${MOST_PORT_BYTES} bytes: is it the right folder?`,
        );
      }
      files.set(`ports/${port}/${entry.name}`, readFileSync(path));
    }
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    throw new FsvaeError('input', `the port ${port} cannot be read: ${(error as Error).message}`);
  }
  return files;
}
