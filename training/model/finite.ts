import { NotFinite } from './layer.js';

/** @throws NotFinite naming the first of a step's gradients that is not */
export function requireFiniteGradients(gradients: ReadonlyMap<string, Float32Array>): void {
  for (const [name, gradient] of gradients) {
    if (!gradient.every((value) => Number.isFinite(value))) throw new NotFinite(`the gradients of ${name}`);
  }
}
