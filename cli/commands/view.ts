/** `fsvae-codegen view`: the page with a board of this machine behind it. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { readPage, servePage } from '../../harness/page-server.js';
import { openSerial } from '../../harness/serial.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { buildFor, describeModel } from '../build.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, positiveInteger, withBuild } from '../options.js';
import { pageData } from '../page-data.js';
import { startBoard } from '../targets.js';
import type { Output } from '../terminal.js';

interface ViewFlags extends BuildFlags {
  readonly port?: string;
  readonly simulate?: boolean;
  readonly baud: number;
  readonly listenPort: number;
  readonly open: boolean;
}

function tcpPort(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535) throw new InvalidArgumentError('It must be a number from 0 to 65535.');
  return value;
}

/** Hands an address to the user's browser. Where there is none, the address has been printed. */
function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url]
        : ['xdg-open', url];
  spawn(command, args, { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}

async function view(output: Output, flags: ViewFlags): Promise<void> {
  if ((flags.port === undefined) === (flags.simulate !== true)) {
    throw new FsvaeError('usage', 'view needs either --port PATH, or --simulate with --board NAME');
  }
  const page = readPage(join(PACKAGE_ROOT, 'dist-playground'));
  const board = loadBoard(flags.board);
  const loaded = loadModel(flags);
  const talk = (line: string): void => output.say(line);
  talk(describeModel(loaded));
  let path = flags.port;
  let title = `Board on ${path}`;
  let end = (): Promise<void> => Promise.resolve();
  if (path === undefined) {
    const { build } = await buildFor(output, board, flags, loaded, talk);
    const running = await startBoard(board, build, true);
    path = running.path;
    title = board.emulator === null ? board.title : `${board.title}, emulated`;
    end = () => running.close();
  }
  try {
    const link = await openSerial(path, flags.port === undefined ? board.link.baud : flags.baud);
    try {
      const files = new Map([...page, ...pageData({ loaded, live: { port: path, title } })]);
      const server = await servePage({ files, board: link, port: flags.listenPort });
      talk(`${title}: ${server.url}`);
      talk('The address is for this machine alone. Ctrl-C ends it.');
      if (flags.open) openBrowser(server.url);
      const interrupted = new Promise<'interrupted'>((resolve) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'));
      });
      const why = await Promise.race([interrupted, server.boardGone]);
      await server.close();
      if (why !== 'interrupted') {
        throw new FsvaeError('link', `${path} is closed: the board was unplugged or reset, or its process ended`);
      }
    } finally {
      await link.close();
    }
  } finally {
    await end();
  }
}

export function viewCommand(program: Command, output: Output): void {
  withBuild(program.command('view'), 'defaulted')
    .description('Shows in a browser what a board draws, beside the golden model: images, spikes, cycles, memory.')
    .option('-p, --port <path>', 'serial port of the board')
    .option('--simulate', 'build for --board and use its emulator instead')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--listen-port <number>', 'TCP port on the loopback address; 0: any that is free', tcpPort, 0)
    .option('--no-open', 'only print the address')
    .action((flags: ViewFlags) => view(output, flags));
}
