/** The models that come with the package, quantized once for all tests of a process. */

import { loadModel } from '../../cli/load-model.js';
import { makePlan, type Plan } from '../../codegen/plan/plan.js';
import { GoldenModel } from '../../runtime-ts/golden.js';

export interface Shipped {
  readonly title: string;
  /** Name of its golden file. */
  readonly id: string;
  readonly golden: GoldenModel;
  readonly plan: Plan;
  readonly seeds: readonly bigint[];
}

const VARIANTS = [
  { id: 'tiny', model: 'tiny', bits: '8', seeds: [0n, 1n, 2n ** 64n - 1n] },
  { id: 'tiny-int4', model: 'tiny', bits: '4', seeds: [0n, 1n] },
  { id: 'mnist-small', model: 'mnist-small', bits: '8', seeds: [0n, 1n] },
  { id: 'mnist', model: 'mnist', bits: '8', seeds: [0n, 1n, 2n] },
  { id: 'mnist-int4', model: 'mnist', bits: '4', seeds: [0n] },
] as const;

export type ShippedId = (typeof VARIANTS)[number]['id'];

export const SHIPPED_IDS: readonly ShippedId[] = VARIANTS.map(({ id }) => id);

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
