import type { Autoencoder } from '../baselines/autoencoder.js';
import { encodeStatistics } from '../baselines/statistics.js';
import type { ImageSet } from '../data/image-set.js';
import { writeWhole } from '../train/checkpoint.js';
import { setBatches } from './samples.js';
import { referenceLatents } from './score.js';

/**
 * Writes mean and covariance of images' latents as a safetensors file: `mu` (C) and `sigma` (C, C). The engine must run.
 *
 * @throws FsvaeError `usage` when it cannot be written
 */
export function writeStatistics(path: string, autoencoder: Autoencoder, images: ImageSet): void {
  writeWhole(path, encodeStatistics(referenceLatents(autoencoder, setBatches(images)), images.count));
}
