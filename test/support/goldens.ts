/** The golden files: which there are, and what they should say today. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { emitLibrary } from '../../codegen/emit/emit.js';
import { packageTemplates } from '../../codegen/templates.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { modelSizes } from '../../codegen/project.js';
import { goldenEncoderText, goldenText } from './golden-text.js';
import { shipped, SHIPPED_IDS, type ShippedId, wholeTiny } from './shipped.js';

export const GOLDEN_FOLDER = join(PACKAGE_ROOT, 'test/golden');

/** Path within test/golden/ and the text that belongs there. */
export function expectedGoldens(): Map<string, string> {
  const files = new Map<string, string>();
  for (const id of SHIPPED_IDS) {
    const { title, golden, seeds } = shipped(id);
    files.set(`${id}.txt`, goldenText(title, golden, seeds));
  }
  const { title, encoder, golden, plan } = wholeTiny();
  const drawn = [0n, 1n, 2n].map((seed) => golden.sample(seed));
  files.set('tiny-encoder.txt', goldenEncoderText(title, encoder, drawn));
  const withEncoder = emitLibrary(plan, packageTemplates(), { generatorVersion: 'VERSION', weights: 'array' });
  files.set('tiny/fsvae_encoder.h', withEncoder.get('fsvae_encoder.h') as string);
  // The generated C of the tiny model, as it is written: a change of a template shows in review.
  const library = emitLibrary(shipped('tiny').plan, packageTemplates(), {
    generatorVersion: 'VERSION',
    weights: 'array',
  });
  for (const name of ['fsvae.h', 'fsvae.c']) files.set(`tiny/${name}`, library.get(name) as string);
  return files;
}

/** Text that belongs into models/sizes.json. */
export function expectedSizes(): string {
  const sizes = ['mnist', 'mnist-small', 'tiny'].map((id) => {
    const { model } = shipped(id as ShippedId).golden;
    return [id, modelSizes(model, id)];
  });
  return `${JSON.stringify(Object.fromEntries(sizes), undefined, 2)}\n`;
}

export function readGolden(path: string): string {
  return readFileSync(join(GOLDEN_FOLDER, path), 'utf8');
}
