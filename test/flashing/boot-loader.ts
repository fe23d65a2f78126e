/** A boot loader's drive, played by a folder: shows INFO_UF2.TXT, takes a UF2 file, and goes away with it. */

import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const RP2_INFO = 'UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n';

export function makeDrive(folder: string, info = RP2_INFO): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'INFO_UF2.TXT'), info);
  return folder;
}

/**
 * Takes the folder away once `bytes` of the file are there.
 *
 * @returns what had been written by then
 */
export async function takeAway(folder: string, bytes: number, signal?: AbortSignal): Promise<Uint8Array> {
  const file = join(folder, 'FSVAE.UF2');
  for (;;) {
    if (signal?.aborted === true) return new Uint8Array();
    if (existsSync(file) && statSync(file).size >= bytes) {
      const written = readFileSync(file);
      rmSync(folder, { recursive: true });
      return written;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
