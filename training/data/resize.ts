/**
 * Resizing as Pillow's BILINEAR does it for 8-bit images (src/libImaging/Resample.c): the triangle filter, widened by
 * the scale when shrinking, so that every source pixel counts; coefficients in fixed point with 22 fractional bits;
 * rows first, rounded to bytes, then columns.
 */

const PRECISION_BITS = 22;

interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

/** For each of `to` new pixels, the source pixels that it is made of. */
function taps(from: number, to: number): Taps[] {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, at) => {
    const center = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const triangle = Float64Array.from({ length: end - first }, (__, i) =>
      Math.max(0, 1 - Math.abs((i + first - center + 0.5) * (1 / support))),
    );
    const sum = triangle.reduce((total, weight) => total + weight, 0);
    return {
      first,
      weights: Int32Array.from(triangle, (weight) => Math.trunc(0.5 + (weight / sum) * 2 ** PRECISION_BITS)),
    };
  });
}

/** One pass along lines that lie `lineStride` apart, of pixels `pixelStride` apart. */
function pass(
  source: Uint8Array,
  lines: number,
  along: readonly Taps[],
  strides: { sourceLine: number; sourcePixel: number; targetLine: number; targetPixel: number },
): Uint8Array {
  const target = new Uint8Array(lines * along.length);
  for (let line = 0; line < lines; line++) {
    along.forEach(({ first, weights }, at) => {
      let sum = 1 << (PRECISION_BITS - 1);
      let from = line * strides.sourceLine + first * strides.sourcePixel;
      for (const weight of weights) {
        sum += source[from] * weight; // at most 255.5 * 2^22: exact in a double, and below 2^31
        from += strides.sourcePixel;
      }
      target[line * strides.targetLine + at * strides.targetPixel] = Math.min(255, sum >> PRECISION_BITS);
    });
  }
  return target;
}

/** Resizes grey images of one size to another; the coefficients are computed once. */
export class BilinearResize {
  private readonly across: readonly Taps[];
  private readonly down: readonly Taps[];

  /** All sizes in pixels, at least 1. */
  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly size: number,
  ) {
    this.across = taps(width, size);
    this.down = taps(height, size);
  }

  /** @param plane width * height bytes, row by row @returns size * size bytes; `plane` itself where nothing changes */
  apply(plane: Uint8Array): Uint8Array {
    const { width, height, size } = this;
    const narrow =
      width === size
        ? plane
        : pass(plane, height, this.across, { sourceLine: width, sourcePixel: 1, targetLine: size, targetPixel: 1 });
    if (height === size) return narrow;
    return pass(narrow, size, this.down, { sourceLine: 1, sourcePixel: size, targetLine: 1, targetPixel: size });
  }
}
