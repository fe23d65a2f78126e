/** `fsvae-codegen boards`: a table of the boards. */

import type { Command } from 'commander';
import { listBoards } from '../../boards/board.js';
import type { Output } from '../terminal.js';

function boards(output: Output, flags: { json?: boolean }): void {
  const rows = listBoards().map((board) => ({
    name: board.name,
    title: board.title,
    core: board.core,
    clockHz: board.clockHz,
    flash: board.memory?.flash.bytes ?? null,
    ram: board.memory?.ram.bytes ?? null,
    link: board.link.text,
    emulator: board.emulator,
  }));
  if (flags.json === true) {
    output.json(rows);
    return;
  }
  const kib = (bytes: number | null): string => (bytes === null ? '-' : `${bytes / 1024} KiB`);
  output.say(
    `${'board'.padEnd(12)}${'core'.padEnd(16)}${'flash'.padEnd(10)}${'RAM'.padEnd(10)}${'emulator'.padEnd(10)}link`,
  );
  for (const row of rows) {
    output.say(
      row.name.padEnd(12) +
        row.core.padEnd(16) +
        kib(row.flash).padEnd(10) +
        kib(row.ram).padEnd(10) +
        (row.emulator ?? '-').padEnd(10) +
        row.link,
    );
  }
}

export function boardsCommand(program: Command, output: Output): void {
  program
    .command('boards')
    .description('Lists the boards.')
    .option('--json', 'an array of objects on stdout')
    .action((flags: { json?: boolean }) => {
      boards(output, flags);
    });
}
