/** The board that takes part in encoding or reconstructing images, if one is asked for, and what of it runs there. */

import { type Command, Option } from 'commander';
import { type Board, loadBoard } from '../boards/board.js';
import { type EncoderPlan, planEncoder } from '../codegen/plan/encoder.js';
import { boardBudget, planFor } from '../codegen/project.js';
import type { TargetEncoder } from '../harness/target.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { buildFor } from './build.js';
import { type EncodeFlags, type LoadedEncoder, withImages } from './encoder.js';
import { type Parts, positiveInteger, withParts } from './options.js';
import { type BoardTarget, expectedAnywhere, expectedModel, openPort, portPath, startBuild } from './targets.js';
import type { Output } from './terminal.js';

export interface EncodingFlags extends EncodeFlags {
  readonly board: string;
  readonly simulate?: boolean;
  readonly port?: string;
  readonly baud: number;
  /** undefined: all that fits. */
  readonly parts?: Parts;
  readonly json?: boolean;
}

/** A board, and its encoder where that is to be used. */
export interface EncodingTarget {
  readonly target: BoardTarget;
  readonly encoder: TargetEncoder | undefined;
}

/** The options of commands that encode images, here or on a board. */
export function withEncodingTarget(command: Command): Command {
  return withParts(withImages(command))
    .option('-b, --board <name|file>', 'with --simulate: which board', 'rp2040')
    .option('--simulate', 'with the board in its emulator')
    .option('-p, --port <path>', 'with the board on this serial port; auto finds it by its USB ids')
    .addOption(new Option('--baud <rate>', 'bits a second').argParser(positiveInteger).default(115_200));
}

/** The encoder that an emulated board gets: as was asked for, else if it fits. */
function encoderFor(
  output: Output,
  { parts }: EncodingFlags,
  { loaded, golden }: LoadedEncoder,
  board: Board,
): EncoderPlan | undefined {
  if (parts === 'generate') return undefined;
  const plan = planEncoder(golden.encoder);
  if (parts === 'full') return plan;
  const whole = boardBudget(planFor(loaded.model, loaded.name, board, plan), board);
  if (whole === undefined || whole.fits) return plan;
  output.note(
    `encoder and posterior do not fit ${board.name} beside the rest, so images are encoded here: ` +
      whole.remedies.filter((remedy) => !remedy.startsWith('--parts')).join(', or '),
  );
  return undefined;
}

/**
 * Opens the board that the flags name, emulated or real; undefined where none is asked for.
 *
 * @throws FsvaeError `usage` for flags that exclude each other; `fit` for an encoder that was asked for and does not fit;
 *   `model-mismatch` for a board without the encoder that was asked for
 */
export async function openEncodingTarget(
  output: Output,
  flags: EncodingFlags,
  encoder: LoadedEncoder,
): Promise<EncodingTarget | undefined> {
  if (flags.port !== undefined && flags.simulate === true) {
    throw new FsvaeError('usage', '--port and --simulate exclude each other');
  }
  const note = (line: string): void => output.note(line);
  const { loaded, golden } = encoder;
  if (flags.port !== undefined) {
    const plan = flags.parts === 'generate' ? undefined : planEncoder(golden.encoder);
    const path = await portPath(flags.port, note);
    const target = await openPort(path, flags.baud, expectedAnywhere(loaded, plan), note);
    if (plan === undefined) return { target, encoder: undefined };
    if (target.encoder !== undefined) return { target, encoder: target.encoder };
    if (flags.parts === 'full') {
      await target.close();
      throw new FsvaeError(
        'model-mismatch',
        `the board on ${path} has no encoder: fsvae-codegen flash --board ${target.hello.board} --model ${flags.model} --parts full puts it there`,
      );
    }
    note(`the board on ${path} has no encoder, so images are encoded here; flash it with --parts full to have it`);
    return { target, encoder: undefined };
  }
  if (flags.simulate !== true) return undefined;
  const board = loadBoard(flags.board);
  const onBoard = encoderFor(output, flags, encoder, board);
  const { plan, build } = await buildFor(
    output,
    board,
    { ...flags, board: board.name, compiler: 'auto' },
    loaded,
    output.talker(flags),
    onBoard,
  );
  const target = await startBuild(board, build, expectedModel(plan), note);
  return { target, encoder: target.encoder };
}
