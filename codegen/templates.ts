/** firmware-templates/ as it lies on disk, read once. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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
