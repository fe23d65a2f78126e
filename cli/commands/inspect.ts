/** `fsvae-codegen inspect`: what is in a model, and which boards hold it. */

import type { Command } from 'commander';
import { listBoards, loadBoard } from '../../boards/board.js';
import { denseOperations } from '../../codegen/emit/view.js';
import { predictCost } from '../../codegen/plan/cost.js';
import { boardBudget, planFor } from '../../codegen/project.js';
import { formatActivity } from '../../codegen/quantize/report.js';
import { XIP_CACHE } from '../../emulator/xip-cache.js';
import { proveBounds, signedBits } from '../../runtime-ts/bounds.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { modelHash } from '../../runtime-ts/model-file.js';
import { meanWork } from '../../runtime-ts/work.js';
import { describeModel } from '../build.js';
import { loadModel, type ModelOptions } from '../load-model.js';
import { withModel } from '../options.js';
import type { Output } from '../terminal.js';

/** Images whose spikes are counted. */
const INSPECTED_IMAGES = 8;

function inspect(output: Output, flags: ModelOptions & { json?: boolean }): void {
  const loaded = loadModel(flags);
  const { model } = loaded;
  const bounds = proveBounds(model);
  const plan = planFor(model, loaded.name, loadBoard('rp2040'));
  const golden = new GoldenModel(model);
  const activity = meanWork(Array.from({ length: INSPECTED_IMAGES }, (_, i) => golden.work(BigInt(i))));
  const { cycles, coreCycles, waitCycles } = predictCost(plan, activity, XIP_CACHE);
  const layers = [...model.prior, model.decoderInput, ...model.decoder].map((layer, i) => ({
    name: layer.name,
    weights: layer.weight.length,
    weightBits: layer.weightBits,
    fractionBits: layer.fractionBits,
    denseOperations: denseOperations(layer),
    sum: bounds.layers[i].sum,
    membrane: bounds.layers[i].membrane,
    membraneBits: signedBits(bounds.layers[i].membrane),
    threshold: bounds.layers[i].threshold,
  }));
  if (flags.json === true) {
    output.json({
      name: loaded.name,
      hash: modelHash(model),
      kind: loaded.float === undefined ? 'integer model' : 'checkpoint',
      config: model.config,
      leak: model.leak,
      layers,
      readout: bounds.readout,
      activity: { images: INSPECTED_IMAGES, ...activity },
      predicted: { core: 'cortex-m0plus', cycles, coreCycles, waitCycles },
    });
    return;
  }
  output.say(
    `${describeModel(loaded)} (${loaded.float === undefined ? 'integer model' : 'checkpoint, quantized here'})`,
  );
  output.say(`${''.padEnd(2)}${'layer'.padEnd(20)}${'weights'.padStart(10)}  bits  F  ${'membrane'.padEnd(20)} needs`);
  for (const layer of layers) {
    output.say(
      `  ${layer.name.padEnd(20)}${String(layer.weights).padStart(10)}  ${String(layer.weightBits).padStart(4)}  ` +
        `${layer.fractionBits}  ${`${layer.membrane.min} .. ${layer.membrane.max}`.padEnd(20)} ${layer.membraneBits} bits`,
    );
  }
  const { readout } = model;
  output.say(
    `  ${readout.name.padEnd(20)}${String(readout.weight.length).padStart(10)}  ${String(readout.weightBits).padStart(4)}  ` +
      `-  ${`${bounds.readout.membrane.min} .. ${bounds.readout.membrane.max}`.padEnd(20)} ${signedBits(bounds.readout.membrane)} bits`,
  );
  output.say(`${formatActivity(activity)} of seeds 0 .. ${INSPECTED_IMAGES - 1}`);
  output.say(
    `predicted for a Cortex-M0+ that reads flash as the RP2040 does: ${(cycles / 1e6).toFixed(1)} million cycles an image, ` +
      `${(waitCycles / 1e6).toFixed(1)} of them waits for flash`,
  );
  for (const board of listBoards()) {
    const budgeted = boardBudget(planFor(model, loaded.name, board), board);
    if (budgeted === undefined) continue;
    const { flash, ram, fits } = budgeted;
    output.say(
      `on ${board.name}: ${fits ? 'fits' : 'does NOT fit'}; flash ${flash.used} of ${flash.available}, RAM ${ram.used} of ${ram.available}` +
        (fits ? '' : `; ${budgeted.remedies.join(', or ')}`),
    );
  }
}

export function inspectCommand(program: Command, output: Output): void {
  withModel(program.command('inspect').argument('[model]', 'instead of --model'))
    .description(
      'Shows what is in a checkpoint or an integer model: proven bounds, spikes an image, and which boards hold it.',
    )
    .option('--json', 'one JSON object on stdout')
    .action((model: string | undefined, flags: ModelOptions & { json?: boolean }) => {
      inspect(output, { ...flags, model: model ?? flags.model });
    });
}
