import { expect } from 'chai';
import { compare, type Expected } from '../../playground/page/comparison.js';
import { parseSeed, seedAfter } from '../../playground/page/seed.js';
import { buildUp } from '../../runtime-ts/build-up.js';
import { shipped } from '../support/shipped.js';

describe('the page in words', () => {
  const { golden } = shipped('tiny');
  const seed = 3n;
  const { image, imageCrc, digests, spikes } = golden.trace(seed);
  const expected: Expected = { image, imageCrc, digests, counts: Array.from(spikes, (count) => [count]) };
  const size = golden.model.config.imageSize;
  const judge = (drawn: Uint8Array, traced?: { digests: readonly Uint32Array[]; imageCrc: number }) =>
    compare(seed, expected, drawn, size, traced && { ...traced, spikes }, golden.layerNames);

  it('what is equal is called so', () => {
    expect(judge(image)).to.deep.include({ kind: 'exact', title: 'Bit-exact' });
    expect(judge(image, { digests, imageCrc }).lines[1]).to.match(/^\d+ digests over [\d,]+ spikes equal$/);
  });

  it('one wrong bit of the image, one wrong digest, or another length is not', () => {
    const wrong = image.slice();
    wrong[size + 2] ^= 1;
    const { kind, lines } = judge(wrong);
    expect([kind, lines[0]]).to.deep.equal([
      'differs',
      `pixel channel 0, y 1, x 2: expected ${image[size + 2]}, actual ${wrong[size + 2]} (1 bytes of the image differ)`,
    ]);
    const others = digests.map((row) => row.slice());
    others[2][1] ^= 1;
    const verdict = judge(image, { digests: others, imageCrc });
    expect(verdict.kind).to.equal('differs');
    expect(verdict.lines[1]).to.contain(`first differ in ${golden.layerNames[2]} at step 1`);
    expect(judge(image, { digests, imageCrc: imageCrc ^ 1 }).kind).to.equal('differs');
    expect(judge(image.subarray(1)).kind).to.equal('differs');
  });

  const texts: [text: string, seed: bigint | undefined][] = [
    ['0', 0n],
    [' 42 ', 42n],
    ['0x1F', 31n],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['18446744073709551616', undefined],
    ['0x10000000000000000', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['', undefined],
  ];
  for (const [text, value] of texts) {
    it(`reads ${JSON.stringify(text)} as ${value}`, () => expect(parseSeed(text)).to.equal(value));
  }

  it('seeds go round at 2^64', () => {
    expect(seedAfter(2n ** 64n - 1n, 1n)).to.equal(0n);
    expect(seedAfter(0n, -1n)).to.equal(2n ** 64n - 1n);
  });
});

describe('image step by step', () => {
  for (const id of ['tiny', 'mnist'] as const) {
    it(`${id}: after the last step it is the image that is drawn, bit by bit; before, others`, () => {
      const { golden } = shipped(id);
      const { image, spikes } = golden.fullTrace(1n);
      const { readout, config } = golden.model;
      const steps = buildUp(readout, spikes[spikes.length - 1]);
      expect(steps).to.have.length(config.timeSteps);
      expect(steps[config.timeSteps - 1]).to.deep.equal(image);
      expect(steps[0]).not.to.deep.equal(image);
    });
  }

  it('after n steps it is what a network with n steps would draw, but for the bias', () => {
    const { golden } = shipped('tiny');
    const { spikes } = golden.fullTrace(1n);
    const { readout, config } = golden.model;
    const last = spikes[spikes.length - 1];
    const neurons = last.length / config.timeSteps;
    const n = 4;
    const silent = { ...readout, bias: new Int32Array(readout.bias.length) };
    const short = { ...silent, coefficients: readout.coefficients.slice(config.timeSteps - n) };
    expect(buildUp(silent, last)[n - 1]).to.deep.equal(buildUp(short, last.subarray(0, n * neurons))[n - 1]);
  });
});
