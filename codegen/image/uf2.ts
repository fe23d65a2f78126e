/** UF2, the file format that boot loaders take as a copy onto a drive: 512-byte blocks, 256 bytes of payload each. */

import { FsvaeError } from '../../runtime-ts/errors.js';

const BLOCK = 512;
const PAYLOAD = 256;
const MAGIC_START_0 = 0x0a324655;
const MAGIC_START_1 = 0x9e5d5157;
const MAGIC_END = 0x0ab16f30;
const FLAG_FAMILY = 0x00002000;
const FLAG_NOT_MAIN_FLASH = 0x00000001;

/**
 * @param image bytes from `address` on; the last block is filled with 0
 * @param address a multiple of 256
 */
export function encodeUf2(image: Uint8Array, address: number, familyId: number): Uint8Array {
  const count = Math.ceil(image.length / PAYLOAD);
  const file = new Uint8Array(count * BLOCK);
  const view = new DataView(file.buffer);
  for (let block = 0; block < count; block++) {
    const at = block * BLOCK;
    const header = [
      MAGIC_START_0,
      MAGIC_START_1,
      FLAG_FAMILY,
      address + block * PAYLOAD,
      PAYLOAD,
      block,
      count,
      familyId,
    ];
    header.forEach((word, i) => view.setUint32(at + 4 * i, word, true));
    file.set(image.subarray(block * PAYLOAD, (block + 1) * PAYLOAD), at + 32);
    view.setUint32(at + BLOCK - 4, MAGIC_END, true);
  }
  return file;
}

export interface Uf2Image {
  readonly address: number;
  readonly familyId: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads a file whose blocks follow each other without a gap, as encodeUf2() and linkers write them.
 *
 * @param where named in errors
 * @throws FsvaeError `input` when a block is damaged, missing, out of order, or of another family
 */
export function decodeUf2(file: Uint8Array, where: string): Uf2Image {
  const refuse = (why: string): never => {
    throw new FsvaeError('input', `${where} is not a usable UF2 file: ${why}`);
  };
  if (file.length === 0 || file.length % BLOCK !== 0)
    refuse(`its ${file.length} bytes are not whole blocks of ${BLOCK}`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const count = file.length / BLOCK;
  const address = view.getUint32(12, true);
  const familyId = view.getUint32(28, true);
  const bytes = new Uint8Array(count * PAYLOAD);
  for (let block = 0; block < count; block++) {
    const at = block * BLOCK;
    const word = (index: number): number => view.getUint32(at + 4 * index, true);
    if (word(0) !== MAGIC_START_0 || word(1) !== MAGIC_START_1 || view.getUint32(at + BLOCK - 4, true) !== MAGIC_END) {
      refuse(`block ${block} has no magic number`);
    }
    if ((word(2) & FLAG_NOT_MAIN_FLASH) !== 0) refuse(`block ${block} is not for flash`);
    if (word(4) !== PAYLOAD) refuse(`block ${block} carries ${word(4)} bytes instead of ${PAYLOAD}`);
    if (word(5) !== block || word(6) !== count) refuse(`block ${block} says it is ${word(5)} of ${word(6)}`);
    if (word(3) !== address + block * PAYLOAD) refuse(`block ${block} leaves a gap`);
    if ((word(2) & FLAG_FAMILY) === 0 || word(7) !== familyId) refuse(`block ${block} is of another family`);
    bytes.set(file.subarray(at + 32, at + 32 + PAYLOAD), block * PAYLOAD);
  }
  return { address, familyId, bytes };
}
