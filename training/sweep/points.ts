/** The points of a sweep: one config for each combination of the values that fields are to take. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { type NetworkConfig, parseNetworkConfig } from '../config/config.js';

/** A field of the config and the values it takes, as in `model.timeSteps=4,8,16`. */
export interface Variation {
  /** Path, dots between. */
  readonly field: string;
  /** Values of JSON; at least one. */
  readonly values: readonly unknown[];
}

export interface SweepPoint {
  /** Of its folder: letters, digits and `.=_-`. */
  readonly name: string;
  /** What it has for each varied field, in their order. */
  readonly values: readonly unknown[];
  readonly config: NetworkConfig;
}

/** More are a mistake, or a week. */
const MOST_POINTS = 1000;

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * @param text `FIELD=VALUE,VALUE,...`; each value is JSON, or a word
 * @throws FsvaeError `usage`
 */
export function parseVariation(text: string): Variation {
  const match = /^([A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)=(.+)$/.exec(text);
  if (match === null) {
    throw new FsvaeError('usage', `--vary ${text}: must be FIELD=VALUE,VALUE,... such as model.timeSteps=4,8,16`);
  }
  const [, field, list] = match;
  const values = (json(`[${list}]`) as unknown[] | undefined) ?? list.split(',').map((word) => json(word) ?? word);
  return { field, values };
}

/** A copy of an object of JSON with one field set; what is missing on the way to it is made. */
function withField(value: unknown, path: readonly string[], leaf: unknown): unknown {
  if (path.length === 0) return leaf;
  const [key, ...rest] = path;
  const object = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  const before = Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
  return { ...object, [key]: withField(before, rest, leaf) };
}

/** A value as it is read in tables: words without quotes. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/**
 * All combinations, the last variation running fastest; each is a whole config, checked.
 *
 * @param base of JSON
 * @param source its path, for messages
 * @throws FsvaeError `usage` for a field given twice or two points that are the same, `input` as parseNetworkConfig
 */
export function sweepPoints(base: unknown, source: string, variations: readonly Variation[]): SweepPoint[] {
  const fields = variations.map(({ field }) => field);
  const twice = fields.find((field, i) => fields.indexOf(field) !== i);
  if (twice !== undefined) throw new FsvaeError('usage', `--vary ${twice} is given twice: list all its values in one`);
  const count = variations.reduce((product, { values }) => product * values.length, 1);
  if (count > MOST_POINTS)
    throw new FsvaeError('usage', `these are ${count} points; at most ${MOST_POINTS} are trained`);
  const combinations = variations.reduce<unknown[][]>(
    (lists, { values }) => lists.flatMap((list) => values.map((value) => [...list, value])),
    [[]],
  );
  const names = new Set<string>();
  return combinations.map((values) => {
    const settings = values.map((value, i) => `${fields[i]}=${shown(value)}`);
    const name = settings.map((setting) => setting.replaceAll(/[^A-Za-z0-9.=-]/g, '-')).join('_');
    if (names.has(name))
      throw new FsvaeError('usage', `two points of the sweep are ${settings.join(', ')}: give each value once`);
    names.add(name);
    const value = values.reduce((config, leaf, i) => withField(config, fields[i].split('.'), leaf), base);
    return { name, values, config: parseNetworkConfig(value, `${source} with ${settings.join(', ')}`) };
  });
}
