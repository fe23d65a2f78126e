/** The `--bits` option: bits of all weights, or of single layers and groups of them. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import type { QuantizeOptions } from './quantize.js';

function parseBits(text: string, where: string): 8 | 4 {
  if (text === '8') return 8;
  if (text === '4') return 4;
  throw new FsvaeError('usage', `--bits ${where}: weights have 8 or 4 bits, not ${JSON.stringify(text)}`);
}

/**
 * Reads a list separated by commas. `8` or `4` alone is for every layer; `NAME=4` for one layer, or for all whose
 * state_dict names begin with `NAME.`; later entries win.
 *
 * @param names the model's layers
 * @throws FsvaeError `usage` for other numbers of bits or a name that fits no layer
 */
export function parseBitsOption(text: string, names: readonly string[]): Pick<QuantizeOptions, 'bits' | 'layerBits'> {
  let bits: 8 | 4 = 8;
  const layerBits = new Map<string, 8 | 4>();
  for (const entry of text.split(',')) {
    const at = entry.indexOf('=');
    if (at < 0) {
      bits = parseBits(entry, text);
      continue;
    }
    const name = entry.slice(0, at);
    const matching = names.filter((layer) => layer === name || layer.startsWith(`${name}.`));
    if (matching.length === 0) {
      throw new FsvaeError('usage', `--bits ${text}: no layer "${name}"; the layers are ${names.join(', ')}`);
    }
    for (const layer of matching) layerBits.set(layer, parseBits(entry.slice(at + 1), text));
  }
  return { bits, layerBits };
}
