/** `fsvae-codegen flash`: an image onto a board, and proof that it is there. */

import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { type Board, loadBoard } from '../../boards/board.js';
import { flash, type ImagePaths, methodName } from '../../flashing/flash.js';
import { startProgress } from '../../harness/progress.js';
import { boardPorts } from '../../harness/serial.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { buildFor, describeModel } from '../build.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, positiveInteger, withBuild } from '../options.js';
import { expectedAnywhere, type ExpectedModel, expectedModel, openPort } from '../targets.js';
import type { Output } from '../terminal.js';

interface FlashFlags extends BuildFlags {
  readonly image?: string;
  readonly method?: string;
  readonly drive?: string;
  readonly port?: string;
  readonly baud: number;
  readonly wait: number;
  readonly verify?: boolean;
  readonly dryRun?: boolean;
  readonly touch: boolean;
  readonly json?: boolean;
}

/** What is to be flashed, and what a board that runs it says; undefined where nobody told which model an image holds. */
interface ToFlash {
  readonly image: ImagePaths;
  readonly expected: ExpectedModel | undefined;
}

async function toFlash(output: Output, board: Board, flags: FlashFlags, modelGiven: boolean): Promise<ToFlash> {
  if (flags.image !== undefined) {
    const kind = /\.(uf2|elf|bin)$/i.exec(flags.image)?.[1].toLowerCase();
    if (kind === undefined)
      throw new FsvaeError('usage', `--image takes a .uf2, .elf or .bin file, not ${flags.image}`);
    if (!existsSync(flags.image)) throw new FsvaeError('usage', `image ${flags.image} does not exist`);
    const expected = modelGiven ? expectedAnywhere(loadModel(flags)) : undefined;
    return { image: { [kind]: flags.image }, expected };
  }
  const loaded = loadModel(flags);
  const talk = output.talker(flags);
  talk(describeModel(loaded));
  const { plan, build } = await buildFor(output, board, flags, loaded, talk);
  const { image, programPath } = build;
  return { image: { uf2: image?.uf2Path, bin: image?.binPath, elf: programPath }, expected: expectedModel(plan) };
}

/**
 * Waits for the flashed board and asks who it is.
 *
 * @throws FsvaeError `model-mismatch` when it runs something else; `link` when it is not there in time, saying why
 */
async function verifyFlashed(
  output: Output,
  board: Board,
  flags: FlashFlags,
  expected: ExpectedModel | undefined,
): Promise<string> {
  const end = performance.now() + 1000 * flags.wait;
  const { usb } = board.link;
  let last = new FsvaeError('link', `no port of ${board.name} within ${flags.wait} s: name it by --port`);
  do {
    let path = flags.port === 'auto' ? undefined : flags.port;
    if (path === undefined && usb !== null) {
      const ports = await boardPorts([{ name: board.name, ...usb }]);
      if (ports.length > 1) {
        const all = ports.map((port) => port.path).join(' and ');
        throw new FsvaeError('link', `${all} may be the board that was flashed: name one by --port to verify it`);
      }
      path = ports[0]?.path;
    }
    if (path !== undefined) {
      try {
        const left = Math.max(1000, end - performance.now());
        const target = await openPort(path, flags.baud, expected, (line) => output.note(line), left);
        await target.close();
        return path;
      } catch (error) {
        // It is still starting: there is no port yet, or nobody behind it.
        if (!(error instanceof FsvaeError) || error.kind !== 'link') throw error;
        last = error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  } while (performance.now() < end);
  throw last;
}

async function flashBoard(output: Output, flags: FlashFlags, modelGiven: boolean): Promise<void> {
  const board = loadBoard(flags.board);
  if (flags.verify === true && board.link.usb === null && (flags.port === undefined || flags.port === 'auto')) {
    throw new FsvaeError('usage', `--verify needs --port PATH: ${board.name} has no USB ids to find its port by`);
  }
  // Before anything is built: a method that the board does not have costs no wait.
  const methods = board.flashers.map(methodName);
  if (flags.method !== undefined && methods.length > 0 && !methods.includes(flags.method)) {
    throw new FsvaeError('usage', `${board.name} is not flashed by "${flags.method}": there is ${methods.join(', ')}`);
  }
  const { image, expected } = await toFlash(output, board, flags, modelGiven);
  let progress: ReturnType<typeof startProgress> | undefined;
  let method: string;
  try {
    method = await flash(board, image, {
      method: flags.method,
      drive: flags.drive,
      port: flags.port === 'auto' ? undefined : flags.port,
      waitMs: 1000 * flags.wait,
      dryRun: flags.dryRun === true,
      touch: flags.touch,
      say: output.talker(flags),
      onOutput: (text) => void output.stderr.write(text),
      onProgress: (written, total) => {
        progress ??= startProgress({ stream: output.stderr, label: 'bytes', total });
        progress.update(written);
      },
    });
  } finally {
    progress?.stop();
  }
  let verified: string | null = null;
  if (flags.verify === true && flags.dryRun !== true) {
    verified = await verifyFlashed(output, board, flags, expected);
    if (flags.json !== true) {
      const what =
        expected === undefined ? 'a board answers' : `the board runs ${expected.name}, its constants are whole`;
      output.say(`${verified}: ${what}`);
    }
  }
  if (flags.json === true) {
    output.json({
      board: board.name,
      method,
      dryRun: flags.dryRun === true,
      image: { uf2: image.uf2 ?? null, elf: image.elf ?? null, bin: image.bin ?? null },
      verified,
      model: expected === undefined ? null : { name: expected.name, hash: expected.hash },
    });
  }
}

export function flashCommand(program: Command, output: Output): void {
  withBuild(program.command('flash'), 'required')
    .description('Builds an image and puts it onto a board: by its boot drive, or by a tool that is installed.')
    .option('--image <file>', 'flash this .uf2, .elf or .bin instead of building')
    .option('--method <name>', "drive, or a tool of the board's (default: the first that can be used)")
    .option('--drive <folder>', 'where the boot drive is mounted (default: found by its INFO_UF2.TXT)')
    .option('-p, --port <path>', 'serial port of the board; auto finds it by its USB ids', 'auto')
    .option('--baud <rate>', 'bits a second, for --verify', positiveInteger, 115_200)
    .option('--wait <seconds>', 'how long a drive, and then the board, is waited for', positiveInteger, 60)
    .option('--no-touch', 'do not restart a running board by 1200 baud; wait for its drive')
    .option('--verify', 'afterwards ask the board for the hash of its model and the checksum of its constants')
    .option('--dry-run', 'show what would be done, and do not')
    .option('--json', 'one JSON object on stdout')
    .action((flags: FlashFlags, command: Command) =>
      flashBoard(output, flags, command.getOptionValueSource('model') !== 'default'),
    );
}
