/** `fsvae-codegen ports`: the serial ports, what may be on them, and who has them open. */

import type { Command } from 'commander';
import { formatHolders, portHolders } from '../../harness/port-holder.js';
import { boardsAt, listPorts } from '../../harness/serial.js';
import { usbBoards } from '../targets.js';
import type { Output } from '../terminal.js';

async function ports(output: Output, flags: { json?: boolean }): Promise<void> {
  const known = usbBoards();
  const ports = await Promise.all(
    (await listPorts()).map(async (port) => ({
      ...port,
      boards: boardsAt(port, known),
      // null: this system does not tell.
      holders: (await portHolders(port.path).catch(() => undefined)) ?? null,
    })),
  );
  if (flags.json === true) output.json(ports);
  else if (ports.length === 0) output.say('no serial ports');
  else {
    for (const { boards, holders, ...port } of ports) {
      const marks = boards.length === 0 ? [] : [`may be ${boards.join(' or ')}`];
      if (holders !== null && holders.length > 0) marks.push(`open in ${formatHolders(holders)}`);
      output.say([...Object.values(port).filter(Boolean), ...marks].join('  '));
    }
    if (process.platform === 'win32') output.say('Windows does not tell which program has a port open');
  }
}

export function portsCommand(program: Command, output: Output): void {
  program
    .command('ports')
    .description('Lists the serial ports, what may be on them, and who has them open.')
    .option('--json', 'an array of objects on stdout')
    .action((flags: { json?: boolean }) => ports(output, flags));
}
