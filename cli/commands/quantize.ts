/** `fsvae-codegen quantize`: a checkpoint as an integer model, and what that changed. */

import type { Command } from 'commander';
import { formatQuantizationReport, quantizationReport } from '../../codegen/quantize/report.js';
import { GENERATOR_VERSION } from '../../codegen/project.js';
import { startProgress } from '../../harness/progress.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { encodeModel, modelHash } from '../../runtime-ts/model-file.js';
import { describeModel } from '../build.js';
import { loadModel, type ModelOptions } from '../load-model.js';
import { positiveInteger, type ReportFlags, withModel, withReport } from '../options.js';
import { writeReport } from '../report.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

interface QuantizeFlags extends ModelOptions, ReportFlags {
  readonly out?: string;
  readonly samples: number;
  readonly json?: boolean;
}

function quantize(output: Output, flags: QuantizeFlags): void {
  const loaded = loadModel(flags);
  if (loaded.float === undefined) throw new FsvaeError('usage', `${loaded.path} is quantized already`);
  if (flags.json !== true) output.say(describeModel(loaded));
  const progress = startProgress({ stream: output.stderr, label: 'samples compared', total: flags.samples });
  let report;
  try {
    report = quantizationReport(loaded.float, loaded.model, flags.samples, 0n, (done) => progress.update(done));
  } finally {
    progress.stop();
  }
  if (flags.out !== undefined) {
    writeNew(flags.out, encodeModel(loaded.model, { name: loaded.name, generator: GENERATOR_VERSION }));
  }
  if (flags.report !== undefined) {
    const command = `fsvae-codegen quantize ${flags.model} --bits ${flags.bits ?? '8'}`;
    writeReport(output, flags.report, loaded, { command, quantization: report });
  }
  if (flags.json === true) {
    const json = { hash: modelHash(loaded.model), ...report, firstSeed: String(report.firstSeed) };
    output.json(json);
    return;
  }
  output.say(formatQuantizationReport(report));
  if (flags.out !== undefined) output.say(`wrote ${flags.out}, model ${modelHash(loaded.model)}`);
}

export function quantizeCommand(program: Command, output: Output): void {
  withReport(withModel(program.command('quantize').argument('[checkpoint]', 'instead of --model')))
    .description('Quantizes a checkpoint and reports what that changed, layer by layer.')
    .option('-o, --out <file>', 'write the integer model (safetensors)')
    .option('--samples <count>', 'samples to compare on', positiveInteger, 8)
    .option('--json', 'one JSON object on stdout')
    .action((checkpoint: string | undefined, flags: QuantizeFlags) => {
      quantize(output, { ...flags, model: checkpoint ?? flags.model });
    });
}
