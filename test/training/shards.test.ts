import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseConfig, type TrainingConfig } from '../../training/config/config.js';
import type { ImageSet } from '../../training/data/image-set.js';
import { openImages } from '../../training/data/open.js';
import { startEngine } from '../../training/engine/wasm.js';
import { drawStep, shardDraws } from '../../training/model/draws.js';
import { Fsvae } from '../../training/model/fsvae.js';
import { createParameters } from '../../training/model/parameters.js';
import { RandomSequence } from '../../training/random/philox.js';
import { ShardedFsvae } from '../../training/train/shards.js';
import type { SavedNetwork } from '../../training/train/networks.js';
import { train } from '../../training/train/trainer.js';
import { writeMadeImages } from './made-images.js';

const MODEL = { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4, choices: 3, timeSteps: 7 };

function config(more: object): TrainingConfig {
  return parseConfig({ model: MODEL, batchSize: 12, epochs: 1, seed: 5, ...more }, 'test');
}

describe('a step in shards', function () {
  this.timeout(60_000);
  let folder: string;
  let images: ImageSet;

  before(async () => {
    await startEngine();
    folder = mkdtempSync(join(tmpdir(), 'fsvae-shards-'));
    writeMadeImages(join(folder, 'data'), 36, 1);
    images = openImages(join(folder, 'data'), 'train', { channels: 1, size: 8 });
  });
  after(() => rmSync(folder, { recursive: true }));

  async function run(cfg: TrainingConfig, workers: number, from?: SavedNetwork): Promise<Buffer> {
    const out = mkdtempSync(join(folder, 'run-'));
    const options = {
      config: cfg,
      images,
      out,
      resume: false,
      workers,
      stream: new PassThrough(),
      say: () => undefined,
    };
    await train(from === undefined ? options : { ...options, from });
    return readFileSync(join(out, 'checkpoint.safetensors'));
  }

  it('any number of threads gives the same bits; another number of shards other ones', async () => {
    const inOne = await run(config({ shards: 3 }), 1);
    for (const workers of [2, 5]) {
      expect((await run(config({ shards: 3 }), workers)).equals(inOne), `${workers} threads`).to.equal(true);
    }
    expect((await run(config({ shards: 2 }), 1)).equals(inOne)).to.equal(false);
  });

  it('losses, gradients and running estimates are the means of those of the parts', async () => {
    const cfg = config({ shards: 2, scheduledSampling: { from: 1, to: 1, firstStep: 2 } });
    const random = new RandomSequence(1, 'noise', 0);
    const batch = Float32Array.from({ length: 12 * 64 }, () => 2 * random.uniform() - 1);
    const parameters = createParameters(cfg.model, 1);
    const { losses, gradients } = await new ShardedFsvae(cfg, parameters, 1).step(batch, 12, { epoch: 0, step: 4 });
    const halves = [0, 1].map((half) => {
      const own = createParameters(cfg.model, 1);
      const draws = shardDraws(drawStep(cfg, 0, 4, 12, 7), half, 2, 7, 4);
      const result = new Fsvae(cfg, own).step(batch.subarray(half * 6 * 64, (half + 1) * 6 * 64), 6, 7, draws);
      return { result, running: own.running };
    });
    const [a, b] = halves;
    for (const key of ['loss', 'mse', 'distance', 'spikes'] as const) {
      expect(losses[key], key).to.equal((a.result[key] + b.result[key]) / 2);
    }
    for (const [name, gradient] of gradients) {
      const [first, second] = halves.map(({ result }) => result.gradients.get(name)!);
      if (name.endsWith('weight')) expect(first, name).not.to.deep.equal(second);
      gradient.forEach((d, i) => expect(d, name).to.equal(Math.fround((first[i] + second[i]) / 2)));
    }
    parameters.running.forEach(({ data, name }, at) =>
      data.forEach((value, i) =>
        expect(value, name).to.equal(Math.fround((a.running[at].data[i] + b.running[at].data[i]) / 2)),
      ),
    );
  });

  it('the parts of a batch have the choices and the noise of their own images', () => {
    const cfg = config({ scheduledSampling: { from: 1, to: 1, firstStep: 0 } });
    const whole = drawStep(cfg, 0, 2, 12, 7);
    const parts = [0, 1, 2].map((shard) => shardDraws(whole, shard, 3, 7, 4));
    for (let t = 0; t < 7; t++) {
      const choices = parts.flatMap((part) => Array.from(part.choices.subarray(t * 16, (t + 1) * 16)));
      expect(choices).to.deep.equal(Array.from(whole.choices.subarray(t * 48, (t + 1) * 48)));
      expect(parts.flatMap((part) => Array.from(part.noise(t)))).to.deep.equal(Array.from(whole.noise(t)));
    }
    for (const { replaced } of parts) expect(replaced).to.deep.equal(whole.replaced);
  });

  it('a number that is not finite in a thread stops the run with its step and layer', async () => {
    const cfg = config({ shards: 2 });
    const parameters = createParameters(cfg.model, 0);
    parameters.encoder[1].weight.data[0] = NaN;
    let error: unknown;
    try {
      await run(cfg, 2, { config: cfg, parameters });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).to.be.instanceOf(FsvaeError);
    expect((error as FsvaeError).kind).to.equal('diverged');
    expect((error as FsvaeError).message).to.match(/^the currents of encoder\.1 are not finite at step 1 /);
  });

  for (const shards of [5, 12]) {
    it(`refuses ${shards} shards of a batch of 12`, () => {
      expect(() => config({ shards })).to.throw(FsvaeError, /shards: must part batchSize, 12, into equal parts of 2/);
    });
  }
});
