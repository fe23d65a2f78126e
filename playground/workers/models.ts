/** From a checkpoint to an integer model, its plan and its C project, beside the page; the command line's own code. */

import { zipSync } from 'fflate';
import type { Board } from '../../boards/description.js';
import { parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { printableName } from '../../codegen/emit/view.js';
import type { Plan } from '../../codegen/plan/plan.js';
import { boardBudget, makeProjectFiles, planFor } from '../../codegen/project-files.js';
import { refusal } from '../../codegen/plan/budget.js';
import { parseBitsOption } from '../../codegen/quantize/bits.js';
import { layerNames, quantize } from '../../codegen/quantize/quantize.js';
import { quantizationReport } from '../../codegen/quantize/report.js';
import { XIP_CACHE } from '../../emulator/xip-cache.js';
import { quantizationSection } from '../../report/html.js';
import { summarize, type Summary } from '../../report/summary.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { decodeModel, encodeModel, isModelFile } from '../../runtime-ts/model-file.js';
import { parseSafetensors } from '../../runtime-ts/safetensors.js';
import { meanWork } from '../../runtime-ts/work.js';
import { serve } from './serve.js';
import { TEMPLATES } from './templates.js';

/** Samples that quantization is judged by, and whose work predicts cycles. */
const SAMPLES = 4;

interface Current {
  readonly name: string;
  readonly model: IntegerModel;
  readonly plans: Map<string, Plan>;
}

let current: Current | undefined;

function use(name: string, model: IntegerModel): void {
  current = { name, model, plans: new Map() };
}

function loaded(): Current {
  if (current === undefined) throw new Error('no model is loaded');
  return current;
}

function plan(board: Board): Plan {
  const { name, model, plans } = loaded();
  let planned = plans.get(board.name);
  if (planned === undefined) {
    planned = planFor(model, name, board);
    plans.set(board.name, planned);
  }
  return planned;
}

function holdsIntegerModel(bytes: Uint8Array): boolean {
  try {
    return isModelFile(parseSafetensors(bytes).metadata);
  } catch {
    return false;
  }
}

/** A model read from a file that somebody dropped. */
export interface ReadModel {
  readonly name: string;
  /** The integer model as a file. */
  readonly file: Uint8Array;
  /** What quantization changed, as HTML; empty for a file that was an integer model already. */
  readonly quality: string;
}

const methods = {
  /** The page's own model. */
  use({ name, file }: { name: string; file: Uint8Array }): void {
    use(name, decodeModel(file).model);
  },

  /** A checkpoint, or an integer model. */
  read({ bytes, fileName, bits }: { bytes: Uint8Array; fileName: string; bits: string }): ReadModel {
    const name = printableName(fileName.replace(/\.[^.]*$/, '').replace(/\.int[48]$/, ''));
    if (holdsIntegerModel(bytes)) {
      const { model } = decodeModel(bytes);
      use(name, model);
      return { name, file: encodeModel(model, { name }), quality: '' };
    }
    const float = readFloatModel(parseCheckpoint(bytes, fileName));
    const model = quantize(float, parseBitsOption(bits, layerNames(float)));
    use(name, model);
    const report = quantizationReport(float, model, SAMPLES);
    return { name, file: encodeModel(model, { name }), quality: quantizationSection(report) };
  },

  summary({ board }: { board: Board }): Summary {
    const golden = new GoldenModel(loaded().model);
    const work = meanWork(Array.from({ length: SAMPLES }, (_, i) => golden.work(BigInt(i))));
    return summarize(plan(board), board, work, XIP_CACHE);
  },

  /** The C project as a zip archive: the files that the command line writes, and the same bytes every time. */
  project({ board, generatorVersion }: { board: Board; generatorVersion: string }): Uint8Array {
    const budget = boardBudget(plan(board), board);
    if (budget?.fits === false) throw new Error(refusal(budget));
    const files = makeProjectFiles(plan(board), board, TEMPLATES, { generatorVersion, weights: 'incbin' });
    const folder = `${board.name}-${loaded().name}`;
    const entries = [...files].map(([path, content]) => [
      `${folder}/${path}`,
      typeof content === 'string' ? new TextEncoder().encode(content) : content,
    ]);
    return zipSync(Object.fromEntries(entries) as Record<string, Uint8Array>, {
      level: 6,
      mtime: '1980-01-01T00:00:00',
    });
  },
};

export type ModelMethods = typeof methods;

serve(methods);
