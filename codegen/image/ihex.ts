/** Intel HEX, the text format of images that some flash tools want: 16 bytes a line, each with its address and checksum. */

const LINE_BYTES = 16;

function record(type: number, address: number, data: Uint8Array): string {
  const bytes = [data.length, (address >> 8) & 0xff, address & 0xff, type, ...data];
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  return `:${[...bytes, -sum & 0xff].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('')}\n`;
}

/**
 * @param image bytes from `origin` on
 * @param origin a 32-bit address
 */
export function encodeIntelHex(image: Uint8Array, origin: number): string {
  const lines: string[] = [];
  let upper = -1;
  for (let at = 0; at < image.length;) {
    const address = origin + at;
    if (address >>> 16 !== upper) {
      upper = address >>> 16;
      lines.push(record(4, 0, Uint8Array.of(upper >> 8, upper & 0xff)));
    }
    // A line does not cross into the next 64 KiB, whose upper address is another.
    const count = Math.min(LINE_BYTES, image.length - at, 0x10000 - (address & 0xffff));
    lines.push(record(0, address & 0xffff, image.subarray(at, at + count)));
    at += count;
  }
  lines.push(record(1, 0, new Uint8Array()));
  return lines.join('');
}
