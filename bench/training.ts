/**
 * Images a second of one training step: forward, backward and AdamW, on this machine's one thread.
 *
 *   npm run bench:training                       hidden channels 8 16 32 64, C = 64, k = 10, T = 8, batch of 64
 *   npm run bench:training -- --size full        the paper's network
 *   npm run bench:training -- --json             one JSON object
 */

import { loadavg } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseConfig } from '../training/config/config.js';
import { startEngine } from '../training/engine/wasm.js';
import { drawStep } from '../training/model/draws.js';
import { Fsvae } from '../training/model/fsvae.js';
import { createParameters } from '../training/model/parameters.js';
import { RandomSequence } from '../training/random/philox.js';
import { AdamW } from '../training/train/adamw.js';

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

async function bench(flags: { size: keyof typeof SIZES; batch: number; steps: number; json?: boolean }): Promise<void> {
  const engine = await startEngine();
  const config = parseConfig({ model: SIZES[flags.size], batchSize: Math.max(2, flags.batch) }, flags.size);
  const { channels, imageSize, timeSteps } = config.model;
  const parameters = createParameters(config.model, 0);
  const model = new Fsvae(config, parameters);
  const optimizer = new AdamW(parameters.trained, config.optimizer);
  const random = new RandomSequence(0, 'noise', 0);
  const images = Float32Array.from({ length: flags.batch * channels * imageSize ** 2 }, () => 2 * random.uniform() - 1);
  const wall: number[] = [];
  const processor: number[] = [];
  for (let step = 0; step < WARM_UP + flags.steps; step++) {
    const started = performance.now();
    const used = process.cpuUsage();
    optimizer.step(
      model.step(images, flags.batch, timeSteps, drawStep(config, 0, step, flags.batch, timeSteps)).gradients,
    );
    const { user, system } = process.cpuUsage(used);
    if (step < WARM_UP) continue;
    wall.push((1000 * flags.batch) / (performance.now() - started));
    processor.push((1e6 * flags.batch) / (user + system));
  }
  const result = {
    engine,
    size: flags.size,
    batch: flags.batch,
    steps: flags.steps,
    imagesPerSecond: median(wall),
    imagesPerProcessorSecond: median(processor),
    peakMemoryMiB: process.resourceUsage().maxRSS / 1024,
    load: loadavg()[0],
  };
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify(result)}\n`
      : `${engine}\n${flags.size}, batch of ${flags.batch}, median of ${flags.steps} steps: ` +
          `${result.imagesPerSecond.toFixed(1)} images/s, ${result.imagesPerProcessorSecond.toFixed(1)} a second of ` +
          `processor time; ${result.peakMemoryMiB.toFixed(0)} MiB at most; load average ${result.load.toFixed(1)}\n`,
  );
}

await new Command('bench:training')
  .addOption(new Option('--size <name>', 'which network').choices(Object.keys(SIZES)).default('small'))
  .option('--batch <images>', 'images a step', count, 64)
  .option('--steps <count>', 'steps that are counted', count, 10)
  .option('--json', 'one JSON object on stdout')
  .action(bench)
  .parseAsync();
