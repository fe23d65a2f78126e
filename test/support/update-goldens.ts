/** `npm run golden:update`: writes the golden files anew. Read the difference before you commit it. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SIZES_PATH } from '../../codegen/shipped-sizes.js';
import { expectedGoldens, expectedSizes, GOLDEN_FOLDER } from './goldens.js';

for (const [path, text] of expectedGoldens()) {
  const target = join(GOLDEN_FOLDER, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
  process.stdout.write(`${path}\n`);
}
writeFileSync(SIZES_PATH, expectedSizes());
process.stdout.write('models/sizes.json\n');
