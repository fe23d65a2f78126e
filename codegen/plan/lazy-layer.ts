/** Buffers of a layer that is evaluated only where chosen: the last of the prior, and of the posterior (prior.h). */

import type { LinearLayer } from '../../runtime-ts/model.js';
import { lazyRowWords, lazySpreadWords } from './weights.js';

/** By name, in bytes. @param membraneBytes of a membrane that is kept between steps */
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
