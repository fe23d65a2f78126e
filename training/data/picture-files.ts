/** PNG and JPEG files as planes of bytes. */

import { readFileSync } from 'node:fs';
import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { type Planes, planesOf } from './planes.js';

/** Names that a folder of pictures is searched for. */
export const PICTURE_NAME = /\.(png|jpe?g)$/i;

/** Of one file. Larger ones are photographs that nobody meant, or made to exhaust the memory. */
const MOST_MEGAPIXELS = 64;
const MOST_MEGABYTES = 1024;

function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8;
}

/** Width and height, as the first chunk has them: before anything is unpacked. */
function pngMegapixels(bytes: Uint8Array): number {
  if (bytes.length < 24) return 0; // the decoder says what is wrong
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (view.getUint32(16) * view.getUint32(20)) / 1e6;
}

function decodePng(bytes: Uint8Array, channels: number): Planes {
  if (pngMegapixels(bytes) > MOST_MEGAPIXELS) throw new Error(`more than ${MOST_MEGAPIXELS} million pixels`);
  const { width, height, data } = PNG.sync.read(Buffer.from(bytes));
  return planesOf(data, { width, height, stride: 4 }, channels);
}

/**
 * A block of 8 x 8 pixels takes two bits at least, so a byte holds 256 pixels at most: a file of half a kilobyte that claims
 * millions would keep the decoder busy for a minute.
 */
const MOST_JPEG_PIXELS_A_BYTE = 256;

/** Width times height, as the frame header has them (ITU-T T.81, B.2.2); 0 where there is none: the decoder says what is wrong. */
function jpegPixels(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 9 <= bytes.length;) {
    if (bytes[at] !== 0xff) return 0;
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++; // fill
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return view.getUint16(at + 5) * view.getUint16(at + 7);
    at += 2 + view.getUint16(at + 2);
  }
  return 0;
}

function decodeJpeg(bytes: Uint8Array, channels: number): Planes {
  if (jpegPixels(bytes) > MOST_JPEG_PIXELS_A_BYTE * bytes.length) {
    throw new Error(`${bytes.length} bytes cannot hold its ${jpegPixels(bytes)} pixels`);
  }
  const { width, height, data } = jpeg.decode(bytes, {
    useTArray: true,
    formatAsRGBA: false,
    tolerantDecoding: false, // what is cut short is refused, not filled up with grey
    maxResolutionInMP: MOST_MEGAPIXELS,
    maxMemoryUsageInMB: MOST_MEGABYTES,
  });
  return planesOf(data, { width, height, stride: 3 }, channels);
}

/**
 * @param bytes of a PNG or a JPEG file, baseline or progressive, told apart by how they begin; transparency is ignored, more
 *   than 8 bits a sample are cut to 8, orientation tags are not followed (torchvision's loaders do not either)
 * @param channels 1 or 3
 * @throws FsvaeError `input` for a file that is neither, is damaged or has more than 64 million pixels
 */
export function decodePicture(bytes: Uint8Array, channels: number, source: string): Planes {
  const kind = isJpeg(bytes) ? 'JPEG' : 'PNG';
  try {
    return kind === 'JPEG' ? decodeJpeg(bytes, channels) : decodePng(bytes, channels);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FsvaeError('input', `${source}: is not a readable ${kind} file (${why}); get it anew, or take it away`);
  }
}

/** @throws FsvaeError `input` when it cannot be read or is damaged */
export function readPicture(path: string, channels: number): Planes {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new FsvaeError(
      'input',
      `${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}); put it there`,
    );
  }
  return decodePicture(bytes, channels, path);
}
