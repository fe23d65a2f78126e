/** Board descriptions: data that is checked before anything relies on it. docs/boards.md explains every field. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { FsvaeError } from '../runtime-ts/errors.js';

const address = z
  .string()
  .regex(/^0x[0-9a-f]{1,8}$/, 'must be a hexadecimal address such as "0x10000000"')
  .transform((text) => Number.parseInt(text, 16));

const region = z.strictObject({ origin: address, bytes: z.int().positive().max(2 ** 30) });

const flags = z.array(z.string().regex(/^-\S+$/, 'must be one compiler flag without blanks')).max(32);

const schema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be lower-case letters, digits and dashes'),
  title: z.string().min(1).max(64),
  core: z.string().min(1).max(32),
  /** Cycles a second; 0 where the board counts nanoseconds. */
  clockHz: z.int().nonnegative(),
  /** null: a program of the machine's own operating system, without a memory map. */
  memory: z
    .strictObject({ flash: region, ram: region, stackBytes: z.int().min(1024).max(2 ** 20) })
    .nullable(),
  link: z.strictObject({ kind: z.enum(['uart', 'pty']), baud: z.int().positive(), text: z.string().min(1).max(120) }),
  /** null: nothing but an ELF file is made. */
  uf2: z.strictObject({ familyId: address }).nullable(),
  /** Second-stage boot code that the chip's ROM checks: the port's source file for it. null: none. */
  boot2: z.string().regex(/^[a-z0-9_]+\.S$/).nullable(),
  /** Folder in firmware-templates/ports/. */
  port: z.string().regex(/^[a-z0-9_]+$/, 'must be the name of a folder in firmware-templates/ports/'),
  compilers: z.strictObject({
    gcc: z.strictObject({ program: z.string().min(1).max(64), flags }).nullable(),
    zig: z.strictObject({ target: z.string().min(1).max(64), flags }).nullable(),
  }),
  emulator: z.enum(['rp2040js']).nullable(),
  flashing: z.string().min(1).max(400),
});

/** One board. Sizes in bytes, addresses as numbers. */
export type Board = z.infer<typeof schema>;

const FOLDER = (() => {
  // Compiled code lies in dist/boards/, the descriptions in boards/ at the package's root.
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'boards');
})();

/** Names of the boards that come with the package. */
export function boardNames(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

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

/**
 * A board by its name, or by the path of a description of one's own.
 *
 * @throws FsvaeError `usage` for a name that does not exist, with the nearest ones; `input` for a file with errors, all
 *   of them, each with its path in the file
 */
export function loadBoard(nameOrPath: string): Board {
  const isPath = nameOrPath.includes('/') || nameOrPath.includes('\\') || nameOrPath.endsWith('.json');
  const path = isPath ? nameOrPath : join(FOLDER, `${nameOrPath}.json`);
  if (!isPath && !boardNames().includes(nameOrPath)) {
    const near = boardNames()
      .map((name) => ({ name, distance: editDistance(name, nameOrPath.toLowerCase()) }))
      .filter(({ name, distance }) => distance <= Math.max(2, name.length / 2))
      .sort((a, b) => a.distance - b.distance);
    const offer = near.length > 0 ? `did you mean ${near.map(({ name }) => name).join(' or ')}?` : 'there is';
    throw new FsvaeError(
      'usage',
      `no board "${nameOrPath}": ${offer} ${near.length > 0 ? 'All boards' : 'only'}: ${boardNames().join(', ')}; ` +
        'or give the path of a board file (docs/boards.md)',
    );
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new FsvaeError('usage', `board file ${path} cannot be read`);
  }
  return parseBoard(text, path);
}

/** @param where named in errors */
export function parseBoard(text: string, where: string): Board {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FsvaeError('input', `${where} is not JSON: ${(error as Error).message}`);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top)'}: ${issue.message}`);
    throw new FsvaeError('input', `${where} has ${problems.length} error(s): ${problems.join('; ')}`);
  }
  return parsed.data;
}
