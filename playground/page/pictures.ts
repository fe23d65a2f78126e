/** Images of the network on a canvas, one pixel a pixel; the style sheet enlarges them. */

export interface PictureShape {
  readonly channels: number;
  readonly size: number;
}

/**
 * @param image channels * size * size bytes, channel-major; one channel is grey, the first three are red, green and blue
 * @param label what it shows, for those who do not see it
 */
export function paint(
  canvas: HTMLCanvasElement,
  image: Uint8Array,
  { channels, size }: PictureShape,
  label: string,
): void {
  canvas.width = size;
  canvas.height = size;
  const area = size * size;
  const pixels = new ImageData(size, size);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = image[channels >= 3 ? c * area + i : i];
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d')!.putImageData(pixels, 0, 0);
  canvas.setAttribute('aria-label', label);
}
