/** The checksum that the RP2040's boot ROM demands of the second-stage boot (datasheet section 2.8.1.3.1). */

import { FsvaeError } from '../../runtime-ts/errors.js';

export const BOOT2_BYTES = 256;
const CODE_BYTES = BOOT2_BYTES - 4;

/** CRC-32 with polynomial 0x04c11db7, initial value all ones, not reflected, no final xor. */
export function boot2Crc(code: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of code) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

/**
 * Writes the checksum of the first 252 bytes into the next four, little-endian.
 *
 * @param image flash from its first byte on, beginning with the boot code; changed in place
 * @throws FsvaeError `toolchain` when there is no room for the checksum: the code reaches into its place
 */
export function sealBoot2(image: Uint8Array): void {
  if (image.length < BOOT2_BYTES) {
    throw new FsvaeError('toolchain', `the second-stage boot has ${image.length} bytes instead of ${BOOT2_BYTES}`);
  }
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const crc = boot2Crc(image.subarray(0, CODE_BYTES));
  const there = view.getUint32(CODE_BYTES, true);
  if (there !== 0 && there !== crc) {
    throw new FsvaeError(
      'toolchain',
      `the second-stage boot is longer than the ${CODE_BYTES} bytes that the ROM allows`,
    );
  }
  view.setUint32(CODE_BYTES, crc, true);
}

/** What the boot ROM checks before it runs the code. */
export function boot2IsSealed(image: Uint8Array): boolean {
  if (image.length < BOOT2_BYTES) return false;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  return view.getUint32(CODE_BYTES, true) === boot2Crc(image.subarray(0, CODE_BYTES));
}
