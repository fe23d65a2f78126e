/** fixtures/fsvae_fake.c without its faults, said again in TypeScript. */

import type { GoldenModel } from '../../harness/golden.js';
import { crc32 } from '../../runtime-ts/crc32.js';

const THRESHOLD = 600;
const CHOICES = 20;
export const TIME_STEPS = 4;
export const IMAGE_SIZE = 16;
export const LATENT_BYTES = 8;

function mix(a: number, b: number): number {
  let x = a ^ Math.imul(b, 0x9e3779b1);
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

export class FakeGolden implements GoldenModel {
  readonly hash = '0123456789abcdef'.padEnd(64, '5');
  readonly layerNames = ['choices', 'prior.layers.0', 'z', 'decoder_input', 'final_layer.0'];
  readonly layerNeurons = [12, 24, 12, 100, 4100];

  sample(seed: bigint): Uint8Array {
    const low = Number(BigInt.asUintN(32, seed));
    return Uint8Array.from({ length: IMAGE_SIZE * IMAGE_SIZE }, (_, i) => mix(low + 77, i) & 255);
  }

  decode(latent: Uint8Array): Uint8Array {
    return this.sample(BigInt(crc32(latent)));
  }

  membrane(seed: bigint, layer: number, step: number, neuron: number): { membrane: number; threshold: number } {
    const x = mix(mix(Number(BigInt.asUintN(32, seed)), layer * 1000 + step), neuron);
    return layer === 0
      ? { membrane: x % CHOICES, threshold: 0 }
      : { membrane: (x % 2000) - 1000, threshold: THRESHOLD };
  }

  spikes(seed: bigint, layer: number, step: number): Uint8Array {
    const packed = new Uint8Array((this.layerNeurons[layer] + 7) >> 3);
    for (let i = 0; i < this.layerNeurons[layer]; i++) {
      if (this.membrane(seed, layer, step, i).membrane > THRESHOLD) packed[i >> 3] |= 1 << (i & 7);
    }
    return packed;
  }

  trace(seed: bigint): { digests: Uint32Array[]; spikes: number[]; imageCrc: number } {
    const spikes = this.layerNeurons.map(() => 0);
    const digests = this.layerNeurons.map((neurons, row) =>
      Uint32Array.from({ length: TIME_STEPS }, (_, step) => {
        if (row === 0) {
          return crc32(Uint8Array.from({ length: neurons }, (__, i) => this.membrane(seed, 0, step, i).membrane));
        }
        const packed = this.spikes(seed, row, step);
        for (let i = 0; i < neurons; i++) spikes[row] += (packed[i >> 3] >> (i & 7)) & 1;
        return crc32(packed);
      }),
    );
    return { digests, spikes, imageCrc: crc32(this.sample(seed)) };
  }
}

/** A seed that asks fsvae_fake.c for a fault; the golden model sees only its lower half. */
export const faulty = (fault: number, seed: bigint) => (BigInt(fault) << 32n) | seed;
