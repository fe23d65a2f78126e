/** `fsvae-codegen generate`: C and firmware of a model for a board. What happens without a subcommand. */

import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { type Format, FORMATS, writeFormat } from '../../codegen/formats.js';
import { formatBudget } from '../../codegen/plan/budget.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { planFor } from '../../codegen/project.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { buildFor, describeModel } from '../build.js';
import { encoderPlanFor } from '../encoder.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, type ReportFlags, withBuild, withReport } from '../options.js';
import { writeReport } from '../report.js';
import type { Output } from '../terminal.js';

type GenerateFlags = Omit<BuildFlags, 'board'> &
  ReportFlags & {
    readonly board?: string;
    readonly format: 'bare' | Format;
    readonly json?: boolean;
  };

/** A project with the board's port, built at once. */
async function generateBare(output: Output, flags: BuildFlags & ReportFlags & { json?: boolean }): Promise<void> {
  const board = loadBoard(flags.board); // before the model is read: a wrong name costs no wait
  const loaded = loadModel(flags);
  const talk = output.talker(flags);
  talk(describeModel(loaded));
  const { plan, project, build } = await buildFor(output, board, flags, loaded, talk);
  if (flags.report !== undefined) {
    writeReport(output, flags.report, loaded, {
      command: `fsvae-codegen --board ${flags.board} --model ${flags.model}`,
      built: { plan, board, image: build.image },
    });
  }
  if (flags.json === true) {
    output.json({
      board: board.name,
      format: 'bare',
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

/** A project for a build system of the user's. A board is needed for the fit answer alone. */
function generateFormat(output: Output, flags: GenerateFlags & { readonly format: Format }): void {
  const board = flags.board === undefined ? undefined : loadBoard(flags.board);
  const loaded = loadModel(flags);
  const talk = output.talker(flags);
  talk(describeModel(loaded));
  const { model, name } = loaded;
  const encoder = encoderPlanFor(loaded, flags);
  const plan = board === undefined ? makePlan(model, name, { encoder }) : planFor(model, name, board, encoder);
  const folder = flags.out ?? join('build', `${flags.format}-${loaded.name}`);
  const options = flags.weights === undefined ? {} : { weights: flags.weights };
  const { files, budget } = writeFormat(plan, board, flags.format, folder, options);
  if (budget !== undefined) talk(`fit on ${board!.title}:\n${formatBudget(budget)}`);
  talk(`wrote ${files.size} files to ${folder}`);
  if (flags.report !== undefined) {
    const command = `fsvae-codegen --format ${flags.format} --model ${flags.model}`;
    const built = board === undefined ? {} : { built: { plan, board, image: undefined } };
    writeReport(output, flags.report, loaded, { command, ...built });
  }
  if (flags.json === true) {
    output.json({
      board: board?.name ?? null,
      format: flags.format,
      model: { name: loaded.name, hash: plan.modelHash },
      folder,
      files: [...files.keys()],
      budget: budget ?? null,
    });
    return;
  }
  output.say(`How to build it: ${join(folder, 'README.md')}`);
}

async function generate(output: Output, flags: GenerateFlags): Promise<void> {
  const { board, format } = flags;
  if (format !== 'bare') {
    generateFormat(output, { ...flags, format });
    return;
  }
  if (board === undefined) {
    throw new FsvaeError('usage', "required option '-b, --board <name|file>' not specified; see fsvae-codegen --help");
  }
  await generateBare(output, { ...flags, board });
}

/** @param examples ends the help, which is the whole program's too */
export function generateCommand(program: Command, output: Output, examples: string): void {
  withReport(withBuild(program.command('generate', { isDefault: true }), 'optional'))
    .summary('generate C and build firmware; this is what happens without a subcommand')
    .description(
      "Generates the C project of a model for a board, and builds it; or a project for another build system's.",
    )
    .addOption(
      new Option('--format <kind>', 'bare is built here for --board; the others are for a build system of yours')
        .choices(['bare', ...FORMATS])
        .default('bare'),
    )
    .option('--json', 'one JSON object on stdout')
    .addHelpText('after', examples)
    .action((flags: GenerateFlags) => generate(output, flags));
}
