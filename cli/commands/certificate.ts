/** `fsvae-codegen certificate`: replays what a certificate says. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { buildProject, planFor, writeProject } from '../../codegen/project.js';
import {
  type Certificate,
  type CertifiedTarget,
  differences,
  type Evidence,
  EvidenceCollector,
} from '../../harness/certificate.js';
import { startProgress } from '../../harness/progress.js';
import { formatMismatch, verify } from '../../harness/verify.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { boardTarget, builtTarget, certifiedOptions, describeTarget, readCertificate } from '../certify.js';
import { type LoadedModel, loadModel, shippedModels } from '../load-model.js';
import { positiveInteger } from '../options.js';
import { type BoardTarget, expectedAnywhere, expectedModel, openPort, startBuild } from '../targets.js';
import type { Output } from '../terminal.js';

interface CheckFlags {
  readonly model?: string;
  readonly port?: string;
  readonly baud: number;
  readonly json?: boolean;
}

/** What became of one target of a certificate. */
interface Outcome {
  readonly target: string;
  readonly outcome: 'equal' | 'differs' | 'skipped';
  /** Why, or what is worth a word. */
  readonly remark: string;
}

/** @throws FsvaeError `usage` when the model is not at hand, `model-mismatch` when it is another one now */
function modelOf({ model }: Certificate, given: string | undefined): LoadedModel {
  if (given === undefined && !shippedModels().includes(model.name)) {
    throw new FsvaeError(
      'usage',
      `the certificate is of ${model.name}, which does not come with this program: name its file with --model`,
    );
  }
  const loaded = loadModel({ model: given ?? model.name, ...certifiedOptions(model.options) });
  const golden = new GoldenModel(loaded.model);
  if (golden.hash !== model.hash) {
    throw new FsvaeError(
      'model-mismatch',
      `${loaded.path} gives model ${golden.hash.slice(0, 16)}, the certificate is of ${model.hash.slice(0, 16)}: ` +
        'the checkpoint or its quantization has changed',
    );
  }
  return loaded;
}

function evidenceOf(certificate: Certificate, golden: GoldenModel, progress: (done: number) => void): Evidence {
  const collector = new EvidenceCollector(golden);
  const first = BigInt(certificate.seeds.first);
  for (let i = 0; i < certificate.seeds.count; i++) {
    collector.add(golden.trace(BigInt.asUintN(64, first + BigInt(i))));
    progress(i + 1);
  }
  return collector.evidence(certificate.model, first);
}

/** Does the target still give the golden model's bits? */
async function replay(
  { seeds }: Certificate,
  certified: CertifiedTarget,
  loaded: LoadedModel,
  golden: GoldenModel,
  flags: CheckFlags,
  note: (line: string) => void,
  progress: (done: number) => void,
): Promise<Omit<Outcome, 'target'>> {
  let target: BoardTarget;
  let now: CertifiedTarget;
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-certificate-'));
  try {
    if (certified.kind === 'board') {
      if (flags.port === undefined) return { outcome: 'skipped', remark: 'needs the board: --port' };
      target = await openPort(flags.port, flags.baud, expectedAnywhere(loaded), note);
      now = boardTarget(target.hello);
      if (now.board !== certified.board || now.serialNumber !== certified.serialNumber) {
        await target.close();
        return { outcome: 'skipped', remark: `on ${flags.port} is another board: ${describeTarget(now)}` };
      }
    } else {
      const board = loadBoard(certified.board!);
      const plan = planFor(loaded.model, loaded.name, board);
      const build = await buildProject(writeProject(plan, board, folder), { compiler: certified.compiler!.kind });
      target = await startBuild(board, build, expectedModel(plan), note);
      now = builtTarget(board, build, target.hello);
    }
  } catch (error) {
    rmSync(folder, { recursive: true });
    // What is not installed here says nothing about the bits.
    if (error instanceof FsvaeError && (error.kind === 'toolchain' || error.kind === 'usage')) {
      return { outcome: 'skipped', remark: error.message };
    }
    throw error;
  }
  try {
    const result = await verify(target, golden, {
      firstSeed: BigInt(seeds.first),
      count: seeds.count,
      onProgress: (done) => progress(done),
    });
    if (!result.equal) {
      return { outcome: 'differs', remark: formatMismatch(result.mismatches[0]).replace(/\s*\n\s*/g, '; ') };
    }
    return { outcome: 'equal', remark: changes(certified, now).join(', ') };
  } finally {
    await target.close();
    rmSync(folder, { recursive: true });
  }
}

/** What made the target then and now, where that is not the same. */
function changes(then: CertifiedTarget, now: CertifiedTarget): string[] {
  const parts: [string, string | null | undefined, string | null | undefined][] = [
    ['generator', then.generator, now.generator],
    ['compiler', then.compiler?.version, now.compiler?.version],
    ['emulator', then.emulator, now.emulator],
    ['firmware', then.firmware?.slice(0, 16), now.firmware?.slice(0, 16)],
  ];
  return parts.filter(([, a, b]) => a !== b).map(([what, a, b]) => `${what} then ${a ?? 'none'}, now ${b ?? 'none'}`);
}

async function check(output: Output, path: string, flags: CheckFlags): Promise<void> {
  const certificate = readCertificate(path);
  const loaded = modelOf(certificate, flags.model);
  const golden = new GoldenModel(loaded.model);
  const outcomes: Outcome[] = [];
  for (const certified of certificate.targets) {
    const name = describeTarget(certified);
    const progress = startProgress({ stream: output.stderr, label: name, total: certificate.seeds.count });
    try {
      if (certified.kind === 'golden') {
        const wrong = differences(
          certificate,
          evidenceOf(certificate, golden, (done) => progress.update(done)),
        );
        outcomes.push({ target: name, outcome: wrong.length === 0 ? 'equal' : 'differs', remark: wrong.join(', ') });
      } else {
        const note = (line: string): void => output.note(line);
        const found = await replay(certificate, certified, loaded, golden, flags, note, (done) =>
          progress.update(done),
        );
        outcomes.push({ target: name, ...found });
      }
    } finally {
      progress.stop();
    }
  }
  const { model, seeds } = certificate;
  if (flags.json === true) output.json({ model: model.hash, seeds, targets: outcomes });
  else {
    output.say(`${path}: model ${model.name} (${model.hash.slice(0, 16)}), ${seeds.count} seeds from ${seeds.first}`);
    for (const { target, outcome, remark } of outcomes) {
      output.say(`  ${outcome.padEnd(8)} ${target}${remark === '' ? '' : `: ${remark}`}`);
    }
  }
  const differing = outcomes.filter(({ outcome }) => outcome === 'differs').length;
  if (differing > 0) {
    throw new FsvaeError('mismatch', `${differing} of ${outcomes.length} targets no longer give what ${path} says`);
  }
}

export function certificateCommand(program: Command, output: Output): void {
  program
    .command('certificate')
    .description('Certificates that verify --certificate wrote.')
    .command('check')
    .argument('<file>', 'a certificate')
    .description('Replays a certificate: the golden model, and each target that can be built and run here.')
    .option('-m, --model <name|file>', 'the model, where it does not come with this program')
    .option('-p, --port <path>', 'serial port of the board, where the certificate has one')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--json', 'one JSON object on stdout')
    .action((path: string, flags: CheckFlags) => check(output, path, flags));
}
