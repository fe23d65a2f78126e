/** A plan as files of C: names and contents. The caller writes them. Same plan, same bytes. */

import type { Plan } from '../plan/plan.js';
import { wordBytes } from '../../runtime-ts/words.js';
import { copiedFiles, renderTemplate, type Templates } from './render.js';
import { type LibraryOptions, libraryView, weightsView } from './view.js';

/** Contents by path, relative to the project's folder. */
export type Files = Map<string, string | Uint8Array>;

/** The portable C99 library: fsvae.h, fsvae.c, its kernels and constants. */
export function emitLibrary(plan: Plan, templates: Templates, options: LibraryOptions): Files {
  const view = libraryView(plan, options);
  const render = (path: string, of: object): string => renderTemplate(templates, path, of);
  const files: Files = new Map([
    ['fsvae.h', render('library/fsvae.h.hbs', view)],
    ['fsvae.c', render('library/fsvae.c.hbs', view)],
  ]);
  if (options.weights === 'incbin') {
    files.set('fsvae_weights.S', render('library/fsvae_weights.S.hbs', weightsView(plan, options)));
    files.set('fsvae_weights.bin', wordBytes(plan.weights.words));
  } else {
    files.set('fsvae_weights.c', render('library/fsvae_weights.c.hbs', weightsView(plan, options)));
  }
  for (const [path, content] of copiedFiles(templates, 'kernels', 'kernels/')) files.set(path, content);
  return files;
}
