/** A plan as files of C: names and contents. The caller writes them. Same plan, same bytes. */

import type { Plan } from '../plan/plan.js';
import { wordBytes } from '../../runtime-ts/words.js';
import { copiedFiles, renderTemplate, type Templates } from './render.js';
import { encoderWeightsView, type LibraryOptions, libraryView, weightsView } from './view.js';

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
  const constants = (symbol: string, words: Uint32Array, of: object): void => {
    if (options.weights === 'incbin') {
      files.set(`${symbol}.S`, render('library/fsvae_weights.S.hbs', of));
      files.set(`${symbol}.bin`, wordBytes(words));
    } else {
      files.set(`${symbol}.c`, render('library/fsvae_weights.c.hbs', of));
    }
  };
  constants('fsvae_weights', plan.weights.words, weightsView(plan, options));
  const { encoder } = plan;
  if (encoder !== undefined) {
    files.set('fsvae_encoder.h', render('library/fsvae_encoder.h.hbs', view));
    constants('fsvae_encoder_weights', encoder.weights.words, encoderWeightsView(plan, encoder, options));
  }
  for (const [path, content] of copiedFiles(templates, 'kernels', 'kernels/')) files.set(path, content);
  return files;
}
