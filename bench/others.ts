/** The figures beside those of the RP2040: the Cortex-M4 in QEMU, the golden model, a whole verification. */

import { join } from 'node:path';
import { loadBoard } from '../boards/board.js';
import { run } from '../cli/program.js';
import { expectedModel, startBuild } from '../cli/targets.js';
import type { CompilerChoice } from '../codegen/image/toolchain.js';
import type { Plan } from '../codegen/plan/plan.js';
import { buildProject, writeProject } from '../codegen/project.js';
import { requireQemu } from '../emulator/qemu.js';
import { startProgress } from '../harness/progress.js';
import { crc32 } from '../runtime-ts/crc32.js';
import type { GoldenModel } from '../runtime-ts/golden.js';
import { type BenchResult, spread } from './result.js';

/** As many as show the spread. */
const M4_SEEDS = 8;
const GOLDEN_IMAGES = 16;
const VERIFY_IMAGES = 16;

export function qemuInstalled(): boolean {
  try {
    requireQemu();
    return true;
  } catch {
    return false;
  }
}

/** What the port of mps2-an386 counts are instructions (docs/boards.md). */
export async function measureCortexM4(
  plan: Plan,
  golden: GoldenModel,
  compiler: CompilerChoice,
  folder: string,
): Promise<BenchResult['cortexM4']> {
  const board = loadBoard('mps2-an386');
  const build = await buildProject(writeProject(plan, board, folder), { compiler });
  const target = await startBuild(board, build, expectedModel(plan), () => undefined);
  const instructions: number[] = [];
  const progress = startProgress({ stream: process.stderr, label: 'images on the Cortex-M4', total: M4_SEEDS });
  try {
    for (let seed = 0n; seed < M4_SEEDS; seed++) {
      const { image, cycles } = await target.sample(seed);
      if (crc32(image) !== crc32(golden.sample(seed)))
        throw new Error(`seed ${seed} differs on the Cortex-M4: the figures would mean nothing`);
      instructions.push(Number(cycles));
      progress.update(instructions.length);
    }
  } finally {
    progress.stop();
    await target.close();
  }
  return { instructionsPerImage: spread(instructions), seeds: M4_SEEDS };
}

/** By processor time, so that other programs on the machine count little; the best of five rounds. */
export function measureGolden(golden: GoldenModel): BenchResult['golden'] {
  const rounds = [1, 2, 3, 4, 5].map(() => {
    const start = process.cpuUsage();
    for (let seed = 0n; seed < GOLDEN_IMAGES; seed++) golden.sample(seed);
    const { user, system } = process.cpuUsage(start);
    return (1e6 * GOLDEN_IMAGES) / (user + system);
  });
  return { imagesPerSecond: Math.max(...rounds) };
}

/** The command as a user gives it, in this process: generate, build, start the emulator, compare every spike. */
export async function measureVerify(
  model: string,
  compiler: CompilerChoice,
  folder: string,
): Promise<BenchResult['verify']> {
  const said: string[] = [];
  const sink = { write: (text: string) => said.push(text) > 0 } as unknown as NodeJS.WriteStream;
  const where = ['--board', 'rp2040', '--compiler', compiler, '--out', join(folder, 'verified')];
  const start = performance.now();
  const code = await run(['verify', '--simulate', ...where, '--model', model, '--images', String(VERIFY_IMAGES)], {
    stdout: sink,
    stderr: sink,
    env: {},
  });
  const seconds = (performance.now() - start) / 1000;
  if (code !== 0) throw new Error(`verify ended with exit code ${code}: ${said.join('').trimEnd()}`);
  return { images: VERIFY_IMAGES, seconds };
}
