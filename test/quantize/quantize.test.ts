import { expect } from 'chai';
import fc from 'fast-check';
import { loadFloatModel } from '../../cli/load-model.js';
import { parseBitsOption } from '../../codegen/quantize/bits.js';
import {
  layerNames,
  leakFromTau,
  quantize,
  roundHalfAway,
  spikingLayerNames,
} from '../../codegen/quantize/quantize.js';
import { formatQuantizationReport, quantizationReport } from '../../codegen/quantize/report.js';
import { parseThresholdScaleOption } from '../../codegen/quantize/threshold-scale.js';
import { runReadout } from '../../codegen/float/run.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { leakMembrane } from '../../runtime-ts/lif.js';
import { readImage, weightSpikes } from '../../runtime-ts/readout.js';
import type { SpikingLayer } from '../../runtime-ts/model.js';

const float = loadFloatModel('tiny');
const names = layerNames(float);
const vth = float.threshold;

/** Rule W5: the factor by which a step may grow. */
const MOST_ALIGNMENT = 1.06;

describe('quantizer', () => {
  it('rounds a half away from zero (rule W3)', () => {
    expect([0.5, 1.5, -0.5, -1.5, 2.4, -2.6].map(roundHalfAway)).to.deep.equal([1, 2, -1, -2, 2, -3]);
  });

  it('makes the leak exact or refuses it (rule L1)', () => {
    expect(leakFromTau(0.25)).to.deep.equal({ multiplier: 1, shift: 2 });
    expect(leakFromTau(0.375)).to.deep.equal({ multiplier: 3, shift: 3 });
    expect(leakFromTau(0)).to.deep.equal({ multiplier: 0, shift: 0 });
    expect(leakFromTau(1)).to.deep.equal({ multiplier: 1, shift: 0 });
    for (const tau of [0.3, -0.25, 1.25, NaN]) expect(() => leakFromTau(tau)).to.throw(/tau .* cannot be exact/);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 256 }), fc.integer({ min: -20000, max: 20000 }), (n, u) => {
        expect(leakMembrane(u, leakFromTau(n / 256))).to.equal(Math.floor((u * n) / 256));
      }),
    );
  });

  for (const bits of [8, 4] as const) {
    const limit = bits === 8 ? 127 : 7;
    const model = quantize(float, { bits });
    const layers: SpikingLayer[] = [...model.prior, model.decoderInput, ...model.decoder];

    it(`${bits} bits: every channel uses its whole range, but for what aligns its threshold (rules W1, W5)`, () => {
      for (const layer of layers) {
        const largest = new Float64Array(layer.bias.length);
        layer.weight.forEach((w, i) => {
          const c = layer.kind === 'linear' ? Math.floor(i / layer.inFeatures) : Math.floor(i / 9) % layer.outChannels;
          largest[c] = Math.max(largest[c], Math.abs(w));
        });
        for (const value of largest) expect(value).to.be.within(Math.round(limit / MOST_ALIGNMENT), limit);
      }
    });

    it(`${bits} bits: weights, biases and thresholds are within half a step of the real ones (rules W1 to W3)`, () => {
      model.prior.forEach((layer, l) => {
        const real = float.prior[l];
        const unit = 2 ** layer.fractionBits;
        layer.weight.forEach((w, i) => {
          const d = layer.scale[Math.floor(i / layer.inFeatures)];
          expect(Math.abs(w * d - real.weight[i])).to.be.at.most(d * 0.500001);
        });
        layer.bias.forEach((b, c) => {
          expect(Math.abs((b / unit) * layer.scale[c] - real.bias[c])).to.be.at.most(
            (layer.scale[c] / unit) * 0.500001,
          );
          const exact = (vth / layer.scale[c]) * unit;
          expect(layer.threshold[c]).to.equal(Math.floor(exact));
        });
      });
    });

    it(`${bits} bits: thresholds are at least 63 and 3 modulo 4 (rules W4, W5)`, () => {
      for (const threshold of layers.flatMap((layer) => Array.from(layer.threshold))) {
        expect(threshold).to.be.at.least(63);
        expect(threshold % 4).to.equal(3);
      }
    });

    it(`${bits} bits: decoder_input is stored position-major (rule D1)`, () => {
      const { inFeatures, outFeatures, bias, scale, fractionBits } = model.decoderInput;
      const channels = float.decoder[0].inChannels;
      const area = outFeatures / channels;
      expect(inFeatures).to.equal(float.decoderInput.inFeatures);
      for (let p = 0; p < area; p++) {
        for (let c = 0; c < channels; c++) {
          const stored = p * channels + c;
          const real = float.decoderInput.bias[c * area + p];
          expect(Math.abs(bias[stored] * scale[stored] * 2 ** -fractionBits - real)).to.be.at.most(scale[stored]);
        }
      }
    });
  }

  it('reads pixels as tanh and rounding would (rules R1 to R4)', () => {
    const model = quantize(float);
    const { timeSteps } = model.config;
    const neurons = model.readout.size ** 2 * model.readout.inChannels;
    fc.assert(
      fc.property(fc.infiniteStream(fc.integer({ min: 0, max: 3 })), (stream) => {
        const spikes = Uint8Array.from({ length: timeSteps * neurons }, () => (stream.next().value === 0 ? 1 : 0));
        const weighted = new Int32Array(neurons);
        for (let t = 0; t < timeSteps; t++) {
          weightSpikes(model.readout, spikes.subarray(t * neurons, (t + 1) * neurons), t, weighted);
        }
        const image = readImage(model.readout, weighted);
        // The float readout with the weights that the integers stand for: what is left are the coefficients' and the
        // bias's rounding (half a unit of 2^-12 each, 45 weights, 6 steps) and the pixel's own: never 2 grey levels.
        const { readout } = model;
        const weight = Float64Array.from(
          readout.weight,
          (w, j) => w * readout.scale[Math.floor(j / 9) % readout.outChannels],
        );
        runReadout({ ...float.readout, weight }, spikes, timeSteps).forEach((value, i) => {
          expect(Math.abs(image[i] - (value + 1) * 127.5)).to.be.below(2);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('handles a channel without any weight, and one whose bias dwarfs its weights', () => {
    const layer = float.prior[0];
    const weight = layer.weight.slice();
    weight.fill(0, 0, layer.inFeatures);
    for (let i = 0; i < layer.inFeatures; i++) weight[layer.inFeatures + i] *= 1e-9;
    const bias = layer.bias.slice();
    bias[1] = 3;
    const model = quantize({ ...float, prior: [{ ...layer, weight, bias }, ...float.prior.slice(1)] });
    const [first] = model.prior;
    expect(Array.from(first.weight.subarray(0, layer.inFeatures))).to.deep.equal(new Array(layer.inFeatures).fill(0));
    const most = 8191 * 2 ** first.fractionBits;
    expect(first.bias[1]).to.be.within(Math.floor(most / MOST_ALIGNMENT), most);
    expect(first.threshold[1] / first.bias[1]).to.be.closeTo(vth / 3, 0.001);
  });

  it('reports what changed, layer by layer', () => {
    const model = quantize(float, { bits: 4 });
    const report = quantizationReport(float, model, 3);
    expect(report.layers.map((layer) => layer.name)).to.deep.equal(names.slice(0, -1));
    for (const layer of report.layers) {
      expect(layer.floatRate, layer.name).to.be.within(0.005, 0.9);
      expect(layer.mismatch, layer.name).to.be.within(0, 0.2);
      expect(Math.abs(layer.integerRate - layer.floatRate)).to.be.at.most(layer.mismatch + 1e-12);
    }
    expect(report.layers.some((layer) => layer.mismatch > 0)).to.equal(true);
    expect(formatQuantizationReport(report)).to.match(/decoder_input +4 /);
    const fine = quantizationReport(float, quantize(float), 3);
    const worst = (r: typeof report): number => Math.max(...r.layers.map((layer) => layer.mismatch));
    expect(worst(fine)).to.be.below(worst(report));
  });
});

describe('--bits', () => {
  it('takes a number, groups and single layers; later entries win', () => {
    expect(parseBitsOption('4', names)).to.deep.equal({ bits: 4, layerBits: new Map() });
    const { bits, layerBits } = parseBitsOption('8,prior=4,prior.layers.1=8', names);
    expect(bits).to.equal(8);
    expect([...layerBits!]).to.deep.equal([
      ['prior.layers.0', 4],
      ['prior.layers.1', 8],
      ['prior.layers.2', 4],
    ]);
    const model = quantize(float, { bits: bits!, layerBits: layerBits! });
    expect(model.prior.map((layer) => layer.weightBits)).to.deep.equal([4, 8, 4]);
    expect(model.readout.weightBits).to.equal(8);
  });

  for (const [text, message] of [
    ['7', /weights have 8 or 4 bits, not "7"/],
    ['prior=', /weights have 8 or 4 bits, not ""/],
    ['pior=4', /no layer "pior"; the layers are prior\.layers\.0,/],
    ['decoder=4,', /not ""/],
  ] as const) {
    it(`refuses ${text}`, () => {
      expect(() => parseBitsOption(text, names)).to.throw(message);
    });
  }
});

describe('--threshold-scale', () => {
  const spiking = spikingLayerNames(float);
  const scaled = (text: string) => quantize(float, parseThresholdScaleOption(text, spiking));
  const layersOf = (model: ReturnType<typeof quantize>): SpikingLayer[] => [
    ...model.prior,
    model.decoderInput,
    ...model.decoder,
  ];

  it('of 1 changes no bit', () => {
    const { hash } = new GoldenModel(quantize(float));
    for (const text of ['1', '1.0', '1,prior=1']) expect(new GoldenModel(scaled(text)).hash).to.equal(hash);
  });

  it('multiplies the thresholds of the layers named, before they are rounded (rules W1 and W3), and nothing else', () => {
    const plain = layersOf(quantize(float));
    layersOf(scaled('1.25,prior=0.5,prior.layers.1=1')).forEach((layer, i) => {
      const s = layer.name === 'prior.layers.1' ? 1 : layer.name.startsWith('prior.') ? 0.5 : 1.25;
      layer.threshold.forEach((threshold, c) => {
        expect(threshold, layer.name).to.equal(Math.floor(((vth * s) / layer.scale[c]) * 2 ** layer.fractionBits));
      });
      // Weights and biases stand for the same real ones: steps may differ by rule W5, fraction bits by rule W4.
      const channelOf = (at: number): number =>
        layer.kind === 'linear' ? Math.floor(at / layer.inFeatures) : Math.floor(at / 9) % layer.outChannels;
      const unit = (l: SpikingLayer, c: number): number => l.scale[c] * 2 ** -l.fractionBits;
      layer.weight.forEach((weight, at) => {
        const c = channelOf(at);
        const difference = Math.abs(weight * layer.scale[c] - plain[i].weight[at] * plain[i].scale[c]);
        expect(difference).to.be.at.most(0.500001 * (layer.scale[c] + plain[i].scale[c]));
      });
      layer.bias.forEach((bias, c) => {
        const difference = Math.abs(bias * unit(layer, c) - plain[i].bias[c] * unit(plain[i], c));
        expect(difference).to.be.at.most(0.500001 * (unit(layer, c) + unit(plain[i], c)));
      });
    });
  });

  it('makes neurons fire less above 1, more below', () => {
    const spikes = ['0.5', '0.8', '1', '1.2'].map((text) => {
      const golden = new GoldenModel(scaled(text));
      return Array.from({ length: 16 }, (_, seed) => golden.work(BigInt(seed)).spikes).reduce((a, b) => a + b);
    });
    expect(spikes).to.deep.equal([...spikes].sort((a, b) => b - a));
    expect(new Set(spikes).size).to.equal(4);
  });

  it('the report shows what it does: spikes of the model, error of the image', () => {
    const report = quantizationReport(float, quantize(float), 4);
    const fewer = quantizationReport(float, scaled('1,decoder_input=2'), 4);
    expect(fewer.activity.spikes).to.be.below(report.activity.spikes);
    expect(fewer.decoderError.meanSquared).to.be.above(report.decoderError.meanSquared);
    const golden = new GoldenModel(quantize(float));
    expect(report.activity.spikes).to.equal(
      [0n, 1n, 2n, 3n].reduce((sum, seed) => sum + golden.work(seed).spikes / 4, 0),
    );
  });

  for (const [text, message] of [
    ['5', /^--threshold-scale 5: a factor is a number from 0\.25 to 4, such as 1\.25, not "5"$/],
    ['0.2', /not "0\.2"/],
    ['-1', /not "-1"/],
    ['', /not ""/],
    ['1,decoder=', /not ""/],
    ['1e0', /not "1e0"/],
    ['Infinity', /not "Infinity"/],
    ['1,decder=1.1', /no layer "decder"; the layers are prior\.layers\.0,/],
    ['1,final_layer.1=1.1', /no layer "final_layer\.1"/], // the readout never fires
  ] as const) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => scaled(text)).to.throw(message);
    });
  }

  it('quantize() itself refuses other layers and factors that are not above 0', () => {
    const of = (name: string, scale: number) => () =>
      quantize(float, { layerThresholdScale: new Map([[name, scale]]) });
    expect(of('final_layer.1', 1)).to.throw(/no spiking layer "final_layer\.1"/);
    for (const scale of [0, -1, NaN, Infinity]) expect(of('decoder_input', scale)).to.throw(/which is not above 0/);
  });
});
