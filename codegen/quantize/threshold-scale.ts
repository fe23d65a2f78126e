/**
 * The `--threshold-scale` option, the dial between activity and fidelity: thresholds of all layers or of single ones times
 * a factor. Above 1 neurons fire less, which saves work in the layers that read them (docs/activity.md).
 */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseLayerList } from './layer-list.js';
import type { QuantizeOptions } from './quantize.js';

/** Beyond these little is left of a trained network; and no threshold leaves the range that rule W1 keeps. */
export const LEAST_THRESHOLD_SCALE = 0.25;
export const MOST_THRESHOLD_SCALE = 4;

/**
 * Reads the option (layer-list.ts says how it is written); 1 unless told.
 *
 * @param names the model's spiking layers
 * @throws FsvaeError `usage` for a factor that is no number from 0.25 to 4, or a name that fits no layer
 */
export function parseThresholdScaleOption(
  text: string,
  names: readonly string[],
): Required<Pick<QuantizeOptions, 'layerThresholdScale'>> {
  const parseScale = (value: string): number => {
    const scale = /^\d+(\.\d+)?$/.test(value) ? Number(value) : NaN;
    if (!(scale >= LEAST_THRESHOLD_SCALE && scale <= MOST_THRESHOLD_SCALE)) {
      throw new FsvaeError(
        'usage',
        `--threshold-scale ${text}: a factor is a number from ${LEAST_THRESHOLD_SCALE} to ${MOST_THRESHOLD_SCALE}, ` +
          `such as 1.25, not ${JSON.stringify(value)}`,
      );
    }
    return scale;
  };
  const { all, byLayer } = parseLayerList('--threshold-scale', text, names, parseScale, 1);
  return { layerThresholdScale: new Map(names.map((name) => [name, byLayer.get(name) ?? all])) };
}
