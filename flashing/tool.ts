/** Programs of others that put an image onto a board: where they are, how to get them, and running them. */

import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { FlashTool } from '../boards/board.js';
import { FsvaeError } from '../runtime-ts/errors.js';

interface ToolFacts {
  /** What it is called, the usual name first. */
  readonly programs: readonly [string, ...string[]];
  readonly install: string;
}

const TOOLS: Readonly<Record<FlashTool, ToolFacts>> = {
  picotool: {
    programs: ['picotool'],
    install: 'brew install picotool, or picotool of the pico-sdk-tools releases by Raspberry Pi',
  },
  openocd: { programs: ['openocd'], install: 'apt-get install openocd, brew install open-ocd, or xPack OpenOCD' },
  'st-flash': { programs: ['st-flash'], install: 'apt-get install stlink-tools, brew install stlink' },
  'dfu-util': { programs: ['dfu-util'], install: 'apt-get install dfu-util, brew install dfu-util' },
  nrfutil: {
    programs: ['nrfutil'],
    install: "Nordic's nRF Util, then nrfutil install device",
  },
  'adafruit-nrfutil': { programs: ['adafruit-nrfutil'], install: 'pipx install adafruit-nrfutil' },
  esptool: { programs: ['esptool', 'esptool.py'], install: 'pipx install esptool, apt-get install esptool' },
  pyocd: { programs: ['pyocd'], install: 'pipx install pyocd' },
  'probe-rs': { programs: ['probe-rs'], install: 'cargo install probe-rs-tools' },
};

/** The first line of a failing tool that says what is wrong is mostly its last; no more is kept. */
const OUTPUT_BYTES = 8192;

/** Extensions that Windows starts. */
const EXTENSIONS = process.platform === 'win32' ? ['.exe', '.cmd', '.bat'] : [''];

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Path of a tool on PATH; undefined: it is not installed. */
export function findTool(tool: FlashTool, path: string): string | undefined {
  for (const folder of path.split(delimiter).filter((folder) => folder !== '')) {
    for (const program of TOOLS[tool].programs) {
      const found = EXTENSIONS.map((extension) => join(folder, program + extension)).find(isProgram);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

export function installHint(tool: FlashTool): string {
  return `${tool} is not installed (${TOOLS[tool].install})`;
}

/** A command as it would be typed, for a person to see and to repeat. */
export function commandLine(program: string, args: readonly string[]): string {
  const quote = (word: string): string =>
    /^[A-Za-z0-9_@%+=:,./\\-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  return [program, ...args].map(quote).join(' ');
}

/**
 * Runs a tool to its end.
 *
 * @param onOutput takes what it says, as it says it
 * @throws FsvaeError `flash` when it does not start, fails, or takes too long, with its last line
 */
export async function runTool(
  program: string,
  args: readonly string[],
  onOutput: (text: string) => void,
  limitMs: number,
): Promise<void> {
  const shown = commandLine(program, args);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
  let kept = '';
  const take = (data: Buffer): void => {
    const text = data.toString('utf8');
    kept = (kept + text).slice(-OUTPUT_BYTES);
    onOutput(text);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
    // A child of its own may hold on to what it says: nothing more is waited for.
    child.stdout.destroy();
    child.stderr.destroy();
  }, limitMs);
  const how = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code === 0 ? '' : (signal ?? `exit code ${code}`)));
  });
  clearTimeout(timer);
  if (how === '' && !late) return;
  const last = kept
    .replace(/[^\n -~]/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .at(-1);
  const reason = late ? `no end within ${limitMs / 1000} s` : how;
  throw new FsvaeError(
    'flash',
    `${shown} failed (${reason}): ${last?.slice(0, 200) ?? 'it said nothing'}; check the cable and the probe, then try again`,
  );
}
