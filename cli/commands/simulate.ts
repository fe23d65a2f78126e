/** `fsvae-codegen simulate`: the built firmware in its emulator. */

import type { Command } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { buildFor, describeModel } from '../build.js';
import { draw } from '../draw.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, type DrawFlags, type ReportFlags, withBuild, withDraw, withReport } from '../options.js';
import { writeReport } from '../report.js';
import { expectedModel, startBuild } from '../targets.js';
import type { Output } from '../terminal.js';

type SimulateFlags = BuildFlags & DrawFlags & ReportFlags;

async function simulate(output: Output, flags: SimulateFlags): Promise<void> {
  const board = loadBoard(flags.board);
  const loaded = loadModel(flags);
  const talk = output.talker(flags);
  talk(describeModel(loaded));
  const { plan, build } = await buildFor(output, board, flags, loaded, talk);
  talk(
    board.memory === null
      ? `starting ${build.programPath}`
      : `starting ${board.title} in the emulator, from ${build.image?.uf2Path ?? build.programPath}`,
  );
  const { report } = flags;
  const note = (line: string): void => output.note(line);
  const target = await startBuild(board, build, expectedModel(plan), note, report !== undefined);
  try {
    talk(`${target.name}: hello, it runs model ${loaded.name} and its weights are whole`);
    await draw(output, target, new GoldenModel(loaded.model), flags, async ({ images, exact, text }) => {
      if (report === undefined) return;
      const measured = await target.layerCycles?.();
      writeReport(output, report, loaded, {
        command: `fsvae-codegen simulate --board ${flags.board} --model ${flags.model} --images ${flags.images} --seed ${flags.seed}`,
        built: { plan, board, image: build.image },
        drawn: {
          by: board.emulator === null ? board.title : `${board.title}, emulated`,
          images,
          firstSeed: flags.seed,
        },
        verdict: { exact: exact === true, text },
        ...(measured === undefined ? {} : { measured }),
      });
    });
  } finally {
    await target.close();
  }
}

export function simulateCommand(program: Command, output: Output): void {
  withReport(withDraw(withBuild(program.command('simulate'), 'defaulted'), 16))
    .description(
      'Builds, starts the board in its emulator, and streams images from it, each compared with the golden model.',
    )
    .option('--png <file>', 'write a picture of all images')
    .action((flags: SimulateFlags) => simulate(output, flags));
}
