/** `fsvae-codegen boards`: a table of the boards, or the description of one. */

import type { Command } from 'commander';
import { type Board, boardText, listBoards } from '../../boards/board.js';
import { imageTime } from '../../boards/image-time.js';
import { boardHolds } from '../../codegen/project.js';
import { shippedSizes } from '../../codegen/shipped-sizes.js';
import type { Output } from '../terminal.js';

/** Of the models that come with the package, the largest that the board holds is told. */
function describe(board: Board, models: ReturnType<typeof shippedSizes>) {
  const held = Object.keys(models).find((name) => boardHolds(models[name], board));
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
    holds: held ?? null,
    image: (held !== undefined && imageTime(board, held)) || null,
  };
}

function boards(output: Output, name: string | undefined, flags: { json?: boolean }): void {
  if (name !== undefined) {
    output.say(boardText(name).trimEnd());
    return;
  }
  const models = shippedSizes();
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
  const table = [
    ['board', 'core', 'flash', 'RAM', 'emulator', 'formats', 'an image', 'link'],
    ...rows.map((row) => [
      row.name,
      row.core,
      kib(row.flash),
      kib(row.ram),
      row.emulator ?? '-',
      row.formats.join(','),
      time(row),
      row.link,
    ]),
  ];
  const widths = table[0].map((_, i) => Math.max(...table.map((cells) => cells[i].length)) + 2);
  for (const cells of table)
    output.say(
      cells
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('')
        .trimEnd(),
    );
  output.say('* instructions that QEMU counts for the core, at one a cycle of the clock, without waits for flash');
}

export function boardsCommand(program: Command, output: Output): void {
  program
    .command('boards')
    .description(
      'Lists the boards: core, memory, project formats, link, and how long an image takes; or prints the description of one.',
    )
    .argument('[name]', 'print the description of this board, for one of your own to begin with (docs/boards.md)')
    .option('--json', 'an array of objects on stdout')
    .action((name: string | undefined, flags: { json?: boolean }) => {
      boards(output, name, flags);
    });
}
