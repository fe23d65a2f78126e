/**
 * `npm run playground:data`: writes what the page loads, of the shipped model, to build/playground/: the model, its firmware for the
 * emulated Pico, and its C as a WebAssembly module.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { loadBoard } from '../../boards/board.js';
import { DEFAULT_MODEL, loadModel } from '../../cli/load-model.js';
import { pageData } from '../../cli/page-data.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { type Build, buildProject, planFor, writeProject } from '../../codegen/project.js';

const loaded = loadModel({ model: DEFAULT_MODEL });

function built(name: string): Promise<Build> {
  const board = loadBoard(name);
  const folder = join(PACKAGE_ROOT, 'build', `${name}-${loaded.name}`);
  return buildProject(writeProject(planFor(loaded.model, loaded.name, board), board, folder));
}

const { image } = await built('rp2040');
const { programPath } = await built('wasm');
const files = pageData({ loaded, firmware: { board: 'rp2040', image: image! }, module: readFileSync(programPath) });
for (const [path, content] of files) {
  const target = join(PACKAGE_ROOT, 'build', 'playground', path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
}
