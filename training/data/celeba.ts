/** CelebA as its authors distribute it: aligned faces, 178 x 218 pixels, and the official split of their file names. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FsvaeError } from '../../runtime-ts/errors.js';

export const CELEBA_FILES = { images: 'img_align_celeba', split: 'list_eval_partition.txt' } as const;

/** The paper cuts so large a square out of the middle of each face, then resizes it. */
export const CELEBA_CROP = 148;

/** The file's number of each; 1 is validation, which the paper leaves out. */
const PARTITIONS = { train: 0, test: 2 } as const;
/** The whole set has 202,599. */
const MOST_LINES = 1_000_000;

/** Does a folder look like CelebA, whole or not? */
export function isCelebA(folder: string): boolean {
  return Object.values(CELEBA_FILES).some((name) => existsSync(join(folder, name)));
}

/**
 * @param text lines of a file name and 0 (training), 1 (validation) or 2 (test)
 * @param source path for messages
 * @returns names of one half, in the file's order
 * @throws FsvaeError `input` naming the first line that is none
 */
export function parseCelebASplit(text: string, half: keyof typeof PARTITIONS, source: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.length > MOST_LINES) throw new FsvaeError('input', `${source}: has more than ${MOST_LINES} lines`);
  const names: string[] = [];
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    // Only plain names: a path would reach out of the folder.
    const match = /^([\w-]+\.\w+)\s+([012])\s*$/.exec(line);
    if (match === null) {
      throw new FsvaeError(
        'input',
        `${source}: line ${i + 1} is no file name with 0, 1 or 2: ${JSON.stringify(line.slice(0, 40))}; get the file anew`,
      );
    }
    if (Number(match[2]) === PARTITIONS[half]) names.push(match[1]);
  });
  return names;
}

/**
 * Paths of one half of the official split, the validation images left out.
 *
 * @throws FsvaeError `input` saying which of the two parts is missing and where it belongs, or what is wrong with the split
 */
export function celebAPaths(folder: string, half: keyof typeof PARTITIONS): string[] {
  for (const name of Object.values(CELEBA_FILES)) {
    const path = join(folder, name);
    if (!existsSync(path)) {
      throw new FsvaeError(
        'input',
        `${path}: is not there; CelebA's folder needs ${CELEBA_FILES.images}/ (the aligned images, unpacked) and ` +
          `${CELEBA_FILES.split} beside it`,
      );
    }
  }
  const split = join(folder, CELEBA_FILES.split);
  const names = parseCelebASplit(readFileSync(split, 'utf8'), half, split);
  if (names.length === 0) throw new FsvaeError('input', `${split}: names no image to ${half} with`);
  return names.map((name) => join(folder, CELEBA_FILES.images, name));
}
