import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { parseBitsOption } from '../../codegen/quantize/bits.js';
import { layerNames } from '../../codegen/quantize/quantize.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { Network } from '../../runtime-ts/network.js';
import {
  bitsOption,
  configJsonSchema,
  layerWeightBits,
  parseConfig,
  type TrainingConfig,
} from '../../training/config/config.js';
import { integerLifBackward, integerLifForward } from '../../training/engine/integer-neurons.js';
import { lifBackward, lifForward } from '../../training/engine/neurons.js';
import { LinearSynapses, type Synapses, TransposedConvolutionSynapses, upTo } from '../../training/engine/synapses.js';
import { scoped, startEngine, upload, values } from '../../training/engine/wasm.js';
import { drawStep, drawTrainingChoices } from '../../training/model/draws.js';
import { Fsvae } from '../../training/model/fsvae.js';
import { bottomOrder } from '../../training/model/generator.js';
import { integerGenerator } from '../../training/model/integer-generator.js';
import { NotFinite } from '../../training/model/layer.js';
import { createParameters, generatorLayers, type Parameters } from '../../training/model/parameters.js';
import { QuantizedLayer } from '../../training/model/quantized-layer.js';
import { QuantizedReadout, type Readout, RealReadout } from '../../training/model/readout.js';
import { RandomSequence } from '../../training/random/philox.js';
import { AdamW } from '../../training/train/adamw.js';
import { encodeNetwork } from '../../training/train/checkpoint.js';

const BATCH = 5;
const MODEL = { imageSize: 16, hiddenChannels: [4, 6, 8], latentChannels: 6, choices: 5, timeSteps: 6 };

function config(more: object): TrainingConfig {
  return parseConfig({ model: MODEL, batchSize: BATCH, ...more }, 'test');
}

/** Every tensor moved by chance, so that no two channels fold alike; gammas of both signs. */
function randomParameters(shape: TrainingConfig['model'], seed: number): Parameters {
  const parameters = createParameters(shape, seed);
  const random = new RandomSequence(seed, 'noise', 1);
  for (const { name, data } of parameters.trained) {
    const [shift, spread] = name.endsWith('.bn.weight') ? [0, 0.8] : name.endsWith('.bn.bias') ? [0.1, 0.2] : [0, 0];
    for (let i = 0; i < data.length; i++) data[i] += shift + spread * random.normal();
  }
  for (const { name, data } of parameters.running) {
    for (let i = 0; i < data.length; i++) {
      data[i] = name.endsWith('mean') ? 0.3 * random.normal() : 0.05 + random.uniform() ** 2;
    }
  }
  return parameters;
}

function images({ model: { imageSize, channels } }: TrainingConfig, seed: number): Float32Array {
  const random = new RandomSequence(seed, 'noise', 2);
  return Float32Array.from({ length: BATCH * imageSize ** 2 * channels }, () => 2 * random.uniform() - 1);
}

/** Row n of (T, batch, C). */
function ofImage<A extends Uint8Array | Float32Array>(all: A, n: number, { model }: TrainingConfig): Uint8Array {
  const { timeSteps, latentChannels: c } = model;
  const batch = all.length / (timeSteps * c);
  return Uint8Array.from({ length: timeSteps * c }, (_, i) => all[(Math.floor(i / c) * batch + n) * c + (i % c)]);
}

/** Golden pixels as the trainer has them: channel last, in -1 .. 1. */
function asDrawn(bytes: Uint8Array, { config: { channels, imageSize } }: IntegerModel): number[] {
  const plane = imageSize ** 2;
  return Array.from(bytes, (_, i) => Math.fround(bytes[(i % channels) * plane + Math.floor(i / channels)] / 127.5 - 1));
}

describe('fine-tuning for the device', () => {
  before(async () => void (await startEngine()));

  for (const { title, more } of [
    { title: '8 bits', more: { quantization: {} } },
    { title: '4 bits', more: { quantization: { bits: 4 } } },
    {
      title: 'bits by layer, three channels of colour',
      more: {
        model: { ...MODEL, channels: 3 },
        quantization: { bits: { prior: 4, decoder: 4, 'decoder.0': 8, 'final_layer.1': 4 } },
      },
    },
    {
      title: 'another leak, a threshold of 1',
      more: { neuron: { tau: 0.40625, threshold: 1 }, quantization: { bits: 4 } },
    },
  ]) {
    for (const seed of [1, 2]) {
      it(`${title}, seed ${seed}: reconstructions and samples are the golden model's, byte for byte`, () => {
        const cfg = config(more);
        const parameters = randomParameters(cfg.model, seed);
        const model = new Fsvae(cfg, parameters);
        const { timeSteps: T, latentChannels: C, choices: K } = cfg.model;
        const golden = integerGenerator(cfg, parameters, T);
        const network = new Network(golden);
        const choices = drawTrainingChoices(seed, 'prior', 0, T * BATCH * C, K);

        const { z, images: drawn, spikes } = model.reconstruct(images(cfg, seed), BATCH, T, choices);
        const sampled = model.sample(BATCH, T, choices);
        const pixels = drawn.length / BATCH;
        let decoderSpikes = 0;
        for (let n = 0; n < BATCH; n++) {
          const latent = ofImage(z, n, cfg);
          const bytes = network.runDecoder(latent, (_, __, fired) => {
            decoderSpikes += fired.reduce((sum, spike) => sum + spike, 0);
          });
          expect(Array.from(drawn.subarray(n * pixels, (n + 1) * pixels))).to.deep.equal(asDrawn(bytes, golden));
          const sample = network.runDecoder(network.runPrior(ofImage(choices, n, cfg)));
          expect(Array.from(sampled.subarray(n * pixels, (n + 1) * pixels))).to.deep.equal(asDrawn(sample, golden));
        }
        // A network that never fires would be equal too.
        expect(decoderSpikes).to.be.above(BATCH * 20);
        expect(new Set(sampled).size).to.be.above(10);
        expect(spikes * BATCH).to.be.above(decoderSpikes); // the prior's besides
      });
    }
  }

  it('what training runs forward is what evaluation runs, and running statistics of the generator stay', () => {
    const cfg = config({ quantization: { bits: 4 }, scheduledSampling: null });
    const parameters = randomParameters(cfg.model, 3);
    const model = new Fsvae(cfg, parameters);
    const T = cfg.model.timeSteps;
    const before = new Map(parameters.running.map(({ name, data }) => [name, data.slice()]));
    model.step(images(cfg, 3), BATCH, T, drawStep(cfg, 0, 0, BATCH, T));
    for (const { name, data } of parameters.running) {
      const generator = /^(prior|decoder|final_layer)/.test(name);
      if (generator) expect(data, name).to.deep.equal(before.get(name));
      else expect(data, name).not.to.deep.equal(before.get(name));
    }
  });

  it('with the posterior frozen, a step sees what evaluation sees, and trains prior and decoder alone', () => {
    const cfg = config({ quantization: { bits: 4, freezePosterior: true }, scheduledSampling: null });
    const free = config({ quantization: { bits: 4 }, scheduledSampling: null });
    const parameters = randomParameters(cfg.model, 5);
    const T = cfg.model.timeSteps;
    const draws = drawStep(cfg, 0, 0, BATCH, T);
    const batch = images(cfg, 5);
    const model = new Fsvae(cfg, parameters);
    const running = parameters.running.map(({ data }) => data.slice());
    const evaluated = model.reconstruct(batch, BATCH, T, draws.choices);
    const stepped = model.step(batch, BATCH, T, draws);
    expect([stepped.distance, stepped.spikes]).to.deep.equal([evaluated.distance, evaluated.spikes]);
    // Their images differ by the rounding to 256 grey levels, half a level at most.
    expect(stepped.mse).to.be.closeTo(evaluated.mse, (2 * Math.sqrt(evaluated.mse)) / 255);
    parameters.running.forEach(({ name, data }, i) => expect(data, name).to.deep.equal(running[i]));
    const generator = [...generatorLayers(parameters), parameters.readout].map(({ name }) => name);
    const trained = new Set([...stepped.gradients.keys()].map((name) => name.replace(/(\.bn)?\.(weight|bias)$/, '')));
    expect([...trained].sort()).to.deep.equal(generator.sort());
    const before = new Map(parameters.trained.map(({ name, data }) => [name, data.slice()]));
    new AdamW(parameters.trained, cfg.optimizer).step(stepped.gradients);
    for (const { name, data } of parameters.trained) {
      const same = data.every((value, i) => value === before.get(name)![i]);
      expect(same, name).to.equal(!stepped.gradients.has(name));
    }
    const all = new Fsvae(free, randomParameters(free.model, 5)).step(batch, BATCH, T, draws);
    expect(all.gradients.size).to.equal(parameters.trained.length);
  });

  it('the integers are those that quantize makes of the network file', () => {
    const cfg = config({ quantization: { bits: { prior: 4 } } });
    const parameters = randomParameters(cfg.model, 4);
    const file = readFloatModel(parseCheckpoint(encodeNetwork(cfg, parameters, 0), 'file'));
    expect([...layerWeightBits(cfg).keys()]).to.deep.equal(layerNames(file));
    const integer = integerGenerator(cfg, parameters, cfg.model.timeSteps);
    expect(integer.prior.map(({ weightBits }) => weightBits)).to.deep.equal([4, 4, 4]);
    expect(integer.decoder.map(({ weightBits }) => weightBits)).to.deep.equal([8, 8, 8]);
  });

  it('a value that is not finite is named, not rounded', () => {
    const cfg = config({ quantization: {} });
    const parameters = randomParameters(cfg.model, 4);
    parameters.decoder[1].gamma.data[2] = NaN;
    const T = cfg.model.timeSteps;
    const step = () => new Fsvae(cfg, parameters).step(images(cfg, 4), BATCH, T, drawStep(cfg, 0, 0, BATCH, T));
    expect(step).to.throw(NotFinite, 'the values of decoder.1.bn.weight are not finite');
  });

  it('neurons in integers go backward as those in real numbers do, where nothing is rounded', () => {
    const [steps, channels, neurons] = [9, 3, 12];
    const random = new RandomSequence(5, 'noise', 0);
    const constants = { tau: 0.25, threshold: 8, surrogate: { centre: 0, halfWidth: 20, height: 0.05 } };
    // Currents are multiples of 4^9, of which nine leaks are whole numbers; a unit is 4^-9 of a real one.
    const unit = 4 ** steps;
    const x = Float32Array.from({ length: steps * neurons }, () => random.below(31) - 15);
    const dSpikes = Float32Array.from({ length: steps * neurons }, () => random.normal());
    const spikes = [new Float32Array(x.length), new Float32Array(x.length)];
    const shape = { steps, neurons, channels, constantInput: false };
    const real = new Float32Array(x.length);
    const one = new Float32Array(channels).fill(1);
    lifForward(x, one, new Float32Array(channels), shape, constants, spikes[0], real, new Float32Array(neurons));
    const whole = new Int32Array(x.length);
    const layer = {
      bias: new Int32Array(channels),
      threshold: new Int32Array(channels).fill(8 * unit),
      fractionBits: 2 * steps,
    };
    const leak = { multiplier: 1, shift: 2 };
    const count = integerLifForward(x, layer, leak, shape, spikes[1], whole, new Int32Array(neurons));
    expect(spikes[1]).to.deep.equal(spikes[0]);
    expect(count).to.equal(spikes[0].reduce((sum, spike) => sum + spike, 0));
    expect(count).to.be.within(10, x.length - 10);
    whole.forEach((membrane, i) => expect(membrane / unit).to.equal(real[i]));

    const [expected, found] = [new Float32Array(x.length), new Float32Array(x.length)];
    const moments = { mean: new Float64Array(channels), variance: new Float64Array(channels) };
    const ones = new Float64Array(channels).fill(1);
    const sums = integerLifBackward(
      dSpikes,
      0.5,
      whole,
      layer,
      ones.map((value) => value / unit),
      shape,
      constants,
      new Float32Array(neurons),
      found,
    );
    const { beta, normalised } = lifBackward(
      dSpikes,
      0.5,
      real,
      x,
      moments,
      ones,
      ones,
      shape,
      constants,
      new Float32Array(neurons),
      expected,
    );
    sums.forEach((sum, c) => expect(sum).to.be.closeTo(beta[c], 1e-5));
    const rows = x.length / channels;
    found.forEach((d, i) => {
      const c = i % channels;
      // lifBackward goes on through tdBN's batch statistics: that part is taken back.
      expect(d, `current ${i}`).to.be.closeTo(expected[i] + (beta[c] + x[i] * normalised[c]) / rows, 1e-5);
    });
    expect(Math.max(...found.map(Math.abs))).to.be.above(0.01);
  });

  for (const { name, at, x: shape } of [
    { name: 'prior.layers.1', at: 1, x: [4, 12] },
    { name: 'decoder_input', at: 3, x: [4, 6] },
    { name: 'decoder.1', at: 5, x: [3, 4, 4, 6] },
  ]) {
    it(`${name}: gradients are those of finite differences through tdBN's fold, and of the rounded weights`, () =>
      scoped(() => {
        const cfg = config({ quantization: { bits: 4 } });
        const parameters = randomParameters(cfg.model, 6);
        // A derivative of 1/2 everywhere, and one step: the loss is linear in the currents.
        const constants = { tau: 0.25, threshold: 0.2, surrogate: { centre: 0, halfWidth: Infinity, height: 0.5 } };
        const layerParameters = generatorLayers(parameters)[at];
        const order = name === 'decoder_input' ? bottomOrder(cfg.model) : upTo(layerParameters.bias.data.length);
        const [rows, columns] = layerParameters.weight.shape;
        const synapses = (): Synapses =>
          name === 'decoder.1'
            ? new TransposedConvolutionSynapses(rows, columns)
            : new LinearSynapses(columns, rows, upTo(columns), order);
        const layer = new QuantizedLayer(
          layerParameters,
          synapses(),
          name.startsWith('prior') ? 2 : 1,
          constants,
          order,
        );
        const integer = integerGenerator(cfg, parameters, 6);
        const own = [...integer.prior, integer.decoderInput, ...integer.decoder][at];
        expect([layerParameters.name, own.name]).to.deep.equal([name, name]);
        layer.load(own, integer);
        const random = new RandomSequence(7, 'noise', 0);
        const x = upload(
          Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.below(2)),
          shape as [number],
        );
        const spikes = layer.forward(x, { steps: 1, mode: 'train', keep: true });
        const dSpikes = upload(
          Float32Array.from({ length: spikes.size }, () => random.normal()),
          spikes.shape as [number],
        );
        const dCurrent = upload(
          values(dSpikes).map((d) => 0.5 * d),
          spikes.shape as [number],
        );
        const gradients = new Map<string, Float32Array>();
        const dInput = values(layer.backward(dSpikes, gradients, 'input')!).slice();

        const rounded = synapses();
        const weight = Float32Array.from(own.weight);
        const perChannel = own.kind === 'linear' ? own.inFeatures : 9;
        own.weight.forEach((w, i) => {
          const channel = Math.floor(i / perChannel) % own.bias.length;
          const row = own.kind === 'linear' ? order[channel] * own.inFeatures + (i % own.inFeatures) : i;
          weight[row] = w * own.scale[channel];
        });
        rounded.load(weight);
        const expected = values(rounded.backward(dCurrent));
        dInput.forEach((d, i) => expect(d, `input ${i}`).to.be.closeTo(expected[i], 1e-5));

        const real = synapses();
        const loss = (): number => {
          const float = readFloatModel(parseCheckpoint(encodeNetwork(cfg, parameters, 0), 'file'));
          const folded = [...float.prior, float.decoderInput, ...float.decoder][at];
          real.load(Float32Array.from(folded.weight));
          const current = values(real.forward(x));
          const d = values(dCurrent);
          const channels = folded.bias.length;
          return current.reduce((sum, value, i) => sum + d[i] * (value + folded.bias[order[i % channels]]), 0);
        };
        const { weight: w, bias, gamma, beta } = layerParameters;
        for (const { name: tensor, data } of [w, bias, gamma, beta]) {
          const gradient = gradients.get(tensor)!;
          for (let i = 0; i < data.length; i += Math.ceil(data.length / 24)) {
            const value = data[i];
            data[i] = value + 0.25;
            const above = loss();
            data[i] = value - 0.25;
            const below = loss();
            data[i] = value;
            expect(gradient[i], `${tensor}[${i}]`).to.be.closeTo(2 * (above - below), 1e-4);
          }
        }
      }));
  }

  it('readout: images and gradients are those of the real one whose weights are what the rounding left', () => {
    const cfg = config({ quantization: { bits: 4 } });
    const parameters = randomParameters(cfg.model, 8);
    const { readout } = parameters;
    const T = cfg.model.timeSteps;
    const integer = integerGenerator(cfg, parameters, T).readout;
    const random = new RandomSequence(9, 'noise', 0);
    const shape: [number, number, number, number] = [T * 2, 16, 16, integer.inChannels];
    const spikes = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.below(2));
    const dImages = Float32Array.from({ length: 2 * 16 * 16 }, () => random.normal());
    const run = (make: () => Readout): [Float32Array, Map<string, Float32Array>, Float32Array] =>
      scoped(() => {
        const found = new Map<string, Float32Array>();
        const part = make();
        const drawn = part.forward(upload(spikes, shape), 'train');
        return [drawn, found, values(part.backward(drawn, dImages, found)).slice()];
      });
    const [images0, gradients0, dSpikes0] = run(() => {
      const quantized = new QuantizedReadout(readout);
      quantized.load(integer);
      return quantized;
    });
    const step = integer.scale[0];
    const rounded = {
      ...readout,
      weight: { ...readout.weight, data: Float32Array.from(integer.weight, (w) => w * step) },
    };
    const [images1, gradients1, dSpikes1] = run(() => {
      const real = new RealReadout(rounded);
      real.load(T);
      return real;
    });
    // The coefficients are rounded too, to 2^-G.
    const close = (a: Float32Array, b: Float32Array, what: string): void => {
      const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).to.be.above(0.05);
      a.forEach((value, i) => expect(value, `${what} ${i}`).to.be.closeTo(b[i], 2e-3 * Math.max(1, largest)));
    };
    close(images0, images1, 'pixel');
    close(dSpikes0, dSpikes1, 'spike');
    for (const [name, gradient] of gradients1) close(gradients0.get(name)!, gradient, name);
  });

  it('fine-tuning a trained network in 4 bits lowers its error on the images that it sees', () => {
    const float = config({ scheduledSampling: null, optimizer: { learningRate: 0.005 } });
    const T = float.model.timeSteps;
    const parameters = createParameters(float.model, 10);
    const batch = images(float, 10).map((_, i) => Math.tanh(3 * Math.sin(i / 9)));
    /** Mean squared error of each step. */
    const train = (cfg: TrainingConfig, steps: number): number[] => {
      const model = new Fsvae(cfg, parameters);
      const optimizer = new AdamW(parameters.trained, cfg.optimizer);
      return Array.from({ length: steps }, (_, step) => {
        const { mse, gradients } = model.step(batch, BATCH, T, drawStep(cfg, 0, step, BATCH, T));
        optimizer.step(gradients);
        return mse;
      });
    };
    const mean = (list: number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
    const trained = mean(train(float, 120).slice(-10));
    const quantized = { ...float, quantization: { bits: 4 as const, freezePosterior: false } };
    const errors = train(quantized, 60);
    expect(trained).to.be.below(0.25);
    expect(errors[0]).to.be.below(0.3); // the network is still there once it is rounded
    expect(mean(errors.slice(-10))).to.be.below(0.9 * mean(errors.slice(0, 10)));
  });

  describe('in the config', () => {
    it('is not in the schema for other trainers, which holds all other fields', () => {
      const schema = configJsonSchema();
      const { properties } = schema.$defs['fsvae'] as { properties: object };
      expect(Object.keys(config({})).filter((field) => !(field in properties))).to.deep.equal([
        'quantization',
        'shards',
      ]);
      const file = readFileSync(join(PACKAGE_ROOT, 'training/config/schema.json'), 'utf8');
      expect(JSON.parse(file)).to.deep.equal(schema);
    });

    for (const { bits, option, prior, readout } of [
      { bits: undefined, option: '8', prior: 8, readout: 8 },
      { bits: 4, option: '4', prior: 4, readout: 4 },
      { bits: {}, option: '8', prior: 8, readout: 8 },
      { bits: { prior: 4, 'prior.layers.2': 8 }, option: '8,prior=4,prior.layers.2=8', prior: 4, readout: 8 },
    ]) {
      it(`bits ${JSON.stringify(bits) ?? 'left out'} are --bits ${option}`, () => {
        const parsed = config({ quantization: bits === undefined ? {} : { bits } });
        expect(bitsOption(parsed)).to.equal(option);
        const byLayer = layerWeightBits(parsed);
        const { bits: all, layerBits } = parseBitsOption(option, [...byLayer.keys()]);
        for (const [name, value] of byLayer) expect(layerBits!.get(name) ?? all, name).to.equal(value);
        expect(byLayer.get('prior.layers.1')).to.equal(prior);
        expect(byLayer.get('final_layer.1')).to.equal(readout);
      });
    }

    for (const { quantization, problem } of [
      { quantization: { bits: 5 }, problem: /quantization\.bits: must be 8, 4, or an object/ },
      { quantization: { bits: { prior: 6 } }, problem: /quantization\.bits.*must be 8, 4, or an object/ },
      {
        quantization: { bits: { encoder: 4 } },
        problem: /quantization\.bits\.encoder: is no layer of prior or decoder/,
      },
      { quantization: { leak: 1 }, problem: /quantization.*leak/ },
    ]) {
      it(`refuses ${JSON.stringify(quantization)}`, () => {
        expect(() => config({ quantization })).to.throw(FsvaeError, problem);
      });
    }
  });
});
