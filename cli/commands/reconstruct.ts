/** `fsvae-codegen reconstruct`: images through encoder and decoder, here or on a board. */

import type { Command } from 'commander';
import { firstEncodingDifference, reconstructOn } from '../../harness/encoding.js';
import { pngGrid } from '../../harness/picture.js';
import { startProgress } from '../../harness/progress.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { squaredError } from '../../runtime-ts/golden-encoder.js';
import { describeModel } from '../build.js';
import { showPicture } from '../draw.js';
import { imagesOf, loadEncoder } from '../encoder.js';
import { type EncodingFlags, openEncodingTarget, withEncodingTarget } from '../encoding-target.js';
import { PIXEL_UNIT } from '../reconstruction-errors.js';
import { sideBySide } from '../side-by-side.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

interface ReconstructFlags extends EncodingFlags {
  readonly png?: string;
}

/** Originals in one row, reconstructions in the next: columns of the picture, and of the terminal's. */
const COLUMNS = 8;
const TERMINAL_COLUMNS = 4;

/** What images cost by a board's own clock. */
function costOf(cycles: readonly bigint[], perSecond: number): string {
  const mean = cycles.reduce((sum, value) => sum + Number(value), 0) / cycles.length;
  return `by its own clock ${Math.round(mean).toLocaleString('en-US')} cycles an image, ${((1000 * mean) / perSecond).toFixed(1)} ms`;
}

async function reconstruct(output: Output, data: string, flags: ReconstructFlags): Promise<void> {
  const encoder = loadEncoder(flags);
  const { config } = encoder.loaded.model;
  const model = new GoldenModel(encoder.loaded.model);
  const talk = output.talker(flags);
  talk(describeModel(encoder.loaded));
  const images = await imagesOf(data, flags, config);
  const opened = await openEncodingTarget(output, flags, encoder);
  const drawn: Uint8Array[] = [];
  const cycles: bigint[] = [];
  let error = 0;
  let differing = 0;
  let difference: string | undefined;
  const progress = startProgress({ stream: output.stderr, label: 'images', total: images.length });
  try {
    for (const [i, image] of images.entries()) {
      const seed = flags.seed + BigInt(i);
      if (opened === undefined) {
        drawn.push(model.decode(encoder.golden.encode(image, seed)));
      } else {
        const golden = { model, encoder: encoder.golden };
        const result = await reconstructOn(opened.target, opened.encoder, golden, image, seed);
        drawn.push(result.image);
        if (result.cycles !== undefined) cycles.push(result.cycles);
        if (!result.exact) {
          differing++;
          if (opened.encoder !== undefined) {
            difference ??= await firstEncodingDifference(opened.encoder, encoder.golden, image, seed);
          }
        }
      }
      error += squaredError(image, drawn[i]) / image.length;
      progress.update(i + 1, `mse ${((error / (i + 1)) * PIXEL_UNIT).toFixed(4)}`);
    }
  } finally {
    progress.stop();
    await opened?.target.close();
  }
  const shape = { channels: config.channels, size: config.imageSize };
  const mse = (error / images.length) * PIXEL_UNIT;
  const target = opened?.target;
  const encodedBy = opened?.encoder === undefined ? 'golden model' : target!.name;
  if (flags.png !== undefined)
    writeNew(flags.png, pngGrid(sideBySide(images, drawn, COLUMNS), shape, { scale: 2, columns: COLUMNS }));
  if (flags.json === true) {
    output.json({
      model: model.hash,
      encoder: encoder.golden.hash,
      images: images.length,
      mse,
      encodedBy,
      decoder: target?.name ?? 'golden model',
      cycles: cycles.length === 0 ? null : cycles.map(Number),
      bitExact: target === undefined ? null : differing === 0,
    });
  } else {
    showPicture(
      output,
      sideBySide(images.slice(0, 2 * TERMINAL_COLUMNS), drawn.slice(0, 2 * TERMINAL_COLUMNS), TERMINAL_COLUMNS),
      shape,
    );
    output.say(`${images.length} images, mean squared error of pixels in -1 .. 1: ${mse.toFixed(5)}`);
    if (flags.png !== undefined) output.say(`picture: ${flags.png}`);
    if (target !== undefined) {
      const exact = `${images.length - differing} of ${images.length} images of ${target.name} bit-exact`;
      output.say(`${exact}, ${opened!.encoder === undefined ? 'encoded here' : 'encoded there'}`);
      if (cycles.length > 0) output.say(costOf(cycles, target.cyclesPerSecond!));
    }
  }
  if (differing > 0) {
    const where = difference === undefined ? '' : `; encoding the first of them, it parts at ${difference}`;
    throw new FsvaeError('mismatch', `${differing} of ${images.length} images differ from the golden model${where}`);
  }
}

export function reconstructCommand(program: Command, output: Output): void {
  withEncodingTarget(program.command('reconstruct').argument('<data>', 'mnist, fashion-mnist, or a folder of images'))
    .description(
      'Encodes images and draws them again, in integers: with the golden model, or on a board, compared bit by bit.',
    )
    .option('--png <file>', 'write a picture: originals, and below each row what became of them')
    .option('--json', 'one JSON object on stdout')
    .action((data: string, flags: ReconstructFlags) => reconstruct(output, data, flags));
}
