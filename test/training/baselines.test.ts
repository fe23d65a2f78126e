import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { readNpz } from '../../codegen/checkpoint/npz.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseSafetensors } from '../../runtime-ts/safetensors.js';
import { Autoencoder } from '../../training/baselines/autoencoder.js';
import { latentStatistics } from '../../training/baselines/statistics.js';
import { type BaselineTensors, createBaselineTensors } from '../../training/baselines/tensors.js';
import { Vae } from '../../training/baselines/vae.js';
import { type BaselineConfig, type NetworkConfig, parseNetworkConfig } from '../../training/config/config.js';
import { imageBatch, type ImageSet } from '../../training/data/image-set.js';
import { openImages } from '../../training/data/open.js';
import { startEngine } from '../../training/engine/wasm.js';
import type { Network, TrainedStep } from '../../training/model/network.js';
import { RandomSequence } from '../../training/random/philox.js';
import { readAutoencoder, readBaseline, readNetwork } from '../../training/train/networks.js';
import { writeStatistics } from '../../training/metrics/write-statistics.js';
import { train, type TrainResult } from '../../training/train/trainer.js';
import { writeMadeImages } from './made-images.js';

/** A step and an evaluation by the authors' PyTorch code; fixtures/record-baselines.py says how they were made. */
const recorded = readNpz(join(PACKAGE_ROOT, 'test/training/fixtures/baselines.npz'));
const [BATCH, CHANNELS, SIZE, C] = [6, 2, 8, 5];
const KL_WEIGHT = 0.05;
/** Of finite differences. */
const STEP = 3e-4;
/** Half a second difference, by the step, from which on a direction has a kink: half of what a slope may be off. */
const KINK = 2.5e-4;
const DIRECTIONS = 3;
const MOST_TRIES = 60;
const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const KINDS = ['vae', 'autoencoder'] as const;
type Kind = (typeof KINDS)[number];

function array(name: string): Float32Array {
  const found = recorded.get(name);
  if (found === undefined) throw new Error(`the fixture has no ${name}`);
  return Float32Array.from(found.data);
}

/** (N, channels, H, W) to (N, H, W, channels). */
function channelLast(values: Float32Array): Float32Array {
  const plane = SIZE * SIZE;
  return Float32Array.from(values, (_, i) => {
    const [n, pixel, channel] = [Math.floor(i / (plane * CHANNELS)), Math.floor(i / CHANNELS) % plane, i % CHANNELS];
    return values[(n * CHANNELS + channel) * plane + pixel];
  });
}

function recordedTensors(kind: Kind): BaselineTensors {
  // Two channels are no picture, but tell an order of channels from an order of pixels.
  const shape = { channels: CHANNELS, imageSize: SIZE, hiddenChannels: [4, 6], latentChannels: C };
  const tensors = createBaselineTensors(kind, shape, 0);
  for (const { name, shape, data } of [...tensors.trained, ...tensors.running]) {
    expect(shape, name).to.deep.equal(recorded.get(`${kind}/before/${name}`)?.shape);
    data.set(array(`${kind}/before/${name}`));
  }
  return tensors;
}

/** The recorded network, and a step of it with the recorded noise. */
function recordedNetwork(kind: Kind): { tensors: BaselineTensors; network: Network; step(): TrainedStep } {
  const tensors = recordedTensors(kind);
  const images = channelLast(array('input'));
  const parsed = parseNetworkConfig(
    { kind, model: { imageSize: SIZE, hiddenChannels: [4, 6], latentChannels: C } },
    '',
  );
  const config = { ...parsed, model: { ...parsed.model, channels: CHANNELS } } as BaselineConfig;
  if (kind === 'autoencoder') {
    const network = new Autoencoder(config.model, tensors);
    return { tensors, network, step: () => network.step(images, BATCH) };
  }
  const network = new Vae(config, tensors, KL_WEIGHT);
  return { tensors, network, step: () => network.stepWith(images, BATCH, array('vae/noise')) };
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  expect(actual.length, what).to.equal(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(actual[i], `${what}[${i}]`).to.be.closeTo(expected[i], tolerance);
  }
}

function refused(action: () => unknown, message: RegExp): void {
  expect(action).to.throw(FsvaeError, message).with.property('kind', 'input');
}

describe('networks without spikes', function () {
  this.timeout(60_000);
  let folder: string;
  before(async () => {
    await startEngine();
    folder = mkdtempSync(join(tmpdir(), 'fsvae-baselines-'));
    writeMadeImages(join(folder, 'data'), 40, 20);
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const kind of KINDS) {
    it(`${kind}: names, losses, gradients and running estimates of the authors' code`, () => {
      const { tensors, step } = recordedNetwork(kind);
      const names = [...recorded.keys()].filter((name) => name.startsWith(`${kind}/before/`));
      expect(names.length).to.equal(tensors.trained.length + tensors.running.length);
      const { losses, gradients } = step();
      const found = [losses.loss, losses.mse, losses['distance']].slice(0, kind === 'vae' ? 3 : 1);
      close(found as number[], array(`${kind}/losses`), 2e-5, 'losses');
      expect(gradients.size).to.equal(tensors.trained.length);
      for (const { name } of tensors.trained) {
        const expected = array(`${kind}/gradient/${name}`);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        close(gradients.get(name)!, expected, 1e-6 + 2e-4 * largest, name);
      }
      for (const { name, data } of tensors.running) close(data, array(`${kind}/after/${name}`), 1e-6, name);
    });

    it(`${kind}: gradients are those of finite differences`, () => {
      const { tensors, step } = recordedNetwork(kind);
      const running = tensors.running.map(({ data }) => data.slice());
      const loss = (): number => {
        const found = step().losses.loss;
        tensors.running.forEach(({ data }, i) => data.set(running[i]));
        return found;
      };
      const { gradients } = step();
      const seed = Date.now() % 1e6;
      const random = new RandomSequence(seed, 'noise', 0);
      for (const { name, data } of tensors.trained) {
        const at = data.slice();
        const gradient = gradients.get(name)!;
        // Along random directions of this tensor: one number that all its gradients enter. Where a LeakyReLU changes sides on the
        // way, the loss has a kink, which spoils the slope by as much as the second difference shows: of some tensors in one
        // direction of three. Three without one are looked at; kinks that cancel there spoil no more than one of them.
        const differences: number[] = [];
        for (let tries = 0; differences.length < DIRECTIONS && tries < MOST_TRIES; tries++) {
          const direction = Float32Array.from(data, () => random.normal() / Math.sqrt(data.length));
          const moved = (h: number): number => {
            data.forEach((_, i) => (data[i] = at[i] + h * direction[i]));
            return loss();
          };
          const [ahead, here, behind] = [moved(STEP), moved(0), moved(-STEP)];
          data.set(at);
          if (Math.abs(ahead + behind - 2 * here) / (2 * STEP) > KINK) continue;
          const slope = (ahead - behind) / (2 * STEP);
          const expected = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
          differences.push(Math.abs(slope - expected) - 0.03 * Math.abs(expected));
        }
        expect(differences, `${name}, seed ${seed}: directions without a kink`).to.have.length(DIRECTIONS);
        expect(Math.min(...differences), `${name}, seed ${seed}`).to.be.below(5e-4);
      }
    });
  }

  it("evaluation draws the authors' images; with the batch's statistics the latents are theirs, and nothing moves", () => {
    const autoencoder = recordedNetwork('autoencoder');
    autoencoder.step();
    const images = channelLast(array('input'));
    const made = autoencoder.network.reconstruct(images, BATCH, 0).images;
    close(made, channelLast(array('autoencoder/evaluation/image')), 1e-5, 'image');
    const before = autoencoder.tensors.running.map(({ data }) => data.slice());
    const latent = (autoencoder.network as Autoencoder).encode(images, BATCH, 'batch');
    close(latent, array('autoencoder/batch/latent'), 1e-5, 'latent');
    expect(autoencoder.tensors.running.map(({ data }) => data)).to.deep.equal(before);

    const vae = recordedNetwork('vae');
    vae.step();
    // The noise that the recording has is not this network's own: compare without any, by an exact 0 in its place.
    const [mean, spread] = vae.tensors.latent;
    expect(mean.name).to.equal('fc_mu');
    spread.weight.data.fill(0);
    spread.bias.data.fill(-200);
    const plain = vae.network.reconstruct(images, BATCH, 0).images;
    expect(plain).to.deep.equal(vae.network.reconstruct(images, BATCH, 1).images);
    expect(vae.network.sample!(4, 0).length).to.equal(4 * CHANNELS * SIZE * SIZE);
  });

  it('mean and covariance are those of their definition', () => {
    const seed = Date.now() % 1e6;
    const random = new RandomSequence(seed, 'noise', 1);
    const rows = Array.from({ length: 7 }, () => [random.normal(), 3 + random.normal(), random.uniform()]);
    const batches = [rows.slice(0, 4), rows.slice(4)].map((list) => Float32Array.from(list.flat()));
    const { mean, covariance } = latentStatistics(batches, 3);
    const at = (i: number): number[] => rows.map((row) => Math.fround(row[i]));
    const average = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
    for (let i = 0; i < 3; i++) {
      expect(mean[i], `seed ${seed}`).to.be.closeTo(average(at(i)), 1e-12);
      for (let j = 0; j < 3; j++) {
        const products = at(i).map((value, n) => (value - average(at(i))) * (at(j)[n] - average(at(j))));
        expect(covariance[3 * i + j], `seed ${seed}`).to.be.closeTo((7 / 6) * average(products), 1e-12);
      }
    }
    expect(() => latentStatistics([new Float32Array(3)], 3)).to.throw(RangeError);
  });

  describe('in the trainer', () => {
    const shape = { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4 };
    const config = (kind: NetworkConfig['kind'], changes: object = {}): NetworkConfig =>
      parseNetworkConfig({ kind, model: shape, batchSize: 8, epochs: 3, flips: true, seed: 3, ...changes }, 'tiny');
    let images: ImageSet;
    before(() => (images = openImages(join(folder, 'data'), 'train', { channels: 1, size: 8 })));

    const run = (out: string, kind: Kind, options: object = {}): Promise<TrainResult> =>
      train({
        config: config(kind),
        images,
        out: join(folder, out),
        resume: false,
        stream: new PassThrough(),
        say: () => undefined,
        ...options,
      });
    const bytes = (...path: string[]): Buffer => readFileSync(join(folder, ...path));

    for (const kind of KINDS) {
      it(`${kind} learns, and goes on after a stop to the same numbers, bit for bit`, async () => {
        await run(`${kind}-whole`, kind);
        await run(`${kind}-parts`, kind, { steps: 4 });
        expect((await run(`${kind}-parts`, kind, { resume: true })).finished).to.equal(true);
        for (const name of ['checkpoint.safetensors', 'model.safetensors']) {
          expect(bytes(`${kind}-parts`, name).equals(bytes(`${kind}-whole`, name)), name).to.equal(true);
        }
        const pictures = readdirSync(join(folder, `${kind}-whole`, 'pictures'));
        expect(pictures.filter((name) => name.endsWith('samples.png')).length).to.equal(kind === 'vae' ? 3 : 0);
        expect(pictures.filter((name) => name.endsWith('reconstructions.png')).length).to.equal(3);

        await run(`${kind}-long`, kind, { config: config(kind, { epochs: 30 }) });
        const log = bytes(`${kind}-long`, 'log.jsonl').toString().trimEnd().split('\n');
        const mse = log.map((line) => (JSON.parse(line) as { mse: number }).mse);
        const mean = (from: number): number => mse.slice(from, from + 15).reduce((sum, value) => sum + value / 15, 0);
        // The divergence weighs much with five batches an epoch.
        expect(mean(135)).to.be.below((kind === 'vae' ? 0.85 : 0.6) * mean(0));
      });
    }

    it('what it writes is a state_dict of the authors’ class, read back by its names', async () => {
      const { network } = await run('names', 'vae');
      const checkpoint = readCheckpoint(join(folder, 'names', 'model.safetensors'));
      const { config: found, parameters } = readBaseline(checkpoint);
      expect(found.kind).to.equal('vae');
      expect(found.model).to.deep.equal({ channels: 1, ...shape });
      expect(parameters.trained.map(({ data }) => data)).to.deep.equal(network.tensors.trained.map(({ data }) => data));
      const { tensors } = parseSafetensors(bytes('names', 'model.safetensors'));
      expect([...tensors.keys()].filter((name) => name.endsWith('.num_batches_tracked')).length).to.equal(2 + 2);

      const tuned = await run('tuned', 'vae', { from: readNetwork(checkpoint, config('vae')), steps: 1 });
      close(tuned.network.tensors.trained[0].data, network.tensors.trained[0].data, 1.1e-3, 'encoder.0.0.weight');
      const other = new RegExp('is a network of kind vae, but the config says autoencoder');
      refused(() => readNetwork(checkpoint, config('autoencoder')), other);
      refused(() => readAutoencoder(checkpoint), /is an ANN VAE, not an autoencoder/);
      refused(() => readNetwork(checkpoint, config('fsvae')), /encoder\.0\.weight/);
      const tiny = parseCheckpoint(readFileSync(join(PACKAGE_ROOT, 'models/tiny/tiny.safetensors')), 'tiny');
      refused(() => readBaseline(tiny), /tiny: holds no encoder\.0\.0\.weight/);
    });

    it('statistics of the test images’ latents lie beside the autoencoder', async () => {
      const { networkPath, network } = await run('metric', 'autoencoder');
      const test = openImages(join(folder, 'data'), 'test', { channels: 1, size: 8 });
      const path = join(folder, 'metric', 'statistics.safetensors');
      writeStatistics(path, readAutoencoder(readCheckpoint(networkPath)), test);
      const { tensors } = readCheckpoint(path);
      const all = imageBatch(
        test,
        Uint32Array.from({ length: 20 }, (_, i) => i),
      );
      const expected = latentStatistics([(network as Autoencoder).encode(all, 20, 'batch')], 4);
      expect(tensors.get('mu')).to.deep.equal({ shape: [4], data: expected.mean });
      expect(tensors.get('sigma')).to.deep.equal({ shape: [4, 4], data: expected.covariance });
    });

    it('as a command: statistics too; test images are asked for before the training begins', () => {
      const command = (data: string): { code: number | null; out: string; err: string } => {
        const args = [MAIN, 'train', '-c', 'autoencoder.json', '-d', data, '-o', `command-${data}`];
        const child = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
        return { code: child.status, out: child.stdout, err: child.stderr };
      };
      const text = JSON.stringify({ kind: 'autoencoder', model: shape, batchSize: 8, epochs: 1 });
      writeFileSync(join(folder, 'autoencoder.json'), text);
      const { code, out, err } = command('data');
      expect(code, err).to.equal(0);
      expect(out)
        .to.match(/latents: command-data\/statistics\.safetensors/)
        .and.not.include('quantize');
      expect(readCheckpoint(join(folder, 'command-data', 'statistics.safetensors')).tensors.size).to.equal(2);
      mkdirSync(join(folder, 'half'));
      copyFileSync(join(folder, 'data', 'train-images-idx3-ubyte'), join(folder, 'half', 'train-images-idx3-ubyte'));
      const half = command('half');
      expect([half.code, existsSync(join(folder, 'command-half'))]).to.deep.equal([3, false]);
      expect(half.err).to.match(/t10k-images-idx3-ubyte: no such file/);
    });

    it('NaN stops it, with step and layer', async () => {
      for (const [name, what] of [
        ['encoder.0.0.weight', 'the outputs of encoder\\.0\\.0'],
        ['fc_var.bias', 'the outputs of fc_var'],
        ['final_layer.3.bias', 'the outputs of final_layer\\.3'],
      ]) {
        const from = { config: config('vae'), parameters: createBaselineTensors('vae', { channels: 1, ...shape }, 0) };
        from.parameters.trained.find((tensor) => tensor.name === name)!.data[0] = NaN;
        const error = await run(`nan-${name}`, 'vae', { from }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).to.be.instanceOf(FsvaeError);
        expect((error as FsvaeError).kind).to.equal('diverged');
        expect((error as FsvaeError).message).to.match(new RegExp(`^${what} are not finite at step 1`));
      }
    });

    for (const [text, message] of [
      ['{"kind":"gan"}', /kind: must be one of fsvae, vae, autoencoder/],
      ['{"kind":"vae","neuron":{}}', /neuron/],
      ['{"kind":"autoencoder","model":{"timeSteps":4}}', /model: .*timeSteps/],
      ['{"kind":"vae","model":{"channels":2}}', /model\.channels: must be 1 or 3/],
    ] as const) {
      it(`refuses ${text}`, () => refused(() => parseNetworkConfig(JSON.parse(text), 'x'), message));
    }

    for (const name of ['vae-mnist', 'vae-fashion-mnist']) {
      it(`the shipped ${name} is a network of the config beside it`, () => {
        const inFolder = (file: string): string => join(PACKAGE_ROOT, 'models', name, file);
        const beside = parseNetworkConfig(JSON.parse(readFileSync(inFolder('config.json'), 'utf8')), name);
        const { kind, model } = readBaseline(readCheckpoint(inFolder(`${name}.safetensors`))).config;
        expect({ kind, model }).to.deep.equal({ kind: 'vae', model: beside.model });
        const { metadata } = parseSafetensors(readFileSync(inFolder(`${name}.safetensors`)));
        expect(parseNetworkConfig(JSON.parse(metadata['config']), name)).to.deep.equal(beside);
      });
    }

    it("the paper's sizes where nothing is said", () => {
      expect(parseNetworkConfig({ kind: 'vae' }, '').model.latentChannels).to.equal(128);
      expect(parseNetworkConfig({ kind: 'autoencoder' }, '').model.latentChannels).to.equal(64);
      expect(parseNetworkConfig({}, '').kind).to.equal('fsvae');
    });
  });
});
