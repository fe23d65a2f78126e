/** The Handlebars environment. Strict: a name that the view does not have is an error, never an empty string. */

import Handlebars from 'handlebars';

/**
 * The files of firmware-templates/, by path in it: `library/fsvae.c.hbs`, `kernels/layer.h`. Where they come from is the
 * caller's business: from disk (codegen/templates.ts), or with the page that they are a part of.
 */
export type Templates = ReadonlyMap<string, Uint8Array>;

/** Names of the files of a folder, without those of its subfolders; sorted. */
export function namesIn(templates: Templates, folder: string): string[] {
  return [...templates.keys()]
    .filter((path) => path.startsWith(`${folder}/`) && !path.includes('/', folder.length + 1))
    .map((path) => path.slice(folder.length + 1))
    .sort();
}

function contentOf(templates: Templates, path: string): Uint8Array {
  const content = templates.get(path);
  if (content === undefined) throw new Error(`there is no template ${path}`);
  return content;
}

/**
 * Renders one template. Of the built-in helpers only `each`, `if` and `with` exist, and there are no others: templates
 * hold text and layout, no arithmetic.
 *
 * @param path in firmware-templates/
 * @throws Error when the template uses a field that the view lacks, or another helper; or there is no such template
 */
export function renderTemplate(templates: Templates, path: string, view: object): string {
  const environment = Handlebars.create();
  for (const helper of ['unless', 'lookup', 'log', 'blockHelperMissing', 'helperMissing']) {
    environment.unregisterHelper(helper);
  }
  const template = environment.compile(new TextDecoder().decode(contentOf(templates, path)), {
    noEscape: true,
    strict: true,
    knownHelpersOnly: true,
    knownHelpers: { unless: false, lookup: false, log: false },
  });
  return template(view);
}

/** Files of a folder that are copied as they are: all that is no template, under the path `to`. */
export function copiedFiles(templates: Templates, folder: string, to: string): Map<string, Uint8Array> {
  const plain = namesIn(templates, folder).filter((name) => !name.endsWith('.hbs'));
  return new Map(plain.map((name) => [`${to}${name}`, contentOf(templates, `${folder}/${name}`)]));
}
