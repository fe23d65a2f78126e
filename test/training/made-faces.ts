/** A made data set in CelebA's format: aligned "faces" of 178 x 218 pixels as JPEG files, and the split beside them. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import jpeg from 'jpeg-js';
import { CELEBA_FILES } from '../../training/data/celeba.js';
import { RandomSequence } from '../../training/random/philox.js';

const [WIDTH, HEIGHT] = [178, 218];

/** An ellipse of one colour on another, with two eyes: of random place and size. */
function face(random: RandomSequence): Uint8Array {
  const colour = (): number[] => Array.from({ length: 3 }, () => random.below(256));
  const [ground, skin, eyes] = [colour(), colour(), colour()];
  const [x0, y0] = [74 + random.below(30), 94 + random.below(30)];
  const [rx, ry] = [30 + random.below(30), 40 + random.below(30)];
  const inside = (x: number, y: number, radius: number): boolean =>
    ((x - x0) / (rx * radius)) ** 2 + ((y - y0) / (ry * radius)) ** 2 < 1;
  const pixels = new Uint8Array(4 * WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const isEye = Math.hypot(Math.abs(x - x0) - rx / 2, y - y0 + ry / 4) < rx / 5;
      pixels.set([...(isEye ? eyes : inside(x, y, 1) ? skin : ground), 255], 4 * (y * WIDTH + x));
    }
  }
  return pixels;
}

/** Writes img_align_celeba/ and list_eval_partition.txt into a folder, which is made; one image more is of the validation. */
export function writeMadeFaces(folder: string, train: number, test: number): void {
  const images = join(folder, CELEBA_FILES.images);
  mkdirSync(images, { recursive: true });
  const random = new RandomSequence(2022, 'noise', 2);
  const lines: string[] = [];
  for (let n = 0; n < train + 1 + test; n++) {
    const name = `${String(n + 1).padStart(6, '0')}.jpg`;
    const file = jpeg.encode({ width: WIDTH, height: HEIGHT, data: face(random) }, 90);
    writeFileSync(join(images, name), file.data);
    lines.push(`${name} ${n < train ? 0 : n === train ? 1 : 2}\n`);
  }
  writeFileSync(join(folder, CELEBA_FILES.split), lines.join(''));
}
