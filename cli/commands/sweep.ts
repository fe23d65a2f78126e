/** `fsvae-codegen sweep`: a config trained with several values of some fields, and what each is worth. */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Command } from 'commander';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { positiveInteger } from '../options.js';
import type { Output } from '../terminal.js';
import { loadTraining } from '../training.js';

interface SweepFlags {
  readonly config: string;
  readonly vary: readonly string[];
  readonly data: string;
  readonly out: string;
  readonly limit?: number;
  readonly images?: number;
  readonly autoencoder?: string;
  readonly statistics?: string;
  readonly samples: number;
  readonly json?: boolean;
  readonly markdown?: boolean;
}

type Training = Awaited<ReturnType<typeof loadTraining>>;
type Measures = Parameters<Training['sweep']>[0]['measures'];

/** What is measured besides reconstructions. */
function measuresOf(training: Training, { autoencoder, statistics, samples }: SweepFlags): Measures {
  if (autoencoder === undefined) {
    if (statistics !== undefined) throw new FsvaeError('usage', '--statistics are those of an --autoencoder FILE');
    return [];
  }
  const encoder = training.readAutoencoder(readCheckpoint(autoencoder));
  const reference = statistics === undefined ? undefined : training.readStatistics(statistics, encoder.features);
  const source = [autoencoder, ...(statistics === undefined ? [] : [statistics])]
    .map((path) => crc32(readFileSync(path)).toString(16).padStart(8, '0'))
    .join(' ');
  return [training.autoencoderDistance(encoder, reference, samples, source)];
}

/** Trains and scores every point; the first interrupt stops after the step, saves, and shows what is done. */
async function runSweep(output: Output, flags: SweepFlags): Promise<void> {
  if (flags.json === true && flags.markdown === true) {
    throw new FsvaeError('usage', '--json and --markdown are two forms of one table: give one');
  }
  const training = await loadTraining();
  const variations = flags.vary.map(training.parseVariation);
  const fields = variations.map(({ field }) => field);
  const points = training.sweepPoints(training.readConfigValue(flags.config), flags.config, variations);
  const limits = { train: flags.limit, test: flags.images };
  const opened = new Map<string, ReturnType<typeof training.openImages>>();
  let interrupted = false;
  const interrupt = (): void => void (interrupted = true);
  process.once('SIGINT', interrupt);
  let swept: Awaited<ReturnType<typeof training.sweep>>;
  try {
    swept = await training.sweep({
      points,
      out: flags.out,
      measures: measuresOf(training, flags),
      images: (split, { model: { channels, imageSize: size } }) => {
        const key = `${split} ${channels} ${size}`;
        const limit = limits[split];
        const images =
          opened.get(key) ??
          training.openImages(flags.data, split, { channels, size, ...(limit === undefined ? {} : { limit }) });
        opened.set(key, images);
        return images;
      },
      stream: output.stderr,
      say: (line) => output.note(line),
      stopped: () => interrupted,
    });
  } finally {
    process.off('SIGINT', interrupt);
  }
  const { rows, finished } = swept;
  if (flags.json === true) {
    output.json({ fields, finished, points: rows });
  } else {
    const table = training.sweepTable(fields, rows);
    for (const line of flags.markdown === true ? training.markdownTable(table) : training.plainTable(table)) {
      output.say(line);
    }
  }
  if (rows.some(({ mse }) => mse !== undefined)) {
    const path = join(flags.out, 'sweep.svg');
    mkdirSync(flags.out, { recursive: true });
    const title = 'Reconstruction error of test images, mean squared';
    training.writeWhole(path, new TextEncoder().encode(training.sweepPlot(fields, rows, title)));
    output.note(`the errors as a picture: ${path}`);
  }
  if (!finished) output.note(`${rows.length} of ${points.length} points are done: the same command goes on`);
}

export function sweepCommand(program: Command, output: Output): void {
  program
    .command('sweep')
    .description(
      'Trains a config with several values of some fields, each point in a folder of its own, and scores them.',
    )
    .requiredOption('-c, --config <file>', 'what all points have in common, JSON (docs/training.md)')
    .requiredOption(
      '--vary <field=values>',
      'a field and its values, such as model.timeSteps=4,8,16; given again for another field: all combinations',
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .requiredOption('-d, --data <name|folder>', 'mnist, fashion-mnist, or a folder of idx, CIFAR10 or PNG files')
    .requiredOption('-o, --out <folder>', "where the points' folders go; what is done there is not done again")
    .option('--limit <images>', 'train with no more images than this', positiveInteger)
    .option('-n, --images <count>', 'test images, from the first (default all)', positiveInteger)
    .option('--autoencoder <file>', 'metric autoencoder: Fréchet distance of samples in its latent')
    .option('--statistics <file>', "mu and sigma of real images' latents (default: of the test images)")
    .option('--samples <count>', 'samples for the distance, rounded up to whole batches of 256', positiveInteger, 5000)
    .option('--json', 'one JSON object on stdout')
    .option('--markdown', 'the table as Markdown')
    .action((flags: SweepFlags) => runSweep(output, flags));
}
