/** Everything that reads what others wrote, and sound files to begin with. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import jpeg from 'jpeg-js';
import { boardNames, parseBoard } from '../../boards/board.js';
import { parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { parseNpz } from '../../codegen/checkpoint/npz.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { parseCertificate } from '../../harness/certificate.js';
import { encodeFrame, FrameDecoder, Request, Status } from '../../harness/frame.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { decodeModel, encodeModel } from '../../runtime-ts/model-file.js';
import { parseSafetensors } from '../../runtime-ts/safetensors.js';
import { parseCelebASplit } from '../../training/data/celeba.js';
import { decodePicture } from '../../training/data/picture-files.js';
import { parseIdxImages } from '../../training/data/idx.js';
import { torchFile } from '../checkpoint/builder.js';
import { pngGrid } from '../../harness/picture.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';

export interface Reader {
  readonly name: string;
  readonly corpus: readonly Uint8Array[];
  /** @throws FsvaeError for a file that is refused */
  read(bytes: Uint8Array): void;
}

const bytesOf = (...path: string[]): Uint8Array => new Uint8Array(readFileSync(join(PACKAGE_ROOT, ...path)));
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The shipped tiny network as torch.save() would write it. */
function tinyTorch(): Uint8Array {
  const { tensors } = parseCheckpoint(bytesOf('models/tiny/tiny.safetensors'), 'tiny');
  return torchFile(
    Object.fromEntries(
      [...tensors].map(([name, { shape, data }]) => [
        name,
        { shape, data: new Uint8Array(Float32Array.from(data).buffer) },
      ]),
    ),
  );
}

function framesOf(): Uint8Array[] {
  const body = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
  return [
    encodeFrame({ type: Request.hello, status: Status.ok, id: 1, body: body(0, 0) }),
    encodeFrame({ type: Request.tensor, status: Status.ok, id: 77, body: body(19, 3) }),
    encodeFrame({ type: 0x82, status: Status.ok, id: 500, body: body(1032, 0) }),
    encodeFrame({ type: 0x84, status: Status.ok, id: 65535, body: body(600, 255) }),
  ];
}

const CERTIFICATE = {
  format: 'fsvae-certificate/1',
  model: { name: 'tiny', hash: '0'.repeat(64), options: { bits: '8' } },
  seeds: { first: '0', count: 4 },
  spikes: 100,
  layers: [{ name: 'choices', neurons: 8, digest: 'a'.repeat(64) }],
  images: 'b'.repeat(64),
  targets: [
    {
      kind: 'golden',
      board: null,
      generator: '0.1.0',
      compiler: null,
      emulator: null,
      firmware: null,
      constants: null,
      serialNumber: null,
    },
  ],
};

function idx(count: number, rows: number, columns: number): Uint8Array {
  const bytes = new Uint8Array(16 + count * rows * columns).fill(9);
  const view = new DataView(bytes.buffer);
  [0x803, count, rows, columns].forEach((value, i) => view.setUint32(4 * i, value));
  return bytes;
}

/** Built when asked for: making the corpus takes a second. */
export function readers(): Reader[] {
  const fixtures = readdirSync(join(PACKAGE_ROOT, 'test/checkpoint/fixtures'));
  const fixture = (ending: string): Uint8Array[] =>
    fixtures.filter((name) => name.endsWith(ending)).map((name) => bytesOf('test/checkpoint/fixtures', name));
  const models = [TINY_SHAPE, SHAPES['int4 weights']].map((shape) =>
    encodeModel(randomModel(11, shape), { name: 'tiny', generator: '0.1.0' }),
  );
  const decoders = [new FrameDecoder(), new FrameDecoder(200)];
  return [
    {
      name: 'checkpoint: pickle in a zip',
      corpus: [tinyTorch(), ...fixture('.pt')],
      read: (bytes) => void readFloatModel(parseCheckpoint(bytes, 'x.pth')),
    },
    {
      name: 'checkpoint: safetensors',
      corpus: [bytesOf('models/tiny/tiny.safetensors')],
      read: (bytes) => void readFloatModel(parseCheckpoint(bytes, 'x.safetensors')),
    },
    {
      name: 'integer model, and an image of it',
      corpus: models,
      read: (bytes) => {
        parseSafetensors(bytes);
        new GoldenModel(decodeModel(bytes).model).trace(1n);
      },
    },
    { name: 'recorded run: npz', corpus: fixture('.npz'), read: (bytes) => void parseNpz(bytes, 'x.npz') },
    {
      name: 'board file',
      corpus: boardNames().map((name) => bytesOf('boards', `${name}.json`)),
      read: (bytes) => void parseBoard(textOf(bytes), 'x.json'),
    },
    {
      name: 'certificate',
      corpus: [utf8(JSON.stringify(CERTIFICATE, null, 2))],
      read: (bytes) => void parseCertificate(textOf(bytes), 'x.json'),
    },
    {
      name: 'frames from a board',
      corpus: framesOf(),
      // The same decoders all along: what one stream leaves behind must not harm the next.
      read: (bytes) => decoders.forEach((decoder) => decoder.push(bytes)),
    },
    {
      name: 'images: idx',
      corpus: [idx(3, 28, 28), idx(1, 2, 2)],
      read: (bytes) => void parseIdxImages(bytes, 'x-idx3-ubyte'),
    },
    {
      name: 'images: PNG',
      corpus: [pngGrid([new Uint8Array(64).fill(7)], { channels: 1, size: 8 }, { scale: 1 })],
      read: (bytes) => void decodePicture(bytes, 1, 'x.png'),
    },
    {
      name: 'images: JPEG',
      corpus: [new Uint8Array(jpeg.encode({ width: 8, height: 8, data: new Uint8Array(256).fill(90) }, 80).data)],
      read: (bytes) => void decodePicture(bytes, 3, 'x.jpg'),
    },
    {
      name: "CelebA's split",
      corpus: [utf8('000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n')],
      read: (bytes) => void parseCelebASplit(textOf(bytes), 'train', 'x.txt'),
    },
  ];
}

/** What became of a file. Anything else than these two is a finding. */
export type Outcome = 'read' | 'refused';

/** No file of this size takes longer to be read or refused; a machine that does other work too is not counted as slow. */
const MOST_MS = 5000;

/**
 * @throws Error that says what is wrong with the reader: another error than one line for a person, or a wait
 */
export function outcomeOf(reader: Reader, bytes: Uint8Array): Outcome {
  const begun = performance.now();
  let outcome: Outcome = 'read';
  try {
    reader.read(bytes);
  } catch (error) {
    if (!(error instanceof FsvaeError)) throw error;
    if (error.kind !== 'input' || /[\r\n]/.test(error.message) || error.message.length > 4000) {
      throw new Error(
        `refused with ${error.kind}, ${error.message.length} characters: ${error.message.slice(0, 200)}`,
        {
          cause: error,
        },
      );
    }
    outcome = 'refused';
  }
  const took = performance.now() - begun;
  if (took > MOST_MS) throw new Error(`took ${Math.round(took)} ms for ${bytes.length} bytes`);
  return outcome;
}
