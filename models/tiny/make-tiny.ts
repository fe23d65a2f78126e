/**
 * Writes tiny.safetensors: a checkpoint of the same kind as a trained one, a few kilobytes large, with random weights
 * and batch statistics that keep it lively. For tests; its images mean nothing.
 *
 *   npm run model:tiny
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { encodeSafetensors, type Tensor } from '../../runtime-ts/safetensors.js';

const LATENT = 8;
const CHOICES = 4;
const TIME_STEPS = 6;
const BOTTOM = 2;
const MAPS = [8, 6, 5];
/** Share of inputs that fire, for the batch statistics. */
const RATE = 0.3;

const random = new Pcg32(2022n, 1n);
const tensors = new Map<string, Tensor>();

/** Sum of twelve uniform numbers: mean 0, variance 1, and the same on every machine. */
function normal(): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random.next() / 2 ** 32;
  return sum;
}

function put(name: string, shape: number[], value: (index: number) => number): void {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, (_, i) => value(i));
  tensors.set(name, { dtype: 'F32', shape, data: new Uint8Array(data.buffer) });
}

function layer(name: string, shape: number[], outputs: number, fanIn: number): void {
  put(`${name}.weight`, shape, () => 0.1 * normal());
  put(`${name}.bias`, [outputs], () => 0.05 * normal());
  put(`${name}.bn.weight`, [outputs], () => 1 + 0.2 * normal());
  put(`${name}.bn.bias`, [outputs], () => 0.02 * normal());
  put(`${name}.bn.running_mean`, [outputs], () => 0.02 * normal());
  put(`${name}.bn.running_var`, [outputs], () => 0.01 * fanIn * RATE);
}

put('prior.initial_input', [1, LATENT, 1], () => 0);
const widths = [LATENT, 2 * LATENT, 3 * LATENT, CHOICES * LATENT];
for (let i = 0; i + 1 < widths.length; i++) {
  layer(`prior.layers.${i}`, [widths[i + 1], widths[i]], widths[i + 1], widths[i]);
}
layer('decoder_input', [MAPS[0] * BOTTOM * BOTTOM, LATENT], MAPS[0] * BOTTOM * BOTTOM, LATENT);
MAPS.slice(1).forEach((outputs, i) => {
  const name = i === MAPS.length - 2 ? 'final_layer.0' : `decoder.${i}`;
  layer(name, [MAPS[i], outputs, 3, 3, 1], outputs, 2.25 * MAPS[i]);
});
put('final_layer.1.weight', [MAPS[MAPS.length - 1], 1, 3, 3, 1], () => 0.15 * normal());
put('final_layer.1.bias', [1], () => -0.05);
put('membrane_output_layer.coef', [1, 1, 1, 1, TIME_STEPS], (t) => 0.8 ** (TIME_STEPS - 1 - t));

const path = join(PACKAGE_ROOT, 'models/tiny/tiny.safetensors');
writeFileSync(path, encodeSafetensors(tensors, {}));
process.stdout.write(`${path}\n`);
