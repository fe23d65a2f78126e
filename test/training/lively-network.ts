/** A small network with random weights in which every layer spikes: what training would have to make is drawn. */

import { parseConfig, type TrainingConfig } from '../../training/config/config.js';
import { createParameters, type Parameters } from '../../training/model/parameters.js';
import { RandomSequence } from '../../training/random/philox.js';

export function livelyNetwork(): { readonly config: TrainingConfig; readonly parameters: Parameters } {
  const model = { imageSize: 8, hiddenChannels: [5, 6], latentChannels: 8, choices: 4, timeSteps: 5 };
  const config = parseConfig({ model, batchSize: 4 }, 'lively');
  const parameters = createParameters(config.model, 3);
  const random = new RandomSequence(3, 'noise', 0);
  for (const { name, data } of parameters.trained) {
    // Currents around the threshold, and different ones.
    if (name.endsWith('.bn.bias')) for (let i = 0; i < data.length; i++) data[i] = 0.1 + 0.1 * random.normal();
    if (name.endsWith('.bn.weight')) for (let i = 0; i < data.length; i++) data[i] = 2 + 0.3 * random.normal();
  }
  return { config, parameters };
}
