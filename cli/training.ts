/** The only way from the command line into training/, whose engine need not be installed. */

import { FsvaeError } from '../runtime-ts/errors.js';

/** Whatever `fsvae-codegen eval` needs. @throws FsvaeError `usage` without the engine */
export function loadMetrics() {
  return withEngine(async () => ({
    ...(await import('../training/data/open.js')),
    ...(await import('../training/engine/wasm.js')),
    ...(await import('../training/metrics/image-errors.js')),
    ...(await import('../training/metrics/inception.js')),
    ...(await import('../training/metrics/operations.js')),
    ...(await import('../training/metrics/reconstruct.js')),
    ...(await import('../training/metrics/report.js')),
    ...(await import('../training/metrics/samples.js')),
    ...(await import('../training/metrics/score.js')),
    ...(await import('../training/metrics/statistics.js')),
    ...(await import('../training/baselines/autoencoder.js')),
    ...(await import('../training/baselines/vae.js')),
    ...(await import('../training/model/fsvae.js')),
    ...(await import('../training/train/networks.js')),
    ...(await import('../training/train/trained-network.js')),
  }));
}

/** Whatever `fsvae-codegen train` and `sweep` need. @throws FsvaeError `usage` without the engine */
export function loadTraining() {
  return withEngine(async () => ({
    ...(await import('../training/config/config.js')),
    ...(await import('../training/data/open.js')),
    ...(await import('../training/metrics/statistics.js')),
    ...(await import('../training/metrics/write-statistics.js')),
    ...(await import('../training/sweep/autoencoder-distance.js')),
    ...(await import('../training/sweep/plot.js')),
    ...(await import('../training/sweep/points.js')),
    ...(await import('../training/sweep/sweep.js')),
    ...(await import('../training/sweep/table.js')),
    ...(await import('../training/train/checkpoint.js')),
    ...(await import('../training/train/networks.js')),
    ...(await import('../training/train/trained-network.js')),
    ...(await import('../training/train/trainer.js')),
  }));
}

/** The engine is an optional peer of this package: 66 MB that who only generates firmware has no use for. */
async function withEngine<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if ((code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && message.includes('@tensorflow/')) {
      throw new FsvaeError(
        'usage',
        'training and evaluation need TensorFlow.js, which is not installed: npm install @tensorflow/tfjs-core@4.22.0 ' +
          '@tensorflow/tfjs-backend-wasm@4.22.0 beside fsvae-codegen',
      );
    }
    throw error;
  }
}
