/** `fsvae-codegen boards`: a table of the boards, or the description of one. */

import type { Command } from 'commander';
import { type Board, boardText, listBoards } from '../../boards/board.js';
import { imageTime } from '../../boards/image-time.js';
import { boardBudget, planFor } from '../../codegen/project.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { loadModel } from '../load-model.js';
import type { Output } from '../terminal.js';

/** Models that come with the package; of a board's the first one that it holds is told. */
const MODELS = ['mnist', 'mnist-small', 'tiny'];

function describe(board: Board, models: readonly { name: string; model: IntegerModel }[]) {
  const held = models.find(({ name, model }) => boardBudget(planFor(model, name, board), board)?.fits !== false);
  return {
    name: board.name,
    title: board.title,
    core: board.core,
    clockHz: board.clockHz,
    flash: board.memory?.flash.bytes ?? null,
    ram: board.memory?.ram.bytes ?? null,
    link: board.link.text,
    formats: board.formats,
    emulator: board.emulator,
    holds: held?.name ?? null,
    image: (held && imageTime(board, held.name)) ?? null,
  };
}

function boards(output: Output, name: string | undefined, flags: { json?: boolean }): void {
  if (name !== undefined) {
    output.say(boardText(name).trimEnd());
    return;
  }
  const models = MODELS.map((name) => ({ name, model: loadModel({ model: name }).model }));
  const rows = listBoards().map((board) => describe(board, models));
  if (flags.json === true) {
    output.json(rows);
    return;
  }
  const kib = (bytes: number | null): string => (bytes === null ? '-' : `${bytes / 1024} KiB`);
  const time = ({ image }: (typeof rows)[number]): string =>
    image === null
      ? '-'
      : `${image.model} ${Number((1000 * image.seconds).toPrecision(2))} ms${image.basis === 'predicted' ? ' *' : ''}`;
  const say = (...cells: [string, string, string, string, string, string, string, string]): void => {
    const widths = [18, 15, 10, 10, 11, 10, 22];
    output.say(cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(''));
  };
  say('board', 'core', 'flash', 'RAM', 'emulator', 'formats', 'an image', 'link');
  for (const row of rows) {
    say(
      row.name,
      row.core,
      kib(row.flash),
      kib(row.ram),
      row.emulator ?? '-',
      row.formats.join(','),
      time(row),
      row.link,
    );
  }
  output.say('* instructions that QEMU counts for the core, at one a cycle of the clock, without waits for flash');
}

export function boardsCommand(program: Command, output: Output): void {
  program
    .command('boards')
    .description('Lists the boards: core, memory, link, and how long an image takes; or prints the description of one.')
    .argument('[name]', 'print the description of this board, for one of your own to begin with (docs/boards.md)')
    .option('--json', 'an array of objects on stdout')
    .action((name: string | undefined, flags: { json?: boolean }) => {
      boards(output, name, flags);
    });
}
