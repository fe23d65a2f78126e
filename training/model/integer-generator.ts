/** Prior, decoder and readout as the integers that a device would be given: the path that `quantize` takes, in memory. */

import type { Checkpoint, CheckpointTensor } from '../../codegen/checkpoint/checkpoint.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { quantize } from '../../codegen/quantize/quantize.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { layerWeightBits, type TrainingConfig } from '../config/config.js';
import { NotFinite } from './layer.js';
import { generatorLayers, type NamedArray, type Parameters, readoutCoefficients } from './parameters.js';

/** The readout's coefficients follow T, which a curriculum changes; all else is as it is. */
function ofSteps(array: NamedArray, steps: number): NamedArray {
  if (array.name !== 'membrane_output_layer.coef') return array;
  return { name: array.name, shape: [1, 1, 1, 1, steps], data: readoutCoefficients(steps) };
}

/**
 * Folds tdBN with its running statistics, then rounds, by the rules W and R of docs/arithmetic.md.
 *
 * @param steps T, on which the readout's coefficients depend
 * @throws NotFinite naming a tensor that is not
 */
export function integerGenerator(config: TrainingConfig, parameters: Parameters, steps: number): IntegerModel {
  const arrays: readonly NamedArray[] = [
    ...generatorLayers(parameters).flatMap((layer) => [
      layer.weight,
      layer.bias,
      layer.gamma,
      layer.beta,
      layer.runningMean,
      layer.runningVariance,
    ]),
    parameters.readout.weight,
    parameters.readout.bias,
    ...parameters.constants.filter(({ name }) => !name.startsWith('posterior.')).map((array) => ofSteps(array, steps)),
  ];
  for (const { name, data } of arrays) {
    if (!data.every((value) => Number.isFinite(value))) throw new NotFinite(`the values of ${name}`);
  }
  const tensors = new Map<string, CheckpointTensor>(arrays.map(({ name, shape, data }) => [name, { shape, data }]));
  const checkpoint: Checkpoint = { source: 'the network in training', tensors };
  const { tau, threshold } = config.neuron;
  return quantize(readFloatModel(checkpoint, { tau, threshold }), { layerBits: layerWeightBits(config) });
}
