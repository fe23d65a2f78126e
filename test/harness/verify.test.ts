import { expect } from 'chai';
import { GoldenTarget } from '../../harness/golden-target.js';
import type { BoardProcess } from '../../harness/process.js';
import { connectBoard } from '../../harness/serial.js';
import { SerialTarget } from '../../harness/serial-target.js';
import { formatStreamResult, stream, type StreamProgress } from '../../harness/stream.js';
import type { Target } from '../../harness/target.js';
import {
  firstDifference,
  formatVerifyResult,
  type Mismatch,
  verify,
  type VerifyResult,
  verifyResultJson,
} from '../../harness/verify.js';
import { describeWithCompiler, startDevice } from './device.js';
import { errorOf } from './errors.js';
import { FakeGolden, faulty, IMAGE_SIZE, LATENT_BYTES, TIME_STEPS } from './fake-golden.js';

const golden = new FakeGolden();
const SIZES = { timeSteps: TIME_STEPS, channels: 1, imageSize: IMAGE_SIZE };

/** What holds of every target whose bits are right. */
function conformance(open: () => Promise<Target>): void {
  let target: Target;
  before(async () => {
    target = await open();
  });
  after(() => target.close());

  it('equals the golden model in every bit', async () => {
    const seen: number[] = [];
    const result = await verify(target, golden, {
      firstSeed: 2n ** 64n - 2n,
      count: 4,
      onProgress: (done) => seen.push(done),
    });
    expect(result).to.include({ equal: true, checked: 4, digests: 4 * 5 * TIME_STEPS });
    expect(result.spikes).to.be.above(1000);
    expect(seen).to.deep.equal([1, 2, 3, 4]);
    expect(formatVerifyResult(result)).to.match(/: every bit equals the golden model$/);
  });

  it('gives spikes, membranes, choices and images of its latents', async () => {
    expect(await target.spikes(7n, 3, 2)).to.deep.equal(golden.spikes(7n, 3, 2));
    const expected = [98, 99].map((neuron) => golden.membrane(7n, 3, 2, neuron).membrane);
    expect([...(await target.membranes(7n, 3, 2, 98, 2))]).to.deep.equal(expected);
    const latent = Uint8Array.from({ length: LATENT_BYTES }, (_, i) => 3 * i);
    expect((await target.decode(latent)).image).to.deep.equal(golden.decode(latent));
  });

  it('streams images that equal the golden ones', async () => {
    const drawn: bigint[] = [];
    let last: StreamProgress | undefined;
    const result = await stream(target, {
      firstSeed: 2n ** 64n - 1n,
      count: 3,
      golden,
      onImage: (image, seed) => {
        expect(image).to.deep.equal(golden.sample(seed));
        drawn.push(seed);
      },
      onProgress: (progress) => (last = progress),
    });
    expect(drawn).to.deep.equal([2n ** 64n - 1n, 0n, 1n]);
    expect(result).to.include({ done: 3, mismatches: 0 });
    expect(last).to.include({ done: 3, count: 3, mismatches: 0 });
    expect(result.drawSeconds).to.be.above(0);
    expect(formatStreamResult(result, true)).to.match(/every byte equals the golden model/);
  });
}

describe('the golden model as a target', () => {
  conformance(async () => new GoldenTarget(golden, SIZES));
});

describeWithCompiler('the C application as a target', () => {
  let device: BoardProcess;
  before(async () => {
    device = await startDevice();
  });
  after(() => device.close());
  conformance(async () => SerialTarget.of((await connectBoard(device.path)).client));
});

describeWithCompiler('a board with wrong bits', () => {
  let device: BoardProcess;
  let target: SerialTarget;
  before(async () => {
    device = await startDevice();
    target = await SerialTarget.of((await connectBoard(device.path)).client);
  });
  after(async () => {
    await target.close();
    await device.close();
  });

  /** Verifies one right seed and then the faulty one. */
  async function find(fault: number): Promise<{ mismatch: Mismatch; text: string; result: VerifyResult }> {
    const result = await verify(target, golden, { firstSeed: faulty(fault, 5n), count: 1 });
    expect(result.equal).to.be.false;
    expect(result.mismatches).to.have.length(1);
    return { mismatch: result.mismatches[0], text: formatVerifyResult(result), result };
  }

  it('is shown by layer, step, neuron, spikes, membranes and threshold', async () => {
    const { mismatch, text, result } = await find(0xf1);
    const seed = faulty(0xf1, 5n);
    const right = golden.membrane(seed, 4, 2, 1500);
    const spike = right.membrane > right.threshold ? 1 : 0;
    expect(mismatch).to.deep.equal({
      kind: 'spike',
      seed,
      layer: 4,
      layerName: 'final_layer.0',
      step: 2,
      neuron: 1500,
      expected: { spike, membrane: right.membrane },
      actual: { spike: 1 - spike, membrane: right.membrane + 7 },
      threshold: 600,
      differing: 1,
    });
    expect(text).to.contain(
      `seed ${seed}, layer final_layer.0 (row 4), step 2, neuron 1500: first of 1 that differ\n` +
        `  expected ${spike ? 'a spike' : 'no spike'}, membrane ${right.membrane}; ` +
        `actual ${spike ? 'no spike' : 'a spike'}, membrane ${right.membrane + 7}; threshold 600`,
    );
    expect(JSON.parse(verifyResultJson(result)).mismatches[0]).to.deep.include({ seed: String(seed), neuron: 1500 });
  });

  it('in the prior is shown where it begins, not in the row before, which it spoils a step later', async () => {
    const { mismatch } = await find(0xf2);
    expect(mismatch).to.include({ kind: 'spike', layerName: 'z', layer: 2, step: 1, neuron: 3, differing: 1 });
  });

  it('in its choices is shown with both indices', async () => {
    const { mismatch, text } = await find(0xf3);
    const expected = golden.membrane(5n, 0, 3, 5).membrane;
    const actual = (expected + 1) % 20;
    expect(mismatch).to.include({ kind: 'choice', layer: 0, step: 3, neuron: 5, expected, actual, differing: 1 });
    expect(text).to.contain(`expected index ${expected}, actual ${actual}`);
  });

  it('in the image alone has its readout at fault, and the run goes on', async () => {
    const { mismatch, text } = await find(0xf4);
    expect(mismatch).to.deep.include({ kind: 'image', origin: 'readout' });
    expect(mismatch.kind === 'image' && mismatch.pixel).to.include({ index: 77, y: 4, x: 13, differing: 1 });
    expect(text).to.match(/the readout is at fault\n {2}pixel channel 0, y 4, x 13: expected \d+, actual \d+/);
    const more = await verify(target, golden, { firstSeed: faulty(0xf4, 0n), count: 3 });
    expect(more).to.include({ checked: 3, equal: false });
    expect(more.mismatches).to.have.length(3);
  });

  it('in a digest whose spikes are right is told apart from wrong spikes', async () => {
    const { mismatch, text } = await find(0xf5);
    expect(mismatch).to.include({ kind: 'digest', layerName: 'decoder_input', step: 0 });
    expect(text).to.contain('the spikes asked for one by one are right');
  });

  it('ends the run at wrong spikes, or goes on when asked to', async () => {
    const first = await verify(target, golden, { firstSeed: faulty(0xf1, 0n), count: 3 });
    expect(first).to.include({ checked: 1, count: 3 });
    const all = await verify(target, golden, { firstSeed: faulty(0xf1, 0n), count: 3, keepGoing: true });
    expect(all.checked).to.equal(3);
    expect(all.mismatches.map((mismatch) => mismatch.seed)).to.deep.equal([0n, 1n, 2n].map((i) => faulty(0xf1, i)));
  });

  it('is found by the stream too, which trusts no trace', async () => {
    const result = await stream(target, { firstSeed: faulty(0xf6, 0n), count: 2, golden });
    expect(result.mismatches).to.equal(2);
    expect(result.differences[0]).to.include({ index: 3, x: 3, y: 0, channel: 0, differing: 1 });
    expect(formatStreamResult(result, true)).to.match(/2 images differ from the golden model\n {2}seed 1\d+: pixel/);
    const unchecked = await stream(target, { firstSeed: faulty(0xf6, 0n), count: 2 });
    expect(unchecked.mismatches).to.equal(0);
    expect(formatStreamResult(unchecked, false)).to.not.match(/golden/);
  });

  it('has cycles of its own clock, apart from wall-clock time', async () => {
    const result = await stream(target, { firstSeed: faulty(0xf8, 0n), count: 1 });
    expect(result.targetSeconds).to.be.within(0.3, 2);
    expect(result.drawSeconds).to.be.within(0.3, 2);
    expect(result.transferSeconds).to.be.below(0.2);
  });
});

describe('verification', () => {
  it('refuses a target with other layers by name', async () => {
    const target = new GoldenTarget(golden, SIZES);
    const other = new FakeGolden();
    other.layerNeurons[3] = 101;
    const error = await errorOf(verify(target, other, { firstSeed: 0n, count: 1 }));
    expect(error.kind).to.equal('model-mismatch');
    expect(error.message).to.match(/decoder_input \(100\).*decoder_input \(101\)/);
  });

  const names = ['choices', 'prior.layers.0', 'z', 'decoder_input', 'decoder.0'];
  const places: [title: string, wrong: [row: number, step: number][], first: [number, number] | undefined][] = [
    ['nothing', [], undefined],
    [
      'a step of the prior before a row',
      [
        [1, 3],
        [2, 2],
      ],
      [2, 2],
    ],
    [
      'a row before another at the same step',
      [
        [2, 2],
        [1, 2],
      ],
      [1, 2],
    ],
    [
      'the prior before the decoder',
      [
        [3, 0],
        [2, 3],
      ],
      [2, 3],
    ],
    [
      'a row of the decoder before a step',
      [
        [4, 0],
        [3, 3],
      ],
      [3, 3],
    ],
    [
      'choices first of all',
      [
        [0, 1],
        [1, 1],
      ],
      [0, 1],
    ],
  ];
  for (const [title, wrong, first] of places) {
    it(`finds ${title}`, () => {
      const right = names.map(() => new Uint32Array(TIME_STEPS));
      const actual = names.map(() => new Uint32Array(TIME_STEPS));
      for (const [row, step] of wrong) actual[row][step] = 1;
      expect(firstDifference(right, actual, names)).to.deep.equal(first);
    });
  }
});
