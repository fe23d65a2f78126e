/** `fsvae-codegen verify`: every spike of a board against the golden model. */

import type { Command } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { diagnose } from '../../harness/diagnosis/diagnose.js';
import { startProgress } from '../../harness/progress.js';
import {
  certify,
  checkCertifiable,
  type CertifiedTarget,
  encodeCertificate,
  EvidenceCollector,
} from '../../harness/certificate.js';
import { formatVerifyResult, verify, verifyResultJson } from '../../harness/verify.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { buildFor } from '../build.js';
import { boardTarget, builtTarget, certifiedOptions, existingCertificate, goldenTarget } from '../certify.js';
import { loadModel } from '../load-model.js';
import {
  type BuildFlags,
  type DrawFlags,
  positiveInteger,
  type ReportFlags,
  withBuild,
  withDraw,
  withReport,
} from '../options.js';
import { type Findings, writeReport } from '../report.js';
import {
  type BoardTarget,
  expectedAnywhere,
  type ExpectedModel,
  expectedModel,
  openPort,
  portPath,
  startBuild,
} from '../targets.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

interface VerifyFlags extends BuildFlags, DrawFlags, ReportFlags {
  readonly port?: string;
  readonly simulate?: boolean;
  readonly baud: number;
  readonly keepGoing?: boolean;
  readonly certificate?: string;
}

/** The command that shows one seed's mismatch again. */
function replayCommand(flags: VerifyFlags, seed: bigint): string {
  const given: [option: string, value: string | number | undefined][] = [
    ['port', flags.port],
    ['board', flags.port === undefined ? flags.board : undefined],
    ['model', flags.model],
    ['bits', flags.bits],
    ['tau', flags.tau],
    ['threshold', flags.threshold],
    ['threshold-scale', flags.thresholdScale],
  ];
  const options = given.flatMap(([option, value]) => (value === undefined ? [] : [`--${option} ${value}`]));
  return ['fsvae-codegen verify', ...(flags.port === undefined ? ['--simulate'] : []), ...options]
    .concat(`--seed ${seed} --images 1`)
    .join(' ');
}

async function verifyTarget(output: Output, flags: VerifyFlags): Promise<void> {
  if ((flags.port === undefined) === (flags.simulate !== true)) {
    throw new FsvaeError('usage', 'verify needs either --port PATH, or --simulate with --board NAME');
  }
  const board = loadBoard(flags.board);
  const loaded = loadModel(flags);
  const golden = new GoldenModel(loaded.model);
  const talk = output.talker(flags);
  const before = flags.certificate === undefined ? undefined : existingCertificate(flags.certificate);
  if (before !== undefined) {
    checkCertifiable(before, { hash: golden.hash, first: flags.seed, count: flags.images }, flags.certificate!);
  }
  const collector = new EvidenceCollector(golden);
  let target: BoardTarget;
  let certified: CertifiedTarget;
  let expected: ExpectedModel;
  let built: Findings['built'];
  let generatorNote: string | undefined;
  const note = (line: string): void => {
    generatorNote = line;
    output.note(line);
  };
  if (flags.port !== undefined) {
    expected = expectedAnywhere(loaded);
    target = await openPort(await portPath(flags.port, (line) => output.note(line)), flags.baud, expected, note);
    certified = boardTarget(target.hello);
  } else {
    const { plan, build } = await buildFor(output, board, flags, loaded, talk);
    expected = expectedModel(plan);
    built = { plan, board, image: build.image };
    target = await startBuild(board, build, expected, note, flags.report !== undefined);
    certified = builtTarget(board, build, target.hello);
  }
  const progress = startProgress({ stream: output.stderr, label: 'seeds', total: flags.images });
  try {
    const result = await verify(target, golden, {
      firstSeed: flags.seed,
      count: flags.images,
      keepGoing: flags.keepGoing === true,
      onTrace: (trace) => collector.add(trace),
      diagnose: (finding) =>
        diagnose(target, golden, finding, {
          constants: expected.constants,
          ...(generatorNote === undefined ? {} : { generatorNote }),
        }),
      onProgress: (done, mismatches) => progress.update(done, mismatches === 0 ? 'equal' : `${mismatches} mismatches`),
    });
    progress.stop();
    const replay = result.equal ? undefined : replayCommand(flags, result.mismatches[0].seed);
    if (flags.json === true) output.say(verifyResultJson({ ...result, ...(replay === undefined ? {} : { replay }) }));
    else {
      output.say(formatVerifyResult(result));
      if (replay !== undefined) output.say(`replay: ${replay}`);
    }
    if (flags.report !== undefined) {
      // The board draws once more: what verification asks for is not timed layer by layer.
      const { image } = await target.sample(flags.seed);
      const measured = await target.layerCycles?.();
      writeReport(output, flags.report, loaded, {
        command: replayCommand(flags, flags.seed).replace(/--images 1$/, `--images ${flags.images}`),
        ...(built === undefined ? {} : { built }),
        ...(measured === undefined ? {} : { measured }),
        drawn: { by: target.name, images: [image], firstSeed: flags.seed },
        verdict: { exact: result.equal, text: formatVerifyResult(result) },
      });
    }
    if (flags.certificate !== undefined && result.equal) {
      const model = { name: loaded.name, hash: golden.hash, options: certifiedOptions(flags) };
      const evidence = collector.evidence(model, flags.seed);
      const certificate = certify(before, evidence, [goldenTarget(), certified], flags.certificate);
      writeNew(flags.certificate, Buffer.from(encodeCertificate(certificate)));
      talk(`certificate: ${flags.certificate}, ${certificate.targets.length} targets that give the same bits`);
    }
    if (!result.equal) throw new FsvaeError('mismatch', `${target.name} does not give the golden model's bits`);
  } finally {
    progress.stop();
    await target.close();
  }
}

export function verifyCommand(program: Command, output: Output): void {
  withReport(withDraw(withBuild(program.command('verify'), 'defaulted'), 16))
    .description('Compares digests of every spike; on a difference, finds the first wrong layer, step and neuron.')
    .option('-p, --port <path>', 'serial port of the board; auto finds it by its USB ids')
    .option('--simulate', 'build for --board and use its emulator instead')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--keep-going', 'go on after the first difference')
    .option('--certificate <file>', 'write down what was proven; each run with the same file adds its target')
    .action((flags: VerifyFlags) => verifyTarget(output, flags));
}
