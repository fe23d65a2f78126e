import { dirname, join } from 'node:path';
import { readCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { encodeStatistics, latentsOf, latentStatistics } from '../baselines/statistics.js';
import type { ImageSet } from '../data/image-set.js';
import { startEngine } from '../engine/wasm.js';
import { writeWhole } from './checkpoint.js';
import { readAutoencoder } from './networks.js';

/**
 * Writes mean and covariance of images' latents beside an autoencoder, as statistics.safetensors.
 *
 * @returns its path
 */
export async function writeStatistics(autoencoderPath: string, images: ImageSet): Promise<string> {
  await startEngine();
  const autoencoder = readAutoencoder(readCheckpoint(autoencoderPath));
  const path = join(dirname(autoencoderPath), 'statistics.safetensors');
  const statistics = latentStatistics(latentsOf(autoencoder, images), autoencoder.features);
  writeWhole(path, encodeStatistics(statistics, images.count));
  return path;
}
