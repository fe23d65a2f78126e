/** `fsvae-codegen stream`: images from a board on a serial port. */

import type { Command } from 'commander';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { draw } from '../draw.js';
import { loadModel, type ModelOptions } from '../load-model.js';
import { type DrawFlags, positiveInteger, withDraw, withModel } from '../options.js';
import { expectedAnywhere, openPort, portPath } from '../targets.js';
import type { Output } from '../terminal.js';

interface StreamFlags extends ModelOptions, DrawFlags {
  readonly port: string;
  readonly baud: number;
  readonly compare: boolean;
}

async function stream(output: Output, flags: StreamFlags): Promise<void> {
  const loaded = flags.compare ? loadModel(flags) : undefined;
  const expected = loaded === undefined ? undefined : expectedAnywhere(loaded);
  const note = (line: string): void => output.note(line);
  const target = await openPort(await portPath(flags.port, note), flags.baud, expected, note);
  try {
    await draw(output, target, loaded === undefined ? undefined : new GoldenModel(loaded.model), flags);
  } finally {
    await target.close();
  }
}

export function streamCommand(program: Command, output: Output): void {
  withDraw(withModel(program.command('stream')), 16)
    .description('Streams images from a board, each compared with the golden model.')
    .requiredOption('-p, --port <path>', 'serial port of the board; auto finds it by its USB ids')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--no-compare', 'only draw; whatever model the board runs')
    .option('--png <file>', 'write a picture of all images')
    .action((flags) => stream(output, flags as StreamFlags));
}
