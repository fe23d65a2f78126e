/**
 * `npm run bench:boards`: what an image costs each core that an emulator runs, written to boards/measured/images.json, from
 * which `fsvae-codegen boards` tells how long an image takes. The file is checked in: look at what changed before you do.
 * Given names of boards (`npm run bench:boards -- mps2-an505`), it measures these and keeps what the file has of the others.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBoard } from '../boards/board.js';
import { type ImageCount, imageCounts } from '../boards/image-time.js';
import { loadModel } from '../cli/load-model.js';
import { expectedModel, startBuild } from '../cli/targets.js';
import { PACKAGE_ROOT } from '../codegen/package-root.js';
import { buildProject, planFor, writeProject } from '../codegen/project.js';
import { crc32 } from '../runtime-ts/crc32.js';
import { GoldenModel } from '../runtime-ts/golden.js';

const SEEDS = 4;
const MODELS = ['mnist', 'mnist-small', 'tiny'];
/** One board for each core, with memory for any model. */
const BOARDS = ['rp2040', 'mps2-an386', 'mps2-an500', 'mps2-an505', 'riscv32-virt'];

const folder = mkdtempSync(join(tmpdir(), 'fsvae-bench-boards-'));
const named = process.argv.slice(2);
const measured = BOARDS.filter((name) => named.length === 0 || named.includes(name));
const images: ImageCount[] = imageCounts().filter(({ board }) => !measured.includes(board));
try {
  for (const name of measured) {
    const board = loadBoard(name);
    for (const modelName of MODELS) {
      const { model } = loadModel({ model: modelName });
      const golden = new GoldenModel(model);
      const plan = planFor(model, modelName, board);
      const build = await buildProject(writeProject(plan, board, join(folder, name, modelName)), { compiler: 'gcc' });
      const target = await startBuild(board, build, expectedModel(plan), () => undefined);
      let count = 0n;
      try {
        for (let seed = 0n; seed < SEEDS; seed++) {
          const { image, cycles } = await target.sample(seed);
          if (crc32(image) !== crc32(golden.sample(seed)))
            throw new Error(`seed ${seed} of ${modelName} differs on ${name}: the figures would mean nothing`);
          count += cycles!;
        }
      } finally {
        await target.close();
      }
      images.push({
        core: board.core,
        model: modelName,
        unit: board.counter,
        count: Math.round(Number(count) / SEEDS),
        board: name,
      });
      process.stderr.write(`${name}, ${modelName}: ${images.at(-1)!.count} ${board.counter} an image\n`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
images.sort((a, b) => BOARDS.indexOf(a.board) - BOARDS.indexOf(b.board));
const path = join(PACKAGE_ROOT, 'boards/measured/images.json');
writeFileSync(path, `${JSON.stringify({ compiler: 'gcc', seeds: SEEDS, images }, undefined, 2)}\n`);
process.stderr.write(`${path} written, ${readFileSync(path).length} bytes\n`);
