/** `fsvae-codegen train`, and the only way from the command line into training/, whose engine need not be installed. */

import { readCheckpoint } from '../codegen/checkpoint/checkpoint.js';
import { FsvaeError } from '../runtime-ts/errors.js';

export interface TrainFlags {
  readonly config: string;
  readonly data: string;
  readonly out: string;
  readonly resume?: boolean;
  readonly from?: string;
  readonly limit?: number;
  readonly steps?: number;
}

/** What it says and where; the command's terminal. */
export interface TrainOutput {
  readonly stderr: NodeJS.WriteStream;
  say(line: string): void;
}

/** The engine is an optional peer of this package: 66 MB that who only generates firmware has no use for. */
export async function loadTraining() {
  try {
    return {
      ...(await import('../training/config/config.js')),
      ...(await import('../training/data/open.js')),
      ...(await import('../training/train/evaluate.js')),
      ...(await import('../training/train/trainer.js')),
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if ((code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && message.includes('@tensorflow/')) {
      throw new FsvaeError(
        'usage',
        'training needs TensorFlow.js, which is not installed: npm install @tensorflow/tfjs-core@4.22.0 ' +
          '@tensorflow/tfjs-backend-wasm@4.22.0 beside fsvae-codegen',
      );
    }
    throw error;
  }
}

/** Leak and threshold are in no checkpoint: what the import must be told, where they are not the usual ones. */
function importFlags({ tau, threshold }: { readonly tau: number; readonly threshold: number }): string {
  return (tau === 0.25 ? '' : ` --tau ${tau}`) + (threshold === 0.2 ? '' : ` --threshold ${threshold}`);
}

/** Trains, or goes on; the first interrupt stops after the step and saves, the second ends at once. */
export async function trainCommand(flags: TrainFlags, { stderr, say }: TrainOutput): Promise<void> {
  const { readConfig, readTrainedNetwork, openImages, train } = await loadTraining();
  const config = readConfig(flags.config);
  const { channels, imageSize } = config.model;
  const images = openImages(flags.data, 'train', {
    channels,
    size: imageSize,
    ...(flags.limit === undefined ? {} : { limit: flags.limit }),
  });
  let interrupted = false;
  const interrupt = (): void => void (interrupted = true);
  process.once('SIGINT', interrupt);
  try {
    const { finished, position, networkPath, imagesPerSecond } = await train({
      config,
      images,
      out: flags.out,
      resume: flags.resume === true,
      ...(flags.from === undefined ? {} : { from: readTrainedNetwork(readCheckpoint(flags.from), config.neuron) }),
      ...(flags.steps === undefined ? {} : { steps: flags.steps }),
      stream: stderr,
      say,
      stopped: () => interrupted,
    });
    say(`${position.step} steps done, ${imagesPerSecond.toFixed(1)} images/s; the network: ${networkPath}`);
    if (!finished) say('not all epochs are done: the same command with --resume goes on');
    say(`Next: fsvae-codegen quantize ${networkPath}${importFlags(config.neuron)}`);
  } finally {
    process.off('SIGINT', interrupt);
  }
}
