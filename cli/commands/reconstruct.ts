/** `fsvae-codegen reconstruct`: images through encoder and decoder; the decoder may be a board's. */

import { type Command, Option } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { pngGrid } from '../../harness/picture.js';
import { startProgress } from '../../harness/progress.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { buildFor, describeModel } from '../build.js';
import { showPicture } from '../draw.js';
import { type EncodeFlags, encodeImage, imagesOf, loadEncoder, withEncoder } from '../encoder.js';
import { positiveInteger } from '../options.js';
import { type BoardTarget, expectedAnywhere, expectedModel, openPort, startBuild } from '../targets.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

interface ReconstructFlags extends EncodeFlags {
  readonly board?: string;
  readonly simulate?: boolean;
  readonly port?: string;
  readonly baud: number;
  readonly png?: string;
  readonly json?: boolean;
}

/** Originals in one row, reconstructions in the next: columns of the picture, and of the terminal's. */
const COLUMNS = 8;
const TERMINAL_COLUMNS = 4;

/** Mean squared error of pixels in -1 .. 1, as in the paper's Table 1. */
function squaredError(image: Uint8Array, other: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < image.length; i++) sum += ((2 / 255) * (image[i] - other[i])) ** 2;
  return sum / image.length;
}

/** Rows of originals, each above the row of what became of them. */
function sideBySide(images: readonly Uint8Array[], drawn: readonly Uint8Array[], columns: number): Uint8Array[] {
  const rows: Uint8Array[] = [];
  for (let at = 0; at < images.length; at += columns) {
    const fill = (row: readonly Uint8Array[]): Uint8Array[] => [
      ...row,
      ...Array.from({ length: columns - row.length }, () => new Uint8Array(images[0].length)),
    ];
    rows.push(...fill(images.slice(at, at + columns)), ...fill(drawn.slice(at, at + columns)));
  }
  return rows;
}

async function openTarget(
  output: Output,
  flags: ReconstructFlags,
  encoder: ReturnType<typeof loadEncoder>,
): Promise<BoardTarget | undefined> {
  const note = (line: string): void => output.note(line);
  if (flags.port !== undefined) return openPort(flags.port, flags.baud, expectedAnywhere(encoder.loaded), note);
  if (flags.simulate !== true) return undefined;
  const board = loadBoard(flags.board ?? 'rp2040');
  const built = await buildFor(
    output,
    board,
    { ...flags, board: board.name, compiler: 'auto' },
    encoder.loaded,
    output.talker(flags),
  );
  return startBuild(board, built.build, expectedModel(built.plan), note);
}

async function reconstruct(output: Output, data: string, flags: ReconstructFlags): Promise<void> {
  if (flags.port !== undefined && flags.simulate === true) {
    throw new FsvaeError('usage', '--port and --simulate exclude each other');
  }
  const encoder = loadEncoder(flags);
  const { config } = encoder.loaded.model;
  const golden = new GoldenModel(encoder.loaded.model);
  const talk = output.talker(flags);
  talk(describeModel(encoder.loaded));
  const images = await imagesOf(data, flags, config);
  const target = await openTarget(output, flags, encoder);
  const drawn: Uint8Array[] = [];
  let error = 0;
  let differing = 0;
  const progress = startProgress({ stream: output.stderr, label: 'images', total: images.length });
  try {
    for (const [i, image] of images.entries()) {
      const latent = encodeImage(encoder, image, flags.seed, i);
      const expected = golden.decode(latent);
      const actual = target === undefined ? expected : (await target.decode(latent)).image;
      if (actual.some((pixel, at) => pixel !== expected[at])) differing++;
      error += squaredError(image, actual);
      drawn.push(actual);
      progress.update(i + 1, `mse ${(error / (i + 1)).toFixed(4)}`);
    }
  } finally {
    progress.stop();
    await target?.close();
  }
  const shape = { channels: config.channels, size: config.imageSize };
  const mse = error / images.length;
  if (flags.png !== undefined)
    writeNew(flags.png, pngGrid(sideBySide(images, drawn, COLUMNS), shape, { scale: 2, columns: COLUMNS }));
  if (flags.json === true) {
    const bitExact = target === undefined ? null : differing === 0;
    output.json({ model: golden.hash, images: images.length, mse, decoder: target?.name ?? 'golden model', bitExact });
  } else {
    showPicture(
      output,
      sideBySide(images.slice(0, 2 * TERMINAL_COLUMNS), drawn.slice(0, 2 * TERMINAL_COLUMNS), TERMINAL_COLUMNS),
      shape,
    );
    output.say(`${images.length} images, mean squared error of pixels in -1 .. 1: ${mse.toFixed(5)}`);
    if (flags.png !== undefined) output.say(`picture: ${flags.png}`);
    if (target !== undefined) {
      output.say(`${images.length - differing} of ${images.length} images of ${target.name} bit-exact`);
    }
  }
  if (differing > 0) {
    throw new FsvaeError('mismatch', `${differing} of ${images.length} images differ from the golden model`);
  }
}

export function reconstructCommand(program: Command, output: Output): void {
  withEncoder(program.command('reconstruct').argument('<data>', 'mnist, fashion-mnist, or a folder of images'))
    .description(
      'Encodes images here, in integers, and draws them again: with the golden model, or on a board, compared bit by bit.',
    )
    .option('-b, --board <name|file>', 'with --simulate: which board', 'rp2040')
    .option('--simulate', 'draw with the board in its emulator')
    .option('-p, --port <path>', 'draw with the board on this serial port')
    .addOption(new Option('--baud <rate>', 'bits a second').argParser(positiveInteger).default(115_200))
    .option('--png <file>', 'write a picture: originals, and below each row what became of them')
    .option('--json', 'one JSON object on stdout')
    .action((data: string, flags: ReconstructFlags) => reconstruct(output, data, flags));
}
