/**
 * Random models of every shape on each core that has kernels in assembly, the emulated RP2040's and QEMU's Cortex-M4 and
 * Cortex-M33, whose assembler is the same, and in plain C on RISC-V:
 * they select all of them, at sizes that no shipped model has, and the C twins beside them. Digests, images and what probes
 * show equal the golden model's.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { expectedModel, startBuild } from '../../cli/targets.js';
import { makePlan, type PlanOptions } from '../../codegen/plan/plan.js';
import { buildProject, writeProject } from '../../codegen/project.js';
import { verify } from '../../harness/verify.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { randomModel, type RandomModelShape, SHAPES, WIDE_PRIOR, WIDE_PRIOR_16 } from '../support/random-model.js';

const IMAGES = 32;

const CASES: readonly [string, RandomModelShape, PlanOptions][] = [
  ...Object.entries(SHAPES).map(([name, shape]): [string, RandomModelShape, PlanOptions] => [name, shape, {}]),
  ['rows cached in part, the rest read from two places', WIDE_PRIOR, { arenaRoomBytes: 52 * 1024 }],
  ['rows not cached', WIDE_PRIOR, { arenaRoomBytes: 0 }],
  [
    'blocks of sixteen: rows cached in part, the rest read from two places',
    WIDE_PRIOR_16,
    { arenaRoomBytes: 52 * 1024 },
  ],
  ['blocks of sixteen: rows not cached', WIDE_PRIOR_16, { arenaRoomBytes: 0 }],
];

// Without QEMU all but the first board's fail, with how to install it.
for (const boardName of ['rp2040', 'mps2-an386', 'mps2-an505', 'riscv32-virt']) {
  describe(`kernels on the emulated ${boardName}, models of every shape`, function () {
    this.timeout(120_000);
    const board = loadBoard(boardName);

    for (const [name, shape, options] of CASES) {
      it(name, async () => {
        const model = randomModel(41, shape);
        const golden = new GoldenModel(model);
        const plan = makePlan(model, 'random', options);
        const folder = mkdtempSync(join(tmpdir(), 'fsvae-kernels-'));
        try {
          const build = await buildProject(writeProject(plan, board, folder), { extraFlags: ['-Werror'] });
          expect(build.diagnostics).to.equal('');
          const target = await startBuild(board, build, expectedModel(plan), () => undefined);
          try {
            const result = await verify(target, golden, { firstSeed: 0n, count: IMAGES });
            expect(
              result.equal,
              JSON.stringify(result.mismatches, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)),
            ).to.equal(true);
            // A probe stops a layer at its step: kernels begin and end anywhere.
            const step = model.config.timeSteps >> 1;
            for (let row = 1; row < golden.layerNames.length; row++) {
              const count = Math.min(64, golden.layerNeurons[row]);
              const membranes = await target.membranes(0n, row, step, 0, count);
              const expected = Array.from({ length: count }, (_, n) => golden.membrane(0n, row, step, n).membrane);
              expect(Array.from(membranes), `membranes of ${golden.layerNames[row]}`).to.deep.equal(expected);
              const spikes = await target.spikes(0n, row, step);
              expect(crc32(spikes), `spikes of ${golden.layerNames[row]}`).to.equal(
                crc32(golden.spikes(0n, row, step)),
              );
            }
          } finally {
            await target.close();
          }
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
    }
  });
}
