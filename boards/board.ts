/** Board descriptions on disk: those that come with the package, and others by path. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FsvaeError } from '../runtime-ts/errors.js';
import { schemaProblems } from '../runtime-ts/json-file.js';
import { type Board, parseBoard } from './description.js';

export { type Board, FLASH_TOOLS, type Flasher, type FlashTool, parseBoard } from './description.js';

/** Where the descriptions that come with the package lie. */
export const BOARDS_FOLDER = (() => {
  // Compiled code lies in dist/boards/, the descriptions in boards/ at the package's root.
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'boards');
})();

const PORTS_FOLDER = join(BOARDS_FOLDER, '../firmware-templates/ports');

const MOST_FILE_BYTES = 64 << 10;

/** Names of the boards that come with the package. */
export function boardNames(): string[] {
  return readdirSync(BOARDS_FOLDER)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

/** The boards that come with the package, by name. */
export function listBoards(): Board[] {
  return boardNames().map(loadBoard);
}

/** Single-character edits between two words. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/** Names of the ports that come with the package; other folders beside them hold what ports share. */
function portNames(): string[] {
  return readdirSync(PORTS_FOLDER).filter((name) => existsSync(join(PORTS_FOLDER, name, 'port.c')));
}

/**
 * Text of the description of a board: to begin one's own with.
 *
 * @throws FsvaeError `usage` for a name that does not exist, with the nearest ones
 */
export function boardText(nameOrPath: string): string {
  return readDescription(pathOf(nameOrPath));
}

/** Path of the description of a board by its name, or that path. */
function pathOf(nameOrPath: string): string {
  const isPath = nameOrPath.includes('/') || nameOrPath.includes('\\') || nameOrPath.endsWith('.json');
  if (isPath) return nameOrPath;
  if (!boardNames().includes(nameOrPath)) {
    const distances = boardNames().map((name) => ({ name, distance: editDistance(name, nameOrPath.toLowerCase()) }));
    const least = Math.min(...distances.map(({ distance }) => distance));
    const near = distances.filter(({ name, distance }) => distance === least && least <= Math.max(2, name.length / 2));
    const offer = near.length > 0 ? `did you mean ${near.map(({ name }) => name).join(' or ')}?` : 'there is';
    throw new FsvaeError(
      'usage',
      `no board "${nameOrPath}": ${offer} ${near.length > 0 ? 'All boards' : 'only'}: ${boardNames().join(', ')}; ` +
        'or give the path of a board file (docs/boards.md)',
    );
  }
  return join(BOARDS_FOLDER, `${nameOrPath}.json`);
}

function readDescription(path: string): string {
  try {
    if (statSync(path).size > MOST_FILE_BYTES) throw new FsvaeError('input', `${path} is too large for a board file`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    throw new FsvaeError('usage', `board file ${path} cannot be read: ${(error as Error).message}`);
  }
}

/**
 * The board with its port found.
 *
 * @param path of its description
 * @throws FsvaeError `input` where there is no such port, or not what the description says of it
 */
function withPort(board: Board, path: string): Board {
  const own = board.port.startsWith('./');
  const folder = own ? resolve(dirname(path), board.port) : join(PORTS_FOLDER, board.port);
  const refuse = (field: string, message: string): never => {
    throw new FsvaeError('input', schemaProblems(path, [{ path: [field], message }]));
  };
  if (own) {
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
      refuse('port', `there is no folder ${board.port} beside this file`);
    if (!readdirSync(folder).some((name) => /\.[cS]$/.test(name)))
      refuse('port', `${board.port} holds no .c and no .S file`);
  } else if (!portNames().includes(board.port)) {
    refuse(
      'port',
      `there is no port "${board.port}", only ${portNames().join(', ')}; ` +
        `a port of your own is a folder beside this file: "./${board.port}"`,
    );
  }
  if (board.boot2 !== null && !existsSync(join(folder, board.boot2)))
    refuse('boot2', `there is no ${board.boot2} in the port ${board.port}`);
  return own ? { ...board, port: folder } : board;
}

/**
 * A board by its name, or by the path of a description of one's own.
 *
 * @throws FsvaeError `usage` for a name that does not exist, with the nearest ones; `input` for a file with errors, all
 *   of them, each with its path in the file
 */
export function loadBoard(nameOrPath: string): Board {
  const path = pathOf(nameOrPath);
  return withPort(parseBoard(readDescription(path), path), path);
}
