import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Checkpoint, type CheckpointTensor, parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import type { NpzArray } from '../../codegen/checkpoint/npz.js';
import { checkRecordedRun, formatCheckReport } from '../../codegen/float/check.js';
import { type FloatModel, readFloatModel } from '../../codegen/float/network.js';
import { runDecoder, runLayer, runPrior } from '../../codegen/float/run.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { drawChoices } from '../../runtime-ts/pcg32.js';

const checkpoint = parseCheckpoint(readFileSync(join(PACKAGE_ROOT, 'models/tiny/tiny.safetensors')), 'tiny');
const model = readFloatModel(checkpoint);
const { timeSteps, latentChannels, choices: k, imageSize } = model.config;

function changed(change: (tensors: Map<string, CheckpointTensor>) => void): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  change(tensors);
  return { source: 'changed', tensors };
}

function tensor(name: string): { shape: readonly number[]; data: ArrayLike<number> } {
  return checkpoint.tensors.get(name)!;
}

/** tdBN in evaluation, by its definition (Zheng et al. 2021), on the unfolded output of a layer. */
function batchNorm(name: string, alpha: number, channel: number, x: number): number {
  const at = (part: string): number => tensor(`${name}.bn.${part}`).data[channel];
  return ((alpha * 0.2 * (x - at('running_mean'))) / Math.sqrt(at('running_var') + 1e-5)) * at('weight') + at('bias');
}

/** Membranes and spikes of one neuron over time, paper eq. 1 to 3. */
function lif(currents: readonly number[]): number[] {
  let u = 0;
  let o = 0;
  return currents.map((x) => {
    u = 0.25 * u * (1 - o) + x;
    o = u > 0.2 ? 1 : 0;
    return o;
  });
}

/** [step][neuron] in the checkpoint's order, from [step][input]. */
function naiveLinear(name: string, alpha: number, input: number[][]): number[][] {
  const [outputs, inputs] = tensor(`${name}.weight`).shape;
  const trains = Array.from({ length: outputs }, (_, o) =>
    lif(
      input.map((spikes) => {
        let sum = tensor(`${name}.bias`).data[o];
        for (let i = 0; i < inputs; i++) sum += tensor(`${name}.weight`).data[o * inputs + i] * spikes[i];
        return batchNorm(name, alpha, o, sum);
      }),
    ),
  );
  return input.map((_, t) => trains.map((train) => train[t]));
}

/** A transposed convolution by its definition: insert zeros, pad, correlate with the turned kernel. Channel-major. */
function naiveConvTranspose(
  name: string,
  size: number,
  stride: 1 | 2,
  value: (i: number, y: number, x: number) => number,
) {
  const [inputs, outputs] = tensor(`${name}.weight`).shape;
  const outSize = size * stride;
  return (o: number, y: number, x: number): number => {
    let sum = tensor(`${name}.bias`).data[o];
    for (let i = 0; i < inputs; i++) {
      for (let ky = 0; ky < 3; ky++) {
        for (let kx = 0; kx < 3; kx++) {
          const fromY = (y + 1 - ky) / stride;
          const fromX = (x + 1 - kx) / stride;
          const inside = [fromY, fromX].every((at) => Number.isInteger(at) && at >= 0 && at < size);
          if (inside)
            sum += tensor(`${name}.weight`).data[((i * outputs + o) * 3 + ky) * 3 + kx] * value(i, fromY, fromX);
        }
      }
    }
    expect(y < outSize && x < outSize).to.equal(true);
    return sum;
  };
}

describe('float network', () => {
  it('infers every size from shapes', () => {
    expect(model.config).to.deep.equal({ channels: 1, imageSize: 8, latentChannels: 8, choices: 4, timeSteps: 6 });
    expect(model.prior.map(({ inFeatures, outFeatures }) => [inFeatures, outFeatures])).to.deep.equal([
      [8, 16],
      [16, 24],
      [24, 32],
    ]);
    expect(model.decoder.map(({ name, inSize }) => [name, inSize])).to.deep.equal([
      ['decoder.0', 2],
      ['final_layer.0', 4],
    ]);
  });

  it('computes what an independent implementation computes from the unfolded tensors', () => {
    const drawn = drawChoices(5n, timeSteps, latentChannels, k);
    const run = runPrior(model, drawn);
    // The prior, given its own z, must reproduce it: the naive layers see z shifted by one step.
    const shifted = Array.from({ length: timeSteps }, (_, t) =>
      Array.from({ length: latentChannels }, (__, c) => (t === 0 ? 0 : run.z[(t - 1) * latentChannels + c])),
    );
    let spikes = shifted;
    model.prior.forEach((layer, i) => {
      spikes = naiveLinear(layer.name, 2, spikes);
      expect(Array.from(run.layers[i])).to.deep.equal(spikes.flat());
    });
    for (let t = 0; t < timeSteps; t++) {
      for (let c = 0; c < latentChannels; c++) {
        expect(run.z[t * latentChannels + c]).to.equal(spikes[t][k * c + drawn[t * latentChannels + c]]);
      }
    }

    const z = Array.from({ length: timeSteps }, (_, t) =>
      Array.from(run.z.subarray(t * latentChannels, (t + 1) * latentChannels)),
    );
    const decoded = runDecoder(model, run.z);
    let maps = naiveLinear('decoder_input', 1, z); // channel-major
    let size = 2;
    const check = (layer: number, channels: number): void => {
      for (let t = 0; t < timeSteps; t++) {
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            for (let c = 0; c < channels; c++) {
              const neurons = channels * size * size;
              const actual = decoded.layers[layer][t * neurons + (y * size + x) * channels + c];
              expect(actual).to.equal(maps[t][(c * size + y) * size + x]);
            }
          }
        }
      }
    };
    check(0, model.decoder[0].inChannels);
    model.decoder.forEach((layer, index) => {
      const outSize = 2 * size;
      const convs = maps.map((map) =>
        naiveConvTranspose(layer.name, size, 2, (i, y, x) => map[(i * size + y) * size + x]),
      );
      const next: number[][] = maps.map(() => []);
      for (let o = 0; o < layer.outChannels; o++) {
        for (let y = 0; y < outSize; y++) {
          for (let x = 0; x < outSize; x++) {
            const train = lif(convs.map((conv) => batchNorm(layer.name, 1, o, conv(o, y, x))));
            train.forEach((spike, t) => next[t].push(spike));
          }
        }
      }
      maps = next;
      size = outSize;
      check(index + 1, layer.outChannels);
    });
    const last = maps.map((map) =>
      naiveConvTranspose('final_layer.1', size, 1, (i, y, x) => map[(i * size + y) * size + x]),
    );
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const membrane = last.reduce((u, conv, t) => u + 0.8 ** (timeSteps - 1 - t) * conv(0, y, x), 0);
        expect(decoded.image[y * size + x]).to.be.closeTo(Math.tanh(membrane), 1e-6); // coef is stored in single precision
      }
    }
  });

  it('lists all missing, unexpected and misshaped tensors at once', () => {
    const broken = changed((tensors) => {
      tensors.delete('decoder_input.bias');
      tensors.set('final_layer.2.weight', { shape: [3], data: new Float32Array(3) });
      tensors.set('prior.layers.1.weight', { shape: [24, 17], data: new Float32Array(24 * 17) });
      tensors.set('encoder.0.weight', { shape: [1], data: new Float32Array(1) });
    });
    expect(() => readFloatModel(broken)).to.throw(
      /^changed is not an FSVAE checkpoint: missing decoder_input\.bias, expected \(32\); prior\.layers\.1\.weight is \(24, 17\), expected \(outputs, 16\); unexpected final_layer\.2\.weight \(3\)$/,
    );
  });

  it('of another network lists the first missing and unexpected tensors and counts the rest', () => {
    const other = changed((tensors) => {
      tensors.clear();
      for (let i = 0; i < 40; i++) tensors.set(`layer.${i}`, { shape: [1], data: new Float32Array(1) });
    });
    const line = (() => {
      try {
        readFloatModel(other);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    expect(line.match(/missing /g)).to.have.length(6);
    expect(line.match(/unexpected layer/g)).to.have.length(6);
    expect(line).to.match(/; unexpected layer\.5 \(1\); and \d+ more$/);
    expect(line.length).to.be.below(800);
  });

  for (const [what, name, value, message] of [
    ['NaN', 'decoder.0.weight', NaN, /changed: tensor "decoder\.0\.weight"\[0, 0, 2, 1, 0\] is NaN/],
    [
      'infinity',
      'prior.layers.0.bn.running_var',
      Infinity,
      /tensor "prior\.layers\.0\.bn\.running_var"\[7\] is Infinity/,
    ],
  ] as const) {
    it(`refuses ${what}, naming tensor and index`, () => {
      const broken = changed((tensors) => {
        const { shape, data } = tensors.get(name)!;
        const copy = Float32Array.from(data);
        copy[7] = value;
        tensors.set(name, { shape, data: copy });
      });
      expect(() => readFloatModel(broken)).to.throw(message);
    });
  }

  it('refuses a variance below 0, which would fold to NaN', () => {
    const broken = changed((tensors) => {
      const { shape, data } = tensors.get('decoder.0.bn.running_var')!;
      tensors.set('decoder.0.bn.running_var', { shape, data: Float32Array.from(data, (v, i) => (i === 2 ? -1 : v)) });
    });
    expect(() => readFloatModel(broken)).to.throw(
      /tensor "decoder\.0\.bn\.running_var"\[2\] is -1, but a variance is >= 0/,
    );
  });

  it('refuses finite values that fold to infinity', () => {
    const broken = changed((tensors) => {
      for (const name of ['decoder.0.weight', 'decoder.0.bn.weight']) {
        const { shape, data } = tensors.get(name)!;
        tensors.set(name, { shape, data: new Float64Array(data.length).fill(1e200) });
      }
    });
    expect(() => readFloatModel(broken)).to.throw(/decoder\.0\.weight, element 0, is Infinity once tdBN is folded/);
  });

  for (const [options, message] of [
    [{ tau: NaN }, /tau NaN must be/],
    [{ tau: 1 }, /tau 1 must be/],
    [{ tau: -0.25 }, /tau -0.25 must be/],
    [{ threshold: 0 }, /threshold 0 must be/],
    [{ threshold: Infinity }, /threshold Infinity must be/],
  ] as const) {
    it(`refuses ${Object.entries(options).join(' ')}`, () => {
      expect(() => readFloatModel(checkpoint, options)).to.throw(message);
    });
  }

  it('refuses a few kilobytes of decoder layers that would double the map to gigabytes', () => {
    const deep = (layers: number, width = 1): Checkpoint => {
      const tensors = new Map<string, CheckpointTensor>();
      const put = (name: string, ...shape: number[]): void => {
        tensors.set(name, { shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) });
      };
      const layer = (name: string, out: number, ...shape: number[]): void => {
        put(`${name}.weight`, ...shape);
        for (const part of ['bias', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'])
          put(`${name}.${part}`, out);
      };
      layer('prior.layers.0', 1, 1, 1);
      layer('decoder_input', 1, 1, 1);
      for (let i = 0; i < layers; i++) layer(`decoder.${i}`, 1, 1, 1, 3, 3, 1);
      layer('final_layer.0', width, 1, width, 3, 3, 1);
      put('final_layer.1.weight', width, 1, 3, 3, 1);
      put('final_layer.1.bias', 1);
      put('membrane_output_layer.coef', 1, 1, 1, 1, 1);
      return { source: 'deep', tensors };
    };
    expect(readFloatModel(deep(9)).config.imageSize).to.equal(1024);
    expect(() => readFloatModel(deep(10))).to.throw(/the image has 2048 pixels a side, at most 1024/);
    expect(() => readFloatModel(deep(9, 2))).to.throw(/final_layer\.0 gives a map of 2097152 neurons, at most 1048576/);
  });

  for (const name of ['prior.layers.1.weight', 'prior.layers.2.weight', 'decoder.0.weight']) {
    it(`names ${name} when it alone is missing, and takes its layer's other tensors for known`, () => {
      const message = (): unknown => readFloatModel(changed((tensors) => tensors.delete(name)));
      expect(message).to.throw(new RegExp(`: missing ${name.replaceAll('.', '\\.')}, expected \\(`));
      expect(message).not.to.throw(/unexpected/);
    });
  }

  it('refuses k, T and maps outside their limits', () => {
    const long = changed((t) =>
      t.set('membrane_output_layer.coef', { shape: [1, 1, 1, 1, 33], data: new Float32Array(33) }),
    );
    expect(() => readFloatModel(long)).to.throw(/T = 33, expected 1 to 32/);
    const start = changed((t) => t.set('prior.initial_input', { shape: [1, 8, 1], data: new Float32Array(8).fill(1) }));
    expect(() => readFloatModel(start)).to.throw(/prior\.initial_input is not all 0/);
  });
});

/** A recording as PyTorch would leave it, from the float network itself, with whatever is changed in it. */
function record(source: FloatModel, samples: number, generated = true): Map<string, NpzArray> {
  const arrays = new Map<string, NpzArray>();
  const put = (
    name: string,
    rest: readonly number[],
    values: readonly ArrayLike<number>[],
    Kind: typeof Uint8Array | typeof Float32Array,
  ): void => {
    const length = rest.reduce((product, size) => product * size, 1);
    const data = new Kind(samples * length);
    values.forEach((value, n) => data.set(Array.from(value), n * length));
    arrays.set(name, { shape: [samples, ...rest], data });
  };
  const channelMajor = (values: Uint8Array): number[] => {
    const width = values.length / timeSteps;
    return Array.from(values, (_, i) => values[(i % timeSteps) * width + Math.floor(i / timeSteps)]);
  };
  const runs = Array.from({ length: samples }, (_, n) => {
    const drawn = drawChoices(BigInt(n), timeSteps, latentChannels, k);
    const prior = runPrior(source, drawn);
    return { drawn, prior, decoder: runDecoder(source, prior.z) };
  });
  put(
    'choices',
    [timeSteps, latentChannels],
    runs.map(({ drawn }) => drawn),
    Uint8Array,
  );
  put(
    'z',
    [latentChannels, timeSteps],
    runs.map(({ prior }) => channelMajor(prior.z)),
    Uint8Array,
  );
  put(
    'image',
    [1, imageSize, imageSize],
    runs.map(({ decoder }) => decoder.image),
    Float32Array,
  );
  if (!generated) arrays.set('latent_x', { shape: [samples], data: new Uint8Array(samples) });
  const names = [...source.prior, source.decoderInput, ...source.decoder].map(({ name }) => name);
  names.forEach((name, i) => {
    const counts = runs.map(({ prior, decoder }) => {
      const spikes = [...prior.layers, ...decoder.layers][i];
      const width = spikes.length / timeSteps;
      return Array.from({ length: timeSteps }, (_, t) =>
        spikes.subarray(t * width, (t + 1) * width).reduce((a, b) => a + b, 0),
      );
    });
    put(`count_${name}`, [timeSteps], counts, Float32Array);
  });
  return arrays;
}

describe('check of a recorded run', () => {
  it('passes what the network itself recorded', () => {
    const report = checkRecordedRun(model, record(model, 3));
    expect(report.passed).to.equal(true);
    expect(report.ties).to.deep.equal([]);
    expect(formatCheckReport(report)).to.match(/3 recorded samples\n {2}prior\.layers\.0 +18 counts: equal/);
  });

  it('takes a recording without counts, and one whose z came from the posterior', () => {
    const bare = new Map([...record(model, 2)].filter(([name]) => !name.startsWith('count_')));
    expect(checkRecordedRun(model, bare).passed).to.equal(true);
    const posterior = record(model, 2, false);
    const z = posterior.get('z')!;
    posterior.set('z', { shape: z.shape, data: Uint8Array.from(z.data as Uint8Array, (bit) => 1 - bit) });
    for (const name of [...posterior.keys()]) if (name.startsWith('count_')) posterior.delete(name);
    // Another z gives another image, but none of it is the prior's fault.
    expect(checkRecordedRun(model, posterior).mismatches.map(({ layer }) => layer)).to.deep.equal([
      'final_layer.1',
      'final_layer.1',
    ]);
  });

  it('names layer, sample, step and both values of a mismatch', () => {
    const arrays = record(model, 2);
    const counts = arrays.get('count_decoder.0')!.data as Float32Array;
    counts[timeSteps + 2] += 1;
    const report = checkRecordedRun(model, arrays);
    expect(report.passed).to.equal(false);
    expect(report.mismatches).to.have.lengthOf(1);
    expect(report.mismatches[0]).to.include({
      layer: 'decoder.0',
      sample: 1,
      step: 2,
      expected: counts[timeSteps + 2],
      actual: counts[timeSteps + 2] - 1,
    });
    expect(formatCheckReport(report)).to.match(
      /MISMATCH: decoder\.0, sample 1, step 2: spikes: recorded \d+, here \d+/,
    );
  });

  it('reports a membrane on the brink as a tie, with what follows from it, and still compares everything else', () => {
    // Bring one neuron of the first prior layer to within 1e-6 of its threshold at step 1, from either side.
    const drawn = drawChoices(0n, timeSteps, latentChannels, k);
    const { z } = runPrior(model, drawn);
    const shifted = new Uint8Array(z.length);
    shifted.set(z.subarray(0, z.length - latentChannels), latentChannels);
    const [layer] = model.prior;
    const membranes = new Float64Array(timeSteps * layer.outFeatures);
    runLayer(layer, shifted, timeSteps, model.tau, model.threshold, membranes);
    // A neuron whose own first step stays as it is: the bias moves step 0 too.
    const neuron = Array.from({ length: layer.outFeatures }, (_, n) => n).find((n) => {
      const need = model.threshold - membranes[layer.outFeatures + n];
      return (
        membranes[n] < model.threshold && membranes[n] + need / 1.25 < model.threshold - 0.01 && Math.abs(need) < 0.3
      );
    })!;
    const need = model.threshold - membranes[layer.outFeatures + neuron];
    const shiftedBias = (extra: number): FloatModel => {
      const bias = layer.bias.slice();
      bias[neuron] += need / 1.25 + extra; // u[1] = tau * u[0] + x[1]: both steps have the bias
      return { ...model, prior: [{ ...layer, bias }, ...model.prior.slice(1)] };
    };
    const above = shiftedBias(1e-6);
    const below = shiftedBias(-1e-6);
    const report = checkRecordedRun(above, record(below, 1));
    expect(report.mismatches).to.deep.equal([]);
    expect(report.ties).to.have.lengthOf(1);
    expect(report.ties[0]).to.include({ layer: 'prior.layers.0', sample: 0, step: 1, neuron });
    expect(report.ties[0].margin).to.be.within(0, 1e-5);
    expect(report.ties[0].followers).to.be.at.least(0);
    expect(formatCheckReport(report)).to.match(
      /tie: prior\.layers\.0, sample 0, step 1, neuron \d+: membrane above the threshold by/,
    );
    // A difference of that kind, but further away than rounding explains, is a mismatch.
    expect(checkRecordedRun(shiftedBias(1e-3), record(shiftedBias(-1e-3), 1)).passed).to.equal(false);
  });

  it('refuses arrays of another shape, and choices beyond k, in one line', () => {
    const arrays = record(model, 2);
    const choices = arrays.get('choices')!;
    const without = new Map(arrays);
    without.delete('z');
    expect(() => checkRecordedRun(model, without)).to.throw(/holds no array "z"/);
    const turned = new Map(arrays).set('z', { shape: [2, timeSteps, latentChannels], data: arrays.get('z')!.data });
    expect(() => checkRecordedRun(model, turned)).to.throw(
      /array "z" of the recording is \(2, 6, 8\), but this checkpoint's is \(2, 8, 6\)/,
    );
    const beyond = new Map(arrays).set('choices', {
      shape: choices.shape,
      data: Uint8Array.from(choices.data as Uint8Array, () => k),
    });
    expect(() => checkRecordedRun(model, beyond)).to.throw(
      /array "choices" of the recording holds 4 at element 0, but only whole numbers 0 \.\. 3 can be/,
    );
    expect(() => checkRecordedRun(model, record(model, 0))).to.throw(/holds no sample/);
    expect(() =>
      checkRecordedRun(model, new Map(arrays).set('choices', { shape: [], data: new Uint8Array(1) })),
    ).to.throw(/holds no sample/);
  });

  for (const [name, factor, extra, held] of [
    ['choices', 1, 256, /"choices" of the recording holds 25\d/],
    ['choices', 1, 0.5, /"choices" of the recording holds \d\.5/],
    ['choices', 1, NaN, /"choices" of the recording holds NaN/],
    ['z', 257, 0, /"z" of the recording holds 257/],
    ['z', -1, 0, /"z" of the recording holds -1/],
  ] as const) {
    it(`refuses ${name} * ${factor} + ${extra}, which a byte would turn into something plausible`, () => {
      const arrays = record(model, 1);
      const { shape, data } = arrays.get(name)!;
      arrays.set(name, { shape, data: Float64Array.from(data, (value) => value * factor + extra) });
      expect(() => checkRecordedRun(model, arrays)).to.throw(held);
    });
  }

  for (const [value, error] of [
    [NaN, Infinity],
    [Infinity, Infinity],
    [2, undefined],
  ] as const) {
    for (const pixel of [0, 5, imageSize * imageSize - 1]) {
      it(`does not let ${value} at pixel ${pixel} pass, nor call the images equal`, () => {
        const arrays = record(model, 2);
        (arrays.get('image')!.data as Float32Array)[pixel] = value;
        const report = checkRecordedRun(model, arrays);
        expect(report.mismatches.map(({ what, sample }) => [what, sample])).to.deep.equal([[`pixel ${pixel}`, 0]]);
        if (error === undefined) expect(report.imageError).to.be.within(1, 3);
        else expect(report.imageError).to.equal(error);
      });
    }
  }

  it('compares packed spikes, of two samples or of the only one', () => {
    for (const samples of [1, 2, 3]) {
      const arrays = record(model, samples);
      const [{ name, outFeatures }] = model.prior;
      const bits = Array.from({ length: Math.min(2, samples) }, (_, n) => {
        const { layers } = runPrior(model, drawChoices(BigInt(n), timeSteps, latentChannels, k));
        return Array.from(
          { length: outFeatures * timeSteps },
          (__, i) => layers[0][(i % timeSteps) * outFeatures + Math.floor(i / timeSteps)],
        );
      }).flat();
      const packed = new Uint8Array(Math.ceil(bits.length / 8));
      bits.forEach((bit, i) => (packed[i >> 3] |= bit << (7 - (i & 7))));
      arrays.set(`spk_${name}`, { shape: [packed.length], data: packed });
      expect(checkRecordedRun(model, arrays).passed).to.equal(true);
      packed[3] ^= 0x10;
      expect(checkRecordedRun(model, arrays).mismatches[0]).to.include({ layer: name, sample: 0 });
    }
  });

  it('does not call equal what it could not compare, because an earlier layer failed', () => {
    const arrays = record(model, 2);
    (arrays.get('count_decoder.0')!.data as Float32Array)[timeSteps + 2] += 1;
    const report = checkRecordedRun(model, arrays);
    const layer = (name: string) => report.layers.find((candidate) => candidate.name === name)!;
    expect(layer('decoder_input')).to.include({ values: 2 * timeSteps, samplesLeftOut: 0 });
    expect(layer('decoder.0')).to.include({ values: 2 * timeSteps, samplesLeftOut: 0 });
    expect(layer('final_layer.0')).to.include({ values: timeSteps, samplesLeftOut: 1 });
    expect(layer('final_layer.1')).to.include({ values: imageSize * imageSize, samplesLeftOut: 1 });
    expect(formatCheckReport(report)).to.match(/final_layer\.0 .*: equal; 1 samples left out, an earlier layer failed/);

    (arrays.get('count_decoder.0')!.data as Float32Array)[0] += 1;
    const text = formatCheckReport(checkRecordedRun(model, arrays));
    expect(text).to.match(/final_layer\.0 +0 counts: NOT COMPARED; 2 samples left out/);
    expect(text).to.contain('no image was compared');
  });

  it('ends the search at its limits, says so, and reports the unflipped failure', () => {
    // A channel without weights whose bias is the threshold: each of its neurons is a tie at every step.
    const last = model.decoder.length - 1;
    const { weight, bias, outChannels, ...rest } = model.decoder[last];
    const tied: FloatModel = {
      ...model,
      decoder: [
        ...model.decoder.slice(0, last),
        {
          ...rest,
          outChannels,
          weight: weight.map((w, i) => (Math.floor(i / 9) % outChannels === 0 ? 0 : w)),
          bias: bias.map((b, c) => (c === 0 ? model.threshold + 1e-7 : b)),
        },
      ],
    };
    const bare = new Map([...record(tied, 1)].filter(([name]) => !name.startsWith('count_')));
    expect(checkRecordedRun(tied, bare).passed).to.equal(true);
    (bare.get('image')!.data as Float32Array)[5] = 3;
    const [mismatch, ...others] = checkRecordedRun(tied, bare).mismatches;
    expect(others).to.deep.equal([]);
    expect(mismatch).to.include({ layer: 'final_layer.1', what: 'pixel 5', expected: 3, flips: 0, limited: true });
  });

  for (const counts of [true, false]) {
    it(`finds a tie of decoder_input ${counts ? 'by the counts' : 'by nothing but the image'}`, () => {
      const { z } = runPrior(model, drawChoices(0n, timeSteps, latentChannels, k));
      const layer = model.decoderInput;
      const membranes = new Float64Array(timeSteps * layer.outFeatures);
      runLayer(layer, z, timeSteps, model.tau, model.threshold, membranes);
      // A bias that brings the neuron to the threshold at step 0, where nothing is carried over yet.
      const near = (neuron: number, extra: number): FloatModel => ({
        ...model,
        decoderInput: {
          ...layer,
          bias: layer.bias.map((b, n) => (n === neuron ? b + model.threshold - membranes[n] + extra : b)),
        },
      });
      const differs = (neuron: number): boolean => {
        const [a, b] = [1e-6, -1e-6].map((extra) => runDecoder(near(neuron, extra), z).image);
        return a.some((value, i) => Math.abs(value - b[i]) > 1e-3);
      };
      const neuron = Array.from({ length: layer.outFeatures }, (_, n) => n).find(differs)!;
      const arrays = record(near(neuron, -1e-6), 1);
      if (!counts) for (const name of [...arrays.keys()]) if (name.startsWith('count_')) arrays.delete(name);
      const report = checkRecordedRun(near(neuron, 1e-6), arrays);
      expect(report.mismatches).to.deep.equal([]);
      expect(report.ties.map(({ layer: name, step }) => [name, step])).to.deep.equal([['decoder_input', 0]]);
      expect(report.ties[0].margin).to.be.closeTo(1e-6, 1e-9);
      expect(report.ties[0].followers).to.be.at.least(1);
    });
  }

  it('asks whether a z that the prior did not pick came from the posterior', () => {
    const arrays = record(model, 1);
    const z = arrays.get('z')!;
    arrays.set('z', { shape: z.shape, data: Uint8Array.from(z.data as Uint8Array, (bit) => 1 - bit) });
    for (const name of [...arrays.keys()]) if (name.startsWith('count_')) arrays.delete(name);
    expect(formatCheckReport(checkRecordedRun(model, arrays))).to.contain('record latent_x or count_q too');
  });

  it('says which recorded counts and spikes belong to no layer', () => {
    const arrays = record(model, 1).set('count_decoder.99', { shape: [1, timeSteps], data: new Uint8Array(timeSteps) });
    const report = checkRecordedRun(model, arrays);
    expect(report.ignored).to.deep.equal(['count_decoder.99']);
    expect(formatCheckReport(report)).to.contain('not compared, no layer here: count_decoder.99');
  });
});
