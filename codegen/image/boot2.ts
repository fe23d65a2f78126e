/** The checksum that the RP2040's boot ROM demands of the second-stage boot (datasheet section 2.8.1.3.1). */

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

/** Writes the checksum of the first 252 bytes into the next four, little-endian. `image` begins with the boot code. */
export function sealBoot2(image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  view.setUint32(CODE_BYTES, boot2Crc(image.subarray(0, CODE_BYTES)), true);
}

/** What the boot ROM checks before it runs the code. */
export function boot2IsSealed(image: Uint8Array): boolean {
  if (image.length < BOOT2_BYTES) return false;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  return view.getUint32(CODE_BYTES, true) === boot2Crc(image.subarray(0, CODE_BYTES));
}
