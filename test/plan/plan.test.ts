import { expect } from 'chai';
import fc from 'fast-check';
import { cacheReads } from '../../codegen/plan/activity.js';
import { type BufferRequest, lowerBound, placeBuffers } from '../../codegen/plan/arena.js';
import { type BoardMemory, budget, formatBudget, refusal } from '../../codegen/plan/budget.js';
import { ARENA_ROOM_BYTES, makePlan, type Plan } from '../../codegen/plan/plan.js';
import { halfRowSums, type Kernel, layOutWeights, PARITY_ORDER, rowWords } from '../../codegen/plan/weights.js';
import type { LinearLayer } from '../../runtime-ts/model.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';
import { shipped } from '../support/shipped.js';

const requests = fc
  .array(fc.record({ bytes: fc.integer({ min: 1, max: 5000 }), first: fc.nat(6), length: fc.nat(3) }), {
    minLength: 1,
    maxLength: 12,
  })
  .map((list) =>
    list.map(({ bytes, first, length }, i): BufferRequest => ({ name: `b${i}`, bytes, first, last: first + length })),
  );

const PICO: BoardMemory = {
  name: 'rp2040',
  flashBytes: 2097152,
  ramBytes: 270336,
  stackBytes: 4096,
  programFlashBytes: 57344,
  programRamBytes: 16384,
};

describe('arena', () => {
  it('never lets two buffers that live together overlap, and aligns all of them', () => {
    fc.assert(
      fc.property(requests, (list) => {
        const { buffers, bytes } = placeBuffers(list);
        expect(buffers.map(({ name }) => name)).to.deep.equal(list.map(({ name }) => name));
        for (const a of buffers) {
          expect(a.offset % 8).to.equal(0);
          expect(a.offset + a.bytes).to.be.at.most(bytes);
          for (const b of buffers) {
            if (a === b || a.last < b.first || b.last < a.first) continue;
            expect(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset).to.equal(true);
          }
        }
        expect(bytes).to.be.at.least(lowerBound(list));
      }),
    );
  });

  it('wastes little on the real plan', () => {
    const { arena } = shipped('mnist').plan;
    expect(arena.bytes).to.be.at.most(1.15 * lowerBound(arena.buffers));
  });
});

describe('weights', () => {
  const layouts: [Kernel, 8 | 4, number][] = [
    ['lanes', 8, 8],
    ['lanes', 4, 8],
    ['bytes', 8, 16],
    ['halves', 8, 16],
    ['halves', 4, 16],
  ];
  for (const [kernel, bits, block] of layouts) {
    it(`lays out every weight once, biased, as the kernel reads it: ${kernel}, ${bits} bits`, () => {
      const model = randomModel(21, { ...TINY_SHAPE, maps: [10, 32, 16], bits: [bits] });
      const { words, sections } = layOutWeights(model, (layer) => (layer === model.decoder[0] ? kernel : 'lanes'));
      const layer = model.decoder[0];
      const at = sections.find(({ name }) => name === `${layer.name}.weight`)!.offset;
      const bias = bits === 8 ? 128 : 8;
      for (let o = 0; o < layer.outChannels; o++) {
        for (let i = 0; i < layer.inChannels; i++) {
          for (let k = 0; k < 9; k++) {
            const place = block === 16 ? PARITY_ORDER.indexOf(k as 0) : k;
            const row = at + ((Math.floor(o / block) * 9 + place) * layer.inChannels + i) * rowWords(bits, kernel);
            // lanes.h: bytes 0 2 1 3 of channels 0 1 2 3, words of four channels; nibbles 0 4 1 5 2 6 3 7, of eight.
            const order = bits === 8 ? [0, 2, 1, 3] : [0, 4, 1, 5, 2, 6, 3, 7];
            const c = o % block;
            const word = words[row + Math.floor(c / order.length)];
            const lane = (word >>> (order[c % order.length] * bits)) & (2 ** bits - 1);
            expect(lane - bias).to.equal(layer.weight[(i * layer.outChannels + o) * 9 + k]);
          }
        }
      }
    });
  }

  it('leaves no gap between sections', () => {
    const { words, sections } = layOutWeights(randomModel(22, TINY_SHAPE), () => 'lanes');
    let end = 0;
    for (const section of sections) {
      expect(section.offset).to.equal(end);
      end += section.words;
    }
    expect(end).to.equal(words.length);
  });
});

describe('plan', () => {
  it('takes 16-bit lanes only where the proof allows (rule B3)', () => {
    const wide = makePlan(randomModel(23, SHAPES['sums beyond 16 bits']), 'wide');
    expect(wide.hidden[0].kernel).to.equal('plain');
    expect(makePlan(randomModel(23, TINY_SHAPE), 'tiny').hidden[0].kernel).to.equal('lanes');
    const fine = makePlan(randomModel(23, SHAPES['F = 8, wide parameters']), 'fine');
    expect(fine.membraneBits).to.equal(32);
    expect(fine.hidden.some((layer) => layer.wideParams)).to.equal(true);
  });

  const kernels = ({ hidden, decoderInput, decoder }: Plan): Kernel[] =>
    [...hidden, decoderInput, ...decoder].map(({ kernel }) => kernel);

  it('takes sixteen channels a block where the proof allows (rule B5), and halves where the arena has room', () => {
    const model = randomModel(1, SHAPES['blocks of sixteen']);
    expect(kernels(makePlan(model, 'wide'))).to.deep.equal(['bytes', 'bytes', 'bytes', 'halves', 'halves']);
    const small = makePlan(model, 'wide', { arenaRoomBytes: 0 });
    expect(kernels(small)).to.deep.equal(['bytes', 'bytes', 'bytes', 'bytes', 'bytes']);
    expect(small.arena.bytes).to.be.below(makePlan(model, 'wide').arena.bytes);
    for (const [what, change] of [
      ['a leak other than a quarter', { leak: { multiplier: 1, shift: 1 } }],
      ['more than 16 steps', { timeSteps: 17 }],
      ['a fraction', { fractionBits: 1 }],
      ['thresholds that are not 3 modulo 4', { aligned: false }],
      [
        'membranes beyond 16 bits',
        { heavy: true, latentChannels: 400, hidden: [400, 400], maps: [144, 144, 16], timeSteps: 4 },
      ],
    ] as const) {
      const other = makePlan(randomModel(1, { ...SHAPES['blocks of sixteen'], ...change }), 'other', {
        arenaRoomBytes: 0,
      });
      expect(kernels(other), what).to.not.include.members(['bytes']);
    }
  });

  it('keeps rows of hidden layers in RAM as far as there is room, where a byte saves most', () => {
    const slots = (room?: number): number[] =>
      makePlan(shipped('mnist').golden.model, 'mnist', room === undefined ? {} : { arenaRoomBytes: room }).hidden.map(
        (layer) => layer.slots,
      );
    const { plan, golden } = shipped('mnist');
    expect(plan.arena.bytes).to.be.within(ARENA_ROOM_BYTES - 1024, ARENA_ROOM_BYTES);
    const [first, second] = slots();
    expect(first).to.be.within(32, 96);
    expect(second).to.be.within(96, 128);
    const [all, reach] = slots(256 * 1024);
    // An input that fires once in an image gains nothing by a row of its own.
    const firing = [0n, 1n, 2n, 3n].map((seed) => golden.work(seed).layers[0].activeInputs);
    expect(all, `most of those that ever fire, ${firing.join(', ')}`).to.be.within(
      Math.min(...firing),
      Math.max(...firing),
    );
    expect(reach, 'an event reaches 128 rows of 512 bytes').to.be.within(120, 128);
    expect(slots(0)[1], 'what the decoder needs later').to.equal(0);
  });

  it('simulates the cache of rows as the kernel runs it: the one used longest ago goes, never one of this step', () => {
    expect(cacheReads([[[1, 2], [2, 3], [1]]], 2)).to.deep.equal({ spikes: 5, brought: 4, inPlace: 0 });
    expect(cacheReads([[[1, 2, 3], [3], [1, 3]]], 2)).to.deep.equal({ spikes: 6, brought: 4, inPlace: 1 });
    expect(
      cacheReads(
        [
          [[1], [1]],
          [[1], [2]],
        ],
        1,
      ),
    ).to.deep.equal({ spikes: 2, brought: 1.5, inPlace: 0 });
    expect(cacheReads([[[1, 2], [1]]], 0)).to.deep.equal({ spikes: 3, brought: 0, inPlace: 3 });
  });

  it('lays the rows of a cached layer out by input', () => {
    const model = randomModel(24, TINY_SHAPE);
    const [cached, plain] = [true, false].map((is) =>
      layOutWeights(
        model,
        () => 'lanes',
        () => is,
      ),
    );
    const layer = model.prior[1];
    const { offset, words } = cached.sections.find(({ name }) => name === `${layer.name}.weight`)!;
    const blocks = Math.ceil(layer.outFeatures / 8);
    expect(words).to.equal(layer.inFeatures * blocks * 2);
    for (let input = 0; input < layer.inFeatures; input++) {
      for (let block = 0; block < blocks; block++) {
        for (let word = 0; word < 2; word++) {
          expect(cached.words[offset + (input * blocks + block) * 2 + word]).to.equal(
            plain.words[offset + (block * layer.inFeatures + input) * 2 + word],
          );
        }
      }
    }
  });

  it("lays a neuron's weights, bias and threshold out in one row in the prior's last layer", () => {
    for (const bits of [8, 4] as const) {
      const model = randomModel(25, { ...TINY_SHAPE, bits: [bits], hidden: [9, 13] });
      const layer = model.prior[2];
      const { words, sections } = layOutWeights(model, () => 'lanes');
      const { offset } = sections.find(({ name }) => name === `${layer.name}.weight`)!;
      const weightWords = bits === 8 ? 4 : 2;
      for (let o = 0; o < layer.outFeatures; o++) {
        const row = words.subarray(offset + o * (weightWords + 1), offset + (o + 1) * (weightWords + 1));
        for (let i = 0; i < layer.inFeatures; i++) {
          // prior.h: nibble n of a word is input n of eight in the order 0, 4, 1, 5, 2, 6, 3, 7.
          const value =
            bits === 8
              ? ((row[i >> 2] >>> (8 * (i & 3))) & 255) - 128
              : ((row[i >> 3] >>> (8 * (i & 3) + 4 * ((i >> 2) & 1))) & 15) - 8;
          expect(value).to.equal(layer.weight[o * layer.inFeatures + i]);
        }
        expect((row[weightWords] << 16) >> 16).to.equal(layer.bias[o]);
        expect(row[weightWords] >> 16).to.equal(layer.threshold[o]);
      }
    }
  });

  it("keeps half the sum of each row of the prior's last layer in 16 bits, or none", () => {
    const model = randomModel(26, { ...TINY_SHAPE, hidden: [9, 13], choices: 3 });
    const layer = model.prior[2];
    const { words, sections } = layOutWeights(model, () => 'lanes');
    const { offset } = sections.find(({ name }) => name === `${layer.name}.sums`)!;
    for (let o = 0; o < layer.outFeatures; o++) {
      const row = layer.weight.subarray(o * layer.inFeatures, (o + 1) * layer.inFeatures);
      const half = (words[offset + (o >> 1)] << (16 * (1 - (o & 1)))) >> 16;
      expect(half).to.equal(Math.floor(row.reduce((sum, value) => sum + value, 0) / 2));
    }
    const heavy = (weight: number): LinearLayer => {
      return { ...layer, inFeatures: 517, outFeatures: 1, weight: new Int8Array(517).fill(weight) };
    };
    expect(halfRowSums(heavy(-126))).to.deep.equal(Uint32Array.of(-32571 & 0xffff));
    expect(halfRowSums(heavy(-127))).to.equal(undefined);
  });

  it('holds the full-size network in 128 KB of RAM and 2 MiB of flash, int4 in 1.1 MiB', () => {
    const { plan } = shipped('mnist');
    expect(plan.arena.bytes).to.be.below(128 * 1024);
    expect(4 * plan.weights.words.length).to.be.below(2 * 1024 * 1024 - PICO.programFlashBytes);
    expect(4 * shipped('mnist-int4').plan.weights.words.length).to.be.below(1.1 * 1024 * 1024);
  });
});

describe("the paper's large network (64 x 64 RGB, hidden dims 32 to 512)", () => {
  const shape = {
    ...TINY_SHAPE,
    channels: 3,
    latentChannels: 128,
    choices: 20,
    timeSteps: 16,
    hidden: [256, 512],
    maps: [512, 256, 128, 64, 32, 32],
    fractionBits: 3,
    aligned: true,
  };
  const board = PICO;

  it('fits a Pico in int4, and in int8 is told so', () => {
    const int4 = budget(makePlan(randomModel(5, { ...shape, bits: [4] }), 'large'), board);
    expect(int4.fits).to.equal(true);
    const int8 = budget(makePlan(randomModel(5, { ...shape, bits: [8] }), 'large'), board);
    expect(int8.fits).to.equal(false);
    expect(int8.remedies[0]).to.match(/^--bits 4 saves \d+ bytes$/);
  });
});

describe('fit answer', () => {
  const { plan } = shipped('mnist');
  const pico = PICO;

  it('adds up to the last byte', () => {
    const answer = budget(plan, pico);
    expect(answer.fits).to.equal(true);
    for (const kind of ['flash', 'ram'] as const) {
      expect(answer[kind].lines.reduce((sum, line) => sum + line.bytes, 0)).to.equal(answer[kind].used);
      expect(answer[kind].used + answer[kind].left).to.equal(answer[kind].available);
    }
    expect(formatBudget(answer)).to.match(/flash used +\d+ of 2097152 \(9\d\.\d %\), \d+ left/);
  });

  it('offers the smallest change that helps when flash is short', () => {
    const answer = budget(plan, { ...pico, flashBytes: 1536 * 1024 });
    expect(answer.fits).to.equal(false);
    expect(answer.remedies[0]).to.match(/^--bits prior\.layers\.2=4 saves 655360 bytes$/);
    expect(refusal(answer)).to.match(
      /^the model does not fit rp2040: flash needs \d+ of 1572864 bytes, \d+ too many; --bits/,
    );
  });

  it('says so when nothing helps', () => {
    const answer = budget(plan, { ...pico, flashBytes: 256 * 1024, ramBytes: 32 * 1024 });
    expect(refusal(answer)).to.match(/4-bit weights everywhere save only \d+ bytes; train a narrower network/);
    expect(refusal(answer)).to.match(/ram needs \d+ of 32768 bytes.*largest buffer is \w+ with \d+ bytes/);
  });
});
