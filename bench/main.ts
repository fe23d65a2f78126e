/**
 * `npm run bench`: the shipped full-size model, its goals and what they are met by.
 *
 *   npm run bench                     tables, and the difference to the baseline
 *   npm run bench -- --json           one JSON object (bench/result.ts says what is in it)
 *   npm run bench -- --markdown       the README's tables
 *   npm run bench -- --seeds 8        fewer seeds
 *   npm run bench -- --layers         the RP2040's part alone, for work on kernels
 *   npm run bench -- --baseline       write bench/baseline.json anew
 *
 * Cycles are deterministic: the same build and seeds give the same numbers, so any difference is a change of code or
 * compiler. The median is a goal's figure where seeds differ.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { loadBoard } from '../boards/board.js';
import { loadModel } from '../cli/load-model.js';
import type { CompilerChoice } from '../codegen/image/toolchain.js';
import { PACKAGE_ROOT } from '../codegen/package-root.js';
import { makePlan } from '../codegen/plan/plan.js';
import { buildProject, writeProject } from '../codegen/project.js';
import { QEMU } from '../emulator/qemu.js';
import { GoldenModel } from '../runtime-ts/golden.js';
import { formatDifference, formatMarkdown, formatText } from './format.js';
import { type Figures, judge } from './goals.js';
import { measureCortexM4, measureGolden, measureVerify, qemuInstalled } from './others.js';
import type { Baseline, BenchResult } from './result.js';
import { measureRp2040, ONE_CORE_FLAG } from './rp2040.js';

const MODEL = 'mnist';
const BASELINE = join(PACKAGE_ROOT, 'bench/baseline.json');

function timed<T>(work: () => T): [T, number] {
  const start = performance.now();
  const result = work();
  return [result, (performance.now() - start) / 1000];
}

async function measure(compiler: CompilerChoice, seeds: number, layersAlone: boolean): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-bench-'));
  try {
    const [{ model, name }, quantizeSeconds] = timed(() => loadModel({ model: MODEL }));
    const golden = new GoldenModel(model);
    const plan = makePlan(model, name);
    const board = loadBoard('rp2040');
    const [project, generateSeconds] = timed(() => writeProject(plan, board, join(folder, 'int8')));
    const start = performance.now();
    const build = await buildProject(project, { compiler });
    const buildSeconds = (performance.now() - start) / 1000;
    const oneCore = writeProject(plan, board, join(folder, 'one-core'));
    const one = await buildProject(oneCore, { compiler, extraFlags: [ONE_CORE_FLAG] });
    const rp2040 = await measureRp2040(plan, { one, both: build }, golden, seeds);

    const int4Plan = makePlan(loadModel({ model: MODEL, bits: '4' }).model, name);
    const int4 = await buildProject(writeProject(int4Plan, board, join(folder, 'int4')), { compiler });
    const missing = new Map<string, string>();
    const m4 = !layersAlone && qemuInstalled();
    if (!layersAlone && !m4) missing.set('cortexM4.instructionsPerImage.median', `${QEMU} not installed`);
    const figures: Figures = {
      compiler: build.toolchain.version,
      seeds,
      rp2040,
      cortexM4: m4 ? await measureCortexM4(plan, golden, compiler, join(folder, 'm4')) : null,
      int4: { flashBytes: int4.image!.flashUsed, ramBytes: int4.image!.ramUsed },
      verify: layersAlone ? null : await measureVerify(MODEL, compiler, folder),
      golden: measureGolden(golden),
      toolchain: { quantizeSeconds, generateSeconds, buildSeconds },
    };
    return { ...figures, goals: judge(figures, missing) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readBaseline(): Baseline | undefined {
  try {
    return JSON.parse(readFileSync(BASELINE, 'utf8')) as Baseline;
  } catch {
    return undefined;
  }
}

function seedCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 10_000) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 10000.');
  }
  return count;
}

const program = new Command('bench')
  .addOption(new Option('--compiler <kind>', 'for both boards').choices(['auto', 'gcc', 'zig']).default('gcc'))
  .option('--seeds <count>', 'how many images on the RP2040', seedCount, 32)
  .option('--layers', "the RP2040's part alone")
  .addOption(new Option('--json', 'one JSON object').conflicts('markdown'))
  .option('--markdown', "the README's tables")
  .addOption(new Option('--baseline', 'write the baseline anew').conflicts('layers'));
program.parse();
const flags = program.opts<{
  compiler: CompilerChoice;
  seeds: number;
  layers?: boolean;
  json?: boolean;
  markdown?: boolean;
  baseline?: boolean;
}>();
const result = await measure(flags.compiler, flags.seeds, flags.layers === true);
if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
else if (flags.markdown === true) process.stdout.write(`${formatMarkdown(result)}\n`);
else process.stdout.write(`${formatText(result)}\n${formatDifference(result, readBaseline())}\n`);
if (flags.baseline === true) {
  const { compiler, seeds, rp2040, cortexM4, int4 } = result;
  writeFileSync(BASELINE, `${JSON.stringify({ compiler, seeds, rp2040, cortexM4, int4 }, null, 2)}\n`);
}
