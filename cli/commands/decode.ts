/** `fsvae-codegen decode`: latents as images. */

import { readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { decodeLatents, type LatentFile } from '../../harness/latent-file.js';
import { pngGrid } from '../../harness/picture.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { describeModel } from '../build.js';
import { showPicture } from '../draw.js';
import { loadModel, type ModelOptions } from '../load-model.js';
import { withModel } from '../options.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

const MOST_BYTES = 1 << 30;

function readLatents(path: string): LatentFile {
  try {
    if (statSync(path).size > MOST_BYTES) throw new FsvaeError('input', `${path} is larger than ${MOST_BYTES} bytes`);
    return decodeLatents(new Uint8Array(readFileSync(path)), path);
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    throw new FsvaeError('usage', `latents ${path} cannot be read: ${(error as Error).message}`);
  }
}

function decode(output: Output, path: string, flags: ModelOptions & { readonly png?: string }): void {
  const { modelHash, latents } = readLatents(path);
  const loaded = loadModel(flags);
  const golden = new GoldenModel(loaded.model);
  if (golden.hash !== modelHash) {
    throw new FsvaeError(
      'model-mismatch',
      `${path} holds latents of model ${modelHash.slice(0, 16)}, ${loaded.path} is ${golden.hash.slice(0, 16)}: ` +
        'decode them with the model that encoded them, quantized the same way',
    );
  }
  const shape = { channels: loaded.model.config.channels, size: loaded.model.config.imageSize };
  const images = latents.map((latent) => golden.decode(latent));
  output.say(describeModel(loaded));
  showPicture(output, images, shape);
  if (flags.png !== undefined) {
    writeNew(flags.png, pngGrid(images, shape, { scale: 4 }));
    output.say(`picture: ${flags.png}`);
  }
}

export function decodeCommand(program: Command, output: Output): void {
  withModel(program.command('decode').argument('<latents>', 'a file that encode wrote'))
    .description('Draws the images of latents with the golden model, here.')
    .option('--png <file>', 'write a picture of all images')
    .action((path: string, flags: ModelOptions & { png?: string }) => {
      decode(output, path, flags);
    });
}
