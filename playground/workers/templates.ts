/** firmware-templates/ as a part of the page. */

import type { Templates } from '../../codegen/emit/render.js';

const ROOT = '../../firmware-templates/';

// Vite replaces the call by the files' text. All of them are text: UTF-8, as they lie on disk.
const files = import.meta.glob<string>('../../firmware-templates/**/*', {
  query: '?raw',
  import: 'default',
  eager: true,
});

export const TEMPLATES: Templates = new Map(
  Object.entries(files).map(([path, text]) => [path.slice(ROOT.length), new TextEncoder().encode(text)]),
);
