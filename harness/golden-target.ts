/** The golden model as a target, so that what works on boards works without one. */

import { crc32 } from '../runtime-ts/crc32.js';
import { type GoldenEncoder, squaredError } from '../runtime-ts/golden-encoder.js';
import type { GoldenModel } from './golden.js';
import type { Target, TargetEncoder, TargetImage, TargetShape, TargetTrace } from './target.js';

export class GoldenTarget implements Target {
  readonly name = 'golden model';
  readonly cyclesPerSecond = undefined;

  /** @param shape sizes that the golden model's rows do not tell: steps, channels, image size */
  constructor(
    private readonly golden: GoldenModel,
    sizes: Pick<TargetShape, 'timeSteps' | 'channels' | 'imageSize'>,
    encoder?: GoldenEncoder,
  ) {
    this.encoder = encoder && this.withEncoder(encoder);
    this.shape = { ...sizes, layerNames: golden.layerNames, layerNeurons: golden.layerNeurons };
  }

  readonly shape: TargetShape;
  readonly encoder: TargetEncoder | undefined;

  async sample(seed: bigint): Promise<TargetImage> {
    return this.timed(() => this.golden.sample(BigInt.asUintN(64, seed)));
  }

  async decode(latent: Uint8Array): Promise<TargetImage> {
    return this.timed(() => this.golden.decode(latent));
  }

  async trace(seed: bigint): Promise<TargetTrace> {
    return this.golden.trace(BigInt.asUintN(64, seed));
  }

  async spikes(seed: bigint, layer: number, step: number): Promise<Uint8Array> {
    return this.golden.spikes(BigInt.asUintN(64, seed), layer, step);
  }

  async membranes(seed: bigint, layer: number, step: number, first: number, count: number): Promise<Int32Array> {
    const wrapped = BigInt.asUintN(64, seed);
    return Int32Array.from({ length: count }, (_, i) => this.golden.membrane(wrapped, layer, step, first + i).membrane);
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  private withEncoder(encoder: GoldenEncoder): TargetEncoder {
    return {
      hash: encoder.hash.slice(0, 16),
      rows: encoder.rows,
      encode: async (image, seed) => {
        const { image: latent, ...timing } = this.timed(() => encoder.encode(image, seed));
        return { latent, ...timing };
      },
      reconstruct: async (image, seed) => {
        const drawn = this.timed(() => this.golden.decode(encoder.encode(image, seed)));
        return { ...drawn, squaredError: squaredError(image, drawn.image) };
      },
      trace: async (image, seed) => {
        const { latent, ...trace } = encoder.trace(image, seed);
        return { ...trace, latentCrc: crc32(latent) };
      },
    };
  }

  private timed(draw: () => Uint8Array): TargetImage {
    const start = performance.now();
    const image = draw();
    return { image, waitMs: performance.now() - start, transferMs: 0 };
  }
}
