/** The shipped tiny checkpoint with an encoder and a posterior of random weights: a whole network, a few kilobytes large. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Checkpoint, parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';

const LATENT = 8;
const CHOICES = 4;
const MAPS = [1, 5, 6];
const BOTTOM = 2;

export function tinyWithEncoder(): Checkpoint {
  const { tensors } = parseCheckpoint(readFileSync(join(PACKAGE_ROOT, 'models/tiny/tiny.safetensors')), 'tiny');
  const random = new Pcg32(7n, 3n);
  const normal = (): number => Array.from({ length: 12 }, () => random.next() / 2 ** 32).reduce((a, b) => a + b) - 6;
  const whole = new Map(tensors);
  const put = (name: string, shape: number[], value: () => number): void => {
    const count = shape.reduce((product, size) => product * size, 1);
    whole.set(name, { shape, data: Float32Array.from({ length: count }, value) });
  };
  const layer = (name: string, shape: number[], variance: number): void => {
    const [outputs] = shape;
    put(`${name}.weight`, shape, () => 0.1 * normal());
    put(`${name}.bias`, [outputs], () => 0.05 * normal());
    put(`${name}.bn.weight`, [outputs], () => 1 + 0.2 * normal());
    put(`${name}.bn.bias`, [outputs], () => 0.05 * normal());
    put(`${name}.bn.running_mean`, [outputs], () => 0.02 * normal());
    put(`${name}.bn.running_var`, [outputs], () => variance);
  };
  MAPS.slice(1).forEach((outputs, i) => layer(`encoder.${i}`, [outputs, MAPS[i], 3, 3, 1], 0.03 * MAPS[i]));
  layer('before_latent_layer', [LATENT, MAPS[MAPS.length - 1] * BOTTOM * BOTTOM], 0.05);
  layer('posterior.layers.0', [2 * LATENT, 2 * LATENT], 0.05);
  layer('posterior.layers.1', [3 * LATENT, 2 * LATENT], 0.05);
  layer('posterior.layers.2', [CHOICES * LATENT, 3 * LATENT], 0.05);
  put('posterior.initial_input', [1, LATENT, 1], () => 0);
  return { source: 'tiny with an encoder', tensors: whole };
}
