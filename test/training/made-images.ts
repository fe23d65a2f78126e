/** A made data set in MNIST's format: bars of random place, slope and width, bright on black. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RandomSequence } from '../../training/random/philox.js';

const SIDE = 28;

function bar(random: RandomSequence): Uint8Array {
  const [x, y] = [6 + random.below(16), 6 + random.below(16)];
  const angle = Math.PI * random.uniform();
  const halfWidth = 2 + 2 * random.uniform();
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    const away = Math.abs(Math.sin(angle) * ((i % SIDE) - x) - Math.cos(angle) * (Math.floor(i / SIDE) - y));
    return Math.round(255 * Math.min(1, Math.max(0, halfWidth - away)));
  });
}

/** Writes train-images-idx3-ubyte and t10k-images-idx3-ubyte into a folder, which is made. */
export function writeMadeImages(folder: string, train: number, test: number): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, count, occasion] of [
    ['train-images-idx3-ubyte', train, 0],
    ['t10k-images-idx3-ubyte', test, 1],
  ] as const) {
    const random = new RandomSequence(2022, 'noise', occasion);
    const file = Buffer.alloc(16 + count * SIDE * SIDE);
    [0x803, count, SIDE, SIDE].forEach((word, i) => file.writeUInt32BE(word, 4 * i));
    for (let n = 0; n < count; n++) file.set(bar(random), 16 + n * SIDE * SIDE);
    writeFileSync(join(folder, name), file);
  }
}
