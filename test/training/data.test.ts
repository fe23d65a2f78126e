import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { PNG } from 'pngjs';
import { FsvaeError, type ErrorKind } from '../../runtime-ts/errors.js';
import { CELEBA_FILES, parseCelebASplit } from '../../training/data/celeba.js';
import { parseIdxImages, parseIdxLabels } from '../../training/data/idx.js';
import { epochOrder, flipCoins, imageBatch } from '../../training/data/image-set.js';
import { openImages, openTestImages } from '../../training/data/open.js';
import { decodePicture } from '../../training/data/picture-files.js';
import { centreSquare } from '../../training/data/planes.js';
import { BilinearResize } from '../../training/data/resize.js';
import { philox4x32, RandomSequence } from '../../training/random/philox.js';
import { writeMadeFaces } from './made-faces.js';

/** Bytes that the recording of Pillow's results used too: top bytes of a linear congruential generator. */
function seededBytes(count: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function refused(action: () => unknown, kind: ErrorKind, message: RegExp): void {
  expect(action)
    .to.throw(FsvaeError, message)
    .that.satisfies((error: FsvaeError) => error.kind === kind && !error.message.includes('\n'));
}

function idxFile(count: number, height: number, width: number, pixels: Uint8Array): Uint8Array {
  const file = new Uint8Array(16 + pixels.length);
  const view = new DataView(file.buffer);
  [0x803, count, height, width].forEach((word, i) => view.setUint32(4 * i, word));
  file.set(pixels, 16);
  return file;
}

function idxLabels(labels: readonly number[]): Uint8Array {
  return Uint8Array.of(0, 0, 8, 1, 0, 0, 0, labels.length, ...labels);
}

function pngFile(width: number, height: number, rgb: (x: number, y: number) => readonly number[]): Uint8Array {
  const png = new PNG({ width, height });
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) png.data.set([...rgb(x, y), 255], 4 * (y * width + x));
  return PNG.sync.write(png);
}

/**
 * 32 x 16 pixels, left half (200, 30, 60), right half (20, 120, 220), as Pillow 9.4.0 writes them with quality 90 and optimised
 * tables; read again by Pillow, the halves' middles are (200, 30, 59) and (21, 120, 221), grey 84 and 102.
 */
const JPEG_FILES: Readonly<Record<string, string>> = {
  'baseline, 4:4:4':
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB' +
    'YUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAQ' +
    'ACADAREAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAYH/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/EABcBAQEBAQAAAAAAAAAAAAAAAAAICQ' +
    'b/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwDCnNLdAWC2GQ4CPRO14AWC2GQ4D//Z',
  'baseline, 4:2:0':
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB' +
    'YUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAQ' +
    'ACADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAYH/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/EABYBAQEBAAAAAAAAAAAAAAAAAAgGCf' +
    '/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhEDEQA/AMKATRurAA2GQ7//2Q==',
  'progressive, 4:2:0':
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB' +
    'YUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAQ' +
    'ACADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAUG/8QAFgEBAQEAAAAAAAAAAAAAAAAABwUI/9oADAMBAAIQAxAAAAHCCY3WA2ZD/8' +
    'QAFBABAAAAAAAAAAAAAAAAAAAAMP/aAAgBAQABBQIP/8QAFBEBAAAAAAAAAAAAAAAAAAAAEP/aAAgBAwEBPwE//8QAFBEBAAAAAAAAAAAAAAAA' +
    'AAAAEP/aAAgBAgEBPwE//8QAFBABAAAAAAAAAAAAAAAAAAAAMP/aAAgBAQAGPwIP/8QAFBABAAAAAAAAAAAAAAAAAAAAMP/aAAgBAQABPyEP/9' +
    'oADAMBAAIAAwAAABD/AP8A/8QAFBEBAAAAAAAAAAAAAAAAAAAAEP/aAAgBAwEBPxA//8QAFBEBAAAAAAAAAAAAAAAAAAAAEP/aAAgBAgEBPxA/' +
    '/8QAFBABAAAAAAAAAAAAAAAAAAAAMP/aAAgBAQABPxAP/9k=',
  grey:
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB' +
    'YUGBIUFRT/wAALCAAQACABAREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAAYH/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQAAPwDChYCPFgP/' +
    '2Q==',
};

describe('training data', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'fsvae-data-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  describe('resize', () => {
    // Recorded with Pillow 12.3.0: Image.frombytes('L', (width, height), seededBytes).resize((size, size), BILINEAR).
    const RECORDED = [
      { width: 28, height: 28, size: 32, seed: 1, crc: 3353099346, first: [60, 88, 118, 158, 107, 38, 114, 195] },
      { width: 3, height: 3, size: 5, seed: 2, crc: 727873261, first: [60, 83, 117, 76, 48, 112, 125, 143] },
      { width: 5, height: 4, size: 2, seed: 3, crc: 4207106868, first: [146, 138, 130, 121] },
      { width: 178, height: 178, size: 64, seed: 4, crc: 447635784, first: [118, 124, 114, 128, 111, 143, 133, 113] },
      { width: 32, height: 32, size: 32, seed: 5, crc: 544302140, first: [60, 187, 62, 218, 183, 92, 127, 56] },
      { width: 7, height: 7, size: 1, seed: 6, crc: 2825434405, first: [139] },
      { width: 1, height: 1, size: 4, seed: 7, crc: 2036957466, first: [61, 61, 61, 61, 61, 61, 61, 61] },
      { width: 148, height: 148, size: 64, seed: 8, crc: 4185124342, first: [110, 126, 139, 133, 102, 136, 131, 114] },
      { width: 33, height: 33, size: 32, seed: 9, crc: 1647111487, first: [66, 46, 225, 16, 97, 82, 100, 174] },
    ];
    for (const { width, height, size, seed, crc, first } of RECORDED) {
      it(`${width} x ${height} to ${size} x ${size}: Pillow's bytes`, () => {
        const resized = new BilinearResize(width, height, size).apply(seededBytes(width * height, seed));
        expect(Array.from(resized.subarray(0, first.length))).to.deep.equal(first);
        expect(crc32(resized)).to.equal(crc);
      });
    }

    it('hard edges, up and down: the bytes that Pillow gives', () => {
      const edges = Uint8Array.of(0, 255, 0, 255, 255, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0);
      expect(Array.from(new BilinearResize(4, 4, 6).apply(edges))).to.deep.equal([
        0, 128, 212, 43, 128, 255, 128, 128, 128, 128, 128, 128, 212, 107, 43, 212, 149, 43, 43, 21, 43, 212, 234, 212,
        128, 128, 128, 128, 128, 128, 255, 255, 212, 43, 0, 0,
      ]);
      expect(Array.from(new BilinearResize(4, 4, 3).apply(edges))).to.deep.equal([
        107, 128, 148, 90, 128, 166, 179, 128, 76,
      ]);
    });
  });

  describe('idx files', () => {
    const pixels = seededBytes(3 * 5 * 4, 11);
    const whole = idxFile(3, 5, 4, pixels);

    it('reads plain and gzip', () => {
      for (const file of [whole, gzipSync(whole)]) {
        const { count, height, width, pixels: read } = parseIdxImages(file, 'x');
        expect([count, height, width]).to.deep.equal([3, 5, 4]);
        expect(Array.from(read)).to.deep.equal(Array.from(pixels));
      }
    });

    for (const [what, file, message] of [
      ['cut short', whole.subarray(0, 40), /^x: claims 3 images of 5 x 4, 60 bytes, but holds 24; get the file anew$/],
      ['too long', Buffer.concat([whole, whole]), /but holds 136/],
      ['a file of labels', Uint8Array.of(0, 0, 8, 1, ...new Uint8Array(20)), /does not begin with 00 00 08 03/],
      ['nothing', new Uint8Array(0), /has 0 bytes, too few/],
      ['no image', idxFile(0, 5, 4, new Uint8Array(0)), /claims 0 images/],
      ['damaged gzip', gzipSync(whole).subarray(0, 30), /gzip data is damaged/],
    ] as const) {
      it(`refuses ${what}`, () => refused(() => parseIdxImages(file, 'x'), 'input', message));
    }

    it('labels, plain and gzip', () => {
      for (const file of [idxLabels([7, 0, 9]), gzipSync(idxLabels([7, 0, 9]))]) {
        expect(Array.from(parseIdxLabels(file, 'x'))).to.deep.equal([7, 0, 9]);
      }
    });

    for (const [what, file, message] of [
      ['cut short', idxLabels([1, 2, 3]).subarray(0, 9), /^x: claims 3 labels, but holds 1; get the file anew$/],
      ['images', whole, /does not begin with 00 00 08 01/],
      ['nothing', new Uint8Array(0), /has 0 bytes, too few/],
    ] as const) {
      it(`refuses as labels ${what}`, () => refused(() => parseIdxLabels(file, 'x'), 'input', message));
    }
  });

  describe('classes', () => {
    const LABELS = [3, 1, 4, 1, 5, 9, 12];
    const wanted = { channels: 1, size: 2 };
    /** Images that are their own numbers. */
    const write = (): void => {
      const pixels = Uint8Array.from({ length: 4 * LABELS.length }, (_, i) => Math.floor(i / 4));
      writeFileSync(join(folder, 'train-images-idx3-ubyte'), idxFile(LABELS.length, 2, 2, pixels));
      writeFileSync(join(folder, 'train-labels-idx1-ubyte.gz'), gzipSync(idxLabels(LABELS)));
    };

    for (const [classes, limit, numbers] of [
      ['', undefined, [0, 1, 2, 3, 4, 5, 6]],
      [':1', undefined, [1, 3]],
      [':1', 1, [1]],
      [':12,3,7', undefined, [0, 6]],
      [':not1,9', undefined, [0, 2, 4, 6]],
      [':not1,9', 3, [0, 2, 4]],
    ] as const) {
      it(`${classes || 'none named'}, at most ${limit ?? 'all'}: images ${numbers.join(', ')}`, () => {
        write();
        const set = openImages(`${folder}${classes}`, 'train', {
          ...wanted,
          ...(limit === undefined ? {} : { limit }),
        });
        expect(set.count).to.equal(numbers.length);
        expect(Array.from(set.pixels).filter((_, i) => i % 4 === 0)).to.deep.equal(numbers);
      });
    }

    it('of CIFAR10 by the label in each record', () => {
      const records = [3, 8, 3].flatMap((label, i) => [label, ...new Uint8Array(3072).fill(i)]);
      for (let i = 1; i <= 5; i++) writeFileSync(join(folder, `data_batch_${i}.bin`), Uint8Array.from(records));
      const set = openImages(`${folder}:3`, 'train', { channels: 3, size: 32, limit: 3 });
      expect([0, 1, 2].map((i) => set.pixels[3072 * i])).to.deep.equal([0, 2, 0]);
    });

    it('a folder whose own name ends so is that folder', () => {
      mkdirSync(join(folder, 'set:1'));
      writeFileSync(join(folder, 'set:1', 'train-images-idx3-ubyte'), idxFile(1, 2, 2, Uint8Array.of(1, 2, 3, 4)));
      expect(openImages(join(folder, 'set:1'), 'train', wanted).count).to.equal(1);
    });

    it('refuses classes that nobody has, labels that are missing or too few, and data without labels', () => {
      write();
      refused(
        () => openImages(`${folder}:2`, 'train', wanted),
        'usage',
        /no image of that class: it has classes 1, 3, 4, /,
      );
      writeFileSync(join(folder, 'train-labels-idx1-ubyte.gz'), idxLabels([1]));
      refused(
        () => openImages(`${folder}:1`, 'train', wanted),
        'input',
        /train-labels-idx1-ubyte has 1 labels for 7 images/,
      );
      rmSync(join(folder, 'train-labels-idx1-ubyte.gz'));
      refused(
        () => openImages(`${folder}:1`, 'train', wanted),
        'input',
        /train-labels-idx1-ubyte: cannot be read \(ENOENT\)/,
      );
      mkdirSync(join(folder, 'pictures'));
      writeFileSync(
        join(folder, 'pictures', 'a.png'),
        pngFile(2, 2, () => [1, 2, 3]),
      );
      refused(
        () => openImages(join(folder, 'pictures:1'), 'train', wanted),
        'usage',
        /pictures has no labels to choose/,
      );
    });
  });

  describe('data sets by folder', () => {
    it('a folder of idx files: resized, limited, both halves', () => {
      writeFileSync(join(folder, 'train-images-idx3-ubyte'), idxFile(3, 28, 28, seededBytes(3 * 784, 1)));
      writeFileSync(join(folder, 't10k-images-idx3-ubyte.gz'), gzipSync(idxFile(1, 28, 28, seededBytes(784, 1))));
      const train = openImages(folder, 'train', { channels: 1, size: 32, limit: 2 });
      expect([train.count, train.channels, train.size, train.pixels.length]).to.deep.equal([2, 1, 32, 2048]);
      expect(crc32(train.pixels.subarray(0, 1024))).to.equal(3353099346);
      expect(crc32(openImages(folder, 'test', { channels: 1, size: 32 }).pixels)).to.equal(3353099346);
    });

    it('CIFAR10 in its binary files: five of training, planes in order', () => {
      const record = (value: number): number[] => [7, ...new Uint8Array(3072).fill(value), 7].slice(0, 3073);
      for (let i = 1; i <= 5; i++) {
        writeFileSync(join(folder, `data_batch_${i}.bin`), Uint8Array.from([...record(2 * i), ...record(2 * i + 1)]));
      }
      const train = openImages(folder, 'train', { channels: 3, size: 32 });
      expect(train.count).to.equal(10);
      expect(Array.from({ length: 10 }, (_, i) => train.pixels[3072 * i + 3071])).to.deep.equal(
        Array.from({ length: 10 }, (_, i) => i + 2),
      );
      refused(
        () => openImages(folder, 'test', { channels: 3, size: 32 }),
        'input',
        /test_batch\.bin: no such file; put all of CIFAR10's binary files into/,
      );
      writeFileSync(join(folder, 'test_batch.bin'), new Uint8Array(3000));
      refused(() => openImages(folder, 'test', { channels: 3, size: 32 }), 'input', /test_batch\.bin: has 3000 bytes/);
    });

    it('without a half named: the test half, or all of a plain folder, with the names of its files', () => {
      writeFileSync(join(folder, 'train-images-idx3-ubyte'), idxFile(2, 8, 8, new Uint8Array(128)));
      writeFileSync(join(folder, 't10k-images-idx3-ubyte'), idxFile(1, 8, 8, new Uint8Array(64)));
      expect(openTestImages(folder, { channels: 1, size: 8 }).count).to.equal(1);
      mkdirSync(join(folder, 'plain'));
      for (const name of ['b.png', 'a.png'])
        writeFileSync(
          join(folder, 'plain', name),
          pngFile(8, 8, () => [0, 0, 0]),
        );
      const plain = openTestImages(join(folder, 'plain'), { channels: 1, size: 8 });
      expect([plain.count, plain.names]).to.deep.equal([2, ['a.png', 'b.png']]);
      refused(() => openTestImages(join(folder, 'no'), { channels: 1, size: 8 }), 'usage', /no" is no folder/);
    });

    it('PNG files: cut to the square around their centre, grey as Pillow makes it, in order of their names', () => {
      mkdirSync(join(folder, 'train'));
      const colours = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [10, 200, 77],
      ];
      writeFileSync(
        join(folder, 'train/b.png'),
        pngFile(4, 1, (x) => colours[x]),
      );
      writeFileSync(
        join(folder, 'train/a.png'),
        pngFile(1, 1, () => [9, 9, 9]),
      );
      // Pillow 12.3.0: Image.frombytes('RGB', (4, 1), colours).convert('L') is 76 150 29 129.
      expect(
        Array.from(
          decodePicture(
            pngFile(4, 1, (x) => colours[x]),
            1,
            'x',
          ).planes[0],
        ),
      ).to.deep.equal([76, 150, 29, 129]);
      const grey = openImages(folder, 'train', { channels: 1, size: 1 });
      expect(Array.from(grey.pixels)).to.deep.equal([9, 29]); // room of 3: torchvision rounds 1.5 to even, 2
      const rgb = openImages(folder, 'train', { channels: 3, size: 1 });
      expect(Array.from(rgb.pixels)).to.deep.equal([9, 9, 9, 0, 0, 255]);
    });

    for (const [kind, base64] of Object.entries(JPEG_FILES)) {
      it(`JPEG files (${kind}): Pillow's colours within one step`, () => {
        const file = Buffer.from(base64, 'base64');
        const [red, green, blue] =
          kind === 'grey'
            ? [
                [84, 102],
                [84, 102],
                [84, 102],
              ]
            : [
                [200, 21],
                [30, 120],
                [59, 221],
              ];
        const middles = (plane: Uint8Array): number[] => [plane[8 * 32 + 8], plane[8 * 32 + 24]];
        const { width, height, planes } = decodePicture(file, 3, 'x');
        expect([width, height, planes.length]).to.deep.equal([32, 16, 3]);
        [red, green, blue].forEach((expected, channel) =>
          middles(planes[channel]).forEach((value, i) => expect(value).to.be.closeTo(expected[i], 1)),
        );
        middles(decodePicture(file, 1, 'x').planes[0]).forEach((value, i) =>
          expect(value).to.be.closeTo([84, 102][i], 1),
        );
      });

      it(`a JPEG file (${kind}) that is cut short anywhere is refused, never filled up`, () => {
        const file = Buffer.from(base64, 'base64');
        for (let length = 2; length < file.length - 1; length += 7) {
          refused(
            () => decodePicture(file.subarray(0, length), 3, 'a.jpg'),
            'input',
            /^a\.jpg: is not a readable JPEG file/,
          );
        }
      });
    }

    it('a picture that claims more pixels than anybody has is refused before it is unpacked', () => {
      const huge = Buffer.from(JPEG_FILES['grey'], 'base64');
      const frame = huge.indexOf(Buffer.of(0xff, 0xc0)); // length, precision, then height and width
      huge.writeUInt16BE(60_000, frame + 5);
      huge.writeUInt16BE(60_000, frame + 7);
      refused(
        () => decodePicture(huge, 1, 'a.jpg'),
        'input',
        /a\.jpg: is not a readable JPEG file \(\d+ bytes cannot hold its 3600000000 pixels\)/,
      );
      // Half a kilobyte that would keep a decoder busy for a minute.
      huge.writeUInt16BE(7000, frame + 5);
      huge.writeUInt16BE(7000, frame + 7);
      refused(() => decodePicture(huge, 1, 'a.jpg'), 'input', /\d+ bytes cannot hold its 49000000 pixels/);
      const png = Buffer.from(pngFile(1, 1, () => [0, 0, 0]));
      png.writeUInt32BE(60_000, 16);
      png.writeUInt32BE(60_000, 20);
      refused(() => decodePicture(png, 1, 'a.png'), 'input', /a\.png: .*\(more than 64 million pixels\)/);
    });

    it('a folder of JPEG and PNG files together, in the order of their names', () => {
      writeFileSync(join(folder, 'a.JPG'), Buffer.from(JPEG_FILES['grey'], 'base64'));
      writeFileSync(
        join(folder, 'b.png'),
        pngFile(1, 1, () => [9, 9, 9]),
      );
      writeFileSync(join(folder, 'notes.txt'), 'no picture');
      const { count, pixels } = openImages(folder, 'train', { channels: 1, size: 1 });
      expect([count, pixels[0], pixels[1]]).to.deep.equal([2, 93, 9]); // the middle of both halves
    });

    it('CelebA: the official split without its validation images, 148 pixels around the centre', () => {
      writeMadeFaces(folder, 3, 2);
      const train = openImages(folder, 'train', { channels: 3, size: 148 });
      const test = openImages(folder, 'test', { channels: 3, size: 64 });
      expect([train.count, train.pixels.length, test.count, test.pixels.length]).to.deep.equal([
        3,
        3 * 3 * 148 * 148,
        2,
        2 * 3 * 64 * 64,
      ]);
      const faces = join(folder, CELEBA_FILES.images);
      const { width, planes } = decodePicture(readFileSync(join(faces, '000002.jpg')), 3, 'x');
      // torchvision's CenterCrop of 178 x 218: 15 from the left, 35 from the top.
      for (const [x, y] of [
        [0, 0],
        [147, 0],
        [70, 147],
      ]) {
        const at = (3 + 1) * 148 * 148 + y * 148 + x; // green of the second image
        expect(train.pixels[at]).to.equal(planes[1][(35 + y) * width + 15 + x]);
      }
      const fifth = decodePicture(readFileSync(join(faces, '000005.jpg')), 3, 'x'); // the fourth is of the validation
      const resized = new BilinearResize(148, 148, 64).apply(centreSquare(fifth, 148).planes[2]);
      expect(Array.from(test.pixels.subarray(2 * 4096, 3 * 4096))).to.deep.equal(Array.from(resized));
      expect(openImages(folder, 'train', { channels: 3, size: 8, limit: 2 }).count).to.equal(2);
    });

    it('CelebA: says what is missing or damaged, and where it belongs', () => {
      const wanted = { channels: 3, size: 64 };
      const [faces, split] = [join(folder, CELEBA_FILES.images), join(folder, CELEBA_FILES.split)];
      writeMadeFaces(folder, 2, 1);
      refused(() => openImages(folder, 'train', { channels: 1, size: 64 }), 'usage', /have 3 channels, but the config/);
      writeFileSync(join(faces, '000001.jpg'), readFileSync(join(faces, '000001.jpg')).subarray(0, 2000));
      refused(() => openImages(folder, 'train', wanted), 'input', /000001\.jpg: is not a readable JPEG file/);
      writeFileSync(join(faces, '000001.jpg'), Buffer.from(JPEG_FILES['grey'], 'base64'));
      refused(() => openImages(folder, 'train', wanted), 'input', /000001\.jpg: is 32 x 16 pixels, no aligned image/);
      rmSync(join(faces, '000001.jpg'));
      refused(
        () => openImages(folder, 'train', wanted),
        'input',
        /000001\.jpg: cannot be read \(ENOENT\); put it there/,
      );
      rmSync(split);
      refused(
        () => openImages(folder, 'train', wanted),
        'input',
        /list_eval_partition\.txt: is not there; CelebA's folder/,
      );
      writeMadeFaces(folder, 1, 1);
      rmSync(faces, { recursive: true });
      refused(() => openImages(folder, 'train', wanted), 'input', /img_align_celeba: is not there/);
    });

    for (const [line, message] of [
      ['000001.jpg 3', /^x: line 2 is no file name with 0, 1 or 2: "000001\.jpg 3"; get the file anew$/],
      ['../000001.jpg 0', /line 2 is no file name/],
      ['000001.jpg', /line 2 is no file name/],
    ] as const) {
      it(`CelebA's split refuses ${JSON.stringify(line)}`, () =>
        refused(() => parseCelebASplit(`a.jpg 0\r\n${line}\n`, 'train', 'x'), 'input', message));
    }

    for (const [width, left] of [
      [1, 0],
      [2, 0],
      [3, 1],
      [4, 2],
      [5, 2],
      [6, 2],
      [8, 4],
    ]) {
      it(`a row of ${width} pixels is cut at ${left}, as torchvision's CenterCrop cuts it`, () => {
        const plane = Uint8Array.from({ length: width }, (_, i) => i);
        expect(Array.from(centreSquare({ width, height: 1, planes: [plane] }).planes[0])).to.deep.equal([left]);
      });
    }

    it('says what is missing, damaged or of another shape, and where to put it', () => {
      const wanted = { channels: 1, size: 8 };
      refused(
        () => openImages(join(folder, 'no'), 'train', wanted),
        'usage',
        /is no folder; give mnist, fashion-mnist/,
      );
      refused(() => openImages(folder, 'train', wanted), 'input', /has no images to train with: put train-images/);
      writeFileSync(join(folder, 'a.png'), Uint8Array.of(1, 2, 3));
      refused(() => openImages(folder, 'train', wanted), 'input', /a\.png: is not a readable PNG file/);
      refused(() => openImages(folder, 'test', wanted), 'input', /in a folder test there/);
      writeFileSync(join(folder, 'train-images-idx3-ubyte'), idxFile(1, 8, 8, new Uint8Array(64)));
      refused(() => openImages(folder, 'test', wanted), 'input', /t10k-images-idx3-ubyte: no such file/);
      refused(
        () => openImages(folder, 'train', { channels: 3, size: 8 }),
        'usage',
        /have 1 channel, but the config says/,
      );
    });
  });

  describe('batches', () => {
    const set = { count: 2, channels: 3, size: 2, pixels: Uint8Array.from({ length: 24 }, (_, i) => 10 * i) };

    it('are channel last, scaled as 2 * (byte / 255) - 1 in single precision, mirrored where asked', () => {
      const scaled = (byte: number): number => Math.fround(Math.fround(2 * Math.fround(byte / 255)) - 1);
      const plain = imageBatch(set, [1]);
      expect(Array.from(plain)).to.deep.equal([120, 160, 200, 130, 170, 210, 140, 180, 220, 150, 190, 230].map(scaled));
      const flipped = imageBatch(set, [1, 1], [0, 1]);
      expect(Array.from(flipped.subarray(0, 12))).to.deep.equal(Array.from(plain));
      expect(Array.from(flipped.subarray(12, 15))).to.deep.equal([130, 170, 210].map(scaled));
      expect(imageBatch({ count: 1, channels: 1, size: 1, pixels: Uint8Array.of(0) }, [0])[0]).to.equal(-1);
      expect(imageBatch({ count: 1, channels: 1, size: 1, pixels: Uint8Array.of(255) }, [0])[0]).to.equal(1);
    });

    it('an epoch is a permutation of its own, the same for the same seed', () => {
      const order = epochOrder(5, 3, 100);
      expect(Array.from(order).sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 100 }, (_, i) => i));
      expect(order).to.deep.equal(epochOrder(5, 3, 100));
      expect(order).to.not.deep.equal(epochOrder(5, 4, 100));
      expect(order).to.not.deep.equal(epochOrder(6, 3, 100));
      expect(Array.from(flipCoins(1, 2, 1000)).reduce((sum, coin) => sum + coin, 0)).to.be.within(430, 570);
    });
  });

  describe('random numbers', () => {
    // The known answers published with the generator (Random123, kat_vectors).
    for (const [counter, key, expected] of [
      [
        [0, 0, 0, 0],
        [0, 0],
        [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
      ],
      [
        [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
        [0xffffffff, 0xffffffff],
        [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
      ],
      [
        [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
        [0xa4093822, 0x299f31d0],
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
      ],
    ]) {
      it(`Philox4x32-10 of key ${key[0].toString(16)}: the published words`, () => {
        const out = new Uint32Array(4);
        philox4x32(counter, key, out);
        expect(Array.from(out)).to.deep.equal(expected);
      });
    }

    it('sequences of other purposes, occasions and seeds are others; choices and normal numbers have their moments', () => {
      const first = (seed: number, purpose: 'weights' | 'posterior', occasion: number): number =>
        new RandomSequence(seed, purpose, occasion).next();
      const seen = [
        first(1, 'weights', 0),
        first(1, 'weights', 1),
        first(1, 'posterior', 0),
        first(2 ** 32 + 1, 'weights', 0),
      ];
      expect(new Set(seen).size).to.equal(4);
      const random = new RandomSequence(1, 'noise', 0);
      const counts = new Uint32Array(5);
      for (let i = 0; i < 10_000; i++) counts[random.below(5)]++;
      for (const count of counts) expect(count).to.be.within(1850, 2150);
      let [sum, squares] = [0, 0];
      for (let i = 0; i < 10_000; i++) {
        const value = random.normal();
        sum += value;
        squares += value * value;
      }
      expect(sum / 10_000).to.be.within(-0.05, 0.05);
      expect(squares / 10_000).to.be.within(0.93, 1.07);
    });
  });
});
