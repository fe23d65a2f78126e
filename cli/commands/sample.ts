/** `fsvae-codegen sample`: images of the golden model. */

import type { Command } from 'commander';
import { pngGrid } from '../../harness/picture.js';
import { startProgress } from '../../harness/progress.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { modelHash } from '../../runtime-ts/model-file.js';
import { describeModel } from '../build.js';
import { showPicture } from '../draw.js';
import { loadModel, type ModelOptions } from '../load-model.js';
import { type DrawFlags, positiveInteger, seedOption, withModel } from '../options.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

function sample(output: Output, flags: ModelOptions & DrawFlags): void {
  const loaded = loadModel(flags);
  const golden = new GoldenModel(loaded.model);
  const shape = { channels: loaded.model.config.channels, size: loaded.model.config.imageSize };
  const images: Uint8Array[] = [];
  const progress = startProgress({ stream: output.stderr, label: 'images', total: flags.images });
  for (let i = 0; i < flags.images; i++) {
    images.push(golden.sample(BigInt.asUintN(64, flags.seed + BigInt(i))));
    progress.update(i + 1);
  }
  progress.stop();
  if (flags.png !== undefined) {
    writeNew(flags.png, pngGrid(images, shape, { scale: 4 }));
  }
  if (flags.json === true) {
    output.json({
      model: { name: loaded.name, hash: modelHash(loaded.model) },
      images: images.map((image, i) => ({
        seed: String(BigInt.asUintN(64, flags.seed + BigInt(i))),
        crc32: crc32(image).toString(16).padStart(8, '0'),
      })),
    });
    return;
  }
  output.say(describeModel(loaded));
  showPicture(output, images, shape);
  if (flags.png !== undefined) output.say(`picture: ${flags.png}`);
}

export function sampleCommand(program: Command, output: Output): void {
  withModel(program.command('sample'))
    .description('Draws images with the golden model, here.')
    .option('-n, --images <count>', 'how many', positiveInteger, 16)
    .addOption(seedOption())
    .option('--png <file>', 'write a picture of all images')
    .option('--json', "one JSON object on stdout: each image's CRC-32")
    .action((flags: ModelOptions & DrawFlags) => {
      sample(output, flags);
    });
}
