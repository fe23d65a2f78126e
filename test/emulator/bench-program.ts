/** Builds the test program with a board's real port: a whole project whose application is replaced. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Board, loadBoard } from '../../boards/board.js';
import { type ImageFiles, writeImage } from '../../codegen/image/image.js';
import { compile, type CompilerChoice, findToolchain, type Toolchain } from '../../codegen/image/toolchain.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { projectFiles } from '../../codegen/project.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { writeFiles } from '../support/host-library.js';
import { randomModel, TINY_SHAPE } from '../support/random-model.js';

export interface BenchProgram {
  readonly toolchain: Toolchain;
  readonly folder: string;
  readonly programPath: string;
  /** What the compiler said. */
  readonly diagnostics: string;
}

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** @throws FsvaeError `toolchain` when the compiler is not installed */
export async function buildBenchProgram(
  board: Board,
  compiler: CompilerChoice,
  source = 'bench.c',
  extraFlags: readonly string[] = [],
): Promise<BenchProgram> {
  const toolchain = findToolchain(board, compiler);
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-bench-'));
  folders.push(folder);
  const files = projectFiles(makePlan(randomModel(1, TINY_SHAPE), 'bench'), board);
  for (const path of [...files.keys()]) if (path.startsWith('app/') && path.endsWith('.c')) files.delete(path);
  files.set('app/bench.c', readFileSync(join(PACKAGE_ROOT, 'test/emulator/fixtures', source)));
  writeFiles(folder, files);
  const output = board.memory === null ? 'bench' : 'bench.elf';
  const diagnostics = await compile({
    board,
    toolchain,
    folder,
    sources: [...files.keys()].filter((path) => /\.[cS]$/.test(path)),
    output,
    linkerScript: files.has('port/link.ld') ? 'port/link.ld' : undefined,
    extraFlags,
  });
  return { toolchain, folder, programPath: join(folder, output), diagnostics };
}

export type BenchImage = BenchProgram & { readonly image: ImageFiles };

/** A test program as a Pico takes it. */
export async function buildBenchImage(compiler: CompilerChoice, source = 'bench.c'): Promise<BenchImage> {
  const board = loadBoard('rp2040');
  const program = await buildBenchProgram(board, compiler, source);
  return { ...program, image: writeImage(program.programPath, board) };
}

/** Leaves the tests of a suite pending where a compiler is not installed. */
export function skipWithoutCompiler(context: Mocha.Context, board: string, compiler: CompilerChoice): void {
  try {
    findToolchain(loadBoard(board), compiler);
  } catch (error) {
    if (!(error instanceof FsvaeError && error.kind === 'toolchain')) throw error;
    context.skip();
  }
}
