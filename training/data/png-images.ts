/** PNG files as planes of bytes, converted as Pillow converts them: `L` for one channel, `RGB` for three. */

import { readFileSync } from 'node:fs';
import { PNG } from 'pngjs';
import { FsvaeError } from '../../runtime-ts/errors.js';

export interface Planes {
  readonly width: number;
  readonly height: number;
  /** One plane a channel, width * height bytes each. */
  readonly planes: readonly Uint8Array[];
}

/** Pillow's grey (ITU-R 601-2 luma in 16-bit fixed point, rounded). */
function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/**
 * @param bytes of a PNG file; transparency is ignored, more than 8 bits a sample are cut to 8
 * @param channels 1 or 3
 * @throws FsvaeError `input` for a file that is no PNG or is damaged
 */
export function decodePng(bytes: Uint8Array, channels: number, source: string): Planes {
  let png: PNG;
  try {
    png = PNG.sync.read(Buffer.from(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FsvaeError('input', `${source}: is not a readable PNG file (${why}); get it anew, or take it away`);
  }
  const { width, height, data } = png;
  const planes = Array.from({ length: channels }, () => new Uint8Array(width * height));
  for (let i = 0; i < width * height; i++) {
    const rgb = [data[4 * i], data[4 * i + 1], data[4 * i + 2]] as const;
    if (channels === 1) planes[0][i] = luma(...rgb);
    else planes.forEach((plane, channel) => (plane[i] = rgb[channel]));
  }
  return { width, height, planes };
}

export function readPng(path: string, channels: number): Planes {
  return decodePng(readFileSync(path), channels, path);
}

/** The largest square around the centre, offsets rounded as torchvision's CenterCrop rounds them (half to even). */
export function centreSquare({ width, height, planes }: Planes): Planes {
  const side = Math.min(width, height);
  if (width === side && height === side) return { width, height, planes };
  const half = (room: number): number => (room % 4 === 3 ? (room + 1) / 2 : Math.floor(room / 2));
  const left = half(width - side);
  const top = half(height - side);
  return {
    width: side,
    height: side,
    planes: planes.map((plane) => {
      const square = new Uint8Array(side * side);
      for (let y = 0; y < side; y++) {
        const from = (top + y) * width + left;
        square.set(plane.subarray(from, from + side), y * side);
      }
      return square;
    }),
  };
}
