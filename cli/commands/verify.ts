/** `fsvae-codegen verify`: every spike of a board against the golden model. */

import type { Command } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { startProgress } from '../../harness/progress.js';
import type { Target } from '../../harness/target.js';
import { formatVerifyResult, verify, verifyResultJson } from '../../harness/verify.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { buildFor } from '../build.js';
import { loadModel } from '../load-model.js';
import { type BuildFlags, type DrawFlags, positiveInteger, withBuild, withDraw } from '../options.js';
import { expectedAnywhere, expectedModel, openPort, portPath, startBuild } from '../targets.js';
import type { Output } from '../terminal.js';

interface VerifyFlags extends BuildFlags, DrawFlags {
  readonly port?: string;
  readonly simulate?: boolean;
  readonly baud: number;
  readonly keepGoing?: boolean;
}

async function verifyTarget(output: Output, flags: VerifyFlags): Promise<void> {
  if ((flags.port === undefined) === (flags.simulate !== true)) {
    throw new FsvaeError('usage', 'verify needs either --port PATH, or --simulate with --board NAME');
  }
  const board = loadBoard(flags.board);
  const loaded = loadModel(flags);
  const golden = new GoldenModel(loaded.model);
  const talk = output.talker(flags);
  let target: Target;
  if (flags.port !== undefined) {
    const expected = expectedAnywhere(loaded);
    const note = (line: string): void => output.note(line);
    target = await openPort(await portPath(flags.port, note), flags.baud, expected, note);
  } else {
    const { plan, build } = await buildFor(output, board, flags, loaded, talk);
    target = await startBuild(board, build, expectedModel(plan), (line) => output.note(line));
  }
  const progress = startProgress({ stream: output.stderr, label: 'seeds', total: flags.images });
  try {
    const result = await verify(target, golden, {
      firstSeed: flags.seed,
      count: flags.images,
      keepGoing: flags.keepGoing === true,
      onProgress: (done, mismatches) => progress.update(done, mismatches === 0 ? 'equal' : `${mismatches} mismatches`),
    });
    progress.stop();
    output.say(flags.json === true ? verifyResultJson(result) : formatVerifyResult(result));
    if (!result.equal) throw new FsvaeError('mismatch', `${target.name} does not give the golden model's bits`);
  } finally {
    progress.stop();
    await target.close();
  }
}

export function verifyCommand(program: Command, output: Output): void {
  withDraw(withBuild(program.command('verify'), 'defaulted'), 16)
    .description('Compares digests of every spike; on a difference, finds the first wrong layer, step and neuron.')
    .option('-p, --port <path>', 'serial port of the board; auto finds it by its USB ids')
    .option('--simulate', 'build for --board and use its emulator instead')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--keep-going', 'go on after the first difference')
    .action((flags: VerifyFlags) => verifyTarget(output, flags));
}
