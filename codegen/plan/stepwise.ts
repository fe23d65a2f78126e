/**
 * What prior and posterior share, which run step by step: membranes that are kept between steps, and a last layer that is evaluated
 * only where chosen (prior.h).
 */

import { type LayerBounds, signedBits } from '../../runtime-ts/bounds.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { LinearLayer } from '../../runtime-ts/model.js';
import { lazyRowWords, lazySpreadWords, MOST_EVENT } from './weights.js';

/** Bits of the membranes that are kept between steps (rule B3). @param layers all that run step by step */
export function keptBits(layers: readonly LayerBounds[]): 16 | 32 {
  return layers.every((b) => signedBits(b.membrane) <= 16 && signedBits(b.threshold) <= 16) ? 16 : 32;
}

/** @throws FsvaeError `input` where the last layer has more inputs than its events can name, each by its index */
export function requireLazyReach({ name, inFeatures }: LinearLayer): void {
  if (inFeatures > MOST_EVENT) {
    throw new FsvaeError('input', `${name} has ${inFeatures} inputs; the kernels take at most ${MOST_EVENT}`);
  }
}

/** Buffers of the last layer by name, in bytes. @param membraneBytes of a membrane that is kept between steps */
export function lazyBuffers(
  layer: LinearLayer,
  timeSteps: number,
  membraneBytes: number,
): [name: string, bytes: number][] {
  return [
    ['history', timeSteps * layer.inFeatures * 2],
    ['history_count', timeSteps * 2],
    ['lazy_membrane', layer.outFeatures * membraneBytes],
    ['lazy_known', layer.outFeatures],
    // For two processors, and for each of them the row that it evaluates and the one under way.
    ['lazy_rows', 2 * 2 * 4 * lazyRowWords(layer)],
    ['lazy_spread', 2 * 4 * lazySpreadWords(layer)],
  ];
}
