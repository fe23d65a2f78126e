/** `fsvae-codegen simulate`: the built firmware in its emulator. */

import type { Command } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { buildFor, describeModel } from '../build.js';
import { draw } from '../draw.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, type DrawFlags, withBuild, withDraw } from '../options.js';
import { expectedModel, startBuild } from '../targets.js';
import type { Output } from '../terminal.js';

async function simulate(output: Output, flags: BuildFlags & DrawFlags): Promise<void> {
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
  const target = await startBuild(board, build, expectedModel(plan), (line) => output.note(line));
  try {
    talk(`${target.name}: hello, it runs model ${loaded.name} and its weights are whole`);
    await draw(output, target, new GoldenModel(loaded.model), flags);
  } finally {
    await target.close();
  }
}

export function simulateCommand(program: Command, output: Output): void {
  withDraw(withBuild(program.command('simulate'), 'defaulted'), 16)
    .description(
      'Builds, starts the board in its emulator, and streams images from it, each compared with the golden model.',
    )
    .option('--png <file>', 'write a picture of all images')
    .action((flags: BuildFlags & DrawFlags) => simulate(output, flags));
}
