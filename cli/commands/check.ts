/** `fsvae-codegen check`: a recorded run, reproduced. */

import type { Command } from 'commander';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { readNpz } from '../../codegen/checkpoint/npz.js';
import { checkRecordedRun, formatCheckReport } from '../../codegen/float/check.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { realNumber } from '../options.js';
import type { Output } from '../terminal.js';

interface CheckFlags {
  readonly tau?: number;
  readonly threshold?: number;
  readonly json?: boolean;
}

function check(output: Output, checkpoint: string, vectors: string, flags: CheckFlags): void {
  const float = readFloatModel(readCheckpoint(checkpoint), {
    ...(flags.tau === undefined ? {} : { tau: flags.tau }),
    ...(flags.threshold === undefined ? {} : { threshold: flags.threshold }),
  });
  const report = checkRecordedRun(float, readNpz(vectors));
  output.say(flags.json === true ? JSON.stringify(report) : formatCheckReport(report));
  if (!report.passed) {
    throw new FsvaeError('mismatch', `${checkpoint} does not reproduce the run recorded in ${vectors}`);
  }
}

export function checkCommand(program: Command, output: Output): void {
  program
    .command('check')
    .argument('<checkpoint>', 'a checkpoint')
    .argument('<vectors>', 'an .npz file with a recorded run (docs/recording.md)')
    .description("Proves an import: reproduces a recorded PyTorch run's spikes and images.")
    .option('--tau <number>', 'leak (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold (default 0.2)', realNumber)
    .option('--json', 'one JSON object on stdout')
    .action((checkpoint: string, vectors: string, flags: CheckFlags) => {
      check(output, checkpoint, vectors, flags);
    });
}
