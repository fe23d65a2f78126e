/** The real serial application in front of the fake model, built for the host and run behind a real pseudo-terminal. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import {
  compileHost,
  hostCompilers,
  packageRoot,
  sanitizers,
  temporaryFolder,
  WARNINGS,
} from '../protocol/host-compiler.js';

const folder = temporaryFolder();
process.once('exit', folder.remove);

/** Builds the device, once for each set of macro definitions, and gives the program's path. */
export function buildDevice(defines: readonly string[] = []): string {
  const compiler = hostCompilers[0];
  const program = join(folder.path, createHash('sha256').update(defines.join(' ')).digest('hex').slice(0, 12));
  if (!existsSync(program)) {
    const app = join(packageRoot(), 'firmware-templates/app');
    const fixtures = join(packageRoot(), 'test/harness/fixtures');
    compileHost(compiler, [
      ...WARNINGS,
      ...sanitizers(compiler),
      ...defines.map((define) => `-D${define}`),
      `-I${fixtures}`,
      `-I${app}`,
      join(app, 'app.c'),
      join(app, 'frame.c'),
      join(fixtures, 'fsvae_fake.c'),
      join(fixtures, 'port.c'),
      '-o',
      program,
    ]);
  }
  return program;
}

export function startDevice(defines: readonly string[] = []): Promise<BoardProcess> {
  return startBoardProcess(buildDevice(defines), []);
}

/** Tests of the C application need a C compiler; without one they show as pending. */
export function describeWithCompiler(title: string, body: (this: Mocha.Suite) => void): void {
  if (hostCompilers.length > 0 && process.platform !== 'win32') describe(title, body);
  else describe.skip(title, body);
}
