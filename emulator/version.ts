/** What the emulators call themselves: for certificates, which say what ran. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { QEMU } from './qemu.js';

/** Name and version, one line. */
export function emulatorVersion(emulator: 'rp2040js' | 'qemu'): string {
  if (emulator === 'qemu') {
    const run = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
    return run.status === 0 ? run.stdout.split('\n')[0].trim() : QEMU;
  }
  // The package exports no manifest; it lies above the module.
  let folder = dirname(createRequire(import.meta.url).resolve('rp2040js'));
  for (;;) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
      if (manifest.name === 'rp2040js') return `rp2040js ${String(manifest.version)}`;
    } catch {
      // not here
    }
    if (dirname(folder) === folder) return 'rp2040js';
    folder = dirname(folder);
  }
}
