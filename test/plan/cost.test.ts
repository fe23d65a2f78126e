import { expect } from 'chai';
import fc from 'fast-check';
import { type FlashCache, KERNEL_COSTS, kernelOf, predictCost } from '../../codegen/plan/cost.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { type ImageWork, meanWork } from '../../runtime-ts/work.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';
import { shipped } from '../support/shipped.js';

/** That of the RP2040. */
const CACHE: FlashCache = { lineBytes: 8, sets: 1024, ways: 2, missCycles: 60 };

describe('predicted cost', () => {
  for (const [shape, run, step] of [
    ['tiny', 'run bytes, assembly', 'step bytes'],
    ['leak 3/8', 'run bytes', 'step bytes'],
    ['F = 8, wide parameters', 'run bytes', 'step bytes'],
    ['int4 weights', 'run nibbles', 'step nibbles'],
    ['sums beyond 16 bits', 'run plain', 'step plain'],
  ] as const) {
    it(`${shape}: reckons with the kernel that the C chooses`, () => {
      const plan = makePlan(randomModel(1, SHAPES[shape]), shape);
      expect(kernelOf(plan.decoderInput, plan.model.leak, 'run')).to.equal(run);
      expect(kernelOf(plan.hidden[0], plan.model.leak, 'step')).to.equal(step);
    });
  }

  it('adds up the units of work of a small layer as one would by hand', () => {
    // decoder_input of 6 -> 40 (5 blocks of 8), T = 4, and a transposed convolution of 10 x 2 x 2 -> 7 x 4 x 4 (1 block).
    const plan = makePlan(randomModel(1, TINY_SHAPE), 'tiny');
    const golden = new GoldenModel(plan.model);
    const work = golden.work(0n);
    const [input, map] = work.layers.slice(plan.model.prior.length);
    const cost = predictCost(plan, work, undefined);
    const c = KERNEL_COSTS['run bytes, assembly'];
    const of = (name: string): number => cost.layers.find((layer) => layer.name === name)!.coreCycles;
    expect(of('decoder_input')).to.be.closeTo(
      c.row * input.inputSpikes * 5 +
        c.update * 40 * 4 +
        c.spike * input.spikes +
        (c.tap * 4 + c.begin) * 5 +
        c.inputSpike * input.inputSpikes +
        c.input * 6,
      1e-6,
    );
    // Along an axis of two inputs four outputs see 1, 2, 1 and 1 of them: 25 pairs. Each spike reaches 4, 6, 6 or 9 outputs.
    expect(of('decoder.0')).to.be.closeTo(
      (c.row * map.synapticOperations) / 7 +
        c.update * 8 * 16 * 4 +
        c.spike * map.spikes +
        (c.tap * 4 + c.begin) * 25 +
        c.inputSpike * map.inputSpikes +
        c.input * 40,
      1e-6,
    );
  });

  it('is the sum of its layers; without a cache nothing waits', () => {
    for (const shape of Object.values(SHAPES)) {
      const plan = makePlan(randomModel(2, shape), 'model');
      const golden = new GoldenModel(plan.model);
      const work = golden.work(1n);
      const cost = predictCost(plan, work, CACHE);
      const sum = (key: 'coreCycles' | 'misses' | 'cycles'): number =>
        cost.layers.reduce((total, layer) => total + layer[key], 0);
      expect(cost.layers.map(({ name }) => name)).to.deep.equal([...golden.layerNames, 'readout']);
      expect(cost.coreCycles).to.equal(sum('coreCycles'));
      expect(cost.cycles).to.equal(sum('cycles'));
      expect(cost.cycles).to.be.closeTo(cost.coreCycles + 60 * cost.misses, 1e-3);
      for (const { misses, coreCycles } of cost.layers) {
        expect(misses).to.be.at.least(0);
        expect(coreCycles).to.be.above(0);
      }
      const unhindered = predictCost(plan, work, undefined);
      expect(unhindered.misses).to.equal(0);
      expect(unhindered.cycles).to.equal(cost.coreCycles);
    }
  });

  it('a cache that holds the model misses no line twice; one that holds nothing reads every line again', () => {
    const { plan, golden } = shipped('mnist');
    const work = golden.work(0n);
    const lines = plan.weights.words.length / 2;
    const misses = (sets: number): number => predictCost(plan, work, { ...CACHE, sets }).misses;
    expect(misses(2 ** 20)).to.be.within(0.2 * lines, lines);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 18 }), (power) => {
        expect(misses(2 ** (power + 1))).to.be.at.most(misses(2 ** power));
      }),
    );
    expect(misses(1)).to.be.above(misses(1024));
  });

  it('more spikes never cost less', () => {
    const { plan, golden } = shipped('tiny');
    const work = golden.work(3n);
    const scaled = (factor: number): ImageWork => ({
      ...work,
      layers: work.layers.map((layer) => ({
        ...layer,
        inputSpikes: layer.inputSpikes * factor,
        spikes: layer.spikes * factor,
        synapticOperations: layer.synapticOperations * factor,
      })),
    });
    const [less, same, more] = [0.5, 1, 1.5].map((factor) => predictCost(plan, scaled(factor), CACHE).cycles);
    expect(less).to.be.below(same);
    expect(same).to.be.below(more);
  });

  it('takes the mean of several images', () => {
    const { plan, golden } = shipped('tiny');
    const works = [0n, 1n, 2n].map((seed) => golden.work(seed));
    const mean = works.reduce((sum, work) => sum + predictCost(plan, work, undefined).cycles, 0) / works.length;
    expect(predictCost(plan, meanWork(works), undefined).cycles).to.be.closeTo(mean, 1e-3);
    expect(meanWork([works[0], works[0]])).to.deep.equal(works[0]);
  });
});
