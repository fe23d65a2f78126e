/** The idx format of MNIST and Fashion-MNIST (described on MNIST's page): a big-endian header, then one byte a pixel. */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** Two zero bytes, type 8 (unsigned byte), three dimensions; or one. */
const MAGIC = 0x00000803;
const HEADER_BYTES = 16;
const LABELS_MAGIC = 0x00000801;
const LABELS_HEADER_BYTES = 8;
/** Larger than any data set in this format, and small enough to be held in memory. */
const MOST_BYTES = 1 << 30;
const MOST_SIDE = 4096;

export interface IdxImages {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** count * height * width bytes, row by row. */
  readonly pixels: Uint8Array;
}

/** A file's bytes, unpacked where they are gzip, and how it is refused. */
function opened(bytes: Uint8Array, source: string) {
  const refuse = (why: string): never => {
    throw new FsvaeError('input', `${source}: ${why}; get the file anew`);
  };
  let raw = bytes;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      raw = gunzipSync(bytes, { maxOutputLength: MOST_BYTES });
    } catch (error) {
      refuse(`its gzip data is damaged or larger than ${MOST_BYTES} bytes (${(error as Error).message})`);
    }
  }
  return { raw, refuse };
}

/**
 * @param bytes of the file, gzip or not
 * @param source path for messages
 * @throws FsvaeError `input`, one line: what is damaged
 */
export function parseIdxImages(bytes: Uint8Array, source: string): IdxImages {
  const { raw, refuse } = opened(bytes, source);
  if (raw.length < HEADER_BYTES) refuse(`has ${raw.length} bytes, too few for an idx file of images`);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  if (view.getUint32(0) !== MAGIC) refuse('is not an idx file of images: it does not begin with 00 00 08 03');
  const [count, height, width] = [view.getUint32(4), view.getUint32(8), view.getUint32(12)];
  if (count < 1 || height < 1 || width < 1 || height > MOST_SIDE || width > MOST_SIDE) {
    refuse(`claims ${count} images of ${height} x ${width}`);
  }
  const pixels = raw.subarray(HEADER_BYTES);
  const needed = count * height * width;
  if (pixels.length !== needed) {
    refuse(`claims ${count} images of ${height} x ${width}, ${needed} bytes, but holds ${pixels.length}`);
  }
  return { count, height, width, pixels };
}

/** Classes of the images of an idx file: one byte each, in a file of their own. @throws as parseIdxImages */
export function parseIdxLabels(bytes: Uint8Array, source: string): Uint8Array {
  const { raw, refuse } = opened(bytes, source);
  if (raw.length < LABELS_HEADER_BYTES) refuse(`has ${raw.length} bytes, too few for an idx file of labels`);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  if (view.getUint32(0) !== LABELS_MAGIC) refuse('is not an idx file of labels: it does not begin with 00 00 08 01');
  const labels = raw.subarray(LABELS_HEADER_BYTES);
  const count = view.getUint32(4);
  if (labels.length !== count) refuse(`claims ${count} labels, but holds ${labels.length}`);
  return labels;
}

/** @throws FsvaeError `input` when it cannot be read or is damaged */
export function readIdxImages(path: string): IdxImages {
  return parseIdxImages(bytesOf(path), path);
}

/** @throws FsvaeError `input` when it cannot be read or is damaged */
export function readIdxLabels(path: string): Uint8Array {
  return parseIdxLabels(bytesOf(path), path);
}

function bytesOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new FsvaeError(
      'input',
      `${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`,
    );
  }
}
