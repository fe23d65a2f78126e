/** `fsvae-codegen eval`: the float network and its integer decoder on a test set. */

import { type Command, Option } from 'commander';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { startProgress } from '../../harness/progress.js';
import { FastNetwork } from '../../runtime-ts/fast-network.js';
import { loadModel } from '../load-model.js';
import { positiveInteger, realNumber } from '../options.js';
import type { Output } from '../terminal.js';
import { loadTraining } from '../training.js';

interface EvaluateFlags {
  readonly data: string;
  readonly split: 'train' | 'test';
  readonly images: number;
  readonly bits?: string;
  readonly tau?: number;
  readonly threshold?: number;
  readonly json?: boolean;
}

/** Images of one batch; the integer decoder takes them one by one. */
const BATCH = 64;

/**
 * Mean squared error of reconstructions, images in -1 .. 1 as in the paper's Table 1: by the float network, and by the
 * integer golden model from the float posterior's latent spikes.
 */
async function evaluate(output: Output, checkpoint: string, flags: EvaluateFlags): Promise<void> {
  const { openImages, readTrainedNetwork, reconstructions } = await loadTraining();
  const { tau, threshold, bits } = flags;
  const neuron = { ...(tau === undefined ? {} : { tau }), ...(threshold === undefined ? {} : { threshold }) };
  const network = readTrainedNetwork(readCheckpoint(checkpoint), neuron);
  const { channels, imageSize: size } = network.config.model;
  const images = openImages(flags.data, flags.split, { channels, size, limit: flags.images });
  const { model } = loadModel({ model: checkpoint, ...neuron, ...(bits === undefined ? {} : { bits }) });
  const integer = new FastNetwork(model);

  const plane = size * size;
  const pixels = plane * channels;
  let [floatSum, integerSum, spikes, done] = [0, 0, 0, 0];
  const progress = startProgress({ stream: output.stderr, label: 'images', total: images.count });
  try {
    for await (const batch of reconstructions(network, images, { batchSize: BATCH, seed: 0 })) {
      for (let i = 0; i < batch.inputs.length; i++) floatSum += (batch.inputs[i] - batch.outputs[i]) ** 2;
      for (let n = 0; n < batch.count; n++) {
        const bytes = integer.runDecoder(batch.latent(n));
        for (let i = 0; i < pixels; i++) {
          const byte = bytes[(i % channels) * plane + Math.floor(i / channels)];
          integerSum += (batch.inputs[n * pixels + i] - (2 * byte) / 255 + 1) ** 2;
        }
      }
      spikes += batch.spikes * batch.count;
      done += batch.count;
      progress.update(done, `mse ${(floatSum / (done * pixels)).toFixed(4)}`);
    }
  } finally {
    progress.stop();
  }
  const result = {
    images: done,
    floatMse: floatSum / (done * pixels),
    integerMse: integerSum / (done * pixels),
    spikesPerImage: spikes / done,
  };
  if (flags.json === true) {
    output.json(result);
    return;
  }
  output.say(`reconstruction of ${done} images, mean squared error of pixels in -1 .. 1:`);
  output.say(`  float network           ${result.floatMse.toFixed(5)}`);
  output.say(`  integer decoder, ${(bits ?? '8').padEnd(6)} ${result.integerMse.toFixed(5)}`);
  output.say(`spikes of prior and decoder: ${result.spikesPerImage.toFixed(0)} an image`);
}

export function evalCommand(program: Command, output: Output): void {
  program
    .command('eval')
    .argument('<checkpoint>', 'a checkpoint with encoder and posterior')
    .description('Reconstructs test images with the float network and with its integer decoder.')
    .requiredOption('-d, --data <name|folder>', 'mnist, fashion-mnist, or a folder of idx, CIFAR10 or PNG files')
    .addOption(new Option('--split <half>', 'which half of the data').choices(['train', 'test']).default('test'))
    .option('-n, --images <count>', 'how many, from the first', positiveInteger, 1000)
    .option('--bits <list>', 'weight bits of the integer decoder (default 8)')
    .option('--tau <number>', 'leak of the checkpoint, a multiple of 1/256 (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold of the checkpoint (default 0.2)', realNumber)
    .option('--json', 'one JSON object on stdout')
    .action((checkpoint: string, flags: EvaluateFlags) => evaluate(output, checkpoint, flags));
}
