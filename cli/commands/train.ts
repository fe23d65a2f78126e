/** `fsvae-codegen train`: a network from images. */

import { join } from 'node:path';
import type { Command } from 'commander';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { positiveInteger } from '../options.js';
import type { Output } from '../terminal.js';
import { loadTraining } from '../training.js';

interface TrainFlags {
  readonly config: string;
  readonly data: string;
  readonly out: string;
  readonly resume?: boolean;
  readonly from?: string;
  readonly limit?: number;
  readonly steps?: number;
  readonly workers?: number;
}

/** Leak, threshold and bits are in no checkpoint: what the import must be told, where they are not the usual ones. */
function importFlags({ tau, threshold }: { readonly tau: number; readonly threshold: number }, bits: string): string {
  const flag = (name: string, value: number | string, usual: number | string): string =>
    value === usual ? '' : ` --${name} ${value}`;
  return flag('tau', tau, 0.25) + flag('threshold', threshold, 0.2) + flag('bits', bits, '8');
}

/** Trains, or goes on; the first interrupt stops after the step and saves, the second ends at once. */
async function train(output: Output, flags: TrainFlags): Promise<void> {
  const training = await loadTraining();
  const config = training.readConfig(flags.config);
  const { channels, imageSize: size } = config.model;
  const limited = flags.limit === undefined ? {} : { limit: flags.limit };
  const images = training.openImages(flags.data, 'train', { channels, size, ...limited });
  // Whoever measures with an autoencoder compares with the test images' latents: they must be there before hours are spent.
  const measured =
    config.kind === 'autoencoder' ? training.openImages(flags.data, 'test', { channels, size }) : undefined;
  let interrupted = false;
  const interrupt = (): void => void (interrupted = true);
  process.once('SIGINT', interrupt);
  try {
    const { finished, position, networkPath, imagesPerSecond } = await training.train({
      config,
      images,
      out: flags.out,
      resume: flags.resume === true,
      ...(flags.from === undefined ? {} : { from: training.readNetwork(readCheckpoint(flags.from), config) }),
      ...(flags.steps === undefined ? {} : { steps: flags.steps }),
      ...(flags.workers === undefined ? {} : { workers: flags.workers }),
      stream: output.stderr,
      say: (line) => output.say(line),
      stopped: () => interrupted,
    });
    output.say(`${position.step} steps done, ${imagesPerSecond.toFixed(1)} images/s; the network: ${networkPath}`);
    if (!finished) output.say('not all epochs are done: the same command with --resume goes on');
    if (config.kind === 'fsvae') {
      output.say(
        `Next: fsvae-codegen quantize ${networkPath}${importFlags(config.neuron, training.bitsOption(config))}`,
      );
    }
    if (measured !== undefined) {
      const path = join(flags.out, training.RUN_FILES.statistics);
      training.writeStatistics(path, training.readAutoencoder(readCheckpoint(networkPath)), measured);
      output.say(`mean and covariance of the test images' latents: ${path}`);
    }
  } finally {
    process.off('SIGINT', interrupt);
  }
}

export function trainCommand(program: Command, output: Output): void {
  program
    .command('train')
    .description('Trains a network; quantize, generate and the other commands take what it writes.')
    .requiredOption('-c, --config <file>', 'what to train and how, JSON (docs/training.md)')
    .requiredOption('-d, --data <name|folder>', 'mnist, fashion-mnist, or a folder of idx, CIFAR10 or PNG files')
    .requiredOption('-o, --out <folder>', 'where checkpoint, network, log and pictures go')
    .option('--resume', 'go on with the run in that folder')
    .option('--from <checkpoint>', 'begin with the weights of a checkpoint that has encoder and posterior: fine-tuning')
    .option('--limit <images>', 'use no more images than this', positiveInteger)
    .option('--steps <count>', 'stop once so many steps are done in all', positiveInteger)
    .option('--workers <threads>', "for the config's shards; else as many as the machine has", positiveInteger)
    .action((flags: TrainFlags) => train(output, flags));
}
