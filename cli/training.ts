/** The only way from the command line into training/, whose engine need not be installed. */

import { FsvaeError } from '../runtime-ts/errors.js';

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
