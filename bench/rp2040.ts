/**
 * The full-size model on the emulated RP2040, seed by seed: cycles of each layer by the firmware's own counter, and what
 * there was to do, counted by the golden model.
 *
 * Two emulators draw the same images: one with the model of the XIP cache (docs/boards.md), where every miss costs
 * XIP_MISS_CYCLES, and one without waits for flash. What they differ by is what each layer waits. Both run a program for one
 * core; a third, with the cache's model, runs the program as users have it, for both.
 */

import { fileURLToPath } from 'node:url';
import { predictCost } from '../codegen/plan/cost.js';
import type { Plan } from '../codegen/plan/plan.js';
import type { Build } from '../codegen/project.js';
import { XIP_CACHE, XIP_MISS_CYCLES } from '../emulator/xip-cache.js';
import { type BoardProcess, startBoardProcess } from '../harness/process.js';
import { startProgress } from '../harness/progress.js';
import { connectBoard } from '../harness/serial.js';
import { crc32 } from '../runtime-ts/crc32.js';
import type { GoldenModel } from '../runtime-ts/golden.js';
import type { ImageWork } from '../runtime-ts/work.js';
import { type LayerResult, type Rp2040Result, spread } from './result.js';

interface Drawn {
  /** Cycles of each row of a trace and of the readout. */
  readonly layers: number[];
  readonly image: number;
  /** 0 without the cache's model. */
  readonly misses: number;
  readonly stackBytes: number;
}

interface Emulated {
  draw(seed: bigint): Promise<Drawn>;
  close(): Promise<void>;
}

async function emulate(uf2Path: string, golden: GoldenModel, flags: readonly string[]): Promise<Emulated> {
  const emulator = fileURLToPath(new URL('../emulator/rp2040-process.js', import.meta.url));
  const board: BoardProcess = await startBoardProcess(process.execPath, [emulator, uf2Path, ...flags]);
  const { client } = await connectBoard(board.path, { helloMs: 60_000, drawMs: 300_000 });
  /** Misses of core 0 since the last call. */
  const takeMisses = async (): Promise<number> => {
    const answer = JSON.parse(await board.ask('xip')) as { xip: { misses: number }[] };
    return answer.xip[0].misses;
  };
  return {
    draw: async (seed) => {
      await takeMisses();
      const { image, cycles } = await client.sample(seed);
      // A few of these belong to the serial link, which takes part in no image's cycles: below one in a thousand.
      const misses = await takeMisses();
      if (crc32(image) !== crc32(golden.sample(seed)))
        throw new Error(`seed ${seed} differs: the figures would mean nothing`);
      const statistics = await client.statistics();
      return {
        layers: Array.from(statistics.cycles, Number),
        image: Number(cycles),
        misses,
        stackBytes: statistics.stackHighWater,
      };
    },
    close: async () => {
      await client.close();
      await board.close();
    },
  };
}

/** Spikes times fan-out where all neurons of the prior's last layer run. */
function eagerOperations({ model }: GoldenModel, work: ImageWork): number {
  const last = model.prior.length - 1;
  const { inputSpikes, synapticOperations } = work.layers[last];
  return work.synapticOperations - synapticOperations + inputSpikes * model.prior[last].outFeatures;
}

/** The same program for one core, with this flag, and for both, as it is built by default. */
export const ONE_CORE_FLAG = '-DFSVAE_ONE_CORE';

export async function measureRp2040(
  plan: Plan,
  builds: { readonly one: Build; readonly both: Build },
  golden: GoldenModel,
  seeds: number,
): Promise<Rp2040Result> {
  const waiting = await emulate(builds.one.image!.uf2Path!, golden, ['--xip']);
  const core = await emulate(builds.one.image!.uf2Path!, golden, []);
  const both = await emulate(builds.both.image!.uf2Path!, golden, ['--xip']);
  const drawn: { waiting: Drawn; core: Drawn; both: Drawn; work: ImageWork }[] = [];
  const progress = startProgress({ stream: process.stderr, label: 'images', total: seeds });
  try {
    for (let seed = 0n; seed < seeds; seed++) {
      const [withWaits, without, shared] = await Promise.all([waiting, core, both].map((board) => board.draw(seed)));
      drawn.push({ waiting: withWaits, core: without, both: shared, work: golden.work(seed) });
      progress.update(drawn.length);
    }
  } finally {
    progress.stop();
    await waiting.close();
    await core.close();
    await both.close();
  }

  const predicted = drawn.map(({ work }) => predictCost(plan, work, XIP_CACHE));
  const last = golden.model.prior[golden.model.prior.length - 1].name;
  const layers = predicted[0].layers.map(({ name, kernel }, row): LayerResult => {
    const at = drawn[0].work.layers.findIndex((layer) => layer.name === (name === 'z' ? last : name));
    return {
      name: name === 'z' ? `z (${last})` : name,
      kernel,
      cycles: spread(drawn.map((image) => image.waiting.layers[row])),
      bothCoresCycles: spread(drawn.map((image) => image.both.layers[row])),
      waitCycles: spread(drawn.map((image) => image.waiting.layers[row] - image.core.layers[row])),
      predictedCycles: spread(predicted.map((cost) => Math.round(cost.layers[row].cycles))),
      synapticOperations: at < 0 ? null : spread(drawn.map(({ work }) => work.layers[at].synapticOperations)),
      lifUpdates: at < 0 ? null : spread(drawn.map(({ work }) => work.layers[at].lifUpdates)),
    };
  });
  const cyclesPerImage = spread(drawn.map((image) => image.waiting.image));
  const bothCoresCyclesPerImage = spread(drawn.map((image) => image.both.image));
  const synapticOperationsPerImage = spread(drawn.map(({ work }) => work.synapticOperations));
  return {
    cyclesPerImage,
    coreCyclesPerImage: spread(drawn.map((image) => image.core.image)),
    xipMissesPerImage: spread(drawn.map((image) => image.waiting.misses)),
    xipMissCycles: XIP_MISS_CYCLES,
    predictedCyclesPerImage: spread(predicted.map((cost) => Math.round(cost.cycles))),
    spikesPerImage: spread(drawn.map(({ work }) => work.spikes)),
    synapticOperationsPerImage,
    eagerSynapticOperationsPerImage: spread(drawn.map(({ work }) => eagerOperations(golden, work))),
    lifUpdatesPerImage: spread(drawn.map(({ work }) => work.lifUpdates)),
    cyclesPerSynapticOperation: cyclesPerImage.median / synapticOperationsPerImage.median,
    bothCoresCyclesPerImage,
    dualCoreSpeedup: cyclesPerImage.median / bothCoresCyclesPerImage.median,
    layers,
    flashBytes: builds.both.image!.flashUsed,
    ramBytes: builds.both.image!.ramUsed,
    stackBytes: Math.max(...drawn.flatMap((image) => [image.waiting.stackBytes, image.both.stackBytes])),
  };
}
