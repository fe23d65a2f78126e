/** The layers of FSVAE and ANN VAE as connections between maps: how many outputs each input reaches, counted with borders. */

import type { ModelShape } from '../config/config.js';
import { bottomSize } from '../model/parameters.js';

/** Weights from one layer's outputs to the next one's neurons. Kernels have 3 x 3 taps and padding 1. */
export interface Connection {
  /** The layer's name in the state_dict. */
  readonly name: string;
  /** `transposed` with stride 2 doubles the map; with stride 1, the readout, it keeps its size. `convolution` halves it. */
  readonly kind: 'linear' | 'convolution' | 'transposed';
  /** Features, or channels of the input map. */
  readonly inputs: number;
  readonly outputs: number;
  /** Side of the input map; 1 for `linear`. */
  readonly size: number;
  readonly stride: 1 | 2;
}

/** Neurons that a connection leads to. */
export function neuronsOf({ kind, outputs, size, stride }: Connection): number {
  if (kind === 'linear') return outputs;
  const side = kind === 'convolution' ? size / stride : size * stride;
  return outputs * side * side;
}

/** Along one axis: how many outputs an input at each position reaches. */
function reach({ kind, size, stride }: Connection): number[] {
  const reached = new Array<number>(size).fill(0);
  const outSize = kind === 'convolution' ? size / stride : size * stride;
  // The output of a convolution at o sees stride * o - 1 + tap; a transposed one is the same the other way round.
  const [far, near] = kind === 'convolution' ? [outSize, size] : [size, outSize];
  for (let o = 0; o < far; o++) {
    for (let tap = 0; tap < 3; tap++) {
      const at = stride * o - 1 + tap;
      if (at >= 0 && at < near) reached[kind === 'convolution' ? at : o]++;
    }
  }
  return reached;
}

/** Outputs that each input reaches; maps position-major, channels running fastest. */
export function fanOuts(connection: Connection): Uint32Array {
  const { kind, inputs, outputs, size } = connection;
  if (kind === 'linear') return new Uint32Array(inputs).fill(outputs);
  const along = reach(connection);
  return Uint32Array.from({ length: inputs * size * size }, (_, i) => {
    const position = Math.floor(i / inputs);
    return along[Math.floor(position / size)] * along[position % size] * outputs;
  });
}

/** Weights that are used when every input counts: the multiply-adds of an artificial neural network. */
export function denseOperations(connection: Connection): number {
  return fanOuts(connection).reduce((sum, outputs) => sum + outputs, 0);
}

function linear(name: string, inputs: number, outputs: number): Connection {
  return { name, kind: 'linear', inputs, outputs, size: 1, stride: 1 };
}

export interface VaeConnections {
  readonly encoder: readonly Connection[];
  /** From the bottom map to the latent: FSVAE one layer, ANN VAE two (mean and log-variance). */
  readonly toLatent: readonly Connection[];
  /** Empty for the ANN VAE. */
  readonly posterior: readonly Connection[];
  readonly prior: readonly Connection[];
  /** decoder_input, the decoder's layers and final_layer.0. */
  readonly decoder: readonly Connection[];
  readonly readout: Connection;
}

/** The FSVAE of a shape, and the ANN VAE with the same convolutions. */
export function connectionsOf(shape: ModelShape, kind: 'fsvae' | 'vae'): VaeConnections {
  const { channels, imageSize, hiddenChannels, latentChannels: c, choices } = shape;
  const widths = [channels, ...hiddenChannels];
  const side = bottomSize(shape);
  const bottom = widths[widths.length - 1] * side * side;
  const spiking = kind === 'fsvae';
  const chain = (prefix: string, sizes: readonly number[]): Connection[] =>
    spiking ? sizes.slice(1).map((out, i) => linear(`${prefix}.layers.${i}`, sizes[i], out)) : [];
  const down = [...hiddenChannels].reverse();
  return {
    encoder: hiddenChannels.map((outputs, i) => ({
      name: `encoder.${i}`,
      kind: 'convolution',
      inputs: widths[i],
      outputs,
      size: imageSize / 2 ** i,
      stride: 2,
    })),
    toLatent: (spiking ? ['before_latent_layer'] : ['fc_mu', 'fc_var']).map((name) => linear(name, bottom, c)),
    posterior: chain('posterior', [2 * c, 2 * c, 4 * c, choices * c]),
    prior: chain('prior', [c, 2 * c, 4 * c, choices * c]),
    decoder: [
      linear('decoder_input', c, bottom),
      ...down.map((inputs, i): Connection => {
        const last = i === down.length - 1;
        const outputs = last ? inputs : down[i + 1];
        const name = last ? 'final_layer.0' : `decoder.${i}`;
        return { name, kind: 'transposed', inputs, outputs, size: side * 2 ** i, stride: 2 };
      }),
    ],
    readout: {
      name: spiking ? 'final_layer.1' : 'final_layer.3',
      kind: 'transposed',
      inputs: hiddenChannels[0],
      outputs: channels,
      size: imageSize,
      stride: 1,
    },
  };
}
