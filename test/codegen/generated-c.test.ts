import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { makePlan, type Plan } from '../../codegen/plan/plan.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { wordBytes } from '../../runtime-ts/words.js';
import { buildDriver, compilerExists, firstDifference, runDriver, writeLibrary } from '../support/host-library.js';
import { randomModel, SHAPES, WIDE_PRIOR, WIDE_PRIOR_16 } from '../support/random-model.js';

const SEEDS = 8;
/** More than those: the image alone, so by the golden model's fast path. */
const IMAGES = 1000;
const FIRST = 0xfffffffffffffffcn; // wraps past 2^64 within the run

/** Every bit that the driver's `probe` prints, from the golden model. */
function expectedProbe(golden: GoldenModel, seed: bigint): Uint8Array {
  const parts: Uint8Array[] = [];
  const trace = golden.fullTrace(seed);
  golden.rows.forEach((row, r) => {
    for (let t = 0; t < golden.model.config.timeSteps; t++) {
      parts.push(golden.spikes(seed, r, t));
      parts.push(new Uint8Array(trace.membranes[r].slice(t * row.neurons, (t + 1) * row.neurons).buffer));
    }
  });
  return Buffer.concat(parts);
}

function expectedTrace(golden: GoldenModel, first: bigint, count: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const trace = golden.trace(BigInt.asUintN(64, first + BigInt(i)));
    parts.push(trace.image, ...trace.digests.map((d) => new Uint8Array(d.buffer)), new Uint8Array(trace.spikes.buffer));
  }
  return Buffer.concat(parts);
}

describe("generated C gives the golden model's bits", () => {
  const compiler = compilerExists('gcc') ? 'gcc' : 'cc';
  let folder: string;
  afterEach(() => rmSync(folder, { recursive: true }));

  const cases = [
    ...Object.entries(SHAPES).map(([name, shape]) => ({ name, shape, arenaRoomBytes: undefined })),
    { name: 'blocks of sixteen, small arena', shape: SHAPES['blocks of sixteen'], arenaRoomBytes: 0 },
  ];
  for (const { name, shape, arenaRoomBytes } of cases) {
    it(`${name}: images, digests, spikes and membranes`, () => {
      const model = randomModel(1, shape);
      const golden = new GoldenModel(model);
      const plan = makePlan(model, name, arenaRoomBytes === undefined ? {} : { arenaRoomBytes });
      folder = writeLibrary(plan);
      const program = buildDriver(folder, compiler, [
        '-O1',
        '-fsanitize=address,undefined',
        '-fno-sanitize-recover=all',
      ]);
      expect(firstDifference(runDriver(program, FIRST, SEEDS, 'trace'), expectedTrace(golden, FIRST, SEEDS))).to.equal(
        '',
      );
      const images = Buffer.concat(Array.from({ length: IMAGES }, (_, i) => golden.sample(BigInt(i))));
      expect(firstDifference(runDriver(program, 0n, IMAGES, 'image'), images)).to.equal('');
      expect(firstDifference(runDriver(program, 5n, 1, 'probe'), expectedProbe(golden, 5n))).to.equal('');
      const latents = [11n, 12n].map((seed) => golden.latent(seed));
      const decoded = runDriver(program, 0n, latents.length, 'decode', Buffer.concat(latents));
      expect(firstDifference(decoded, Buffer.concat(latents.map((latent) => golden.decode(latent))))).to.equal('');
      const checksum = Buffer.from(runDriver(program, 0n, 0, 'checksum')).readUInt32LE();
      expect(checksum).to.equal(crc32(wordBytes(plan.weights.words)));
    });
  }

  for (const [name, shape] of [
    ['sums beyond 16 bits', SHAPES['sums beyond 16 bits']],
    ['more inputs than an event reaches', WIDE_PRIOR],
    ['more inputs than an event reaches, in blocks of sixteen', WIDE_PRIOR_16],
  ] as const) {
    it(`${name}, with row caches of every size from all that helps to none`, () => {
      const model = randomModel(2, shape);
      const expected = expectedTrace(new GoldenModel(model), FIRST, SEEDS);
      // Room for less and less; of each way to share it out one plan, of those the first, the last and some between.
      const plans = new Map<string, Plan>();
      for (let room = 112 * 1024; room > 0; room -= 8 + (room >> 4)) {
        const plan = makePlan(model, name, { arenaRoomBytes: room });
        plans.set(plan.hidden.map((layer) => layer.slots).join(), plan);
      }
      const all = [...plans];
      const some = [0, 1, 2, 3, 4, 5].map((i) => all[Math.round((i * (all.length - 1)) / 5)]);
      expect(some[0][0]).to.not.match(/(^|,)0(,|$)/);
      expect(some[5][0]).to.match(/^0(,0)*$/);
      folder = writeLibrary(some[0][1]);
      for (const [slots, plan] of some) {
        rmSync(folder, { recursive: true });
        folder = writeLibrary(plan);
        const program = buildDriver(folder, compiler, [
          '-O1',
          '-fsanitize=address,undefined',
          '-fno-sanitize-recover=all',
        ]);
        expect(firstDifference(runDriver(program, FIRST, SEEDS, 'trace'), expected), `slots ${slots}`).to.equal('');
      }
    });
  }
});
