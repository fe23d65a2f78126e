/**
 * The integer model: everything that is needed to draw an image, as integers.
 * docs/arithmetic.md says what each number means; rule numbers below are its.
 */

/** Sizes of the network, all inferred from a checkpoint's shapes. */
export interface ModelConfig {
  /** Image channels: 1 (grey) or 3 (RGB) in the paper; any number works. */
  readonly channels: number;
  /** Image height and width in pixels (square). */
  readonly imageSize: number;
  /** Latent channels, the paper's C. */
  readonly latentChannels: number;
  /** Choices per latent channel, the paper's k; 1 to 256. */
  readonly choices: number;
  /** Time steps, the paper's T; 1 to 32. */
  readonly timeSteps: number;
}

/** tau as multiplier / 2^shift; leak(u) = floor(u * multiplier / 2^shift) (rule L1). The paper's 1/4 is 1 / 2^2. */
export interface Leak {
  readonly multiplier: number;
  readonly shift: number;
}

/** What every spiking layer has. All arrays are indexed by output channel unless said otherwise. */
interface SpikingLayerBase {
  /** The layer's name in the state_dict, for example `prior.layers.0` or `final_layer.0`. */
  readonly name: string;
  /** 8: weights in -127..127. 4: weights in -7..7. */
  readonly weightBits: 8 | 4;
  /** F: extra fraction bits of bias, threshold and membrane below one weight step (rule W2). */
  readonly fractionBits: number;
  readonly bias: Int32Array;
  readonly threshold: Int32Array;
  /** The real value of one weight step (rule W1). For reports only: no arithmetic uses it. */
  readonly scale: Float64Array;
}

/** Fully connected spiking layer. `weight[out * inFeatures + in]`. */
export interface LinearLayer extends SpikingLayerBase {
  readonly kind: 'linear';
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Int8Array;
}

/**
 * Transposed convolution, kernel 3, stride 2, padding 1, output padding 1: doubles height and width.
 * `weight[((in * outChannels + out) * 3 + ky) * 3 + kx]`, PyTorch's order.
 */
export interface ConvTransposeLayer extends SpikingLayerBase {
  readonly kind: 'conv-transpose';
  readonly inChannels: number;
  readonly outChannels: number;
  /** Height and width of the input map; the output map is twice as large. */
  readonly inSize: number;
  readonly weight: Int8Array;
}

export type SpikingLayer = LinearLayer | ConvTransposeLayer;

/**
 * The last layer and the non-firing output membrane in one (rules R1 to R4): a transposed convolution with kernel 3,
 * stride 1, padding 1 over the spikes weighted in time, then a table of 255 thresholds per channel for the pixel.
 */
export interface ReadoutLayer {
  readonly kind: 'readout';
  readonly name: string;
  readonly weightBits: 8 | 4;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly size: number;
  /** `weight[((in * outChannels + out) * 3 + ky) * 3 + kx]`. */
  readonly weight: Int8Array;
  readonly bias: Int32Array;
  /** G: the time coefficients are in units of 2^-G. */
  readonly coefficientBits: number;
  /** Weight of time step t, T entries (rule R1). */
  readonly coefficients: Int32Array;
  /** `thresholds[channel * 255 + i]`, ascending: the pixel is the number of thresholds that are <= the sum (rule R4). */
  readonly thresholds: Int32Array;
  readonly scale: Float64Array;
}

export interface IntegerModel {
  readonly config: ModelConfig;
  readonly leak: Leak;
  /** f_p of the paper: any number of linear layers, the last one with k * C outputs. */
  readonly prior: readonly LinearLayer[];
  /**
   * First decoder layer. Its outputs are stored position-major: output (y * S + x) * channels + c for the S x S map
   * with `channels` channels that the next layer reads (rule D1); the state_dict's own order is channel-major.
   */
  readonly decoderInput: LinearLayer;
  /** decoder.0 ... decoder.N and final_layer.0, in order. */
  readonly decoder: readonly ConvTransposeLayer[];
  /** final_layer.1 and membrane_output_layer. */
  readonly readout: ReadoutLayer;
}
