/** Prior, decoder and readout: what a device runs, here in real numbers or in the device's integers. */

import type { ModelShape, TrainingConfig } from '../config/config.js';
import type { NeuronConstants } from '../engine/neurons.js';
import {
  channelLastOrder,
  LinearSynapses,
  type Synapses,
  TransposedConvolutionSynapses,
  upTo,
} from '../engine/synapses.js';
import { integerGenerator } from './integer-generator.js';
import type { Layer } from './layer.js';
import { ALPHA, ALPHA_LATENT, bottomSize, type LayerParameters, type Parameters } from './parameters.js';
import { QuantizedLayer } from './quantized-layer.js';
import { QuantizedReadout, type Readout, RealReadout } from './readout.js';
import { SpikingLayer } from './spiking-layer.js';

interface Layers<L extends Layer> {
  readonly prior: readonly L[];
  readonly decoderInput: L;
  readonly decoder: readonly L[];
}

export interface Generator extends Layers<Layer> {
  readonly readout: Readout;
  /** Lays the weights out for the engine; they live until the caller's scope ends. @param steps T */
  load(steps: number): void;
}

type Make<L extends Layer> = (layer: LayerParameters, synapses: Synapses, alpha: number, order: ArrayLike<number>) => L;

/** Linear layer whose features are in the checkpoint's order. */
export function plainLinear(layer: LayerParameters): LinearSynapses {
  const [outputs, inputs] = layer.weight.shape;
  return new LinearSynapses(inputs, outputs, upTo(inputs), upTo(outputs));
}

/** Features of the bottom map as the engine has it, channel last, as their indices in the checkpoint's. */
export function bottomOrder(shape: ModelShape): Uint32Array {
  return channelLastOrder(shape.hiddenChannels[shape.hiddenChannels.length - 1], bottomSize(shape) ** 2);
}

function makeLayers<L extends Layer>(config: TrainingConfig, parameters: Parameters, make: Make<L>): Layers<L> {
  const { prior, decoderInput, decoder } = parameters;
  const [bottom, c] = decoderInput.weight.shape;
  const order = bottomOrder(config.model);
  return {
    prior: prior.map((layer) => make(layer, plainLinear(layer), ALPHA_LATENT, upTo(layer.bias.data.length))),
    decoderInput: make(decoderInput, new LinearSynapses(c, bottom, upTo(c), order), ALPHA, order),
    decoder: decoder.map((layer) => {
      const [from, to] = layer.weight.shape;
      return make(layer, new TransposedConvolutionSynapses(from, to), ALPHA, upTo(layer.bias.data.length));
    }),
  };
}

function realGenerator(config: TrainingConfig, parameters: Parameters, constants: NeuronConstants): Generator {
  const layers = makeLayers(
    config,
    parameters,
    (layer, synapses, alpha, order) => new SpikingLayer(layer, synapses, alpha, constants, order),
  );
  const readout = new RealReadout(parameters.readout);
  return {
    ...layers,
    readout,
    load: (steps) => {
      for (const layer of [...layers.prior, layers.decoderInput, ...layers.decoder]) layer.load();
      readout.load(steps);
    },
  };
}

function quantizedGenerator(config: TrainingConfig, parameters: Parameters, constants: NeuronConstants): Generator {
  const layers = makeLayers(
    config,
    parameters,
    (layer, synapses, alpha, order) => new QuantizedLayer(layer, synapses, alpha, constants, order),
  );
  const readout = new QuantizedReadout(parameters.readout);
  return {
    ...layers,
    readout,
    load: (steps) => {
      const integer = integerGenerator(config, parameters, steps);
      const integerLayers = [...integer.prior, integer.decoderInput, ...integer.decoder];
      [...layers.prior, layers.decoderInput, ...layers.decoder].forEach((layer, i) =>
        layer.load(integerLayers[i], integer),
      );
      readout.load(integer.readout);
    },
  };
}

/** Quantized where the config says so. */
export function makeGenerator(config: TrainingConfig, parameters: Parameters, constants: NeuronConstants): Generator {
  return (config.quantization === null ? realGenerator : quantizedGenerator)(config, parameters, constants);
}
