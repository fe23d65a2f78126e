import { join } from 'node:path';
import { expect } from 'chai';
import { readNpz } from '../../codegen/checkpoint/npz.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { parseConfig, type TrainingConfig } from '../../training/config/config.js';
import {
  ConvolutionSynapses,
  LinearSynapses,
  ReadoutSynapses,
  type Synapses,
  TransposedConvolutionSynapses,
} from '../../training/engine/synapses.js';
import { scoped, startEngine, upload, values } from '../../training/engine/wasm.js';
import type { Draws } from '../../training/model/draws.js';
import { Fsvae } from '../../training/model/fsvae.js';
import { distance, distanceWeight } from '../../training/model/loss.js';
import { createParameters, type Parameters } from '../../training/model/parameters.js';
import { RandomSequence } from '../../training/random/philox.js';
import { AdamW } from '../../training/train/adamw.js';

/** Two training steps by the authors' PyTorch code; fixtures/record-step.py says how they were made. */
const recorded = readNpz(join(PACKAGE_ROOT, 'test/training/fixtures/step.npz'));
const [BATCH, CHANNELS, SIZE, T, C, K] = [6, 2, 8, 7, 4, 4];

function array(name: string): Float32Array {
  const found = recorded.get(name);
  if (found === undefined) throw new Error(`the fixture has no ${name}`);
  return Float32Array.from(found.data);
}

/** (N, T, C) to (T, N, C). */
function choicesTimeFirst(): Uint8Array {
  const { data } = recorded.get('choices')!;
  return Uint8Array.from(data, (_, i) => {
    const [t, n, c] = [Math.floor(i / (BATCH * C)), Math.floor(i / C) % BATCH, i % C];
    return data[(n * T + t) * C + c];
  });
}

/** (N, channels, H, W) to (N, H, W, channels). */
function channelLast(values: Float32Array): Float32Array {
  const plane = SIZE * SIZE;
  return Float32Array.from(values, (_, i) => {
    const [n, pixel, channel] = [Math.floor(i / (plane * CHANNELS)), Math.floor(i / CHANNELS) % plane, i % CHANNELS];
    return values[(n * CHANNELS + channel) * plane + pixel];
  });
}

function config(loss: Partial<TrainingConfig['loss']> = {}): TrainingConfig {
  const model = { imageSize: SIZE, hiddenChannels: [4, 6], latentChannels: C, choices: K, timeSteps: T };
  const parsed = parseConfig({ model, loss, batchSize: BATCH }, 'test');
  // Two channels are no picture, but tell an order of channels from an order of pixels.
  return { ...parsed, model: { ...parsed.model, channels: CHANNELS } };
}

function recordedParameters(): Parameters {
  const parameters = createParameters(config().model, 0);
  for (const { name, data } of [...parameters.trained, ...parameters.running]) data.set(array(`before/${name}`));
  return parameters;
}

const draws = (replaced: boolean): Draws => ({
  choices: choicesTimeFirst(),
  replaced: Array.from({ length: T }, (_, t) => replaced && t >= 5),
  noise: () => array('noise'),
});

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  expect(actual.length, what).to.equal(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(actual[i], `${what}[${i}]`).to.be.closeTo(expected[i], tolerance);
  }
}

describe('training model', () => {
  before(async () => void (await startEngine()));

  for (const { run, replaced, kind } of [
    { run: 'mmd', replaced: true, kind: 'mmd-psp' },
    { run: 'kld', replaced: false, kind: 'kld' },
  ] as const) {
    it(`${kind}${replaced ? ', scheduled sampling' : ''}: losses, gradients and running estimates of the authors' code`, () => {
      const parameters = recordedParameters();
      const model = new Fsvae(config({ distance: kind }), parameters);
      const { mse, distance: apart, gradients } = model.step(channelLast(array('input')), BATCH, T, draws(replaced));
      close([mse, apart], array(`${run}/losses`), 2e-5, 'losses');
      expect(gradients.size).to.equal(parameters.trained.length);
      for (const { name } of parameters.trained) {
        const expected = array(`${run}/gradient/${name}`);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        close(gradients.get(name)!, expected, 1e-6 + 2e-4 * largest, name);
      }
      for (const { name, data } of parameters.running) close(data, array(`${run}/${name}`), 1e-6, name);
    });
  }

  it("two steps of AdamW and an evaluation: parameters, image and losses of the authors' code", () => {
    const parameters = recordedParameters();
    const model = new Fsvae(config(), parameters);
    const { gradients } = model.step(channelLast(array('input')), BATCH, T, draws(true));
    const rounding = new Set<string>();
    for (const [name, gradient] of gradients) if (gradient.every((value) => value === 0)) rounding.add(name);
    // Biases that tdBN subtracts again: zero here, rounding noise there, which Adam takes for a gradient.
    expect([...rounding].every((name) => /\.bias$/.test(name) && !name.includes('.bn.'))).to.equal(true);
    const optimizer = new AdamW(parameters.trained, config().optimizer);
    optimizer.step(gradients);
    optimizer.step(gradients);
    for (const { name, data } of parameters.trained) {
      const expected = array(`after/${name}`);
      const gradient = array(`mmd/gradient/${name}`);
      // A step is 1e-3 * g / (|g| + 1e-8): where g is rounding noise, so is the step.
      for (let i = 0; i < data.length; i++) {
        if (Math.abs(gradient[i]) > 1e-5) expect(data[i], `${name}[${i}]`).to.be.closeTo(expected[i], 2e-6);
        else expect(data[i], `${name}[${i}]`).to.be.closeTo(expected[i], 4.1e-3);
      }
      data.set(expected);
    }
    const {
      images,
      mse,
      distance: apart,
    } = model.reconstruct(channelLast(array('input')), BATCH, T, choicesTimeFirst());
    close(images, channelLast(array('evaluation/image')), 2e-5, 'image');
    close([mse, apart], array('evaluation/losses'), 1e-5, 'losses');
  });

  it('MMD without PSP is that of the recorded spikes', () => {
    const model = new Fsvae(config({ distance: 'mmd' }), recordedParameters());
    const found = model.step(channelLast(array('input')), BATCH, T, draws(true)).distance;
    expect(found).to.be.closeTo(array('mmd/without-psp')[0], 1e-8);
  });

  describe('linear maps', () => {
    const random = (count: number, seed: number): Float32Array => {
      const sequence = new RandomSequence(seed, 'noise', 0);
      return Float32Array.from({ length: count }, () => sequence.normal());
    };
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
      Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
    const MAPS: readonly { title: string; make: () => Synapses; x: number[]; y: number[]; weights: number }[] = [
      {
        title: 'fully connected, reordered',
        make: () => new LinearSynapses(5, 3, [4, 2, 0, 1, 3], [1, 2, 0]),
        x: [7, 5],
        y: [7, 3],
        weights: 15,
      },
      {
        title: 'convolution of stride 2',
        make: () => new ConvolutionSynapses(3, 5),
        x: [2, 6, 6, 3],
        y: [2, 3, 3, 5],
        weights: 9 * 15,
      },
      {
        title: 'transposed convolution of stride 2',
        make: () => new TransposedConvolutionSynapses(5, 3),
        x: [2, 3, 3, 5],
        y: [2, 6, 6, 3],
        weights: 9 * 15,
      },
      { title: 'readout', make: () => new ReadoutSynapses(5, 2), x: [2, 4, 4, 5], y: [2, 4, 4, 2], weights: 90 },
    ];
    for (const { title, make, x, y, weights } of MAPS) {
      it(`${title}: backward is the adjoint, and the weight gradient that of finite differences`, () =>
        scoped(() => {
          const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
          const synapses = make();
          const weight = random(weights, 1);
          const input = upload(random(size(x), 2), x as [number]);
          const d = upload(random(size(y), 3), y as [number]);
          const run = (changed: Float32Array): Float32Array => {
            synapses.load(changed);
            const output = synapses.forward(input);
            expect(output.shape).to.deep.equal(y);
            return values(output).slice();
          };
          const forward = dot(run(weight), values(d));
          expect(dot(values(input), values(synapses.backward(d)))).to.be.closeTo(forward, 1e-4);
          const gradient = synapses.weightGradient(input, d);
          // Linear in each weight, so a difference of 1 is as good as a small one.
          weight.forEach((value, i) => {
            const changed = weight.slice();
            changed[i] = value + 1;
            expect(dot(run(changed), values(d)) - forward, `weight ${i}`).to.be.closeTo(gradient[i], 1e-3);
          });
        }));
    }
  });

  for (const kind of ['mmd-psp', 'mmd', 'kld'] as const) {
    it(`${kind}: gradients are those of finite differences`, () => {
      const sequence = new RandomSequence(4, 'noise', 0);
      const draw = (): Float32Array => Float32Array.from({ length: 5 * 6 }, () => 0.1 + 0.8 * sequence.uniform());
      const [q, p] = [draw(), draw()];
      const { dq, dp } = distance(kind, q, p, 5, 2);
      const h = 1e-3;
      for (const [list, gradient] of [
        [q, dq],
        [p, dp],
      ]) {
        list.forEach((value, i) => {
          list[i] = value + h;
          const above = distance(kind, q, p, 5, 2).value;
          list[i] = value - h;
          const below = distance(kind, q, p, 5, 2).value;
          list[i] = value;
          const slope = (distanceWeight(kind) * (above - below)) / (2 * h);
          expect(gradient[i]).to.be.closeTo(slope, 1e-6 + 1e-2 * Math.abs(slope));
        });
      }
    });
  }

  it("the readout's gradients are those of finite differences, whatever the spikes", () => {
    const parameters = recordedParameters();
    const before = [...parameters.trained, ...parameters.running].map(({ data }) => data.slice());
    const model = new Fsvae(config(), parameters);
    const images = channelLast(array('input'));
    const loss = (): number => {
      const found = model.step(images, BATCH, T, draws(false)).loss;
      parameters.running.forEach(({ data }, i) => data.set(before[parameters.trained.length + i]));
      return found;
    };
    const { gradients } = model.step(images, BATCH, T, draws(false));
    for (const { name, data } of [parameters.readout.weight, parameters.readout.bias]) {
      for (let i = 0; i < data.length; i += 5) {
        const value = data[i];
        data[i] = value + 1e-2;
        const above = loss();
        data[i] = value - 1e-2;
        const below = loss();
        data[i] = value;
        const slope = (above - below) / 2e-2;
        expect(gradients.get(name)![i], `${name}[${i}]`).to.be.closeTo(slope, 1e-5 + 1e-3 * Math.abs(slope));
      }
    }
  });

  it('a cost of spikes enters the loss, and pushes the rates of prior and decoder down', () => {
    const plain = new Fsvae(config(), recordedParameters()).step(channelLast(array('input')), BATCH, T, draws(false));
    const costly = new Fsvae(config({ spikeCost: 0.01 }), recordedParameters()).step(
      channelLast(array('input')),
      BATCH,
      T,
      draws(false),
    );
    expect(costly.spikes).to.equal(plain.spikes);
    expect(costly.loss).to.be.closeTo(plain.loss + 0.01 * plain.spikes, 1e-9);
    for (const name of ['prior.layers.2.bn.bias', 'final_layer.0.bn.bias', 'decoder_input.bn.bias']) {
      const sum = (list: Float32Array): number => list.reduce((total, value) => total + value, 0);
      expect(sum(costly.gradients.get(name)!), name).to.be.above(sum(plain.gradients.get(name)!) + 1e-3);
    }
  });
});
