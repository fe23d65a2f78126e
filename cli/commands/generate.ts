/** `fsvae-codegen generate`: C and firmware of a model for a board. What happens without a subcommand. */

import type { Command } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { buildFor, describeModel } from '../build.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, withBuild } from '../options.js';
import type { Output } from '../terminal.js';

async function generate(output: Output, flags: BuildFlags & { json?: boolean }): Promise<void> {
  const board = loadBoard(flags.board); // before the model is read: a wrong name costs no wait
  const loaded = loadModel(flags);
  const talk = output.talker(flags);
  talk(describeModel(loaded));
  const { plan, project, build } = await buildFor(output, board, flags, loaded, talk);
  if (flags.json === true) {
    output.json({
      board: board.name,
      model: { name: loaded.name, hash: plan.modelHash },
      folder: project.folder,
      program: build.programPath,
      uf2: build.image?.uf2Path ?? null,
      bin: build.image?.binPath ?? null,
      compiler: build.toolchain.version,
      budget: project.budget ?? null,
      flashUsed: build.image?.flashUsed ?? null,
      ramUsed: build.image?.ramUsed ?? null,
    });
    return;
  }
  output.say(build.image?.uf2Path ?? build.programPath);
  output.say(
    board.flashing
      .replaceAll('FILE.uf2', build.image?.uf2Path ?? '')
      .replaceAll('FILE.elf', build.programPath)
      .replaceAll('FILE.bin', build.image?.binPath ?? ''),
  );
  if (board.emulator !== null)
    output.say(`Try it without a board: fsvae-codegen simulate --board ${board.name} --model ${flags.model}`);
  else if (board.memory === null)
    output.say(`Try it: fsvae-codegen simulate --board ${board.name} --model ${flags.model}`);
}

/** @param examples ends the help, which is the whole program's too */
export function generateCommand(program: Command, output: Output, examples: string): void {
  withBuild(program.command('generate', { isDefault: true }), 'required')
    .summary('generate C and build firmware; this is what happens without a subcommand')
    .description('Generates the C project of a model for a board, and builds it.')
    .option('--json', 'one JSON object on stdout')
    .addHelpText('after', examples)
    .action((flags: BuildFlags & { json?: boolean }) => generate(output, flags));
}
