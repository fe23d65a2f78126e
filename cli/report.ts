/** `--report FILE.html`: what a command found out, as one file for a browser. */

import type { Board } from '../boards/board.js';
import type { ImageFiles } from '../codegen/image/image.js';
import type { Plan } from '../codegen/plan/plan.js';
import { GENERATOR_VERSION } from '../codegen/project.js';
import { type QuantizationReport, quantizationReport } from '../codegen/quantize/report.js';
import { XIP_CACHE } from '../emulator/xip-cache.js';
import { pngGrid } from '../harness/picture.js';
import { htmlReport, type ReportParts } from '../report/html.js';
import { summarize } from '../report/summary.js';
import { GoldenModel } from '../runtime-ts/golden.js';
import { modelHash } from '../runtime-ts/model-file.js';
import { meanWork } from '../runtime-ts/work.js';
import { describeModel } from './build.js';
import type { LoadedModel } from './load-model.js';
import type { Output } from './terminal.js';
import { writeNew } from './write-new.js';

/** Images whose work predicts cycles, and samples that quantization is judged by, where the command has none itself. */
const SAMPLES = 4;
/** Images of the grid where the command drew none. */
const GRID = 16;

export interface Findings {
  /** The command, as somebody could give it again. */
  readonly command: string;
  /** What was planned and built; without it the report has neither cycles nor memory. */
  readonly built?: { readonly plan: Plan; readonly board: Board; readonly image: ImageFiles | undefined };
  readonly quantization?: QuantizationReport;
  /** Images that were drawn, from this seed on; without them the golden model draws some. */
  readonly drawn?: { readonly by: string; readonly images: readonly Uint8Array[]; readonly firstSeed: bigint };
  /** As Target.layerCycles() gives them. */
  readonly measured?: readonly number[];
  readonly verdict?: ReportParts['verdict'];
}

/** Writes the report, and says so. */
export function writeReport(output: Output, path: string, loaded: LoadedModel, findings: Findings): void {
  const { model, name, float } = loaded;
  const golden = new GoldenModel(model);
  const activity = meanWork(Array.from({ length: SAMPLES }, (_, i) => golden.work(BigInt(i))));
  const { built, measured, verdict } = findings;
  const drawn = findings.drawn ?? {
    by: 'the golden model',
    images: Array.from({ length: GRID }, (_, i) => golden.sample(BigInt(i))),
    firstSeed: 0n,
  };
  const quantization =
    findings.quantization ?? (float === undefined ? undefined : quantizationReport(float, model, SAMPLES));
  const shape = { channels: model.config.channels, size: model.config.imageSize };
  const last = BigInt.asUintN(64, drawn.firstSeed + BigInt(drawn.images.length - 1));
  const html = htmlReport({
    command: findings.command,
    generatorVersion: GENERATOR_VERSION,
    model: { name, hash: modelHash(model), shape: describeModel(loaded) },
    ...(built === undefined ? {} : { summary: summarize(built.plan, built.board, activity, XIP_CACHE) }),
    ...(built?.image === undefined ? {} : { linked: built.image }),
    ...(quantization === undefined ? {} : { quantization }),
    activity,
    ...(measured === undefined ? {} : { measured }),
    samples: {
      png: pngGrid(drawn.images, shape, { scale: 3 }),
      text: `Seeds ${drawn.firstSeed} to ${last}, drawn by ${drawn.by}`,
    },
    ...(verdict === undefined ? {} : { verdict }),
  });
  writeNew(path, new TextEncoder().encode(html));
  output.note(`report: ${path}`);
}
