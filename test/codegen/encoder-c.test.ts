/** The generated encoder and posterior against the golden ones: every spike and membrane, under sanitizers. */

import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { planEncoder } from '../../codegen/plan/encoder.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { EncoderNetwork } from '../../runtime-ts/encoder.js';
import type { IntegerEncoder } from '../../runtime-ts/encoder-model.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { GoldenEncoder } from '../../runtime-ts/golden-encoder.js';
import { drawChoices, Pcg32 } from '../../runtime-ts/pcg32.js';
import { packSpikes } from '../../runtime-ts/spike-bits.js';
import { wordBytes } from '../../runtime-ts/words.js';
import { buildDriver, compilerExists, firstDifference, runDriver, writeLibrary } from '../support/host-library.js';
import { randomEncoder } from '../support/random-encoder.js';
import { randomModel, SHAPES } from '../support/random-model.js';

/** Of random-model.ts, those in which encoders differ. */
const CASES = [
  ...['tiny', 'int8 and int4 mixed', 'T = 1', 'T = 17, trains of 32 bits', 'k = 256', 'C = 1', 'RGB'],
  ...['no hidden layer in the prior', 'three hidden layers', 'one decoder map', 'bottom map of one pixel', 'five maps'],
  ...['leak 3/8', 'F = 8, wide parameters', 'blocks of sixteen', 'sums beyond 16 bits'],
];

const IMAGES = 12;
const FIRST = 0xfffffffffffffffcn; // wraps past 2^64 within the run

/** Noise, and images of one grey, black and white among them. */
function pictures(bytes: number): Uint8Array[] {
  const random = new Pcg32(3n);
  return Array.from({ length: IMAGES }, (_, i) =>
    i < 3 ? new Uint8Array(bytes).fill([0, 255, 128][i]) : Uint8Array.from({ length: bytes }, () => random.below(256)),
  );
}

function expectedEncodings(golden: GoldenEncoder, images: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    images.flatMap((image, i) => {
      const { latent, digests, spikes } = golden.trace(image, FIRST + BigInt(i));
      return [latent, ...digests.map((steps) => wordBytes(steps)), wordBytes(spikes)];
    }),
  );
}

/** What the driver's `encode-probe` prints: of each row and step the spikes, packed, then the membranes. */
function expectedProbe(encoder: IntegerEncoder, image: Uint8Array, seed: bigint): Uint8Array {
  const { timeSteps, latentChannels, choices: k } = encoder.config;
  const choices = drawChoices(seed, timeSteps, latentChannels, k);
  const seen: Uint8Array[][] = [
    Array.from({ length: timeSteps }, (_, t) =>
      Buffer.concat([
        new Uint8Array((latentChannels + 7) >> 3),
        wordBytes(choices.subarray(t * latentChannels, (t + 1) * latentChannels)),
      ]),
    ),
  ];
  new EncoderNetwork(encoder).encode(image, choices, (row, step, spikes, membrane) => {
    (seen[1 + row] ??= [])[step] = Buffer.concat([packSpikes(spikes), wordBytes(membrane)]);
  });
  return Buffer.concat(seen.flat());
}

describe("the generated encoder gives the golden encoder's bits", () => {
  const compiler = compilerExists('gcc') ? 'gcc' : 'cc';
  let folder: string;
  afterEach(() => rmSync(folder, { recursive: true }));

  for (const name of CASES) {
    it(`${name}: latents, digests, spikes and membranes; the generator's stay as they are`, () => {
      const model = randomModel(1, SHAPES[name]);
      const encoder = randomEncoder(1, SHAPES[name]);
      const plan = planEncoder(encoder);
      const golden = new GoldenEncoder(encoder);
      folder = writeLibrary(makePlan(model, name, { encoder: plan }));
      const program = buildDriver(folder, compiler, [
        '-O1',
        '-fsanitize=address,undefined',
        '-fno-sanitize-recover=all',
      ]);
      const images = pictures(model.config.channels * model.config.imageSize ** 2);
      const encoded = runDriver(program, FIRST, IMAGES, 'encode', Buffer.concat(images));
      const expected = expectedEncodings(golden, images);
      expect(firstDifference(encoded, expected)).to.equal('');
      const fired = images.flatMap((image, i) => [...golden.trace(image, FIRST + BigInt(i)).spikes].slice(1));
      expect(fired.some((spikes) => spikes > 0)).to.equal(true);
      expect(
        firstDifference(runDriver(program, 5n, 1, 'encode-probe', images[4]), expectedProbe(encoder, images[4], 5n)),
      ).to.equal('');
      const checksums = Buffer.from(runDriver(program, 0n, 0, 'checksum'));
      expect(checksums.readUInt32LE(4)).to.equal(crc32(wordBytes(plan.weights.words)));
      const drawn = new GoldenModel(model).sample(7n);
      expect(firstDifference(runDriver(program, 7n, 1, 'image'), drawn)).to.equal('');
    });
  }
});
