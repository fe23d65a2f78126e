/** Images for people: a PNG grid, and a picture in the terminal. Pure functions of the pixels. */

import { PNG } from 'pngjs';
import { FsvaeError } from '../runtime-ts/errors.js';

/** Pixels of one image: channels * size * size bytes, channel-major. */
export interface PictureShape {
  readonly channels: number;
  readonly size: number;
}

type Rgb = readonly [red: number, green: number, blue: number];

/** One channel is grey, three are red, green and blue; of any other number the mean is shown as grey, rounded half up. */
function pixelAt(image: Uint8Array, { channels, size }: PictureShape, x: number, y: number): Rgb {
  const plane = size * size;
  const at = y * size + x;
  if (channels === 3) return [image[at], image[plane + at], image[2 * plane + at]];
  let sum = 0;
  for (let channel = 0; channel < channels; channel++) sum += image[channel * plane + at];
  const grey = Math.floor(sum / channels + 0.5);
  return [grey, grey, grey];
}

function checkImages(images: readonly Uint8Array[], { channels, size }: PictureShape): void {
  const expected = channels * size * size;
  images.forEach((image, index) => {
    if (image.length !== expected) {
      throw new FsvaeError(
        'input',
        `image ${index} has ${image.length} bytes, but ${channels} x ${size} x ${size} pixels are ${expected}`,
      );
    }
  });
}

export interface GridOptions {
  /** Images in a row; by default as square a grid as there are images for. */
  readonly columns?: number;
  /** Pixels a side that one pixel becomes, 1 to 64. */
  readonly scale?: number;
  /** Width of the lines between images, in pixels of the PNG, 0 to 64. */
  readonly gap?: number;
  /** Grey of the lines and of empty places, 0 to 255. */
  readonly background?: number;
}

/** Largest PNG, pixels a side: 16 K x 16 K of RGB is 768 MiB, and few viewers open more. */
const MAX_SIDE = 16_384;

/** Largest PNG in pixels. */
const MAX_PIXELS = 64 << 20;

/**
 * A PNG file of all images, row by row, each pixel upscaled without smoothing. The same images give the same bytes.
 *
 * @throws FsvaeError `usage` for no image at all, options out of range or a grid too large; `input` for an image of
 *   another size
 */
export function pngGrid(images: readonly Uint8Array[], shape: PictureShape, options: GridOptions = {}): Uint8Array {
  checkImages(images, shape);
  const columns = options.columns ?? Math.ceil(Math.sqrt(images.length));
  const scale = options.scale ?? 1;
  const gap = options.gap ?? 2;
  const background = options.background ?? 64;
  for (const [name, value, low, high] of [
    ['number of images', images.length, 1, MAX_PIXELS],
    ['columns', columns, 1, MAX_SIDE],
    ['scale', scale, 1, 64],
    ['gap', gap, 0, 64],
    ['background', background, 0, 255],
  ] as const) {
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new FsvaeError('usage', `${name} of a picture must be ${low} to ${high}: ${value}`);
    }
  }
  const across = Math.min(columns, images.length);
  const down = Math.ceil(images.length / across);
  const pitch = shape.size * scale + gap;
  const width = across * pitch - gap;
  const height = down * pitch - gap;
  if (width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS) {
    throw new FsvaeError(
      'usage',
      `a picture of ${width} x ${height} pixels is larger than ${MAX_SIDE} a side or ${MAX_PIXELS} in all: ` +
        'draw fewer images, or scale them less',
    );
  }
  const data = Buffer.alloc(width * height * 3, background);
  images.forEach((image, index) => {
    const left = (index % across) * pitch;
    const top = Math.floor(index / across) * pitch;
    for (let y = 0; y < shape.size * scale; y++) {
      for (let x = 0; x < shape.size * scale; x++) {
        data.set(
          pixelAt(image, shape, Math.floor(x / scale), Math.floor(y / scale)),
          ((top + y) * width + left + x) * 3,
        );
      }
    }
  });
  const png = new PNG({ width, height });
  png.data = data;
  return PNG.sync.write(png, {
    inputColorType: 2,
    inputHasAlpha: false,
    colorType: shape.channels === 3 ? 2 : 0,
    bitDepth: 8,
  });
}

/** How a terminal shows pixels: 24-bit colour, the 256-colour palette, or characters alone. */
export type TerminalColor = 'truecolor' | 'palette' | 'ascii';

/** The parts of an output stream that decide: process.stdout has them. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  getColorDepth?(env?: object): number;
}

/** Colour where it is a terminal that can and nobody objects by NO_COLOR (no-color.org: set and not empty). */
export function terminalColor(
  stream: TerminalStream,
  environment: Readonly<Record<string, string | undefined>>,
): TerminalColor {
  if (stream.isTTY !== true || (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb') return 'ascii';
  const depth = stream.getColorDepth?.(environment) ?? 1;
  if (depth >= 24) return 'truecolor';
  return depth >= 8 ? 'palette' : 'ascii';
}

/** From dark to light by how much of a cell the character's strokes cover. */
const RAMP = ' .:-=+*#%@';

/**
 * A picture as lines of text. In colour one character holds two pixels, one above the other (upper half block); as
 * characters alone one holds two rows of a pixel, its mean brightness, since cells are about twice as high as wide.
 *
 * @param maxColumns widest line in characters; a larger image is thinned out by a whole factor
 */
export function terminalPicture(image: Uint8Array, shape: PictureShape, color: TerminalColor, maxColumns = 80): string {
  checkImages([image], shape);
  const factor = Math.max(1, Math.ceil(shape.size / Math.max(1, maxColumns)));
  const side = Math.ceil(shape.size / factor);
  const pixel = (x: number, y: number): Rgb => pixelAt(image, shape, x * factor, y * factor);
  const lines: string[] = [];
  for (let y = 0; y < side; y += 2) {
    let line = '';
    for (let x = 0; x < side; x++) {
      const upper = pixel(x, y);
      const lower = y + 1 < side ? pixel(x, y + 1) : undefined;
      if (color === 'ascii') {
        const light = lower === undefined ? luma(upper) : (luma(upper) + luma(lower)) / 2;
        line += RAMP[Math.min(RAMP.length - 1, Math.floor((light * RAMP.length) / 256))];
      } else {
        const code = color === 'truecolor' ? trueColor : paletteColor;
        line += `\x1b[38;${code(upper)}${lower === undefined ? ';49' : `;48;${code(lower)}`}m\u2580`;
      }
    }
    lines.push(color === 'ascii' ? line.trimEnd() : `${line}\x1b[0m`);
  }
  return lines.join('\n');
}

/** Brightness by the weights of ITU-R BT.601, 0 to 255. */
function luma([red, green, blue]: Rgb): number {
  return (299 * red + 587 * green + 114 * blue) / 1000;
}

function trueColor(rgb: Rgb): string {
  return `2;${rgb.join(';')}`;
}

/** The nearest of the 24 greys (232 to 255: 8, 18, ... 238) or of the 6 x 6 x 6 cube (16 to 231) of 256-colour terminals. */
function paletteColor([red, green, blue]: Rgb): string {
  if (red === green && green === blue) {
    if (red < 4) return '5;16';
    if (red > 246) return '5;231';
    return `5;${232 + Math.min(23, Math.max(0, Math.round((red - 8) / 10)))}`;
  }
  const level = (value: number) => (value < 48 ? 0 : value < 115 ? 1 : Math.min(5, Math.floor((value - 35) / 40)));
  return `5;${16 + 36 * level(red) + 6 * level(green) + level(blue)}`;
}

/** The image at a smaller size: every new pixel is the mean of the area it covers, rounded half up. */
export function shrinkImage(image: Uint8Array, shape: PictureShape, size: number): Uint8Array {
  checkImages([image], shape);
  const shrunk = new Uint8Array(shape.channels * size * size);
  const step = shape.size / size;
  /** Source pixels that the new pixel `at` covers along one axis, and how much of each. */
  const cover = (at: number): [index: number, weight: number][] => {
    const covered: [number, number][] = [];
    for (let i = Math.floor(at * step); i < Math.min(shape.size, (at + 1) * step); i++) {
      covered.push([i, Math.min(i + 1, (at + 1) * step) - Math.max(i, at * step)]);
    }
    return covered;
  };
  const covers = Array.from({ length: size }, (_, at) => cover(at));
  for (let channel = 0; channel < shape.channels; channel++) {
    const plane = image.subarray(channel * shape.size * shape.size);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        let sum = 0;
        for (const [row, high] of covers[y]) {
          for (const [column, wide] of covers[x]) sum += high * wide * plane[row * shape.size + column];
        }
        shrunk[(channel * size + y) * size + x] = Math.floor(sum / (step * step) + 0.5);
      }
    }
  }
  return shrunk;
}

/**
 * Several images side by side as lines of text, shrunk so that a row of them fits.
 *
 * @param across images in a row
 * @param maxColumns widest line in characters
 */
export function terminalGrid(
  images: readonly Uint8Array[],
  shape: PictureShape,
  color: TerminalColor,
  across = 4,
  maxColumns = 80,
): string {
  const perRow = Math.min(across, images.length);
  const size = Math.max(1, Math.min(shape.size, Math.floor((maxColumns + 1) / perRow) - 1));
  const lines: string[] = [];
  for (let first = 0; first < images.length; first += perRow) {
    const pictures = images.slice(first, first + perRow).map((image) => {
      const small = size < shape.size ? shrinkImage(image, shape, size) : image;
      return terminalPicture(small, { channels: shape.channels, size }, color, size).split('\n');
    });
    pictures[0].forEach((_, line) => {
      const cells = pictures.map((picture) => (color === 'ascii' ? picture[line].padEnd(size) : picture[line]));
      lines.push(cells.join(' ').trimEnd());
    });
  }
  return lines.join('\n');
}
