/** The plan of encoder and posterior, and what it adds to a project's. */

import { expect } from 'chai';
import { type BoardMemory, budget, formatBudget, refusal } from '../../codegen/plan/budget.js';
import { lowerBound } from '../../codegen/plan/arena.js';
import { planEncoder } from '../../codegen/plan/encoder.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { encoderHash } from '../../runtime-ts/golden-encoder.js';
import { refusal as refusalOf } from '../checkpoint/refusal.js';
import { randomEncoder } from '../support/random-encoder.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';

const MODEL = randomModel(1, TINY_SHAPE);
const ENCODER = randomEncoder(1, TINY_SHAPE);

const memory = (flashBytes: number, ramBytes = 1 << 18): BoardMemory => ({
  name: 'some',
  flashBytes,
  ramBytes,
  stackBytes: 4096,
  programFlashBytes: 32768,
  programRamBytes: 8192,
});

describe('plan of encoder and posterior', () => {
  it("leaves the generator's constants and addresses as they are, and shares its arena", () => {
    const [alone, whole] = [makePlan(MODEL, 'm'), makePlan(MODEL, 'm', { encoder: planEncoder(ENCODER) })];
    expect(whole.weights).to.deep.equal(alone.weights);
    expect(whole.arena).to.deep.equal(alone.arena);
    expect(whole.arenaBytes).to.equal(Math.max(alone.arena.bytes, whole.encoder!.arena.bytes));
    expect(alone.arenaBytes).to.equal(alone.arena.bytes);
  });

  it('places buffers tightly, and rows in the order of the trace', () => {
    const { arena, rows, pixels, convolutions, latentInput, hidden, lazy } = planEncoder(ENCODER);
    expect(arena.bytes).to.be.within(lowerBound(arena.buffers), 1.25 * lowerBound(arena.buffers));
    for (const { layer, row } of [pixels, ...convolutions, latentInput, ...hidden]) {
      expect(rows[row].name).to.equal(layer.name);
    }
    expect(rows[lazy.row].name).to.equal('z');
  });

  it("takes the posterior's membranes in 32 bits where they need it, and the prior's with them", () => {
    const heavy = planEncoder(randomEncoder(1, SHAPES['sums beyond 16 bits']));
    expect([heavy.membraneBits, heavy.hidden[0].kernel]).to.deep.equal([32, 'plain']);
    expect(planEncoder(ENCODER).membraneBits).to.equal(16);
    expect(makePlan(MODEL, 'm').membraneBits).to.equal(16);
    expect(makePlan(MODEL, 'm', { encoder: { ...planEncoder(ENCODER), membraneBits: 32 } }).membraneBits).to.equal(32);
  });

  it('refuses a layer with more inputs than events can name', () => {
    const inFeatures = 8193;
    const { latentInput } = ENCODER;
    const weight = new Int8Array(inFeatures * latentInput.outFeatures);
    expect(refusalOf(() => planEncoder({ ...ENCODER, latentInput: { ...latentInput, inFeatures, weight } }))).to.match(
      /before_latent_layer has 8193 inputs; the kernels take at most 8192/,
    );
  });

  it('is named by everything that latents follow from', () => {
    const hash = encoderHash(ENCODER);
    const [first, ...others] = ENCODER.convolutions;
    const changed = {
      weight: { ...first, weight: first.weight.map((w, i) => (i === 4 ? w ^ 1 : w)) },
      threshold: { ...first, threshold: first.threshold.map((value, i) => (i === 1 ? value + 1 : value)) },
      bias: { ...first, bias: first.bias.map((value, i) => (i === 0 ? value - 1 : value)) },
    };
    for (const [what, layer] of Object.entries(changed)) {
      expect(encoderHash({ ...ENCODER, convolutions: [layer, ...others] }), what).to.not.equal(hash);
    }
    expect(encoderHash({ ...ENCODER, leak: { multiplier: 1, shift: 3 } })).to.not.equal(hash);
    expect(encoderHash(randomEncoder(1, TINY_SHAPE))).to.equal(hash);
  });
});

describe('fit answer with an encoder', () => {
  const plan = makePlan(MODEL, 'm', { encoder: planEncoder(ENCODER) });
  const alone = makePlan(MODEL, 'm');
  const bytes = 4 * plan.encoder!.weights.words.length;

  it('counts its constants, its program, and the latent', () => {
    const [whole, without] = [budget(plan, memory(1 << 20)), budget(alone, memory(1 << 20))];
    expect(formatBudget(whole)).to.match(new RegExp(`flash +encoder and posterior +${bytes}\\n`));
    expect(whole.flash.used - without.flash.used).to.equal(bytes + 14 * 1024);
    expect(whole.ram.used - without.ram.used).to.equal(plan.latentBytes + plan.arenaBytes - alone.arenaBytes);
  });

  it('says how it would fit: 4-bit weights where they are enough, or without', () => {
    const { used } = budget(plan, memory(1 << 20)).flash;
    const layers = [...ENCODER.convolutions.slice(1), ENCODER.latentInput, ...ENCODER.posterior];
    const halved = layers.reduce((sum, { weight }) => sum + Math.floor(weight.length / 2), 0);
    const remedies = (missing: number): readonly string[] => budget(plan, memory(used - missing)).remedies;
    expect(remedies(400).slice(0, 2)).to.deep.equal([
      `--encoder-bits 4 saves ${halved} bytes`,
      `--parts generate, without the encoder, saves ${bytes + 14 * 1024} bytes`,
    ]);
    expect(remedies(1000)[0]).to.match(/^--bits 4 --encoder-bits 4 saves \d+ bytes$/);
    expect(remedies(8000)[0]).to.match(/^--parts generate/);
    expect(remedies(30_000)[0]).to.match(/4-bit weights everywhere save only/);
    expect(refusal(budget(plan, memory(used - 400)))).to.match(/^the model does not fit some: flash needs \d+ of/);
  });
});
