/**
 * Images a second of one training step: forward, backward and AdamW.
 *
 *   npm run bench:training                       hidden channels 8 16 32 64, C = 64, k = 10, T = 8, batch of 64
 *   npm run bench:training -- --size full        the paper's network
 *   npm run bench:training -- --shards 2         in two threads; with --workers 1, in one
 *   npm run bench:training -- --bits 4           fine-tuning for the device
 *   npm run bench:training -- --json             one JSON object
 */

import { loadavg } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseConfig } from '../training/config/config.js';
import { startEngine } from '../training/engine/wasm.js';
import { RandomSequence } from '../training/random/philox.js';
import { AdamW } from '../training/train/adamw.js';
import { createNetwork } from '../training/train/networks.js';

const SIZES = {
  small: { hiddenChannels: [8, 16, 32, 64], latentChannels: 64, choices: 10, timeSteps: 8 },
  full: {},
} as const;
/** Steps that are not counted: code is being compiled, memory touched for the first time. */
const WARM_UP = 3;

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return value;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

interface Flags {
  readonly size: keyof typeof SIZES;
  readonly batch: number;
  readonly steps: number;
  readonly shards: number;
  readonly workers?: number;
  readonly bits?: string;
  readonly json?: boolean;
}

async function bench(flags: Flags): Promise<void> {
  const engine = await startEngine();
  const quantization = flags.bits === undefined ? null : { bits: Number(flags.bits) };
  const { shards } = flags;
  const config = parseConfig({ model: SIZES[flags.size], batchSize: flags.batch, shards, quantization }, flags.size);
  const { channels, imageSize } = config.model;
  const network = createNetwork(config, 1, flags.workers ?? shards);
  const optimizer = new AdamW(network.tensors.trained, config.optimizer);
  const random = new RandomSequence(0, 'noise', 0);
  const images = Float32Array.from({ length: flags.batch * channels * imageSize ** 2 }, () => 2 * random.uniform() - 1);
  const wall: number[] = [];
  const processor: number[] = [];
  for (let step = 0; step < WARM_UP + flags.steps; step++) {
    const started = performance.now();
    const used = process.cpuUsage();
    optimizer.step((await network.step(images, flags.batch, { epoch: 0, step })).gradients);
    const { user, system } = process.cpuUsage(used);
    if (step < WARM_UP) continue;
    wall.push((1000 * flags.batch) / (performance.now() - started));
    processor.push((1e6 * flags.batch) / (user + system));
  }
  await network.end?.();
  const result = {
    engine,
    size: flags.size,
    batch: flags.batch,
    shards,
    threads: network.threads ?? 1,
    bits: flags.bits ?? null,
    steps: flags.steps,
    imagesPerSecond: median(wall),
    imagesPerProcessorSecond: median(processor),
    peakMemoryMiB: process.resourceUsage().maxRSS / 1024,
    load: loadavg()[0],
  };
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify(result)}\n`
      : `${engine}\n${flags.size}, batch of ${flags.batch}, ${result.threads} of these threads, median of ${flags.steps} steps: ` +
          `${result.imagesPerSecond.toFixed(1)} images/s, ${result.imagesPerProcessorSecond.toFixed(1)} a second of ` +
          `processor time; ${result.peakMemoryMiB.toFixed(0)} MiB at most; load average ${result.load.toFixed(1)}\n`,
  );
}

await new Command('bench:training')
  .addOption(new Option('--size <name>', 'which network').choices(Object.keys(SIZES)).default('small'))
  .option('--batch <images>', 'images a step, 2 or more', count, 64)
  .option('--steps <count>', 'steps that are counted', count, 10)
  .option('--shards <count>', 'parts of a batch that are normalised by themselves', count, 1)
  .option('--workers <threads>', 'threads for them; as many as shards unless told', count)
  .addOption(new Option('--bits <bits>', 'fine-tune for the device').choices(['4', '8']))
  .option('--json', 'one JSON object on stdout')
  .action(bench)
  .parseAsync();
