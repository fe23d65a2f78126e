/**
 * Linear maps with their adjoints and weight gradients. Weights come in the checkpoint's order and are laid out anew for the
 * engine at every step.
 *
 * A convolution of stride 2 (kernel 3, padding 1) and a transposed one of the same weights are each other's adjoint, so both
 * kinds of layer share two maps: `shrink`, and `grow`, which is computed as an ordinary 2 x 2 convolution to four times the
 * channels, one for each of the four pixels that a pixel becomes (sub-pixel convolution).
 */

import * as tf from '@tensorflow/tfjs-core';
import { allocate, upload, values } from './wasm.js';

/** From spikes (or an image) to currents without bias. */
export interface Synapses {
  /** Lays the weights out; tensors live until the caller's scope ends. */
  load(weight: Float32Array): void;
  forward(x: tf.Tensor): tf.Tensor;
  /** Gradient of x from that of forward(x). */
  backward(d: tf.Tensor): tf.Tensor;
  /** Gradient of the weights, in the checkpoint's order. */
  weightGradient(x: tf.Tensor, d: tf.Tensor): Float32Array;
}

/** The order that changes nothing. */
export function upTo(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => i);
}

/** Features of a map flattened channel last, as their indices in one flattened channel first. */
export function channelLastOrder(channels: number, pixels: number): Uint32Array {
  return Uint32Array.from({ length: channels * pixels }, (_, i) => (i % channels) * pixels + Math.floor(i / channels));
}

/** (rows, columns) to (columns, rows), in tiles that fit a cache. */
function transposed(x: Float32Array, rows: number, columns: number, into: Float32Array): void {
  const TILE = 32;
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(rows, top + TILE);
    for (let c = 0; c < columns; c++) {
      for (let r = top; r < bottom; r++) into[c * rows + r] = x[r * columns + c];
    }
  }
}

function transpose(x: tf.Tensor, rows: number, columns: number): tf.Tensor2D {
  const turned = allocate<tf.Rank.R2>([columns, rows]);
  transposed(values(x), rows, columns, values(turned));
  return turned;
}

/**
 * Fully connected. Checkpoint order `weight[out * inputs + in]`.
 *
 * inputOrder and outputOrder say which of the checkpoint's features the engine's feature i is: maps are flattened channel
 * first there and channel last here.
 */
export class LinearSynapses implements Synapses {
  private outByIn!: tf.Tensor2D;
  private inByOut!: tf.Tensor2D;

  constructor(
    private readonly inputs: number,
    private readonly outputs: number,
    private readonly inputOrder: ArrayLike<number>,
    private readonly outputOrder: ArrayLike<number>,
  ) {}

  load(weight: Float32Array): void {
    const { inputs, outputs } = this;
    const ordered = new Float32Array(weight.length);
    for (let out = 0; out < outputs; out++) {
      const from = this.outputOrder[out] * inputs;
      for (let i = 0; i < inputs; i++) ordered[out * inputs + i] = weight[from + this.inputOrder[i]];
    }
    this.outByIn = upload<tf.Rank.R2>(ordered, [outputs, inputs]);
    this.inByOut = transpose(this.outByIn, outputs, inputs);
  }

  forward(x: tf.Tensor): tf.Tensor {
    return tf.matMul(x as tf.Tensor2D, this.inByOut);
  }

  backward(d: tf.Tensor): tf.Tensor {
    return tf.matMul(d as tf.Tensor2D, this.outByIn);
  }

  weightGradient(x: tf.Tensor, d: tf.Tensor): Float32Array {
    const { inputs, outputs } = this;
    const turned = transpose(d, d.shape[0], outputs);
    const product = tf.matMul(turned, x as tf.Tensor2D);
    const result = values(product);
    const gradient = new Float32Array(inputs * outputs);
    for (let out = 0; out < outputs; out++) {
      const to = this.outputOrder[out] * inputs;
      for (let i = 0; i < inputs; i++) gradient[to + this.inputOrder[i]] = result[out * inputs + i];
    }
    tf.dispose([turned, product]);
    return gradient;
  }
}

/** Checkpoint order of all 3 x 3 weights here: `weight[((small * big + b) * 3 + ky) * 3 + kx]`. */
type KernelIndex = (small: number, big: number, ky: number, kx: number) => number;

function kernelIndex(bigChannels: number): KernelIndex {
  return (small, big, ky, kx) => ((small * bigChannels + big) * 3 + ky) * 3 + kx;
}

/** Which tap of the kernel joins a small map's pixel i + offset to the large map's pixel 2 i + half; undefined: none. */
const TAP: readonly (readonly (number | undefined)[])[] = [
  [1, undefined],
  [2, 0],
];

/** Most elements of a patch matrix: 16 MB. */
const MOST_PATCH_ELEMENTS = 1 << 22;

/**
 * Gradient of a 3 x 3 kernel between two maps: sum over pixels of small[y, x] * big[stride * y - 1 + ky, stride * x - 1 + kx],
 * by matrix products of the small map with patches of the large one.
 */
function kernelGradient(small: tf.Tensor4D, big: tf.Tensor4D, stride: number): Float32Array {
  const [images, height, width, smallChannels] = small.shape;
  const bigChannels = big.shape[3];
  const index = kernelIndex(bigChannels);
  const columns = 9 * bigChannels;
  const pixels = height * width;
  const perChunk = Math.max(1, Math.min(images, Math.floor(MOST_PATCH_ELEMENTS / (pixels * columns))));
  const gradient = new Float32Array(smallChannels * columns);
  for (let first = 0; first < images; first += perChunk) {
    const count = Math.min(perChunk, images - first);
    const patches = allocate<tf.Rank.R2>([count * pixels, columns]);
    const turned = allocate<tf.Rank.R2>([smallChannels, count * pixels]);
    gatherPatches(values(big), first, count, height, width, bigChannels, stride, values(patches));
    const rows = values(small).subarray(first * pixels * smallChannels, (first + count) * pixels * smallChannels);
    transposed(rows, count * pixels, smallChannels, values(turned));
    const product = tf.matMul(turned, patches);
    const result = values(product);
    for (let s = 0; s < smallChannels; s++) {
      for (let k = 0; k < 9; k++) {
        for (let b = 0; b < bigChannels; b++) {
          gradient[index(s, b, Math.floor(k / 3), k % 3)] += result[s * columns + k * bigChannels + b];
        }
      }
    }
    tf.dispose([patches, turned, product]);
  }
  return gradient;
}

/** For each pixel of the small map its 3 x 3 neighbourhood in the large one, zero outside; three pixels lie side by side. */
function gatherPatches(
  big: Float32Array,
  first: number,
  count: number,
  height: number,
  width: number,
  channels: number,
  stride: number,
  patches: Float32Array,
): void {
  const bigWidth = width * stride;
  const bigHeight = height * stride;
  const run = 3 * channels;
  let to = 0;
  for (let n = first; n < first + count; n++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const left = x * stride - 1;
        const skip = left < 0 ? channels : 0;
        const end = left + 3 > bigWidth ? run - channels : run;
        for (let ky = 0; ky < 3; ky++, to += run) {
          const row = y * stride - 1 + ky;
          if (row < 0 || row >= bigHeight) {
            patches.fill(0, to, to + run);
            continue;
          }
          const from = ((n * bigHeight + row) * bigWidth + left) * channels;
          for (let i = 0; i < skip; i++) patches[to + i] = 0;
          for (let i = skip; i < end; i++) patches[to + i] = big[from + i];
          for (let i = end; i < run; i++) patches[to + i] = 0;
        }
      }
    }
  }
}

/** (images, h, w, 4 * channels), the four pixels of each as (dy, dx, channel), to (images, 2h, 2w, channels). */
function shuffle(blocks: tf.Tensor4D, channels: number): tf.Tensor4D {
  const [images, height, width] = blocks.shape;
  const map = allocate<tf.Rank.R4>([images, 2 * height, 2 * width, channels]);
  const source = values(blocks);
  const target = values(map);
  const run = 2 * channels;
  let from = 0;
  for (let row = 0; row < images * height; row++) {
    for (let x = 0; x < width; x++) {
      for (let dy = 0; dy < 2; dy++) {
        const to = ((2 * row + dy) * width + x) * run;
        for (let i = 0; i < run; i++) target[to + i] = source[from++];
      }
    }
  }
  return map;
}

/** The pair of maps between a small image and one of twice its side, sharing weights. */
class Kernel3x3Stride2 {
  private down!: tf.Tensor4D;
  private up!: tf.Tensor4D;

  constructor(
    private readonly smallChannels: number,
    private readonly bigChannels: number,
  ) {}

  load(weight: Float32Array): void {
    const { smallChannels, bigChannels } = this;
    const index = kernelIndex(bigChannels);
    const down = new Float32Array(9 * bigChannels * smallChannels);
    const up = new Float32Array(16 * bigChannels * smallChannels);
    for (let s = 0; s < smallChannels; s++) {
      for (let b = 0; b < bigChannels; b++) {
        for (let k = 0; k < 9; k++) down[(k * bigChannels + b) * smallChannels + s] = weight[index(s, b, 0, k)];
        for (let block = 0; block < 16; block++) {
          const [oy, ox, dy, dx] = [block >> 3, (block >> 2) & 1, (block >> 1) & 1, block & 1];
          const [ky, kx] = [TAP[dy][oy], TAP[dx][ox]];
          if (ky === undefined || kx === undefined) continue;
          up[(((oy * 2 + ox) * smallChannels + s) * 4 + (dy * 2 + dx)) * bigChannels + b] = weight[index(s, b, ky, kx)];
        }
      }
    }
    this.down = upload<tf.Rank.R4>(down, [3, 3, bigChannels, smallChannels]);
    this.up = upload<tf.Rank.R4>(up, [2, 2, smallChannels, 4 * bigChannels]);
  }

  shrink(big: tf.Tensor): tf.Tensor4D {
    return tf.conv2d(big as tf.Tensor4D, this.down, 2, [
      [0, 0],
      [1, 0],
      [1, 0],
      [0, 0],
    ]);
  }

  grow(small: tf.Tensor): tf.Tensor4D {
    const blocks = tf.conv2d(small as tf.Tensor4D, this.up, 1, [
      [0, 0],
      [0, 1],
      [0, 1],
      [0, 0],
    ]);
    const map = shuffle(blocks, this.bigChannels);
    blocks.dispose();
    return map;
  }
}

/** Convolution, kernel 3, stride 2, padding 1, of a map of even side. Checkpoint order (out, in, 3, 3). */
export class ConvolutionSynapses implements Synapses {
  private readonly kernel: Kernel3x3Stride2;

  constructor(inChannels: number, outChannels: number) {
    this.kernel = new Kernel3x3Stride2(outChannels, inChannels);
  }

  load(weight: Float32Array): void {
    this.kernel.load(weight);
  }

  forward(x: tf.Tensor): tf.Tensor {
    return this.kernel.shrink(x);
  }

  backward(d: tf.Tensor): tf.Tensor {
    return this.kernel.grow(d);
  }

  weightGradient(x: tf.Tensor, d: tf.Tensor): Float32Array {
    return kernelGradient(d as tf.Tensor4D, x as tf.Tensor4D, 2);
  }
}

/** Transposed convolution, kernel 3, stride 2, padding 1, output padding 1. Checkpoint order (in, out, 3, 3). */
export class TransposedConvolutionSynapses implements Synapses {
  private readonly kernel: Kernel3x3Stride2;

  constructor(inChannels: number, outChannels: number) {
    this.kernel = new Kernel3x3Stride2(inChannels, outChannels);
  }

  load(weight: Float32Array): void {
    this.kernel.load(weight);
  }

  forward(x: tf.Tensor): tf.Tensor {
    return this.kernel.grow(x);
  }

  backward(d: tf.Tensor): tf.Tensor {
    return this.kernel.shrink(d);
  }

  weightGradient(x: tf.Tensor, d: tf.Tensor): Float32Array {
    return kernelGradient(x as tf.Tensor4D, d as tf.Tensor4D, 2);
  }
}

/** The readout's transposed convolution, kernel 3, stride 1, padding 1. Checkpoint order (in, out, 3, 3). */
export class ReadoutSynapses implements Synapses {
  private toImage!: tf.Tensor4D;
  private fromImage!: tf.Tensor4D;

  constructor(
    private readonly inChannels: number,
    private readonly outChannels: number,
  ) {}

  load(weight: Float32Array): void {
    const { inChannels, outChannels } = this;
    const index = kernelIndex(outChannels);
    const toImage = new Float32Array(weight.length);
    const fromImage = new Float32Array(weight.length);
    for (let i = 0; i < inChannels; i++) {
      for (let o = 0; o < outChannels; o++) {
        for (let k = 0; k < 9; k++) {
          const value = weight[index(i, o, 0, k)];
          toImage[((8 - k) * inChannels + i) * outChannels + o] = value; // turned by 180 degrees
          fromImage[(k * outChannels + o) * inChannels + i] = value;
        }
      }
    }
    this.toImage = upload<tf.Rank.R4>(toImage, [3, 3, inChannels, outChannels]);
    this.fromImage = upload<tf.Rank.R4>(fromImage, [3, 3, outChannels, inChannels]);
  }

  forward(x: tf.Tensor): tf.Tensor {
    return tf.conv2d(x as tf.Tensor4D, this.toImage, 1, 'same');
  }

  backward(d: tf.Tensor): tf.Tensor {
    return tf.conv2d(d as tf.Tensor4D, this.fromImage, 1, 'same');
  }

  weightGradient(x: tf.Tensor, d: tf.Tensor): Float32Array {
    return kernelGradient(x as tf.Tensor4D, d as tf.Tensor4D, 1);
  }
}
