import { expect } from 'chai';
import { FastNetwork } from '../../runtime-ts/fast-network.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { LazyLayer } from '../../runtime-ts/lazy-layer.js';
import { inputNeurons, outputNeurons, sumWeights } from '../../runtime-ts/layers.js';
import { lifStep, restingState } from '../../runtime-ts/lif.js';
import type { IntegerModel, LinearLayer } from '../../runtime-ts/model.js';
import { Network } from '../../runtime-ts/network.js';
import { sumWeightsInPairs } from '../../runtime-ts/packed-sums.js';
import { drawChoices, Pcg32 } from '../../runtime-ts/pcg32.js';
import { randomModel, SHAPES } from '../support/random-model.js';
import { shipped, SHIPPED_IDS } from '../support/shipped.js';

/** One linear layer with these rows of weights. */
function linear(rows: readonly (readonly number[])[], parts: Partial<LinearLayer> = {}): LinearLayer {
  return {
    kind: 'linear',
    name: 'layer',
    weightBits: 8,
    fractionBits: 0,
    inFeatures: rows[0].length,
    outFeatures: rows.length,
    weight: Int8Array.from(rows.flat()),
    bias: new Int32Array(rows.length),
    threshold: new Int32Array(rows.length),
    scale: new Float64Array(rows.length).fill(1),
    ...parts,
  };
}

/** Compares latents and images of the two networks over `seeds` seeds; each network keeps its state between images. */
function compare(model: IntegerModel, plain: Network, fast: FastNetwork, seeds: number): void {
  const { timeSteps, latentChannels, choices } = model.config;
  const random = new Pcg32(1n, 9n);
  for (let seed = 0; seed < seeds; seed++) {
    const drawn = drawChoices(BigInt(seed), timeSteps, latentChannels, choices);
    const z = plain.runPrior(drawn);
    expect(fast.runPrior(drawn), `latent of seed ${seed}`).to.deep.equal(z);
    expect(fast.runDecoder(z), `image of seed ${seed}`).to.deep.equal(plain.runDecoder(z));
    // Latents that the prior would hardly draw: dense, sparse, all and none.
    const density = [0, 8, 1, 4][seed % 4];
    const latent = z.map(() => (random.below(8) < density ? 1 : 0));
    expect(fast.runDecoder(latent), `image of latent ${seed}`).to.deep.equal(plain.runDecoder(latent));
  }
}

describe('the fast network draws what the plain one draws', function () {
  this.timeout(120_000);

  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`random models: ${name}`, () => {
      for (const modelSeed of [1, 2, 3, 4]) {
        const model = randomModel(modelSeed, shape);
        compare(model, new Network(model), new FastNetwork(model), 8);
      }
    });
  }

  for (const id of SHIPPED_IDS) {
    it(`shipped model ${id}`, () => {
      const { model } = shipped(id).golden;
      compare(model, new Network(model), new FastNetwork(model), id.startsWith('mnist') ? 40 : 200);
    });
  }

  it('sample(), latent() and decode() give what the trace of the plain network shows', () => {
    const golden = new GoldenModel(randomModel(9, SHAPES.RGB));
    for (let seed = 0n; seed < 8n; seed++) {
      const { image } = golden.fullTrace(seed);
      expect(golden.sample(seed)).to.deep.equal(image);
      expect(golden.decode(golden.latent(seed))).to.deep.equal(image);
    }
  });
});

describe('sums in pairs', () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`equal the plain sums of every layer: ${name}`, () => {
      const model = randomModel(10, shape);
      const random = new Pcg32(2n, 9n);
      let packed = 0;
      for (const layer of [...model.prior, model.decoderInput, ...model.decoder]) {
        const inPairs = sumWeightsInPairs(layer);
        if (inPairs === undefined) continue;
        packed++;
        const plain = sumWeights(layer);
        const expected = new Int32Array(outputNeurons(layer));
        const sums = new Int32Array(outputNeurons(layer)).fill(99);
        for (const density of [0, 1, 4, 8]) {
          const input = Uint8Array.from({ length: inputNeurons(layer) }, () => (random.below(8) < density ? 1 : 0));
          plain(input, expected);
          inPairs(input, sums);
          expect(sums, layer.name).to.deep.equal(expected);
        }
      }
      if (!shape.heavy) expect(packed).to.equal(model.prior.length + 1 + model.decoder.length);
    });
  }

  // 258 weights of 127 and one of 1: 32767; 258 of -127 and one of -2: -32768.
  const highest = [...new Array<number>(258).fill(127), 1];
  const lowest = [...new Array<number>(258).fill(-127), -2];

  it('both channels of a pair reach both ends of 16 bits', () => {
    const input = new Uint8Array(highest.length).fill(1);
    for (const [a, b] of [
      [highest, lowest],
      [lowest, highest],
      [highest, highest],
      [lowest, lowest],
    ]) {
      const sums = new Int32Array(3);
      sumWeightsInPairs(linear([a, b, a]))!(input, sums);
      const sum = (row: readonly number[]): number => row.reduce((total, weight) => total + weight, 0);
      expect([...sums]).to.deep.equal([sum(a), sum(b), sum(a)]);
      expect(Math.abs(sums[0] + 0.5)).to.equal(32767.5);
    }
  });

  it('are not offered where one channel could leave 16 bits', () => {
    expect(sumWeightsInPairs(linear([highest, [...highest.slice(1), 2]]))).to.not.equal(undefined);
    expect(sumWeightsInPairs(linear([highest, [...highest.slice(0, -1), 2]]))).to.equal(undefined);
    expect(sumWeightsInPairs(linear([[...lowest.slice(0, -1), -3], highest]))).to.equal(undefined);
    const heavy = randomModel(1, SHAPES['sums beyond 16 bits']);
    expect(heavy.prior.map((layer) => sumWeightsInPairs(layer) === undefined)).to.include(true);
  });
});

describe('the lazy layer', () => {
  it('fires as all neurons at all steps do, whatever is asked and whenever', () => {
    const leaks = [
      { multiplier: 1, shift: 2 },
      { multiplier: 3, shift: 3 },
      { multiplier: 1, shift: 0 },
      { multiplier: 0, shift: 0 },
    ];
    const random = new Pcg32(3n, 9n);
    let fired = 0;
    let asked = 0;
    for (let round = 0; round < 200; round++) {
      const leak = leaks[round % leaks.length];
      const inputs = 1 + random.below(12);
      const neurons = 1 + random.below(12);
      const timeSteps = 1 + random.below(32);
      const layer = linear(
        Array.from({ length: neurons }, () => Array.from({ length: inputs }, () => random.below(255) - 127)),
        {
          fractionBits: random.below(4),
          bias: Int32Array.from({ length: neurons }, () => random.below(401) - 200),
          // Below 0 too, which no model file may hold: the interval does not rely on that.
          threshold: Int32Array.from({ length: neurons }, () => random.below(601) - 200),
        },
      );
      const lazy = new LazyLayer(layer, leak, timeSteps);
      const addUp = sumWeights(layer);
      const sums = new Int32Array(neurons);
      for (const often of [2, 6]) {
        const state = restingState(neurons);
        lazy.reset();
        for (let t = 0; t < timeSteps; t++) {
          const input = Uint8Array.from({ length: inputs }, () => random.below(2));
          addUp(input, sums);
          lifStep(state, sums, layer, leak);
          lazy.step(input);
          for (let n = 0; n < neurons; n++) {
            if (random.below(often) !== 0) continue;
            expect(lazy.fires(n), `round ${round}, step ${t}, neuron ${n}`).to.equal(state.spikes[n] === 1);
            asked++;
            fired += state.spikes[n];
          }
        }
      }
    }
    expect(fired / asked).to.be.within(0.1, 0.9);
  });
});
