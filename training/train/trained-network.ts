/** A trained network from any checkpoint with the authors' names. */

import { type Checkpoint, requireFinite } from '../../codegen/checkpoint/checkpoint.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseConfig, type TrainingConfig } from '../config/config.js';
import { createParameters, type NetworkTensors, type Parameters } from '../model/parameters.js';

/**
 * @param wanted which tensors; undefined: all
 * @throws FsvaeError `input` for a tensor that is missing, has another shape, or holds a value that is not finite
 */
export function fillTensors(
  { trained, running }: NetworkTensors,
  { source, tensors }: Checkpoint,
  wanted: (name: string) => boolean = () => true,
): void {
  for (const { name, shape, data } of [...trained, ...running]) {
    if (!wanted(name)) continue;
    const tensor = tensors.get(name);
    if (tensor === undefined || tensor.shape.join() !== shape.join()) {
      const found = tensor === undefined ? 'missing' : `(${tensor.shape.join(', ')})`;
      throw new FsvaeError('input', `${source}: ${name} is ${found}, expected (${shape.join(', ')})`);
    }
    requireFinite(name, tensor, source);
    data.set(tensor.data);
  }
}

export interface TrainedNetwork {
  readonly config: TrainingConfig;
  readonly parameters: Parameters;
}

/** Parts that generation does not use; the shipped models and what convert writes lack them. */
const INFERENCE = /^(encoder\.|before_latent_layer\.|posterior\.)/;

/** Whether a checkpoint has encoder and posterior, by its first tensor. */
export function hasEncoder({ tensors }: Checkpoint): boolean {
  return tensors.has('encoder.0.weight');
}

/**
 * A network from any checkpoint with the authors' names: sizes follow from shapes.
 *
 * @param neuron tau and threshold, which no checkpoint holds
 * @param parts `whole`: encoder and posterior too; `generator`: prior and decoder, while the rest keeps its first values and
 *   can only be left alone
 * @throws FsvaeError `input` for a checkpoint that lacks a tensor or has one of another shape, or a value that is not finite
 */
export function readTrainedNetwork(
  checkpoint: Checkpoint,
  neuron: { readonly tau?: number; readonly threshold?: number },
  parts: 'whole' | 'generator' = 'whole',
): TrainedNetwork {
  const { source, tensors } = checkpoint;
  const shapeOf = (name: string, dimensions: number): readonly number[] => {
    const shape = tensors.get(name)?.shape;
    if (shape?.length !== dimensions) {
      throw new FsvaeError(
        'input',
        `${source}: ${shape === undefined ? `holds no ${name}` : `${name} is (${shape.join(', ')})`}: this command needs a ` +
          'whole FSVAE, with encoder and posterior; convert and the shipped models keep prior and decoder only',
      );
    }
    return shape;
  };
  if (parts === 'whole') shapeOf('encoder.0.weight', 5);
  const hiddenChannels = [shapeOf('final_layer.0.weight', 5)[0]];
  for (let i = 0; tensors.has(`decoder.${i}.weight`); i++) {
    hiddenChannels.splice(1, 0, shapeOf(`decoder.${i}.weight`, 5)[0]);
  }
  const [bottom, latentChannels] = shapeOf('decoder_input.weight', 2);
  const side = Math.sqrt(bottom / hiddenChannels[hiddenChannels.length - 1]);
  const model = {
    channels: shapeOf('final_layer.1.weight', 5)[1],
    imageSize: side * 2 ** hiddenChannels.length,
    hiddenChannels,
    latentChannels,
    choices: shapeOf('prior.layers.2.weight', 2)[0] / latentChannels,
    timeSteps: shapeOf('membrane_output_layer.coef', 5)[4],
  };
  const config = parseConfig({ model, neuron }, source);
  const parameters = createParameters(config.model, 0);
  fillTensors(parameters, checkpoint, parts === 'generator' ? (name) => !INFERENCE.test(name) : undefined);
  return { config, parameters };
}
