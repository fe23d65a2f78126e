/**
 * `npm run bench`: the shipped full-size model on the emulated RP2040, seed by seed: cycles of each layer by the firmware's
 * own counter, exact spikes and synaptic operations, flash, RAM, stack; and how fast the golden model and the toolchain are.
 *
 *   npm run bench                     a table, and the difference to the baseline
 *   npm run bench -- --json           one JSON object
 *   npm run bench -- --seeds 8        fewer seeds
 *   npm run bench -- --baseline       write bench/baseline.json anew
 *
 * Cycles are deterministic: the same build and seeds give the same numbers, so any difference is a change of code or
 * compiler. They include the waits for flash by the emulator's model of the XIP cache (docs/boards.md): every miss costs
 * XIP_MISS_CYCLES. `coreCyclesPerImage` is the same without those waits.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { loadBoard } from '../boards/board.js';
import { loadModel } from '../cli/load-model.js';
import type { CompilerChoice } from '../codegen/image/toolchain.js';
import { PACKAGE_ROOT } from '../codegen/package-root.js';
import { makePlan } from '../codegen/plan/plan.js';
import { buildProject, writeProject } from '../codegen/project.js';
import { XIP_MISS_CYCLES } from '../emulator/xip-cache.js';
import { startProgress } from '../harness/progress.js';
import { startBoardProcess } from '../harness/process.js';
import { connectBoard } from '../harness/serial.js';
import { crc32 } from '../runtime-ts/crc32.js';
import { GoldenModel } from '../runtime-ts/golden.js';
import type { SpikingLayer } from '../runtime-ts/model.js';

interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

interface Row {
  readonly name: string;
  readonly cycles: Spread;
  /** Of the prior's last layer all k * C neurons are counted, though the firmware evaluates few of them. */
  readonly synapticOperations: Spread | null;
}

interface BenchResult {
  readonly compiler: string;
  readonly seeds: number;
  readonly rp2040: {
    readonly cyclesPerImage: Spread;
    readonly coreCyclesPerImage: Spread;
    readonly xipMissesPerImage: Spread;
    readonly xipMissCycles: number;
    readonly cyclesPerSynapticOperation: number;
    readonly layers: readonly Row[];
    readonly flashBytes: number;
    readonly ramBytes: number;
    readonly stackBytes: number;
  };
  readonly golden: { readonly imagesPerSecond: number };
  readonly toolchain: {
    readonly quantizeSeconds: number;
    readonly generateSeconds: number;
    readonly buildSeconds: number;
  };
}

/** What does not depend on the machine. */
type Baseline = Pick<BenchResult, 'compiler' | 'seeds' | 'rp2040'>;

const BASELINE = join(PACKAGE_ROOT, 'bench/baseline.json');

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return {
    min: sorted[0],
    median,
    max: sorted[sorted.length - 1],
  };
}

/** Synapses that a spike of input neuron `index` reaches; borders exactly. */
function fanOut(layer: SpikingLayer, index: number): number {
  if (layer.kind === 'linear') return layer.outFeatures;
  const position = Math.floor(index / layer.inChannels);
  const reach = (at: number): number => (at === 0 ? 2 : 3);
  return reach(Math.floor(position / layer.inSize)) * reach(position % layer.inSize) * layer.outChannels;
}

/** Exact synaptic operations of each spiking layer of one image, by name. */
function synapticOperations(golden: GoldenModel, seed: bigint): Map<string, number> {
  const { model, rows } = golden;
  const { spikes } = golden.fullTrace(seed);
  const { timeSteps, latentChannels } = model.config;
  const z = spikes[rows.findIndex((row) => row.name === 'z')];
  const before = new Uint8Array(z.length);
  before.set(z.subarray(0, z.length - latentChannels), latentChannels);
  const counts = new Map<string, number>();
  const count = (layer: SpikingLayer, input: Uint8Array): void => {
    const inputs = input.length / timeSteps;
    let operations = 0;
    for (let i = 0; i < input.length; i++) if (input[i] !== 0) operations += fanOut(layer, i % inputs);
    counts.set(layer.name, operations);
  };
  const spikesOf = (name: string): Uint8Array => spikes[rows.findIndex((row) => row.name === name)];
  model.prior.forEach((layer, i) => count(layer, i === 0 ? before : spikesOf(model.prior[i - 1].name)));
  [model.decoderInput, ...model.decoder].forEach((layer, i, all) =>
    count(layer, i === 0 ? z : spikesOf(all[i - 1].name)),
  );
  return counts;
}

async function measure(compiler: CompilerChoice, seeds: number): Promise<BenchResult> {
  const timed = <T>(work: () => T): [T, number] => {
    const start = performance.now();
    const result = work();
    return [result, (performance.now() - start) / 1000];
  };
  const [{ model, name }, quantizeSeconds] = timed(() => loadModel({ model: 'mnist' }));
  const golden = new GoldenModel(model);
  const plan = makePlan(model, name);
  const board = loadBoard('rp2040');
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-bench-'));
  try {
    const [project, generateSeconds] = timed(() => writeProject(plan, board, folder));
    const start = performance.now();
    const build = await buildProject(project, { compiler });
    const buildSeconds = (performance.now() - start) / 1000;
    const emulator = fileURLToPath(new URL('../emulator/rp2040-process.js', import.meta.url));
    const board0 = await startBoardProcess(process.execPath, [emulator, build.image!.uf2Path!, '--xip']);
    const images: number[] = [];
    const misses: number[] = [];
    /** Misses of core 0 since the last call. */
    const takeMisses = async (): Promise<number> => {
      const answer = JSON.parse(await board0.ask('xip')) as { xip: { misses: number }[] };
      return answer.xip[0].misses;
    };
    const rows: number[][] = [];
    const operations: Map<string, number>[] = [];
    let stackBytes = 0;
    const { client } = await connectBoard(board0.path, { helloMs: 60_000, drawMs: 300_000 });
    const progress = startProgress({ stream: process.stderr, label: 'images', total: seeds });
    try {
      for (let seed = 0; seed < seeds; seed++) {
        await takeMisses();
        const { image, cycles } = await client.sample(BigInt(seed));
        // A few of these belong to the serial link, which takes part in no image's cycles: below one in a thousand.
        misses.push(await takeMisses());
        if (crc32(image) !== crc32(golden.sample(BigInt(seed))))
          throw new Error(`seed ${seed} differs: the figures would mean nothing`);
        const statistics = await client.statistics();
        images.push(Number(cycles));
        rows.push(Array.from(statistics.cycles, Number));
        stackBytes = statistics.stackHighWater;
        operations.push(synapticOperations(golden, BigInt(seed)));
        progress.update(seed + 1);
      }
    } finally {
      progress.stop();
      await client.close();
      await board0.close();
    }
    const goldenStart = performance.now();
    const goldenImages = 16;
    for (let seed = 0; seed < goldenImages; seed++) golden.sample(BigInt(seed));
    const goldenSeconds = (performance.now() - goldenStart) / 1000;

    const last = model.prior[model.prior.length - 1].name;
    const names = [...golden.layerNames, 'readout'];
    const layers = names.map((row, index): Row => {
      const layer = row === 'z' ? last : row;
      const counted = operations.map((counts) => counts.get(layer) ?? 0);
      return {
        name: row === 'z' ? `z (${last})` : row,
        cycles: spread(rows.map((cycles) => cycles[index])),
        synapticOperations: operations[0].has(layer) ? spread(counted) : null,
      };
    });
    const cyclesPerImage = spread(images);
    const total = spread(operations.map((counts) => [...counts.values()].reduce((sum, value) => sum + value, 0)));
    return {
      compiler: build.toolchain.version,
      seeds,
      rp2040: {
        cyclesPerImage,
        coreCyclesPerImage: spread(images.map((cycles, i) => cycles - XIP_MISS_CYCLES * misses[i])),
        xipMissesPerImage: spread(misses),
        xipMissCycles: XIP_MISS_CYCLES,
        cyclesPerSynapticOperation: cyclesPerImage.median / total.median,
        layers,
        flashBytes: build.image!.flashUsed,
        ramBytes: build.image!.ramUsed,
        stackBytes,
      },
      golden: { imagesPerSecond: goldenImages / goldenSeconds },
      toolchain: { quantizeSeconds, generateSeconds, buildSeconds },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function millions(value: number): string {
  return (value / 1e6).toFixed(3).padStart(9);
}

function format(result: BenchResult): string {
  const { rp2040, golden, toolchain } = result;
  const line = (name: string, cycles: Spread, operations: Spread | null): string =>
    `${name.padEnd(20)}${millions(cycles.min)}${millions(cycles.median)}${millions(cycles.max)}` +
    (operations === null
      ? ''
      : `${millions(operations.median)}${(cycles.median / operations.median).toFixed(2).padStart(8)}`);
  return [
    `emulated RP2040, ${result.compiler}, seeds 0 .. ${result.seeds - 1}; millions`,
    `${''.padEnd(20)}${'cycles'.padStart(9)}${'median'.padStart(9)}${'max'.padStart(9)}${'synops'.padStart(9)}${'each'.padStart(8)}`,
    ...rp2040.layers.map((row) => line(row.name, row.cycles, row.synapticOperations)),
    line('image', rp2040.cyclesPerImage, null),
    line('without waits', rp2040.coreCyclesPerImage, null),
    `${Math.round(rp2040.xipMissesPerImage.median)} misses of the XIP cache an image, ${rp2040.xipMissCycles} cycles each`,
    `${rp2040.cyclesPerSynapticOperation.toFixed(2)} cycles a synaptic operation, all in (an eager prior's operations)`,
    `flash ${rp2040.flashBytes}, RAM ${rp2040.ramBytes}, stack high-water ${rp2040.stackBytes} bytes`,
    `golden model ${golden.imagesPerSecond.toFixed(1)} images/s; quantize ${toolchain.quantizeSeconds.toFixed(2)} s, ` +
      `generate ${toolchain.generateSeconds.toFixed(2)} s, build ${toolchain.buildSeconds.toFixed(2)} s`,
  ].join('\n');
}

/** Cycles against the baseline, where compiler and seeds are the same. */
function difference(result: BenchResult): string {
  let baseline: Baseline;
  try {
    baseline = JSON.parse(readFileSync(BASELINE, 'utf8')) as Baseline;
  } catch {
    return 'no baseline';
  }
  if (baseline.compiler !== result.compiler || baseline.seeds !== result.seeds) {
    return `the baseline is of ${baseline.compiler} and ${baseline.seeds} seeds: not compared`;
  }
  const changes = result.rp2040.layers.flatMap((row) => {
    const before = baseline.rp2040.layers.find((other) => other.name === row.name);
    if (before === undefined || before.cycles.median === row.cycles.median) return [];
    const percent = (100 * (row.cycles.median - before.cycles.median)) / before.cycles.median;
    return [`  ${row.name}: ${percent > 0 ? '+' : ''}${percent.toFixed(2)} %`];
  });
  return changes.length === 0 ? 'cycles: exactly the baseline' : `cycles against the baseline:\n${changes.join('\n')}`;
}

const program = new Command('bench')
  .addOption(new Option('--compiler <kind>').choices(['auto', 'gcc', 'zig']).default('gcc'))
  .option('--seeds <count>', 'how many', Number, 32)
  .option('--json', 'one JSON object')
  .option('--baseline', 'write the baseline anew');
program.parse();
const flags = program.opts<{ compiler: CompilerChoice; seeds: number; json?: boolean; baseline?: boolean }>();
const result = await measure(flags.compiler, flags.seeds);
process.stdout.write(
  flags.json === true ? `${JSON.stringify(result)}\n` : `${format(result)}\n${difference(result)}\n`,
);
if (flags.baseline === true) {
  // Wall times are this machine's and say nothing about the next one's.
  const { compiler, seeds, rp2040 } = result;
  writeFileSync(BASELINE, `${JSON.stringify({ compiler, seeds, rp2040 }, null, 2)}\n`);
}
