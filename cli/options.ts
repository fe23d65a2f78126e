/** Options that several commands have in common: how they are read and what they mean. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CompilerChoice } from '../codegen/image/toolchain.js';
import { DEFAULT_MODEL, type ModelOptions } from './load-model.js';

export interface BuildFlags extends ModelOptions {
  readonly board: string;
  readonly out?: string;
  readonly compiler: CompilerChoice;
  readonly weights?: 'incbin' | 'array';
  readonly parts?: Parts;
  /** undefined: 8. */
  readonly encoderBits?: string;
}

/** What goes on a board: prior and decoder, or encoder and posterior as well. */
export type Parts = 'generate' | 'full';

export interface DrawFlags {
  readonly images: number;
  readonly seed: bigint;
  readonly png?: string;
  readonly json?: boolean;
}

/** Of commands that can put what they found into a file for a browser. */
export interface ReportFlags {
  readonly report?: string;
}

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1_000_000) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 1000000.');
  }
  return value;
}

/** A 64-bit seed, decimal or 0x hexadecimal. */
export function seed(text: string): bigint {
  if (!/^(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text) || BigInt(text) >> 64n !== 0n) {
    throw new InvalidArgumentError('It must be a number from 0 to 2^64 - 1, decimal or 0x hexadecimal.');
  }
  return BigInt(text);
}

export function realNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

export function withModel(command: Command): Command {
  return command
    .option('-m, --model <name|file>', 'shipped model, checkpoint (.pth, .safetensors) or integer model', DEFAULT_MODEL)
    .option('--bits <list>', 'weight bits of a checkpoint: 8, 4, or a list such as 8,prior=4 (default 8)')
    .option('--tau <number>', 'leak of the checkpoint, a multiple of 1/256 (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold of the checkpoint (default 0.2)', realNumber)
    .option(
      '--threshold-scale <list>',
      'fewer spikes above 1: thresholds times 0.25 to 4, or a list such as 1,decoder=1.1',
    );
}

export function withParts(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--parts <which>',
        'what goes on the board: generate (prior and decoder) or full (encoder and posterior too)',
      ).choices(['generate', 'full']),
    )
    .option('--encoder-bits <list>', 'weight bits of encoder and posterior, as --bits', '8');
}

export function withBuild(command: Command, board: 'required' | 'optional' | 'defaulted'): Command {
  const option = new Option('-b, --board <name|file>', 'board by name, or a board file');
  if (board === 'required') option.makeOptionMandatory();
  else if (board === 'defaulted') option.default('rp2040');
  command.addOption(option);
  return withParts(withModel(command))
    .option('-o, --out <folder>', 'where the project goes (default build/BOARD-MODEL)')
    .addOption(
      new Option('--compiler <kind>', 'which compiler').choices(['auto', 'gcc', 'clang', 'zig']).default('auto'),
    )
    .addOption(new Option('--weights <form>', 'how constants are written').choices(['incbin', 'array']));
}

export function withReport(command: Command): Command {
  return command.option('--report <file>', 'write what was found out as one HTML file');
}

export function seedOption(): Option {
  return new Option('-s, --seed <number>', 'first seed, 64 bits; the others follow it')
    .argParser(seed)
    .default(0n, '0');
}

export function withDraw(command: Command, images: number): Command {
  return command
    .option('-n, --images <count>', 'how many', positiveInteger, images)
    .addOption(seedOption())
    .option('--json', 'one JSON object on stdout');
}
