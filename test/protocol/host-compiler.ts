/** The machine's own C compilers, for tests that run the firmware's portable sources on the host. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the package: compiled tests lie elsewhere than their sources and fixtures. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name === 'fsvae-codegen') return folder;
    const parent = dirname(folder);
    if (parent === folder) throw new Error('the tests lie outside of the package');
    folder = parent;
  }
}

/** Those of gcc and clang that are installed. */
export const hostCompilers: readonly string[] = ['gcc', 'clang'].filter(
  (compiler) => spawnSync(compiler, ['--version']).status === 0,
);

export const WARNINGS = ['-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-Wconversion'];

/** Flags of a build in which memory errors and undefined behaviour end the program. */
export function sanitizers(compiler: string): readonly string[] {
  const full = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  const probe = spawnSync(compiler, [...full, '-x', 'c', '-', '-o', '/dev/null'], {
    input: 'int main(void){return 0;}',
  });
  // Without the sanitizers' run-time libraries (a package of its own in some systems), undefined behaviour still traps.
  return probe.status === 0 ? full : ['-g', '-O2', '-fsanitize=undefined', '-fsanitize-trap=all'];
}

/** Runs a compiler in the package's folder; its diagnostics become the test's failure. */
export function compileHost(compiler: string, args: readonly string[]): void {
  execFileSync(compiler, args, { cwd: packageRoot(), stdio: 'pipe' });
}

/** A folder for build products, and how to be rid of it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'fsvae-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
