/** Getting an image onto a board: which way, what it takes, and doing it. */

import { readFileSync, writeFileSync } from 'node:fs';
import type { Board, Flasher } from '../boards/board.js';
import { encodeIntelHex } from '../codegen/image/ihex.js';
import { decodeUf2 } from '../codegen/image/uf2.js';
import { boardPorts, type PortDescription, touch } from '../harness/serial.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { type BootDrive, copyToDrive, driveAt, driveFolders, findDrives, isDriveOf, unmountedHint } from './drive.js';
import { sleep } from './sleep.js';
import { commandLine, findTool, installHint, runTool } from './tool.js';

/** Paths of what was built; a tool that wants one that is not there is refused. */
export interface ImagePaths {
  readonly uf2?: string | undefined;
  readonly elf?: string | undefined;
  readonly bin?: string | undefined;
}

export interface FlashOptions {
  /** `drive`, or a tool's name; undefined: the board's first that can be used. */
  readonly method?: string | undefined;
  /** Folder of the boot drive; undefined: it is looked for. */
  readonly drive?: string | undefined;
  /** Serial port of the running board; undefined: looked for by the board's USB ids. */
  readonly port?: string | undefined;
  /** How long a boot drive is waited for, in milliseconds. */
  readonly waitMs: number;
  readonly dryRun?: boolean;
  /** false: a running board is left alone until somebody else brings its drive. */
  readonly touch?: boolean;
  /** Of a tool, in milliseconds. */
  readonly toolMs?: number;
  /** A line for people: each step and each command before it is done. */
  readonly say: (line: string) => void;
  /** Bytes written to a drive. */
  readonly onProgress?: (written: number, total: number) => void;
  /** What a tool says. */
  readonly onOutput?: (text: string) => void;
  /** Of the system; tests give their own. */
  readonly path?: string;
  readonly driveFolders?: () => string[];
  readonly listPorts?: () => Promise<PortDescription[]>;
  readonly leaveMs?: number;
}

/** `drive`, or the tool's name. */
export function methodName(flasher: Flasher): string {
  return flasher.kind === 'drive' ? 'drive' : flasher.tool;
}

/**
 * Which way an image goes onto a board.
 *
 * @throws FsvaeError `usage` when the board does not take the method asked for; `flash` when no tool is installed, with how
 *   to install each
 */
export function chooseFlasher(board: Board, method: string | undefined, path: string, hasDrive: boolean): Flasher {
  const { flashers } = board;
  if (flashers.length === 0) {
    const what = board.memory === null ? 'it runs on this machine' : 'its description has no flashers';
    throw new FsvaeError('usage', `${board.name} cannot be flashed: ${what}; ${board.flashing}`);
  }
  const wanted = method ?? (hasDrive ? 'drive' : undefined);
  if (wanted !== undefined) {
    const found = flashers.find((flasher) => methodName(flasher) === wanted);
    if (found === undefined) {
      const all = flashers.map(methodName).join(', ');
      throw new FsvaeError('usage', `${board.name} is not flashed by "${wanted}": there is ${all}`);
    }
    if (found.kind === 'tool' && findTool(found.tool, path) === undefined) {
      throw new FsvaeError('flash', `${installHint(found.tool)}, which --method ${wanted} needs`);
    }
    return found;
  }
  const usable = flashers.find((flasher) => flasher.kind === 'drive' || findTool(flasher.tool, path) !== undefined);
  if (usable !== undefined) return usable;
  const hints = flashers.flatMap((flasher) => (flasher.kind === 'tool' ? [installHint(flasher.tool)] : []));
  throw new FsvaeError('flash', `no tool to flash ${board.name} with: ${hints.join('; ')}; one of them is enough`);
}

/** Arguments with the paths in place of FILE.* and PORT. Makes the HEX file where one is wanted. */
function toolArguments(
  board: Board,
  flasher: Extract<Flasher, { kind: 'tool' }>,
  image: ImagePaths,
  port: string | undefined,
): string[] {
  const need = (what: string, path: string | undefined, instead: string): string => {
    if (path === undefined) throw new FsvaeError('usage', `${flasher.tool} needs ${what}: ${instead}`);
    // Its arguments are a script, where these mean something.
    if (flasher.tool === 'openocd' && /[{}[\]$"\\]/.test(path)) {
      throw new FsvaeError(
        'usage',
        `openocd cannot be given the path ${path}: move it to one without brackets and quotes`,
      );
    }
    return path;
  };
  const hexPath = (): string => {
    const bin = need('a .bin file, to make a .hex file of', image.bin, 'build with --board instead of --image');
    const path = bin.replace(/\.bin$/, '') + '.hex';
    writeFileSync(path, encodeIntelHex(readFileSync(bin), board.memory!.flash.origin));
    return path;
  };
  const built = 'build with --board, or give one by --image';
  return flasher.arguments.map((argument) =>
    argument.replace(/FILE\.(uf2|elf|bin|hex)|PORT/g, (name) => {
      if (name === 'PORT') return need('the serial port', port, 'give it by --port');
      if (name === 'FILE.hex') return hexPath();
      return need(`a .${name.slice(5)} file`, image[name.slice(5) as keyof ImagePaths], built);
    }),
  );
}

/** The UF2 file, once it is known to be whole and for this board's chip and flash. */
function readUf2(board: Board, path: string | undefined): Uint8Array {
  if (path === undefined) throw new FsvaeError('usage', `a boot drive needs a .uf2 file: give one by --image`);
  const file = readFileSync(path);
  const { familyId, address } = decodeUf2(file, path);
  if (board.uf2 !== null && familyId !== board.uf2.familyId) {
    const hex = (value: number): string => `0x${value.toString(16)}`;
    throw new FsvaeError(
      'input',
      `${path} is for family ${hex(familyId)}; ${board.name} is ${hex(board.uf2.familyId)}`,
    );
  }
  if (board.memory !== null && address < board.memory.flash.origin) {
    throw new FsvaeError('input', `${path} begins at 0x${address.toString(16)}, below the flash of ${board.name}`);
  }
  return file;
}

function describe({ path, boardId, model }: BootDrive): string {
  return `${path} (${[boardId, model].filter(Boolean).join(', ') || 'no name'})`;
}

/** The port of a running board that is asked into its boot loader; undefined: none is known for sure. */
async function portToTouch(board: Board, options: FlashOptions): Promise<string | undefined> {
  if (options.port !== undefined) return options.port;
  const { usb } = board.link;
  if (usb === null) return undefined;
  const ports = await boardPorts([{ name: board.name, ...usb }], options.listPorts).catch(() => []);
  // Of several, one may be somebody else's: it is not for this program to restart it.
  if (ports.length > 1) {
    options.say(
      `${ports.map(({ path }) => path).join(' and ')} may be the board: name one by --port to have it restarted`,
    );
  }
  return ports.length === 1 ? ports[0].path : undefined;
}

async function flashDrive(
  board: Board,
  flasher: Extract<Flasher, { kind: 'drive' }>,
  image: ImagePaths,
  options: FlashOptions,
): Promise<void> {
  const file = readUf2(board, image.uf2);
  const name = flasher.ids.join(' or ');
  const look = (): BootDrive[] => {
    if (options.drive === undefined) return findDrives((options.driveFolders ?? driveFolders)());
    const drive = driveAt(options.drive);
    return drive === undefined ? [] : [drive];
  };
  const own = (): BootDrive | undefined => {
    const drives = look().filter((drive) => isDriveOf(drive, flasher.ids));
    if (drives.length > 1) {
      throw new FsvaeError(
        'flash',
        `several boards wait for an image: ${drives.map(describe).join('; ')}: name one by --drive`,
      );
    }
    return drives[0];
  };
  let drive = own();
  const port = drive === undefined && options.touch !== false ? await portToTouch(board, options) : undefined;
  if (port !== undefined) options.say(`close ${port} at 1200 baud: the board restarts into its boot loader`);
  const copy = `copy ${image.uf2} to ${drive?.path ?? options.drive ?? `the drive ${name}`}`;
  if (options.dryRun === true) {
    if (drive === undefined && port === undefined) options.say(`wait for the drive ${name}: ${board.flashing}`);
    options.say(copy);
    return;
  }
  if (port !== undefined) await touch(port);
  if (drive === undefined) {
    options.say(
      `waiting up to ${options.waitMs / 1000} s for the drive ${name}` +
        (port === undefined ? `; ${board.flashing.replaceAll('FILE.uf2', image.uf2!)}` : ''),
    );
    const end = performance.now() + options.waitMs;
    while (drive === undefined && performance.now() < end) {
      await sleep(100);
      drive = own();
    }
  }
  if (drive === undefined) {
    const others = look();
    const seen = others.length === 0 ? '' : `; there is ${others.map(describe).join(' and ')}, of another board`;
    const ways = board.flashers.map(methodName).filter((method) => method !== 'drive');
    const instead = ways.length === 0 ? '' : `; or use --method ${ways.join(' or ')}`;
    throw new FsvaeError(
      'flash',
      `no drive ${name} within ${options.waitMs / 1000} s${seen}${unmountedHint(flasher.ids)}: start the board's boot loader ` +
        `(on a Pico hold BOOTSEL while plugging it in) and try again${instead}`,
    );
  }
  options.say(copy.replace(`the drive ${name}`, drive.path));
  await copyToDrive(drive, file, {
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    ...(options.leaveMs === undefined ? {} : { leaveMs: options.leaveMs }),
  });
  options.say('the board has taken the image and starts it');
}

/**
 * Puts an image onto a board.
 *
 * @returns the method used
 * @throws FsvaeError `usage`, `input`, `flash` or `link`, each with what to do
 */
export async function flash(board: Board, image: ImagePaths, options: FlashOptions): Promise<string> {
  const path = options.path ?? process.env['PATH'] ?? '';
  const flasher = chooseFlasher(board, options.method, path, options.drive !== undefined);
  if (flasher.kind === 'drive') {
    await flashDrive(board, flasher, image, options);
  } else {
    const program = findTool(flasher.tool, path)!;
    const port = flasher.arguments.some((argument) => argument.includes('PORT'))
      ? await portToTouch(board, options)
      : undefined;
    const args = toolArguments(board, flasher, image, port);
    options.say(`$ ${commandLine(program, args)}`);
    if (options.dryRun !== true) {
      await runTool(program, args, options.onOutput ?? (() => undefined), options.toolMs ?? 300_000);
    }
  }
  return methodName(flasher);
}
