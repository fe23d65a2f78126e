/** Options that take one value for all layers, and others for single ones: `8`, `8,prior=4`, `1,decoder.2=1.25`. */

import { FsvaeError } from '../../runtime-ts/errors.js';

export interface LayerList<T> {
  /** For all layers that `byLayer` does not name. */
  readonly all: T;
  readonly byLayer: ReadonlyMap<string, T>;
}

/**
 * Reads a list separated by commas. A value alone is for every layer; `NAME=VALUE` for one layer, or for all whose
 * state_dict names begin with `NAME.`; later entries win.
 *
 * @param flag the option, for errors
 * @param names the layers that can have such a value
 * @param parseValue reads one value, and throws where it is none
 * @param fallback for all layers where the list has no value alone
 * @throws FsvaeError `usage` for a name that fits no layer
 */
export function parseLayerList<T>(
  flag: string,
  text: string,
  names: readonly string[],
  parseValue: (text: string) => T,
  fallback: T,
): LayerList<T> {
  let all = fallback;
  const byLayer = new Map<string, T>();
  for (const entry of text.split(',')) {
    const at = entry.indexOf('=');
    if (at < 0) {
      all = parseValue(entry);
      continue;
    }
    const name = entry.slice(0, at);
    const matching = names.filter((layer) => layer === name || layer.startsWith(`${name}.`));
    if (matching.length === 0) {
      throw new FsvaeError('usage', `${flag} ${text}: no layer "${name}"; the layers are ${names.join(', ')}`);
    }
    for (const layer of matching) byLayer.set(layer, parseValue(entry.slice(at + 1)));
  }
  return { all, byLayer };
}
