/** A plan as files of C: names and contents. The caller writes them. Same plan, same bytes. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan } from '../plan/plan.js';
import { weightBytes } from '../plan/weights.js';
import { renderTemplate, TEMPLATES } from './render.js';
import { type LibraryOptions, libraryView, weightsView } from './view.js';

/** Contents by path, relative to the project's folder. */
export type Files = Map<string, string | Uint8Array>;

/** Files of a folder of firmware-templates/ that are copied as they are. */
export function copiedFiles(folder: string, to: string): Files {
  const files: Files = new Map();
  for (const name of readdirSync(join(TEMPLATES, folder)).sort()) {
    if (!name.endsWith('.hbs')) files.set(`${to}${name}`, readFileSync(join(TEMPLATES, folder, name)));
  }
  return files;
}

/** The portable C99 library: fsvae.h, fsvae.c, its kernels and constants. */
export function emitLibrary(plan: Plan, options: LibraryOptions): Files {
  const view = libraryView(plan, options);
  const files: Files = new Map([
    ['fsvae.h', renderTemplate('library/fsvae.h.hbs', view)],
    ['fsvae.c', renderTemplate('library/fsvae.c.hbs', view)],
  ]);
  if (options.weights === 'incbin') {
    files.set('fsvae_weights.S', renderTemplate('library/fsvae_weights.S.hbs', weightsView(plan, options)));
    files.set('fsvae_weights.bin', weightBytes(plan.weights.words));
  } else {
    files.set('fsvae_weights.c', renderTemplate('library/fsvae_weights.c.hbs', weightsView(plan, options)));
  }
  for (const [path, content] of copiedFiles('kernels', 'kernels/')) files.set(path, content);
  return files;
}
