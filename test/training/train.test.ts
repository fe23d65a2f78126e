import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { PNG } from 'pngjs';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { runDecoder, runPrior } from '../../codegen/float/run.js';
import { encodeSafetensors, parseSafetensors } from '../../runtime-ts/safetensors.js';
import { parseConfig, readConfig, timeStepsOf, type TrainingConfig } from '../../training/config/config.js';
import type { ImageSet } from '../../training/data/image-set.js';
import { openImages } from '../../training/data/open.js';
import { lifBackward } from '../../training/engine/neurons.js';
import { drawTrainingChoices, replacementChance } from '../../training/model/draws.js';
import { Fsvae } from '../../training/model/fsvae.js';
import { createParameters } from '../../training/model/parameters.js';
import { AdamW, learningRateAt } from '../../training/train/adamw.js';
import { readRun, writeWhole } from '../../training/train/checkpoint.js';
import { readTrainedNetwork, type TrainedNetwork } from '../../training/train/trained-network.js';
import { train, type TrainResult } from '../../training/train/trainer.js';
import { writeMadeImages } from './made-images.js';
import { refused } from './refused.js';

const TINY = { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4, choices: 3, timeSteps: 7 };

function tinyConfig(changes: object = {}): TrainingConfig {
  return parseConfig({ model: TINY, batchSize: 8, epochs: 3, flips: true, seed: 3, ...changes }, 'tiny');
}

describe('training runs', function () {
  this.timeout(60_000);
  let folder: string;
  let images: ImageSet;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-train-'));
    writeMadeImages(join(folder, 'data'), 40, 1);
    images = openImages(join(folder, 'data'), 'train', { channels: 1, size: 8 });
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(
    out: string,
    options: {
      config?: TrainingConfig;
      resume?: boolean;
      steps?: number;
      stopped?: () => boolean;
      images?: ImageSet;
      from?: TrainedNetwork;
    } = {},
  ): Promise<TrainResult> {
    return train({
      config: tinyConfig(),
      images,
      out: join(folder, out),
      resume: false,
      stream: new PassThrough(),
      say: () => undefined,
      ...options,
    });
  }

  const bytes = (...path: string[]): Buffer => readFileSync(join(folder, ...path));
  const logged = (out: string): Record<string, number>[] =>
    bytes(out, 'log.jsonl')
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, number>);

  it('learns: the loss falls; each epoch has its pictures, each step its line', async () => {
    const result = await run('learns', { config: tinyConfig({ epochs: 40 }) });
    expect(result.finished).to.equal(true);
    const log = logged('learns');
    expect(log.map(({ step }) => step)).to.deep.equal(Array.from({ length: 200 }, (_, i) => i + 1));
    const mean = (from: number): number => log.slice(from, from + 20).reduce((sum, { mse }) => sum + mse / 20, 0);
    expect(mean(180)).to.be.below(0.7 * mean(0));
    for (const [what, width, height] of [
      ['samples', 8 * 18 - 2, 8 * 18 - 2],
      ['reconstructions', 8 * 18 - 2, 8 * 18 - 2],
    ] as const) {
      const png = PNG.sync.read(bytes('learns', 'pictures', `epoch-0040-${what}.png`));
      expect([png.width, png.height]).to.deep.equal([width, height]);
      expect(new Set(png.data).size, 'shades').to.be.above(10);
    }
  });

  it('goes on after any stop to the same numbers, bit for bit', async () => {
    await run('whole');
    // In the middle of the first epoch, at its end, and by request after one more step.
    expect((await run('parts', { steps: 3 })).finished).to.equal(false);
    await run('parts', { steps: 5, resume: true });
    let asked = 0;
    await run('parts', { resume: true, stopped: () => asked++ >= 1 });
    expect(logged('parts').length).to.equal(6);
    // A kill after the checkpoint leaves lines of steps that are done again, the last one cut short.
    const log = bytes('parts', 'log.jsonl').toString();
    writeFileSync(join(folder, 'parts', 'log.jsonl'), `${log}{"step":7,"loss":1}\n{"step":8,"lo`);
    expect((await run('parts', { resume: true })).finished).to.equal(true);
    for (const name of ['checkpoint.safetensors', 'model.safetensors']) {
      expect(bytes('parts', name).equals(bytes('whole', name)), name).to.equal(true);
    }
    const numbers = (out: string): object[] => logged(out).map((line) => ({ ...line, imagesPerSecond: 0 }));
    expect(numbers('parts')).to.deep.equal(numbers('whole'));
    expect(bytes('parts', 'pictures', 'epoch-0003-samples.png')).to.deep.equal(
      bytes('whole', 'pictures', 'epoch-0003-samples.png'),
    );
  });

  it('fine-tunes for the device, from a trained network alone, and goes on after a stop to the same numbers', async () => {
    await run('trained', { steps: 8 });
    const from = readTrainedNetwork(readCheckpoint(join(folder, 'trained', 'model.safetensors')), {});
    const config = tinyConfig({ quantization: { bits: { prior: 4 } } });
    await refused(() => run('untrained', { config }), 'usage', /fine-tunes a trained network.*give one with --from/);
    await run('tuned-whole', { config, from, steps: 4 });
    await run('tuned-parts', { config, from, steps: 2 });
    await run('tuned-parts', { config, resume: true, steps: 4 });
    for (const name of ['checkpoint.safetensors', 'model.safetensors']) {
      expect(bytes('tuned-parts', name).equals(bytes('tuned-whole', name)), name).to.equal(true);
    }
    await refused(() => run('tuned-whole', { resume: true }), 'usage', /it differs in quantization:/);
  });

  it('begins with the weights of another checkpoint, with another T too', async () => {
    await run('first', { steps: 5 });
    const from = readTrainedNetwork(readCheckpoint(join(folder, 'first', 'model.safetensors')), {});
    const shorter = tinyConfig({ model: { ...TINY, timeSteps: 4 }, optimizer: { learningRate: 1e-8 } });
    await run('tuned', { config: shorter, from, steps: 1 });
    const weight = (out: string): ArrayLike<number> =>
      readCheckpoint(join(folder, out, 'model.safetensors')).tensors.get('decoder.0.weight')!.data;
    for (let i = 0; i < 10; i++) expect(weight('tuned')[i]).to.be.closeTo(weight('first')[i], 1e-7);
    const wider = tinyConfig({ model: { ...TINY, latentChannels: 5 } });
    await refused(
      () => run('wider', { config: wider, from }),
      'usage',
      /another one than the config's: model\.latentChannels/,
    );
    await refused(() => run('tuned', { config: shorter, from, resume: true }), 'usage', /--from begins a run/);
  });

  it('other seeds are other runs', async () => {
    await run('seed', { config: tinyConfig({ seed: 4 }), steps: 1 });
    await run('same', { steps: 1 });
    expect(logged('seed')[0]['loss']).to.not.equal(logged('same')[0]['loss']);
  });

  it('what it writes is a checkpoint: the importer draws the images that the training network draws', async () => {
    const config = tinyConfig({ epochs: 12 });
    await run('export', { config });
    const path = join(folder, 'export', 'model.safetensors');
    const float = readFloatModel(readCheckpoint(path));
    const { timeSteps, latentChannels, choices: k, channels, imageSize } = float.config;
    expect(float.config).to.deep.equal({ channels: 1, imageSize: 8, latentChannels: 4, choices: 3, timeSteps: 7 });

    const parameters = createParameters(config.model, 0);
    readRun(join(folder, 'export', 'checkpoint.safetensors')).restore(
      parameters,
      new AdamW(parameters.trained, config.optimizer),
    );
    const count = 20;
    const drawn = drawTrainingChoices(1, 'prior', 0, timeSteps * count * latentChannels, k);
    const images = new Fsvae(config, parameters).sample(count, timeSteps, drawn);
    const pixels = channels * imageSize * imageSize;
    let spikes = 0;
    for (let n = 0; n < count; n++) {
      const own = Uint8Array.from({ length: timeSteps * latentChannels }, (_, i) => {
        return drawn[(Math.floor(i / latentChannels) * count + n) * latentChannels + (i % latentChannels)];
      });
      const { z } = runPrior(float, own);
      spikes += z.reduce((sum, value) => sum + value, 0);
      const { image } = runDecoder(float, z);
      for (let i = 0; i < pixels; i++) expect(images[n * pixels + i]).to.be.closeTo(image[i], 1e-5);
    }
    expect(spikes).to.be.above(20);
    // As load_state_dict wants it: every counter is there, a number without dimensions.
    const { tensors } = parseSafetensors(bytes('export', 'model.safetensors'));
    const counters = [...tensors].filter(([name]) => name.endsWith('.bn.num_batches_tracked'));
    expect(counters.length).to.equal([...tensors.keys()].filter((name) => name.endsWith('.bn.weight')).length);
    expect(counters.every(([, { dtype, shape }]) => dtype === 'I64' && shape.length === 0)).to.equal(true);
  });

  // NaN is there from the first time step on. A weight that is finite overflows where enough spikes meet it: the prior's first
  // input is zero. A dead decoder keeps every membrane within the surrogate's window, so gradients grow with each gain.
  for (const [values, what, timeStep] of [
    [{ 'encoder.0.weight': NaN }, 'the currents of encoder\\.0', '1'],
    [{ 'posterior.layers.1.weight': NaN }, 'the currents of posterior\\.layers\\.1', '1'],
    [{ 'prior.layers.2.bn.weight': NaN }, 'the currents of prior\\.layers\\.2', '1'],
    [{ 'prior.layers.0.weight': 3e38 }, 'the currents of prior\\.layers\\.0', '[2-7]'],
    [{ 'decoder.0.bn.bias': NaN }, 'the currents of decoder\\.0', '1'],
    [{ 'final_layer.1.weight': NaN }, 'the images of final_layer\\.1', '1'],
    [{ 'final_layer.1.weight': Infinity }, 'the images of final_layer\\.1', '1'],
    [{ 'final_layer.1.bias': NaN }, 'the images of final_layer\\.1', '1'],
    [
      { 'decoder_input.weight': 0, 'decoder.0.bn.weight': 1e35, 'final_layer.0.bn.weight': 1e35 },
      'the gradients of decoder\\.0\\.weight',
      '7',
    ],
  ] as const) {
    const changed = Object.entries(values as Record<string, number>);
    const title = changed.map(([name, value]) => `${value} in ${name}`).join(', ');
    it(`${title} stops it, with step, layer and time step, and the checkpoint stays`, async () => {
      const out = `diverges-${title}`;
      await run(out, { steps: 2 });
      const path = join(folder, out, 'checkpoint.safetensors');
      const { tensors, metadata } = parseSafetensors(readFileSync(path));
      for (const [name, value] of changed) {
        const { data } = tensors.get(name)!;
        const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
        // One that is not finite is enough.
        const end = Number.isFinite(value) ? data.byteLength : 4;
        for (let at = 0; at < end; at += 4) view.setFloat32(at, value, true);
      }
      const damaged = encodeSafetensors(tensors, metadata);
      writeFileSync(path, damaged);
      const message = new RegExp(
        `^${what} are not finite at step 3 \\(epoch 1\\), time step ${timeStep}; .* lower optimizer\\.learningRate`,
      );
      await refused(() => run(out, { resume: true }), 'diverged', message);
      expect(readFileSync(path).equals(damaged)).to.equal(true);
    });
  }

  it('backward names the latest time step that is not finite, as it runs from the last to the first', () => {
    const shape = { steps: 3, neurons: 2, channels: 2, constantInput: false };
    const constants = { tau: 0.25, threshold: 0.2, surrogate: { centre: 0, halfWidth: 0.5, height: 1 } };
    const notFiniteAt = (...at: number[]): number | undefined => {
      const [dSpikes, zeros] = [new Float32Array(6).fill(1), new Float32Array(6)];
      for (const index of at) dSpikes[index] = NaN;
      const moments = { mean: new Float64Array(2), variance: new Float64Array(2) };
      const ones = new Float64Array(2).fill(1);
      const [later, dx] = [new Float32Array(2), new Float32Array(6)];
      return lifBackward(dSpikes, 0, zeros, zeros, moments, ones, ones, shape, constants, later, dx).notFiniteAt;
    };
    expect([notFiniteAt(), notFiniteAt(1), notFiniteAt(2), notFiniteAt(1, 3), notFiniteAt(5)]).to.deep.equal([
      undefined,
      0,
      1,
      1,
      2,
    ]);
  });

  it('refuses what it cannot go on with', async () => {
    await run('one', { steps: 1 });
    await refused(() => run('one'), 'usage', /checkpoint\.safetensors is there already: --resume goes on/);
    await refused(() => run('none', { resume: true }), 'usage', /there is no .* to resume from/);
    await refused(
      () => run('one', { resume: true, config: tinyConfig({ optimizer: { learningRate: 0.01 }, seed: 9 }) }),
      'usage',
      /another config, it differs in optimizer\.learningRate, seed: give that one/,
    );
    await refused(
      () => run('few', { config: tinyConfig({ batchSize: 41 }) }),
      'usage',
      /there are 40 images, fewer than batchSize, 41/,
    );
    const fewer = openImages(join(folder, 'data'), 'train', { channels: 1, size: 8, limit: 39 });
    await refused(
      () => run('one', { resume: true, images: fewer }),
      'usage',
      /trained on other images \(40 images, CRC-32 [0-9a-f]{8}; these are 39 images/,
    );
    const path = join(folder, 'one', 'checkpoint.safetensors');
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, 5000));
    await refused(
      () => run('one', { resume: true }),
      'input',
      /not a readable safetensors file: .*; take an earlier copy/,
    );
    writeFileSync(path, bytes('one', 'model.safetensors'));
    await refused(() => run('one', { resume: true }), 'input', /is not a training checkpoint/);
    const { tensors, metadata } = parseSafetensors(whole);
    tensors.delete('optimizer.second.encoder.1.weight');
    writeFileSync(path, encodeSafetensors(tensors, metadata));
    await refused(() => run('one', { resume: true }), 'input', /"optimizer\.second\.encoder\.1\.weight" is missing/);
  });

  it('a batch that does not fit the engine is refused, not computed in the wrong place', () => {
    const module = new URL('../../training/engine/wasm.js', import.meta.url).href;
    const script = `import { allocate, startEngine } from ${JSON.stringify(module)};
      await startEngine();
      let count = 0;
      try { for (; count < 20; count++) allocate([2 ** 26]); } catch (error) { console.log(count, error.kind, error.message); }`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(child.stdout, child.stderr).to.match(
      /^15 usage .*4 GiB of memory do not hold .*\[67108864\].*lower batchSize\n$/,
    );
  });

  describe('files are whole at every moment', () => {
    it('a full disk leaves the one before', async () => {
      const path = join(folder, 'full');
      writeWhole(path, Uint8Array.of(1, 2, 3));
      symlinkSync('/dev/full', `${path}.partial`);
      await refused(
        () => writeWhole(path, new Uint8Array(100)),
        'usage',
        /full cannot be written \(ENOSPC\); the full of before/,
      );
      expect(Array.from(readFileSync(path))).to.deep.equal([1, 2, 3]);
      expect(existsSync(`${path}.partial`)).to.equal(false);
    });

    it('a kill at any moment leaves the one before or the new one', async () => {
      const path = join(folder, 'killed');
      const SIZE = 4 << 20;
      writeWhole(path, new Uint8Array(SIZE));
      const module = new URL('../../training/train/checkpoint.js', import.meta.url).href;
      const script = `import { writeWhole } from ${JSON.stringify(module)};
        console.log('begun');
        for (let i = 1; ; i++) writeWhole(${JSON.stringify(path)}, new Uint8Array(${SIZE}).fill(i));`;
      for (let kill = 0; kill < 5; kill++) {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await once(child.stdout, 'data');
        await new Promise((resolve) => setTimeout(resolve, 10 + 17 * kill));
        child.kill('SIGKILL');
        await once(child, 'exit');
        const found = readFileSync(path);
        expect(found.length).to.equal(SIZE);
        expect(found.every((byte) => byte === found[0])).to.equal(true);
      }
    });
  });

  it('the learning rate stays, or falls to zero along a line or half a cosine', () => {
    const at = (schedule: 'constant' | 'linear' | 'cosine'): number[] =>
      [0, 25, 50, 75, 100].map((step) => {
        const { optimizer } = parseConfig({ optimizer: { learningRate: 0.01, schedule } }, 'c');
        return Math.round(learningRateAt(optimizer, step, 100) * 1e6) / 1e4;
      });
    expect(at('constant')).to.deep.equal([1, 1, 1, 1, 1]);
    expect(at('linear')).to.deep.equal([1, 0.75, 0.5, 0.25, 0]);
    expect(at('cosine')).to.deep.equal([1, 0.8536, 0.5, 0.1464, 0]);
  });

  describe('config', () => {
    for (const [value, message] of [
      [{ batchSize: 1 }, /^c: batchSize: must be a whole number from 2 to 4096; docs/],
      [{ model: { timeSteps: 33 } }, /model\.timeSteps: must be a whole number from 1 to 32/],
      [{ model: { imageSize: 40, hiddenChannels: [4, 4, 4, 4] } }, /model\.imageSize: must be a multiple of 16/],
      [{ model: { hiddenChannels: [] } }, /model\.hiddenChannels: /],
      [{ model: { channels: 2 } }, /model\.channels: must be 1 or 3/],
      [{ neuron: { tau: 0.3 } }, /neuron\.tau: must be a multiple of 1\/256/],
      [{ optimizer: { learningRate: 2 } }, /optimizer\.learningRate: must be a number from 1e-8 to 1/],
      [{ learningRate: 1 }, /Unrecognized key: "learningRate"/],
      [{ curriculum: [{ until: 2, timeSteps: 17 }] }, /curriculum\.0\.timeSteps: must be at most model\.timeSteps, 16/],
      [{ batchSize: 0, epochs: 0 }, /batchSize: .*; epochs: must be a whole number from 1 to 100000/],
    ] as const) {
      it(`refuses ${JSON.stringify(value)}`, () => refused(() => parseConfig(value, 'c'), 'input', message));
    }

    it("the paper's values where nothing is said; the curriculum and the chance of replacing by epoch", async () => {
      const config = parseConfig(
        {
          curriculum: [
            { until: 2, timeSteps: 4 },
            { until: 5, timeSteps: 8 },
          ],
        },
        'c',
      );
      expect(config.model).to.deep.include({ latentChannels: 128, choices: 20, hiddenChannels: [32, 64, 128, 256] });
      expect([0, 1, 2, 4, 5, 149].map((epoch) => timeStepsOf(config, epoch))).to.deep.equal([4, 4, 8, 8, 16, 16]);
      expect(replacementChance(config, 0)).to.equal(0.1);
      expect(replacementChance(config, 75)).to.be.closeTo(0.2, 1e-12);
      expect(replacementChance({ ...config, scheduledSampling: null }, 75)).to.equal(0);
      const path = join(folder, 'config.json');
      await refused(() => readConfig(path), 'usage', /config\.json: cannot be read \(ENOENT\)/);
      writeFileSync(path, '{');
      await refused(() => readConfig(path), 'input', /config\.json: is not JSON/);
    });
  });
});
