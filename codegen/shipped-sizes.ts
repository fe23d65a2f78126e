/**
 * What the models that come with the package take, without planning them: models/sizes.json, which `npm run golden:update`
 * writes and a test holds to the plans.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from './package-root.js';
import type { ModelSizes } from './project-files.js';

export const SIZES_PATH = join(PACKAGE_ROOT, 'models/sizes.json');

/** By model, the largest first. */
export function shippedSizes(): Readonly<Record<string, ModelSizes>> {
  return JSON.parse(readFileSync(SIZES_PATH, 'utf8')) as Record<string, ModelSizes>;
}
