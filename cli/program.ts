/** The command line: its commands, and what becomes of errors: one line on stderr and an exit code, never a stack trace. */

import { Command, CommanderError } from 'commander';
import { GENERATOR_VERSION } from '../codegen/project.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { anomalyCommand } from './commands/anomaly.js';
import { boardsCommand } from './commands/boards.js';
import { certificateCommand } from './commands/certificate.js';
import { checkCommand } from './commands/check.js';
import { convertCommand } from './commands/convert.js';
import { decodeCommand } from './commands/decode.js';
import { encodeCommand } from './commands/encode.js';
import { evalCommand } from './commands/eval.js';
import { flashCommand } from './commands/flash.js';
import { generateCommand } from './commands/generate.js';
import { inspectCommand } from './commands/inspect.js';
import { portsCommand } from './commands/ports.js';
import { quantizeCommand } from './commands/quantize.js';
import { reconstructCommand } from './commands/reconstruct.js';
import { sampleCommand } from './commands/sample.js';
import { simulateCommand } from './commands/simulate.js';
import { streamCommand } from './commands/stream.js';
import { sweepCommand } from './commands/sweep.js';
import { trainCommand } from './commands/train.js';
import { verifyCommand } from './commands/verify.js';
import { viewCommand } from './commands/view.js';
import { EXIT_CODES } from './exit-codes.js';
import { Output, type Terminal } from './terminal.js';

const EXAMPLES = `
Examples:
  fsvae-codegen --board rp2040                          generate C, build firmware for a Raspberry Pi Pico
  fsvae-codegen flash --board rp2040 --verify           put it onto the board, and ask the board what it runs
  fsvae-codegen --format arduino --model mnist          a library for another build system
  fsvae-codegen simulate --board rp2040 --images 16     draw with the emulated Pico, compare every bit
  fsvae-codegen stream --port /dev/ttyACM0              draw with a real one
  fsvae-codegen verify --port /dev/ttyACM0 --images 64  compare every spike; on a difference, name the neuron
  fsvae-codegen quantize my.pth --bits prior=4 -o my.int.safetensors
  fsvae-codegen reconstruct images/ --simulate          images through encoder and decoder, on the emulated Pico
  fsvae-codegen --board rp2040 -m my.pth --parts full   encoder and posterior on the board, too
  fsvae-codegen inspect my.pth --threshold-scale 1.05   fewer spikes: how many, and what an image then costs

Exit codes: 0 ok, 1 bits differ, 2 usage, 3 bad input file, 4 does not fit, 5 toolchain, 6 serial link,
            7 another model on the board, 8 the training diverged, 9 flashing failed, 70 a defect of this program
`;

/** @returns the program, without running it */
export function makeProgram(terminal: Terminal): Command {
  const output = new Output(terminal);
  const program = new Command('fsvae-codegen')
    .description('Puts a Fully Spiking VAE on a microcontroller, bit for bit like its golden model.')
    .version(GENERATOR_VERSION)
    .showHelpAfterError(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: () => undefined,
    })
    .addHelpText('after', EXAMPLES);

  // Their order is the help's: a board first, then models, then training, then what there is.
  generateCommand(program, output, EXAMPLES);
  flashCommand(program, output);
  simulateCommand(program, output);
  streamCommand(program, output);
  verifyCommand(program, output);
  viewCommand(program, output);
  certificateCommand(program, output);
  sampleCommand(program, output);
  encodeCommand(program, output);
  decodeCommand(program, output);
  reconstructCommand(program, output);
  anomalyCommand(program, output);
  quantizeCommand(program, output);
  inspectCommand(program, output);
  checkCommand(program, output);
  convertCommand(program, output);
  trainCommand(program, output);
  sweepCommand(program, output);
  evalCommand(program, output);
  boardsCommand(program, output);
  portsCommand(program, output);

  for (const command of program.commands.flatMap((outer) => [outer, ...outer.commands])) {
    command.exitOverride().showHelpAfterError(false);
    command.configureOutput({ writeOut: (text) => void terminal.stdout.write(text), writeErr: () => undefined });
  }
  return program;
}

/** One line, whatever it was. */
function oneLine(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

/** Writes one line about an error to stderr, of a shown help none. @returns the exit code */
export function failed(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    terminal.stderr.write(`fsvae-codegen: ${oneLine(error.message)}; see fsvae-codegen --help\n`);
    return EXIT_CODES.usage;
  }
  if (error instanceof FsvaeError) {
    terminal.stderr.write(`fsvae-codegen: ${oneLine(error.message)}\n`);
    return EXIT_CODES[error.kind];
  }
  const system = error as NodeJS.ErrnoException;
  if (typeof system.code === 'string' && system.syscall !== undefined) {
    terminal.stderr.write(`fsvae-codegen: cannot ${system.syscall} ${system.path ?? ''}: ${system.code}\n`);
    return EXIT_CODES.usage;
  }
  const text = error instanceof Error ? (terminal.env.FSVAE_DEBUG !== undefined ? error.stack : error.message) : error;
  terminal.stderr.write(
    `fsvae-codegen: a defect of this program: ${oneLine(String(text))}; set FSVAE_DEBUG=1 for where\n`,
  );
  return EXIT_CODES.internal;
}

/**
 * Runs a command line.
 *
 * @param args without node and program
 * @returns the exit code; every failure has written one line to stderr
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await makeProgram(terminal).parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    return failed(error, terminal);
  }
}
