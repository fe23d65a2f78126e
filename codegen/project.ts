/**
 * A whole project for a board, in one folder, and then its image. This is where plan, C and image meet; each of them
 * knows only what comes before it.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Board } from '../boards/board.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { Files } from './emit/emit.js';
import { compile, type CompilerChoice, findToolchain, type Toolchain } from './image/toolchain.js';
import { BUILD_FOLDER, type ImageFiles, writeImage } from './image/image.js';
import { PACKAGE_ROOT } from './package-root.js';
import { type Budget, refusal } from './plan/budget.js';
import type { Plan } from './plan/plan.js';
import { boardBudget, makeProjectFiles } from './project-files.js';
import { templatesWithPort } from './templates.js';

export { boardBudget, boardHolds, modelSizes, type ModelSizes, planFor } from './project-files.js';

export const GENERATOR_VERSION: string = (
  JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }
).version;

export interface ProjectOptions {
  /** How constants are written; undefined: an assembler file where the compiler takes one, else a C array. */
  readonly weights?: 'incbin' | 'array';
}

function defaultWeights(board: Board): 'incbin' | 'array' {
  // The assembler file knows the sections of ELF and WebAssembly, not those of macOS's and Windows' native programs.
  return board.core !== 'native' || process.platform === 'linux' ? 'incbin' : 'array';
}

/** All files of a project, by path in its folder. */
export function projectFiles(plan: Plan, board: Board, options: ProjectOptions = {}): Files {
  return makeProjectFiles(plan, board, templatesWithPort(board.port), {
    generatorVersion: GENERATOR_VERSION,
    weights: options.weights ?? defaultWeights(board),
  });
}

export interface Project {
  readonly folder: string;
  readonly files: Files;
  readonly board: Board;
  readonly budget: Budget | undefined;
}

/**
 * Writes a project, after the fit answer.
 *
 * @throws FsvaeError `fit` when the board cannot hold the model, before anything is written
 */
export function writeProject(plan: Plan, board: Board, folder: string, options: ProjectOptions = {}): Project {
  const budgeted = boardBudget(plan, board);
  if (budgeted?.fits === false) throw new FsvaeError('fit', refusal(budgeted));
  const files = projectFiles(plan, board, options);
  for (const [path, content] of files) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
  return { folder, files, board, budget: budgeted };
}

export interface BuildOptions {
  readonly compiler?: CompilerChoice;
  readonly optimisation?: string;
  readonly extraFlags?: readonly string[];
}

export interface Build {
  readonly toolchain: Toolchain;
  /** The linked program: an ELF file, a WebAssembly module, or for the host a program of its operating system. */
  readonly programPath: string;
  /** undefined for a board without memory. */
  readonly image: ImageFiles | undefined;
  /** What the compiler said; empty when silent. */
  readonly diagnostics: string;
}

function programName(board: Board): string {
  if (board.memory !== null) return 'fsvae.elf';
  return board.core.startsWith('wasm') ? 'fsvae.wasm' : 'fsvae';
}

/**
 * Compiles and links a written project, and makes its image.
 *
 * @throws FsvaeError `toolchain` without a compiler or with one that fails
 */
export async function buildProject(project: Project, options: BuildOptions = {}): Promise<Build> {
  const { board, folder, files } = project;
  const toolchain = findToolchain(board, options.compiler ?? 'auto');
  const output = join(BUILD_FOLDER, programName(board));
  const diagnostics = await compile({
    board,
    toolchain,
    folder,
    sources: [...files.keys()].filter((path) => /\.[cS]$/.test(path)),
    output,
    linkerScript: files.has('port/link.ld') ? 'port/link.ld' : undefined,
    ...(options.optimisation === undefined ? {} : { optimisation: options.optimisation }),
    ...(options.extraFlags === undefined ? {} : { extraFlags: options.extraFlags }),
  });
  const programPath = join(folder, output);
  return {
    toolchain,
    programPath,
    image: board.memory === null ? undefined : writeImage(programPath, board),
    diagnostics,
  };
}
