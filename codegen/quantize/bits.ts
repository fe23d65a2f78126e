/** The `--bits` option: bits of all weights, or of single layers and groups of them. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseLayerList } from './layer-list.js';
import type { QuantizeOptions } from './quantize.js';

function parseBits(text: string, where: string): 8 | 4 {
  if (text === '8') return 8;
  if (text === '4') return 4;
  throw new FsvaeError('usage', `--bits ${where}: weights have 8 or 4 bits, not ${JSON.stringify(text)}`);
}

/**
 * Reads the option (layer-list.ts says how it is written); 8 bits unless told.
 *
 * @param names the model's layers
 * @throws FsvaeError `usage` for other numbers of bits or a name that fits no layer
 */
export function parseBitsOption(text: string, names: readonly string[]): Pick<QuantizeOptions, 'bits' | 'layerBits'> {
  const list = parseLayerList('--bits', text, names, (value) => parseBits(value, text), 8);
  return { bits: list.all, layerBits: list.byLayer };
}
