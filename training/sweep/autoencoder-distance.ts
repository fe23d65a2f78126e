import { FsvaeError } from '../../runtime-ts/errors.js';
import type { Autoencoder } from '../baselines/autoencoder.js';
import type { ImageSet } from '../data/image-set.js';
import type { Gaussian } from '../metrics/frechet.js';
import { networkSamples, setBatches, wholeBatches } from '../metrics/samples.js';
import { referenceLatents, scoreImages } from '../metrics/score.js';
import type { Measure } from './sweep.js';

/**
 * The Fréchet distance of a network's samples in an autoencoder's latent, as `fsvae-codegen eval` measures it.
 *
 * @param reference of real images' latents; undefined: of a point's test images
 * @param samples rounded up to whole batches of 256
 * @param source tells this autoencoder and these statistics from others
 */
export function autoencoderDistance(
  autoencoder: Autoencoder,
  reference: Gaussian | undefined,
  samples: number,
  source: string,
): Measure {
  const total = wholeBatches(samples);
  const { channels, imageSize } = autoencoder.shape;
  const ofTest = new Map<ImageSet, Gaussian>();
  return {
    name: 'autoencoder distance',
    source: `${source}, ${total} samples`,
    check: ({ model }) => {
      if (model.channels === channels && model.imageSize === imageSize) return;
      throw new FsvaeError(
        'usage',
        `the autoencoder takes images of ${channels} x ${imageSize} x ${imageSize}, but a point of the sweep draws ` +
          `${model.channels} x ${model.imageSize} x ${model.imageSize}`,
      );
    },
    of: async (network, test) => {
      const { sample } = network;
      if (sample === undefined) return undefined;
      const known = reference ?? ofTest.get(test) ?? referenceLatents(autoencoder, setBatches(test));
      ofTest.set(test, known);
      const drawn = networkSamples({ sample: (count, occasion) => sample.call(network, count, occasion) }, total);
      return (
        await scoreImages(drawn, { autoencoder: { encoder: autoencoder, reference: known } }, { channels, imageSize })
      ).autoencoderDistance;
    },
  };
}
