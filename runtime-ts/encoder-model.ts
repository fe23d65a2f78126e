/**
 * The integer model's other half: encoder and posterior, which find the latent of an image (rules E1 to E5 of
 * docs/arithmetic.md).
 */

import type { LinearLayer, ModelConfig, Leak } from './model.js';

/**
 * Convolution, kernel 3, stride 2, padding 1: halves height and width.
 * `weight[((out * inChannels + in) * 3 + ky) * 3 + kx]`, PyTorch's order. Arrays are indexed by output channel.
 */
export interface ConvLayer {
  readonly kind: 'conv';
  /** The layer's name in the state_dict: `encoder.0`, ... */
  readonly name: string;
  readonly weightBits: 8 | 4;
  /** F (rule W2); of the first layer 0, because a pixel is 255 steps long itself (rule E1). */
  readonly fractionBits: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Height and width of the input map; the output map is half as large. */
  readonly inSize: number;
  readonly weight: Int8Array;
  readonly bias: Int32Array;
  readonly threshold: Int32Array;
  /** The real value of one weight step. For reports only. */
  readonly scale: Float64Array;
}

export interface IntegerEncoder {
  /** The model's whose latents it finds. */
  readonly config: ModelConfig;
  readonly leak: Leak;
  /** From the image down. The first sees pixels (rule E1), the others spikes (rule E2). */
  readonly convolutions: readonly ConvLayer[];
  /** before_latent_layer. Inputs position-major (rule S1). */
  readonly latentInput: LinearLayer;
  /** f_q of the paper. Inputs: the C spikes of latentInput, then the C of z one step before (rule E4). */
  readonly posterior: readonly LinearLayer[];
}
