import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs-core';
import { parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { runDecoder, runPrior } from '../../codegen/float/run.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { drawChoices } from '../../runtime-ts/pcg32.js';
import { parseConfig } from '../../training/config/config.js';
import { openImages } from '../../training/data/open.js';
import {
  ConvolutionSynapses,
  ReadoutSynapses,
  type Synapses,
  TransposedConvolutionSynapses,
} from '../../training/engine/synapses.js';
import { scoped, startEngine, upload, values } from '../../training/engine/wasm.js';
import {
  type Connection,
  connectionsOf,
  denseOperations,
  fanOuts,
  neuronsOf,
} from '../../training/metrics/connections.js';
import { frechetDistance, type Gaussian } from '../../training/metrics/frechet.js';
import { InceptionNetwork, inceptionScore, splitScore } from '../../training/metrics/inception.js';
import { annOperations, OperationCounter } from '../../training/metrics/operations.js';
import { formatEvaluation } from '../../training/metrics/report.js';
import { FloatResize } from '../../training/metrics/resize.js';
import { byteBatches, floatSamples, seededChoices, setBatches, wholeBatches } from '../../training/metrics/samples.js';
import { referenceLatents, scoreImages } from '../../training/metrics/score.js';
import { readStatistics } from '../../training/metrics/statistics.js';
import { Fsvae } from '../../training/model/fsvae.js';
import { RandomSequence } from '../../training/random/philox.js';
import { encodeNetwork } from '../../training/train/checkpoint.js';
import { readAutoencoder } from '../../training/train/networks.js';
import { meansNetwork } from '../support/onnx.js';
import { livelyNetwork } from './lively-network.js';

const PAPER = parseConfig({}, 'paper').model;

function random(count: number, seed: number): Float64Array {
  const sequence = new RandomSequence(seed, 'noise', 0);
  return Float64Array.from({ length: count }, () => sequence.normal());
}

/** A covariance of the given rank. */
function covariance(n: number, rank: number, seed: number): Float64Array {
  const root = random(n * rank, seed);
  return Float64Array.from({ length: n * n }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += root[Math.floor(i / n) * rank + k] * root[(i % n) * rank + k];
    return sum;
  });
}

describe('Fréchet distance', () => {
  const gaussian = (mean: number[], matrix: ArrayLike<number>): Gaussian => ({
    mean: Float64Array.from(mean),
    covariance: Float64Array.from(matrix),
  });

  it('of one dimension: differences of means and of deviations, squared', () => {
    expect(frechetDistance(gaussian([3], [4]), gaussian([1], [9]))).to.be.closeTo(4 + 1, 1e-12);
  });

  for (let seed = 0; seed < 5; seed++) {
    it(`of two dimensions: the closed form of the root's trace, seed ${seed}`, () => {
      const [a, b] = [covariance(2, 2, 2 * seed), covariance(2, 2, 2 * seed + 1)];
      const trace = a[0] * b[0] + a[1] * b[2] + a[2] * b[1] + a[3] * b[3];
      const determinant = (a[0] * a[3] - a[1] * a[2]) * (b[0] * b[3] - b[1] * b[2]);
      // The two eigenvalues of AB have this sum and this product.
      const root = Math.sqrt(trace + 2 * Math.sqrt(determinant));
      const expected = 0.25 + a[0] + a[3] + b[0] + b[3] - 2 * root;
      expect(frechetDistance(gaussian([0, 0.5], a), gaussian([0, 0], b))).to.be.closeTo(expected, 1e-10);
    });

    it(`is symmetric, and 0 from a distribution to itself, also where it is flat, seed ${seed}`, () => {
      const n = 12;
      const a = { mean: random(n, 50 + seed), covariance: covariance(n, 5, 60 + seed) };
      const b = { mean: random(n, 70 + seed), covariance: covariance(n, n, 80 + seed) };
      expect(frechetDistance(a, a)).to.be.closeTo(0, 1e-5);
      const there = frechetDistance(a, b);
      expect(there).to.be.above(0);
      expect(frechetDistance(b, a)).to.be.closeTo(there, 1e-5);
    });
  }
});

describe('operations', () => {
  before(async () => void (await startEngine()));

  const cases: readonly { connection: Connection; synapses: () => Synapses }[] = [1, 2, 3, 4].flatMap((size) => [
    {
      connection: { name: 'x', kind: 'convolution', inputs: 2, outputs: 3, size: 2 * size, stride: 2 },
      synapses: () => new ConvolutionSynapses(2, 3),
    },
    {
      connection: { name: 'x', kind: 'transposed', inputs: 2, outputs: 3, size, stride: 2 },
      synapses: () => new TransposedConvolutionSynapses(2, 3),
    },
    {
      connection: { name: 'x', kind: 'transposed', inputs: 2, outputs: 3, size, stride: 1 },
      synapses: () => new ReadoutSynapses(2, 3),
    },
  ]);
  for (const { connection, synapses } of cases) {
    const { kind, stride, size, inputs, outputs } = connection;
    it(`${kind}, stride ${stride}, ${size} x ${size}: outputs reached are what the engine reaches with weights of 1`, () =>
      scoped(() => {
        const engine = synapses();
        engine.load(new Float32Array(inputs * outputs * 9).fill(1));
        fanOuts(connection).forEach((reached, i) => {
          const one = new Float32Array(inputs * size * size);
          one[i] = 1;
          const output = values(engine.forward(upload<tf.Rank.R4>(one, [1, size, size, inputs])));
          expect(output.length).to.equal(neuronsOf(connection));
          expect(
            output.reduce((sum, value) => sum + value, 0),
            `input ${i}`,
          ).to.equal(reached);
        });
      }));
  }

  it("ANN VAE: Table 2 is the authors' formulas, summed over the 250 images of a batch", () => {
    const { authors, reconstruction, generation } = annOperations(PAPER);
    expect(authors.multiplications).to.equal(29_614_080);
    expect((250 * authors.multiplications).toExponential(1)).to.equal('7.4e+9');
    expect((250 * authors.additions).toExponential(1)).to.equal('7.4e+9');
    // By hand, e.g. the last transposed convolution reaches (3 * 16 - 1)^2 * 32 outputs of each of its 32 channels.
    const side = (n: number): number => (3 * n - 1) ** 2;
    const decoder = 128 * 1024 + side(2) * 256 * 128 + side(4) * 128 * 64 + side(8) * 64 * 32 + side(16) * 32 * 32;
    expect(generation.multiplications).to.equal(decoder + 94 ** 2 * 32);
    const encoder = [32, 16, 8, 4].reduce((sum, n, i) => {
      const [from, to] = [1, 32, 64, 128, 256].slice(i, i + 2);
      return sum + (1.5 * n - 1) ** 2 * from * to;
    }, 0);
    expect(reconstruction.multiplications).to.equal(encoder + 2 * 1024 * 128 + 2 * 128 + generation.multiplications);
  });

  it('FSVAE: every spike times the weights that it adds, by an engine whose weights are 1', () => {
    const { config, parameters } = livelyNetwork();
    const { timeSteps: T, latentChannels, choices, channels, imageSize } = config.model;
    const batch = 3;
    const model = new Fsvae(config, parameters);
    const counter = new OperationCounter(config.model, model);
    const images = Float32Array.from(random(batch * channels * imageSize ** 2, 1), (value) => Math.tanh(value));
    const drawn = Uint8Array.from(
      random(T * batch * latentChannels, 2),
      (value) => Math.floor(Math.abs(value) * 100) % choices,
    );
    const pass = () => model.reconstruct(images, batch, T, drawn);
    counter.watch(batch, pass);
    // The same pass again, its spikes kept.
    const kept = model.layers.map((layer) => {
      const seen: { input: Float32Array; spikes: Float32Array } = {
        input: new Float32Array(),
        spikes: new Float32Array(),
      };
      layer.observe = (input, spikes, steps) => {
        if (steps === T) Object.assign(seen, { input: values(input).slice(), spikes: values(spikes).slice() });
      };
      return seen;
    });
    pass();
    for (const layer of model.layers) layer.observe = undefined;

    const { encoder, toLatent, posterior, prior, decoder, readout } = connectionsOf(config.model, 'fsvae');
    const connections = [...encoder, ...toLatent, ...posterior, ...prior, ...decoder];
    const sum = (list: Float32Array): number => list.reduce((a, b) => a + b, 0);
    const added = (connection: Connection, input: Float32Array): number =>
      scoped(() => {
        const { kind, inputs, outputs, size, stride } = connection;
        if (kind === 'linear') return sum(input) * outputs;
        const synapses =
          kind === 'convolution'
            ? new ConvolutionSynapses(inputs, outputs)
            : stride === 2
              ? new TransposedConvolutionSynapses(inputs, outputs)
              : new ReadoutSynapses(inputs, outputs);
        synapses.load(new Float32Array(9 * inputs * outputs).fill(1));
        return sum(
          values(
            synapses.forward(upload<tf.Rank.R4>(input, [input.length / (inputs * size * size), size, size, inputs])),
          ),
        );
      });
    const counted = counter.reconstruction();
    const find = (name: string) => counted.layers.find((layer) => layer.name === name)!;
    connections.forEach((connection, i) => {
      const { input, spikes } = kept[i];
      const neurons = neuronsOf(connection);
      if (connection.name.startsWith('prior.')) return void expect(find(connection.name)).to.equal(undefined);
      expect(sum(spikes), `${connection.name} is silent`).to.be.above(0);
      const perStep = spikes.length / T;
      const carried = (T - 1) * neurons - sum(spikes.subarray(0, (T - 1) * perStep)) / batch;
      const currents = i === 0 ? denseOperations(connection) : added(connection, input) / batch;
      const layer = find(connection.name);
      expect(layer.spikes, connection.name).to.be.closeTo(sum(spikes) / batch, 1e-9);
      expect(layer.additions, connection.name).to.be.closeTo(currents + carried, 1e-6);
      expect(layer.multiplications, connection.name).to.be.closeTo((i === 0 ? currents : 0) + carried, 1e-6);
      if (!connection.name.startsWith('posterior.')) return;
      // Their posterior runs over all steps so far, for each step but the last, and then once over all.
      let [additions, multiplications] = [0, 0];
      for (const steps of [...Array.from({ length: T - 1 }, (_, t) => t + 1), T]) {
        const elements = steps * neurons;
        const prefix = input.length / T;
        additions += (sum(input.subarray(0, steps * prefix)) / batch) * connection.outputs + 2 * elements;
        multiplications += elements - sum(spikes.subarray(0, steps * perStep)) / batch;
      }
      expect(layer.authors.additions, connection.name).to.be.closeTo(additions, 1e-6);
      expect(layer.authors.multiplications, connection.name).to.be.closeTo(multiplications, 1e-6);
    });
    const last = kept[kept.length - 1].spikes;
    const pixels = channels * imageSize ** 2;
    expect(find(readout.name).additions).to.be.closeTo(added(readout, last) / batch + (T - 1) * pixels, 1e-6);
    const of = (what: 'additions' | 'multiplications'): number =>
      counted.layers.reduce((a, layer) => a + layer[what], 0);
    expect([counted.additions, counted.multiplications]).to.deep.equal([of('additions'), of('multiplications')]);
  });

  it('a sample: the prior step by step counts once for each step', () => {
    const { config, parameters } = livelyNetwork();
    const model = new Fsvae(config, parameters);
    const counter = new OperationCounter(config.model, model);
    const batch = 8;
    const choices = seededChoices(config.model, 0n, batch);
    counter.watch(batch, () => model.sample(batch, config.model.timeSteps, choices));
    const { layers } = counter.generation();
    const float = readFloatModel(parseCheckpoint(encodeNetwork(config, parameters, 0), 'made'));
    const { timeSteps, latentChannels, choices: k } = config.model;
    const runs = Array.from({ length: batch }, (_, n) => {
      const prior = runPrior(float, drawChoices(BigInt(n), timeSteps, latentChannels, k));
      return [...prior.layers, ...runDecoder(float, prior.z).layers];
    });
    const spikes = runs[0].map((_, i) => runs.reduce((sum, run) => sum + run[i].reduce((a, b) => a + b, 0), 0) / batch);
    expect(layers.slice(0, -1).map((layer) => layer.spikes)).to.deep.equal(spikes);
  });
});

describe('samples', () => {
  before(async () => void (await startEngine()));

  it('of the float network are those of the folded one from the same seeds', () => {
    const { config, parameters } = livelyNetwork();
    const { timeSteps, latentChannels, choices: k, channels, imageSize } = config.model;
    const firstSeed = 2n ** 64n - 100n;
    const [batch] = floatSamples(new Fsvae(config, parameters), config.model, firstSeed, 256);
    const float = readFloatModel(parseCheckpoint(encodeNetwork(config, parameters, 0), 'made'));
    const pixels = channels * imageSize ** 2;
    expect(batch.images.length).to.equal(256 * pixels);
    for (const n of [0, 63, 64, 99, 100, 255]) {
      const seed = BigInt.asUintN(64, firstSeed + BigInt(n));
      const { image } = runDecoder(float, runPrior(float, drawChoices(seed, timeSteps, latentChannels, k)).z);
      for (let i = 0; i < pixels; i++) {
        const from = (i % channels) * imageSize ** 2 + Math.floor(i / channels);
        expect(batch.images[n * pixels + i], `seed ${seed}, value ${i}`).to.be.closeTo(image[from], 1e-5);
      }
    }
  });

  it('come in whole batches; bytes are scaled as training images are', () => {
    expect([1, 256, 257, 5000].map(wholeBatches)).to.deep.equal([256, 256, 512, 5120]);
    const bytes = Array.from({ length: 300 }, (_, n) =>
      Uint8Array.from({ length: 12 }, (__, i) => (7 * n + 31 * i) % 256),
    );
    const batches = [...byteBatches(bytes, { channels: 3, imageSize: 2 })].map(({ count, images }) => ({
      count,
      images: images.slice(0, count * 12),
    }));
    expect(batches.map(({ count }) => count)).to.deep.equal([256, 44]);
    // Channel last: the second value is the second channel's first pixel.
    expect(batches[1].images[1]).to.equal(Math.fround(2 * Math.fround(bytes[256][4] / 255)) - 1);
    const pixels = new Uint8Array(300 * 12);
    bytes.forEach((image, n) => pixels.set(image, n * 12));
    const set = [...setBatches({ count: 300, channels: 3, size: 2, pixels })];
    expect(set.map(({ images }) => Array.from(images))).to.deep.equal(batches.map(({ images }) => Array.from(images)));
  });
});

describe('Inception network', () => {
  let folder: string;
  before(() => void (folder = mkdtempSync(join(tmpdir(), 'fsvae-metrics-'))));
  after(() => rmSync(folder, { recursive: true }));

  const MATRIX = Float32Array.from([1, -2, 3, 0, -1, 2, 0.5, 1, -3, 4, 2, 1]);
  const OPTIONS = { range: 'symmetric', filter: 'bilinear' } as const;

  function file(name: string, bytes: Uint8Array): string {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  }

  async function refused(path: string, kind: string, message: RegExp): Promise<void> {
    try {
      await InceptionNetwork.open(path, OPTIONS);
    } catch (error) {
      expect(error).to.be.instanceOf(FsvaeError);
      expect((error as FsvaeError).kind).to.equal(kind);
      return void expect((error as FsvaeError).message).to.match(message);
    }
    expect.fail('it was taken');
  }

  // Values of Pillow 9.4's Image.resize in mode F.
  const PLANE = [-1, 0.4, -0.4, 1, 0.2, -0.6, 0.8, 0, -0.8, 0.6, -0.2, -1, 0.4, -0.4, 1, 0.2];
  for (const [filter, to, first] of [
    ['bilinear', 7, [-1, -0.5, 0.3, 0, -0.3, 0.5, 1, -0.571429, -0.352041, -0.00102, 0.035714, 0.072449, 0.423469]],
    ['bicubic', 7, [-1.220094, -0.582396, 0.437996, -0.007933, -0.453861, 0.56653, 1.204229, -0.651035, -0.400606]],
    ['bicubic', 3, [-0.458243, 0.014563, 0.590983, -0.243021, 0.191447, -0.343429, -0.027798, 0.304576, 0.085723]],
  ] as const) {
    it(`images are resized as Pillow does it: ${filter}, 4 to ${to}`, () => {
      const into = new Float32Array(to * to);
      new FloatResize(4, to, filter).apply(PLANE, into);
      first.forEach((value, i) => expect(into[i], `${i}`).to.be.closeTo(value, 2e-6));
    });
  }

  for (const { range, of } of [
    { range: 'symmetric', of: (value: number) => value },
    { range: '1', of: (value: number) => (value + 1) / 2 },
    { range: '255', of: (value: number) => 127.5 * (value + 1) },
    {
      range: 'imagenet',
      of: (value: number, c: number) => ((value + 1) / 2 - [0.485, 0.456, 0.406][c]) / [0.229, 0.224, 0.225][c],
    },
  ] as const) {
    it(`a made ONNX file runs: features and probabilities, range ${range}`, async () => {
      const path = file(`${range}.onnx`, meansNetwork({ size: 4, matrix: MATRIX }));
      const network = await InceptionNetwork.open(path, { range, filter: 'bilinear' });
      expect([network.hasFeatures, network.hasLogits]).to.deep.equal([true, true]);
      const count = 11; // more than one run of the network
      const images = Float32Array.from(random(count * 16 * 3, 5), (value) => Math.tanh(value));
      const { features, probabilities } = await network.run({ count, images }, 3, 4);
      for (let n = 0; n < count; n++) {
        const means = [0, 1, 2].map((c) => {
          let sum = 0;
          for (let i = 0; i < 16; i++) sum += images[(n * 16 + i) * 3 + c];
          return of(sum / 16, c);
        });
        const scale = range === '255' ? 1e-4 : 1e-5;
        means.forEach((mean, c) => expect(features![n * 3 + c]).to.be.closeTo(mean, scale));
        const logits = [0, 1, 2, 3].map((j) => means.reduce((sum, mean, c) => sum + mean * MATRIX[c * 4 + j], 0));
        const powers = logits.map((value) => Math.exp(value - Math.max(...logits)));
        const total = powers.reduce((a, b) => a + b, 0);
        powers.forEach((power, j) => expect(probabilities![n * 4 + j]).to.be.closeTo(power / total, 1e-3));
      }
    });
  }

  it('grey images are repeated; an open size is 299', async () => {
    const network = await InceptionNetwork.open(
      file('open.onnx', meansNetwork({ matrix: MATRIX, outputs: { features: 'features' } })),
      OPTIONS,
    );
    const { features, probabilities } = await network.run(
      { count: 2, images: new Float32Array(2 * 16).fill(0.25) },
      1,
      4,
    );
    expect(Array.from(features!)).to.satisfy((list: number[]) => list.every((value) => Math.abs(value - 0.25) < 1e-4));
    expect(features!.length).to.equal(6);
    expect(probabilities).to.equal(undefined);
  });

  it('scores of a set: FID from the features, inception score in splits of 256', async () => {
    const network = await InceptionNetwork.open(file('score.onnx', meansNetwork({ size: 2, matrix: MATRIX })), OPTIONS);
    const images = Float32Array.from(random(300 * 4 * 3, 9), (value) => Math.tanh(value));
    const batches = [
      { count: 256, images: images.subarray(0, 256 * 12) },
      { count: 44, images: images.subarray(256 * 12) },
    ];
    const shape = { channels: 3, imageSize: 2 };
    const outputs = await Promise.all([network.run(batches[0], 3, 2)]);
    outputs.push(await network.run(batches[1], 3, 2));
    const all = outputs.flatMap(({ features }) => Array.from(features!));
    const mean = [0, 1, 2].map((c) => all.filter((_, i) => i % 3 === c).reduce((a, b) => a + b, 0) / 300);
    const matrix = [0, 1, 2].flatMap((i) =>
      [0, 1, 2].map((j) => {
        let sum = 0;
        for (let n = 0; n < 300; n++) sum += (all[3 * n + i] - mean[i]) * (all[3 * n + j] - mean[j]);
        return sum / 299;
      }),
    );
    const shifted = { mean: Float64Array.from(mean, (value) => value + 2), covariance: Float64Array.from(matrix) };
    const scores = await scoreImages(batches, { inception: { network, reference: shifted } }, shape);
    expect(scores.samples).to.equal(300);
    expect(scores.fid).to.be.closeTo(12, 1e-5);
    const splits = outputs.map(({ probabilities }, i) => splitScore(probabilities!, batches[i].count));
    expect(scores.inceptionScore).to.deep.equal(inceptionScore(splits));
    const other = { mean: new Float64Array(2), covariance: new Float64Array(4) };
    try {
      await scoreImages(batches, { inception: { network, reference: other } }, shape);
      expect.fail('statistics of two dimensions were taken');
    } catch (error) {
      expect((error as Error).message).to.match(/statistics have 2 dimensions, but the network gives 3/);
    }
  });

  it('inception score: the number of classes at best, 1 at worst', () => {
    const sure = new Float32Array(40).map((_, i) => (i % 4 === Math.floor(i / 4) % 4 ? 1 : 0)).slice(0, 32);
    expect(splitScore(sure, 8)).to.be.closeTo(4, 1e-12);
    expect(splitScore(new Float32Array(32).fill(0.25), 8)).to.be.closeTo(1, 1e-12);
    expect(inceptionScore([2, 4])).to.deep.equal({ mean: 3, deviation: 1, splits: 2 });
  });

  it('what is no such network is refused', async () => {
    await refused(join(folder, 'none.onnx'), 'usage', /none\.onnx: no such file/);
    await refused(
      file('noise.onnx', Uint8Array.from(random(100, 1))),
      'input',
      /noise\.onnx: ONNX Runtime does not take it/,
    );
    const unnamed = meansNetwork({ size: 4, matrix: MATRIX, outputs: { logits: 'classes' } });
    await refused(file('names.onnx', unnamed), 'input', /gives classes; expected an output named features/);
  });
});

describe('statistics and tables', () => {
  it('a table has the rows of the paper only in Markdown, and no empty columns', () => {
    const report = {
      model: 'm',
      data: 'mnist test',
      images: 2,
      firstSeed: '0',
      rows: [{ title: 'float network', reconstruction: 0.05, scores: { samples: 256, autoencoderDistance: 12.345 } }],
    };
    expect(formatEvaluation(report, 'plain').split('\n')).to.deep.equal([
      'model          reconstruction  autoencoder FD  samples',
      'float network         0.05000           12.35      256',
    ]);
    expect(formatEvaluation(report, 'markdown')).to.contain(
      '| FSVAE (paper) | 0.031 | 6.209 | 97.06 | 35.54 | 5,000 |',
    );
  });
});

/** Where FSVAE_REFERENCE says: the authors' metric autoencoders and their statistics, as published in their repository. */
describe("the authors' statistics", function () {
  this.timeout(300_000);
  for (const { data, autoencoder, statistics } of [
    { data: 'mnist', autoencoder: 'ae_mnist_64.pth', statistics: 'ae_mnist_test_64.npz' },
    { data: 'fashion-mnist', autoencoder: 'ae_fashion_64.pth', statistics: 'ae_fashion_test_64.npz' },
  ]) {
    it(`of ${data} are those of its test set`, async function () {
      const folder = process.env.FSVAE_REFERENCE;
      if (folder === undefined || !existsSync(join(folder, autoencoder))) {
        console.log(`      skipped: set FSVAE_REFERENCE to a folder with ${autoencoder} and ${statistics}`);
        return this.skip();
      }
      await startEngine();
      const encoder = readAutoencoder(readCheckpoint(join(folder, autoencoder)));
      const { channels, imageSize: size } = encoder.shape;
      let set;
      try {
        set = openImages(data, 'test', { channels, size });
      } catch (error) {
        console.log(`      skipped: ${(error as Error).message}`);
        return this.skip();
      }
      const found = referenceLatents(encoder, setBatches(set));
      expect(frechetDistance(found, readStatistics(join(folder, statistics), encoder.features))).to.be.below(1e-6);
      // Not whatever the images: half of them are farther away.
      const half = { ...set, count: set.count / 2 };
      const other = referenceLatents(encoder, setBatches(half));
      expect(frechetDistance(other, readStatistics(join(folder, statistics), encoder.features))).to.be.above(0.1);
    });
  }
});
