/** Pictures as planes of bytes, converted as Pillow converts them: `L` for one channel, `RGB` for three. */

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
 * @param data width * height pixels of red, green, blue and, with a stride of 4, one more byte that is ignored
 * @param channels 1 (grey) or 3
 */
export function planesOf(
  data: Uint8Array,
  { width, height, stride }: { readonly width: number; readonly height: number; readonly stride: 3 | 4 },
  channels: number,
): Planes {
  const planes = Array.from({ length: channels }, () => new Uint8Array(width * height));
  for (let i = 0; i < width * height; i++) {
    const rgb = [data[stride * i], data[stride * i + 1], data[stride * i + 2]] as const;
    if (channels === 1) planes[0][i] = luma(...rgb);
    else planes.forEach((plane, channel) => (plane[i] = rgb[channel]));
  }
  return { width, height, planes };
}

/**
 * A square around the centre, offsets rounded as torchvision's CenterCrop rounds them (half to even).
 *
 * @param side pixels, no more than width and height; absent: the largest square
 */
export function centreSquare({ width, height, planes }: Planes, side = Math.min(width, height)): Planes {
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
