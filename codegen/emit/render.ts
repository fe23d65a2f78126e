/** The Handlebars environment. Strict: a name that the view does not have is an error, never an empty string. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Handlebars from 'handlebars';
import { PACKAGE_ROOT } from '../package-root.js';

export const TEMPLATES = join(PACKAGE_ROOT, 'firmware-templates');

/**
 * Renders one template of firmware-templates/. Of the built-in helpers only `each`, `if` and `with` exist, and there
 * are no others: templates hold text and layout, no arithmetic.
 *
 * @param path relative to firmware-templates/
 * @throws Error when the template uses a field that the view lacks, or another helper
 */
export function renderTemplate(path: string, view: object): string {
  const environment = Handlebars.create();
  for (const helper of ['unless', 'lookup', 'log', 'blockHelperMissing', 'helperMissing']) {
    environment.unregisterHelper(helper);
  }
  const template = environment.compile(readFileSync(join(TEMPLATES, path), 'utf8'), {
    noEscape: true,
    strict: true,
    knownHelpersOnly: true,
    knownHelpers: { unless: false, lookup: false, log: false },
  });
  return template(view);
}
