/** The models that come with the package, quantized once for all tests of a process. */

import { loadModel } from '../../cli/load-model.js';
import { readFloatEncoder } from '../../codegen/float/encoder.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { planEncoder } from '../../codegen/plan/encoder.js';
import { makePlan, type Plan } from '../../codegen/plan/plan.js';
import { quantizeEncoder } from '../../codegen/quantize/encoder.js';
import { quantize } from '../../codegen/quantize/quantize.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { GoldenEncoder } from '../../runtime-ts/golden-encoder.js';
import { tinyWithEncoder } from './tiny-encoder.js';

export interface Shipped {
  readonly title: string;
  /** Name of its golden file. */
  readonly id: string;
  readonly golden: GoldenModel;
  readonly plan: Plan;
  readonly seeds: readonly bigint[];
  /** undefined: prior and decoder alone. */
  readonly encoder?: GoldenEncoder;
}

const VARIANTS = [
  { id: 'tiny', model: 'tiny', bits: '8', seeds: [0n, 1n, 2n ** 64n - 1n] },
  { id: 'tiny-int4', model: 'tiny', bits: '4', seeds: [0n, 1n] },
  { id: 'mnist-small', model: 'mnist-small', bits: '8', seeds: [0n, 1n] },
  { id: 'fashion-small', model: 'fashion-small', bits: '8', seeds: [0n, 1n] },
  { id: 'mnist', model: 'mnist', bits: '8', seeds: [0n, 1n, 2n] },
  { id: 'fashion-mnist', model: 'fashion-mnist', bits: '8', seeds: [0n] },
  { id: 'mnist-int4', model: 'mnist', bits: '4', seeds: [0n] },
] as const;

export type ShippedId = (typeof VARIANTS)[number]['id'];

export const SHIPPED_IDS: readonly ShippedId[] = VARIANTS.map(({ id }) => id);

/** A model with encoder and posterior, and a plan that has them too. */
export interface WholeModel extends Shipped {
  readonly encoder: GoldenEncoder;
}

let whole: WholeModel | undefined;

/** The tiny model, with the encoder of tiny-encoder.ts. */
export function wholeTiny(): WholeModel {
  if (whole === undefined) {
    const checkpoint = tinyWithEncoder();
    const float = readFloatModel(checkpoint);
    const model = quantize(float);
    const encoder = quantizeEncoder(float, readFloatEncoder(checkpoint, float));
    whole = {
      title: 'tiny with an encoder',
      id: 'tiny',
      golden: new GoldenModel(model),
      encoder: new GoldenEncoder(encoder),
      plan: makePlan(model, 'tiny', { encoder: planEncoder(encoder) }),
      seeds: [0n, 1n, 2n ** 64n - 1n],
    };
  }
  return whole;
}

const loaded = new Map<string, Shipped>();

export function shipped(id: ShippedId): Shipped {
  let found = loaded.get(id);
  if (found === undefined) {
    const variant = VARIANTS.find((entry) => entry.id === id)!;
    const { model, name } = loadModel({ model: variant.model, bits: variant.bits });
    found = {
      title: `${variant.model}, ${variant.bits}-bit weights`,
      id,
      golden: new GoldenModel(model),
      plan: makePlan(model, name),
      seeds: variant.seeds,
    };
    loaded.set(id, found);
  }
  return found;
}
