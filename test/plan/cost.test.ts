import { expect } from 'chai';
import { type FlashCache, type ImageCost, KERNEL_COSTS, kernelOf, predictCost } from '../../codegen/plan/cost.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { type ImageWork, meanWork } from '../../runtime-ts/work.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';
import { shipped } from '../support/shipped.js';

/** That of the RP2040. */
const CACHE: FlashCache = {
  lineBytes: 8,
  sets: 1024,
  ways: 2,
  missCycles: 60,
  bulk: { beginCycles: 24, wordCycles: 16 },
};

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

  it('knows the wide kernels by their names', () => {
    const { hidden, decoderInput, decoder, model } = makePlan(randomModel(1, SHAPES['blocks of sixteen']), 'wide');
    expect(kernelOf(hidden[0], model.leak, 'step')).to.equal('step wide bytes');
    expect(kernelOf(decoderInput, model.leak, 'run')).to.equal('run wide bytes');
    expect(decoder.map((layer) => kernelOf(layer, model.leak, 'run'))).to.include('run wide halves');
  });

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
      const sum = (key: keyof Omit<ImageCost, 'layers'>): number =>
        cost.layers.reduce((total, layer) => total + layer[key], 0);
      expect(cost.layers.map(({ name }) => name)).to.deep.equal([...golden.layerNames, 'readout']);
      expect(cost.coreCycles).to.equal(sum('coreCycles'));
      expect(cost.cycles).to.equal(sum('cycles'));
      expect(cost.cycles).to.be.closeTo(cost.coreCycles + cost.waitCycles, 1e-3);
      for (const { waitCycles, coreCycles } of cost.layers) {
        expect(waitCycles).to.be.at.least(0);
        expect(coreCycles).to.be.above(0);
      }
      const unhindered = predictCost(plan, work, undefined);
      expect(unhindered.waitCycles).to.equal(0);
      expect(unhindered.cycles).to.equal(cost.coreCycles);
    }
  });

  it('waits no longer with a larger cache, and never for more than every line once where it holds all', () => {
    const { golden } = shipped('mnist-int4');
    const work = golden.work(0n);
    // Without room nothing is kept in RAM, and all layers read their weights through the cache.
    const plan = makePlan(golden.model, 'mnist', { arenaRoomBytes: 0 });
    const waits = (sets: number): number => predictCost(plan, work, { ...CACHE, sets }).waitCycles;
    for (let power = 0; power < 19; power++) expect(waits(2 ** (power + 1))).to.be.at.most(waits(2 ** power));
    expect(waits(1)).to.be.above(waits(1024));
    expect(waits(2 ** 20)).to.be.below((60 * plan.weights.words.length) / 2);
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
