/** Builds the generated library with the test driver on this machine, and reads what the driver prints. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Files, emitLibrary } from '../../codegen/emit/emit.js';
import { packageTemplates } from '../../codegen/templates.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import type { Plan } from '../../codegen/plan/plan.js';

export const WARNINGS = [
  '-std=c99',
  '-Wall',
  '-Wextra',
  '-Wpedantic',
  '-Werror',
  '-Wconversion',
  '-Wshadow',
  '-Wstrict-prototypes',
  '-Wmissing-prototypes',
];

export function writeFiles(folder: string, files: Files): void {
  for (const [path, content] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

export function compilerExists(compiler: string): boolean {
  return spawnSync(compiler, ['--version']).status === 0;
}

/** A folder with the generated library in it. */
export function writeLibrary(plan: Plan, weights: 'incbin' | 'array' = 'array'): string {
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-library-'));
  writeFiles(folder, emitLibrary(plan, packageTemplates(), { generatorVersion: 'test', weights }));
  return folder;
}

/** Compiles library and driver; throws with the compiler's words if it says anything at all. */
export function buildDriver(folder: string, compiler: string, flags: readonly string[]): string {
  const program = join(folder, `driver${[compiler, ...flags].join('').replace(/[^A-Za-z0-9]/g, '_')}`);
  const weights = readdirSync(folder).filter((name) => /_weights\.[cS]$/.test(name));
  const run = spawnSync(
    compiler,
    [...WARNINGS, ...flags, '-I.', '-o', program, join(PACKAGE_ROOT, 'test/codegen/driver.c'), 'fsvae.c', ...weights],
    { cwd: folder, encoding: 'utf8' },
  );
  if (run.status !== 0 || run.stderr !== '') throw new Error(`${compiler} ${flags.join(' ')}:\n${run.stderr}`);
  return program;
}

export function runDriver(program: string, first: bigint, count: number, what: string, input?: Uint8Array): Uint8Array {
  return execFileSync(program, [String(first), String(count), what], { maxBuffer: 2 ** 30, input: input ?? '' });
}

/** Position and both values of the first difference, or '' (deep equality of megabytes says less and takes longer). */
export function firstDifference(actual: Uint8Array, expected: Uint8Array): string {
  if (actual.length !== expected.length) return `length ${actual.length} instead of ${expected.length}`;
  const at = actual.findIndex((value, i) => value !== expected[i]);
  return at < 0 ? '' : `byte ${at} is ${actual[at]} instead of ${expected[at]}`;
}
