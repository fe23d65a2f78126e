/**
 * CRC-32 as in IEEE 802.3, zip and PNG: reflected polynomial 0xEDB88320, initial value and final xor of all ones.
 * Digests of spikes, the serial frames and the weight checksum all use it. Check value: crc32 of the ASCII digits
 * 123456789 is 0xCBF43926.
 */

const TABLE = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++)
    remainder = (remainder & 1) !== 0 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  TABLE[byte] = remainder >>> 0;
}

/**
 * CRC-32 of `bytes`, or of everything before and `bytes` when `before` is the CRC-32 of what came before:
 * crc32(b, crc32(a)) is the CRC-32 of a followed by b.
 *
 * @param before CRC-32 so far, 0 to 2^32 - 1; 0 to begin
 * @returns 0 to 2^32 - 1
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  let remainder = ~before;
  for (let i = 0; i < bytes.length; i++) remainder = TABLE[(remainder ^ bytes[i]) & 0xff] ^ (remainder >>> 8);
  return ~remainder >>> 0;
}
