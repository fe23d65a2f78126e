/** `fsvae-codegen ports`: the serial ports, and what may be on them. */

import type { Command } from 'commander';
import { listBoards } from '../../boards/board.js';
import { boardsAt, listPorts } from '../../harness/serial.js';
import type { Output } from '../terminal.js';

async function ports(output: Output, flags: { json?: boolean }): Promise<void> {
  const known = listBoards().flatMap(({ name, link }) => (link.usb === null ? [] : [{ name, ...link.usb }]));
  const ports = (await listPorts()).map((port) => ({ ...port, boards: boardsAt(port, known) }));
  if (flags.json === true) output.json(ports);
  else if (ports.length === 0) output.say('no serial ports');
  else
    for (const { boards, ...port } of ports) {
      const mark = boards.length === 0 ? [] : [`may be ${boards.join(' or ')}`];
      output.say([...Object.values(port).filter(Boolean), ...mark].join('  '));
    }
}

export function portsCommand(program: Command, output: Output): void {
  program
    .command('ports')
    .description('Lists the serial ports.')
    .option('--json', 'an array of objects on stdout')
    .action((flags: { json?: boolean }) => ports(output, flags));
}
