import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { layerBounds, membraneBounds, proveBounds, signedBits, sumBounds } from '../../runtime-ts/bounds.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { outputNeurons, sumWeights } from '../../runtime-ts/layers.js';
import { leakMembrane, lifStep, restingState } from '../../runtime-ts/lif.js';
import { outputMembrane, pixel } from '../../runtime-ts/readout.js';
import { sha256 } from '../../runtime-ts/sha256.js';
import { packSpikes, unpackSpikes } from '../../runtime-ts/spike-bits.js';
import { Network } from '../../runtime-ts/network.js';
import { randomModel, SHAPES } from '../support/random-model.js';

describe('integer arithmetic', () => {
  const LEAKS = [
    { u: 7, multiplier: 1, shift: 2, leaked: 1 },
    { u: 8, multiplier: 1, shift: 2, leaked: 2 },
    { u: -1, multiplier: 1, shift: 2, leaked: -1 },
    { u: -4, multiplier: 1, shift: 2, leaked: -1 },
    { u: -5, multiplier: 1, shift: 2, leaked: -2 },
    { u: -7, multiplier: 3, shift: 3, leaked: -3 },
    { u: 2 ** 23 - 1, multiplier: 255, shift: 8, leaked: 8355839 },
    { u: -(2 ** 31), multiplier: 1, shift: 2, leaked: -(2 ** 29) },
  ];
  for (const { u, multiplier, shift, leaked } of LEAKS) {
    it(`rule L1: leak(${u}) with ${multiplier}/2^${shift} is ${leaked}`, () => {
      expect(leakMembrane(u, { multiplier, shift })).to.equal(leaked);
      expect(Math.floor((u * multiplier) / 2 ** shift)).to.equal(leaked);
    });
  }

  it('rules L2 to L4: fires strictly above the threshold and then rests at 0', () => {
    const layer = { bias: Int32Array.of(1), threshold: Int32Array.of(10), fractionBits: 1 };
    const state = restingState(1);
    const run = (sum: number): number[] => {
      lifStep(state, Int32Array.of(sum), layer, { multiplier: 1, shift: 2 });
      return [state.membrane[0], state.spikes[0], state.carried[0]];
    };
    expect(run(4)).to.deep.equal([9, 0, 9]);
    expect(run(3)).to.deep.equal([9, 0, 9]); // 9 >> 2 = 2, + 6 + 1
    expect(run(4)).to.deep.equal([11, 1, 0]);
    expect(run(4)).to.deep.equal([9, 0, 9]); // nothing is left of the membrane that fired
    expect(run(-9)).to.deep.equal([-15, 0, -15]);
    expect(run(0)).to.deep.equal([-3, 0, -3]); // -15 >> 2 = -4, + 1
  });

  it('rule L3: a membrane equal to the threshold does not fire', () => {
    const state = restingState(1);
    lifStep(
      state,
      Int32Array.of(10),
      { bias: Int32Array.of(0), threshold: Int32Array.of(10), fractionBits: 0 },
      { multiplier: 1, shift: 2 },
    );
    expect(state.spikes[0]).to.equal(0);
  });

  it('rule S3: scatters like a transposed convolution written by its definition', () => {
    const model = randomModel(3, { ...SHAPES.tiny });
    const layer = model.decoder[0];
    const input = Uint8Array.from({ length: layer.inSize ** 2 * layer.inChannels }, (_, i) => ((i * 7) % 3) & 1);
    const sums = new Int32Array(outputNeurons(layer));
    sumWeights(layer)(input, sums);
    const outSize = 2 * layer.inSize;
    // PyTorch's definition: insert a zero between inputs, pad, correlate with the flipped kernel.
    for (let oy = 0; oy < outSize; oy++) {
      for (let ox = 0; ox < outSize; ox++) {
        for (let o = 0; o < layer.outChannels; o++) {
          let expected = 0;
          for (let ky = 0; ky < 3; ky++) {
            for (let kx = 0; kx < 3; kx++) {
              const y = (oy + 1 - ky) / 2;
              const x = (ox + 1 - kx) / 2;
              if (!Number.isInteger(y) || !Number.isInteger(x)) continue;
              if (y < 0 || y >= layer.inSize || x < 0 || x >= layer.inSize) continue;
              for (let i = 0; i < layer.inChannels; i++) {
                if (input[(y * layer.inSize + x) * layer.inChannels + i] === 0) continue;
                expected += layer.weight[(i * layer.outChannels + o) * 9 + ky * 3 + kx];
              }
            }
          }
          expect(sums[(oy * outSize + ox) * layer.outChannels + o]).to.equal(expected);
        }
      }
    }
  });

  it('rule R2: one convolution of weighted spikes is T convolutions, weighted', () => {
    const { readout, config } = randomModel(4, { ...SHAPES.RGB });
    const neurons = readout.size ** 2 * readout.inChannels;
    const spikes = Array.from({ length: config.timeSteps }, (_, t) =>
      Int32Array.from({ length: neurons }, (__, i) => (((i + 3) * (t + 5)) % 7) & 1),
    );
    const weighted = new Int32Array(neurons);
    const expected = outputMembrane(readout, new Int32Array(neurons));
    const bias = expected.slice();
    spikes.forEach((step, t) => {
      step.forEach((spike, i) => (weighted[i] += spike * readout.coefficients[t]));
      outputMembrane(readout, step).forEach((y, i) => (expected[i] += readout.coefficients[t] * (y - bias[i])));
    });
    expect(outputMembrane(readout, weighted)).to.deep.equal(expected);
  });

  it('rule R4: counts the thresholds that are <= the membrane', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 255, maxLength: 255 }),
        fc.integer({ min: -60, max: 60 }),
        (values, membrane) => {
          const thresholds = Int32Array.from(values).sort();
          expect(pixel(thresholds, 0, membrane)).to.equal(thresholds.filter((value) => value <= membrane).length);
        },
      ),
    );
  });

  it('rule T1: packs and unpacks any run of spikes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 40 }), (values) => {
        const spikes = Uint8Array.from(values);
        const packed = packSpikes(spikes);
        expect(packed.length).to.equal(Math.ceil(values.length / 8));
        expect(unpackSpikes(packed, 0, values.length)).to.deep.equal(spikes);
      }),
    );
    expect([...packSpikes(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 1))]).to.deep.equal([1, 2]);
  });

  it('rule T3: CRC-32 and SHA-256 agree with Node at every length around a block', () => {
    for (const length of [0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 1000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + length) & 0xff);
      expect(crc32(bytes)).to.equal(zlibCrc32(bytes));
      expect(sha256(bytes)).to.equal(createHash('sha256').update(bytes).digest('hex'));
    }
  });
});

describe('the proof of rule B', () => {
  it("B1: a layer's sums reach exactly the bounds of each parity", () => {
    const layer = randomModel(5, { ...SHAPES.tiny, bottomSize: 3 }).decoder[0];
    const outSize = 2 * layer.inSize;
    for (let channel = 0; channel < layer.outChannels; channel++) {
      const bounds = sumBounds(layer, channel);
      let reached = { min: 0, max: 0 };
      // For each output, the worst input is the one where exactly the positive, or negative, weights fire.
      for (let oy = 0; oy < outSize; oy++) {
        for (let ox = 0; ox < outSize; ox++) {
          let min = 0;
          let max = 0;
          for (let ky = 0; ky < 3; ky++) {
            for (let kx = 0; kx < 3; kx++) {
              const y = (oy + 1 - ky) / 2;
              const x = (ox + 1 - kx) / 2;
              if (!Number.isInteger(y) || !Number.isInteger(x) || y < 0 || x < 0) continue;
              if (y >= layer.inSize || x >= layer.inSize) continue;
              for (let i = 0; i < layer.inChannels; i++) {
                const w = layer.weight[(i * layer.outChannels + channel) * 9 + ky * 3 + kx];
                if (w < 0) min += w;
                else max += w;
              }
            }
          }
          reached = { min: Math.min(reached.min, min), max: Math.max(reached.max, max) };
        }
      }
      expect(bounds).to.deep.equal(reached);
    }
  });

  it('B2: no sequence of currents leaves the bounds, and the extremes are reached', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -200, max: 0 }),
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: -50, max: 50 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 }),
        (min, max, bias, threshold, shift, drive) => {
          const leak = { multiplier: 1, shift };
          const bounds = membraneBounds({ min, max }, bias, threshold, 0, leak, drive.length);
          const layer = { bias: Int32Array.of(bias), threshold: Int32Array.of(threshold), fractionBits: 0 };
          const state = restingState(1);
          const lowest = restingState(1);
          let reached = 0;
          for (const d of drive) {
            lifStep(state, Int32Array.of(Math.round(min + d * (max - min))), layer, leak);
            expect(state.membrane[0]).to.be.within(bounds.min, bounds.max);
            lifStep(lowest, Int32Array.of(min), layer, leak);
            reached = Math.min(reached, lowest.membrane[0]);
          }
          if (min + bias <= 0) expect(bounds.min).to.equal(reached);
        },
      ),
    );
  });

  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`holds for what really happens: ${name}`, () => {
      const model = randomModel(6, shape);
      const bounds = proveBounds(model);
      const network = new Network(model);
      const { timeSteps, latentChannels, choices } = model.config;
      const drawn = Uint8Array.from({ length: timeSteps * latentChannels }, (_, i) => (i * 31) % choices);
      const layers = [...model.prior.slice(0, -1), undefined, model.decoderInput, ...model.decoder];
      const observe = (row: number, _: number, __: Uint8Array, membrane: Int32Array): void => {
        const layer = layers[row - 1];
        if (layer === undefined) return;
        const { membrane: range } = bounds.layers.find((entry) => entry.name === layer.name)!;
        for (const u of membrane) expect(u).to.be.within(range.min, range.max);
      };
      network.runDecoder(network.runPrior(drawn, observe), observe);
    });
  }

  it('refuses a model whose membrane could leave 32 bits, and says which layer', () => {
    const model = randomModel(7, SHAPES.tiny);
    const layer = model.decoder[1];
    const bad = { ...model, decoder: [model.decoder[0], { ...layer, bias: layer.bias.map(() => 2 ** 31 - 1) }] };
    expect(() => proveBounds(bad)).to.throw(/^final_layer\.0: the membrane can reach .* which leaves 32 bits/);
  });

  it('counts bits', () => {
    for (const [min, max, bits] of [
      [0, 0, 1],
      [-1, 0, 1],
      [0, 1, 2],
      [-128, 127, 8],
      [-129, 0, 9],
      [0, 128, 9],
    ] as const) {
      expect(signedBits({ min, max })).to.equal(bits);
    }
    expect(
      signedBits(
        layerBounds(randomModel(8, SHAPES['sums beyond 16 bits']).prior[0], { multiplier: 1, shift: 2 }, 4).sum,
      ),
    ).to.be.above(16);
  });
});
