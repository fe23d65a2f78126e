/**
 * Bit-exact verification: the target's digests against the golden model's, and where one differs, the layer, step and
 * neuron at which the two first part, with spike and membrane of both.
 */

import { crc32 } from '../runtime-ts/crc32.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { hex32 } from './constants.js';
import type { GoldenModel } from './golden.js';
import { firstPixelDifference, formatPixel, type PixelDifference } from './stream.js';
import type { Target } from './target.js';

/** Where in a trace. */
export interface TracePlace {
  readonly seed: bigint;
  /** Row of the trace and its name. */
  readonly layer: number;
  readonly layerName: string;
  readonly step: number;
}

/** A neuron that fired on one side only. */
export interface SpikeMismatch extends TracePlace {
  readonly kind: 'spike';
  readonly neuron: number;
  readonly expected: { readonly spike: 0 | 1; readonly membrane: number };
  readonly actual: { readonly spike: 0 | 1; readonly membrane: number };
  /** The membrane must exceed this to fire. */
  readonly threshold: number;
  /** Neurons of this row and step that differ. */
  readonly differing: number;
}

/** Another index was drawn: seed or random generator. `neuron` is the latent channel. */
export interface ChoiceMismatch extends TracePlace {
  readonly kind: 'choice';
  readonly neuron: number;
  readonly expected: number;
  readonly actual: number;
  readonly differing: number;
}

/** The digest differed, but the same spikes looked into are right: what is left out then is at fault, or nothing repeats. */
export interface DigestMismatch extends TracePlace {
  readonly kind: 'digest';
  readonly expected: number;
  readonly actual: number;
}

/** All spikes are right and the image is not. */
export interface ImageMismatch {
  readonly kind: 'image';
  readonly seed: bigint;
  /**
   * `readout`: the target draws the wrong image every time, so its readout is at fault.
   * `unstable`: drawn again, the image is another: memory or power, or what follows the image's CRC-32.
   */
  readonly origin: 'readout' | 'unstable';
  /** CRC-32 of the image. */
  readonly expectedCrc: number;
  readonly actualCrc: number;
  /** The first differing pixel when drawn again; undefined when it then was right. */
  readonly pixel: PixelDifference | undefined;
}

export type Mismatch = SpikeMismatch | ChoiceMismatch | DigestMismatch | ImageMismatch;

/** What was seen of the first bits that differ: enough to reckon what may have gone wrong (harness/diagnosis). */
export type Finding = { readonly seed: bigint } & (
  | {
      readonly kind: 'choice';
      readonly step: number;
      /** All C indices that the target drew at the step. */
      readonly indices: Int32Array;
    }
  | {
      readonly kind: 'spike';
      readonly layer: number;
      readonly step: number;
      /** All spikes of the row at the step, packed. */
      readonly spikes: Uint8Array;
      /** Membranes before reset from neuron `first` on, which is the first that differs. */
      readonly first: number;
      readonly membranes: Int32Array;
    }
  | {
      readonly kind: 'digest';
      readonly layer: number;
      readonly step: number;
      /** The target's. */ readonly digest: number;
    }
  | {
      readonly kind: 'image';
      /** Drawn again; `repeats`: it is as wrong as the first. */ readonly image: Uint8Array;
      readonly repeats: boolean;
    }
);

/** What a finding most likely comes from. */
export interface LikelyCause {
  readonly cause: string;
  readonly text: string;
}

export interface VerifyOptions {
  readonly firstSeed: bigint;
  /** Seeds, 1 or more: firstSeed .. firstSeed + count - 1, modulo 2^64. */
  readonly count: number;
  /** Go on with the next seed after spikes differed. Images that alone differ never end a run. */
  readonly keepGoing?: boolean;
  readonly onProgress?: (done: number, mismatches: number) => void;
  /** Takes the golden trace of each seed compared, in order. */
  readonly onTrace?: (trace: ReturnType<GoldenModel['trace']>) => void;
  /** Asked once, of the first mismatch. */
  readonly diagnose?: (finding: Finding) => Promise<LikelyCause>;
}

export interface VerifyResult {
  readonly target: string;
  readonly modelHash: string;
  readonly firstSeed: bigint;
  readonly count: number;
  /** Seeds that were compared; fewer than `count` when the run ended at a mismatch. */
  readonly checked: number;
  /** Digests compared, images not counted. */
  readonly digests: number;
  /** Spikes that the golden model fired in the seeds compared. */
  readonly spikes: number;
  /** At most one for spikes and one for the image of each seed. */
  readonly mismatches: readonly Mismatch[];
  /** Of the first mismatch; undefined where there is none or nobody was asked. */
  readonly likely: LikelyCause | undefined;
  readonly equal: boolean;
}

/** Membranes that are fetched at once from the first differing neuron on: a short answer, which gets through a bad line too. */
const MEMBRANES_SEEN = 64;

/** Mismatches kept. The run ends when there are so many, whatever the options. */
const MAX_MISMATCHES = 64;

/**
 * @throws FsvaeError `model-mismatch` when the target's rows are not the golden model's; otherwise as the target does.
 *   Bits that differ are a result, not an error.
 */
export async function verify(target: Target, golden: GoldenModel, options: VerifyOptions): Promise<VerifyResult> {
  checkShape(target, golden);
  const mismatches: Mismatch[] = [];
  let checked = 0;
  let digests = 0;
  let spikes = 0;
  let likely: LikelyCause | undefined;
  for (let i = 0; i < options.count; i++) {
    const seed = BigInt.asUintN(64, options.firstSeed + BigInt(i));
    const expected = golden.trace(seed);
    options.onTrace?.(expected);
    const actual = await target.trace(seed);
    const place = firstDifference(expected.digests, actual.digests, golden.layerNames);
    checked++;
    digests += golden.layerNames.length * target.shape.timeSteps;
    for (let row = 0; row < expected.spikes.length; row++) spikes += expected.spikes[row];
    let found: Found | undefined;
    if (place !== undefined) {
      const [layer, step] = place;
      const at = { seed, layer, layerName: golden.layerNames[layer], step };
      const digest = actual.digests[layer][step];
      found = (await (layer === 0 ? findChoice : findSpike)(target, golden, at)) ?? {
        mismatch: { kind: 'digest', ...at, expected: expected.digests[layer][step], actual: digest },
        finding: { kind: 'digest', seed, layer, step, digest },
      };
    } else if (expected.imageCrc !== actual.imageCrc) {
      found = await findPixel(target, golden, seed, expected.imageCrc, actual.imageCrc);
    }
    if (found !== undefined) {
      mismatches.push(found.mismatch);
      likely ??= await options.diagnose?.(found.finding);
    }
    options.onProgress?.(checked, mismatches.length);
    if (mismatches.length >= MAX_MISMATCHES || (place !== undefined && options.keepGoing !== true)) break;
  }
  return {
    target: target.name,
    modelHash: golden.hash.slice(0, 16),
    firstSeed: BigInt.asUintN(64, options.firstSeed),
    count: options.count,
    checked,
    digests,
    spikes,
    mismatches,
    likely,
    equal: mismatches.length === 0,
  };
}

function checkShape(target: Target, golden: GoldenModel): void {
  const { layerNames, layerNeurons } = target.shape;
  const same =
    layerNames.length === golden.layerNames.length &&
    layerNames.every((name, row) => name === golden.layerNames[row] && layerNeurons[row] === golden.layerNeurons[row]);
  if (same) return;
  const rows = (names: readonly string[], neurons: readonly number[]) =>
    names.map((name, row) => `${name} (${neurons[row]})`).join(', ');
  throw new FsvaeError(
    'model-mismatch',
    `${target.name} has the layers ${rows(layerNames, layerNeurons)}, but the golden model has ` +
      `${rows(golden.layerNames, golden.layerNeurons)}: flash the board with this model`,
  );
}

/**
 * The first digest that differs, as [row, step], in the order in which the network computes. The prior feeds z back, so
 * its rows go step by step: a wrong z at step 4 is reported there, not at the prior's first layer at step 5, which it
 * spoils. The decoder is fed forward only, so its rows go one after the other, each over all steps.
 */
export function firstDifference(
  expected: readonly Uint32Array[],
  actual: readonly Uint32Array[],
  layerNames: readonly string[],
): [row: number, step: number] | undefined {
  const z = layerNames.indexOf('z');
  const steps = expected[0]?.length ?? 0;
  const differs = (row: number, step: number) => expected[row][step] !== actual[row][step];
  for (let step = 0; step < steps; step++) {
    for (let row = 0; row <= z; row++) if (differs(row, step)) return [row, step];
  }
  for (let row = z + 1; row < expected.length; row++) {
    for (let step = 0; step < steps; step++) if (differs(row, step)) return [row, step];
  }
  return undefined;
}

interface Found {
  readonly mismatch: Mismatch;
  readonly finding: Finding;
}

async function findSpike(target: Target, golden: GoldenModel, at: TracePlace): Promise<Found | undefined> {
  const expected = golden.spikes(at.seed, at.layer, at.step);
  const actual = await target.spikes(at.seed, at.layer, at.step);
  let neuron = -1;
  let differing = 0;
  for (let i = 0; i < golden.layerNeurons[at.layer]; i++) {
    if (bit(expected, i) === bit(actual, i)) continue;
    if (neuron < 0) neuron = i;
    differing++;
  }
  if (neuron < 0) return undefined;
  // A row may compute membranes only as far as spikes need them (z looks back step by step); asking for one makes it exact.
  // Its neighbours come in the same answer: what is wrong with one and not with another tells the cause.
  const count = Math.min(MEMBRANES_SEEN, golden.layerNeurons[at.layer] - neuron);
  const membranes = await target.membranes(at.seed, at.layer, at.step, neuron, count);
  const right = golden.membrane(at.seed, at.layer, at.step, neuron);
  const mismatch: SpikeMismatch = {
    kind: 'spike',
    ...at,
    neuron,
    expected: { spike: bit(expected, neuron), membrane: right.membrane },
    actual: { spike: bit(actual, neuron), membrane: membranes[0] },
    threshold: right.threshold,
    differing,
  };
  const { seed, layer, step } = at;
  return { mismatch, finding: { kind: 'spike', seed, layer, step, spikes: actual, first: neuron, membranes } };
}

function bit(packed: Uint8Array, index: number): 0 | 1 {
  return ((packed[index >> 3] >> (index & 7)) & 1) as 0 | 1;
}

async function findChoice(target: Target, golden: GoldenModel, at: TracePlace): Promise<Found | undefined> {
  const count = golden.layerNeurons[at.layer];
  const actual = await target.membranes(at.seed, at.layer, at.step, 0, count);
  let first: { neuron: number; expected: number } | undefined;
  let differing = 0;
  for (let neuron = 0; neuron < count; neuron++) {
    const expected = golden.membrane(at.seed, at.layer, at.step, neuron).membrane;
    if (expected === actual[neuron]) continue;
    first ??= { neuron, expected };
    differing++;
  }
  return (
    first && {
      mismatch: { kind: 'choice', ...at, ...first, actual: actual[first.neuron], differing },
      finding: { kind: 'choice', seed: at.seed, step: at.step, indices: actual },
    }
  );
}

async function findPixel(
  target: Target,
  golden: GoldenModel,
  seed: bigint,
  expectedCrc: number,
  actualCrc: number,
): Promise<Found> {
  const { image } = await target.sample(seed);
  const pixel = firstPixelDifference(seed, golden.sample(seed), image, target.shape.imageSize);
  const repeats = crc32(image) === actualCrc;
  const origin = repeats ? 'readout' : 'unstable';
  return {
    mismatch: { kind: 'image', seed, origin, expectedCrc, actualCrc, pixel },
    finding: { kind: 'image', seed, image, repeats },
  };
}

/** One mismatch in two lines: where, then expected and actual. */
export function formatMismatch(mismatch: Mismatch): string {
  if (mismatch.kind === 'image') {
    const where =
      mismatch.origin === 'readout'
        ? 'all spikes are right and the image is wrong, the same each time: the readout is at fault'
        : 'all spikes are right and the image is wrong, but another when drawn again: not the arithmetic but memory, ' +
          'power or the link';
    const pixel = mismatch.pixel === undefined ? 'drawn again it is right' : formatPixel(mismatch.pixel);
    return `seed ${mismatch.seed}: ${where}\n  ${pixel}`;
  }
  const where = `seed ${mismatch.seed}, layer ${mismatch.layerName} (row ${mismatch.layer}), step ${mismatch.step}`;
  switch (mismatch.kind) {
    case 'spike': {
      const { expected, actual, threshold } = mismatch;
      return (
        `${where}, neuron ${mismatch.neuron}: first of ${mismatch.differing} that differ\n` +
        `  expected ${fired(expected.spike)}, membrane ${expected.membrane}; ` +
        `actual ${fired(actual.spike)}, membrane ${actual.membrane}; threshold ${threshold}`
      );
    }
    case 'choice':
      return (
        `${where}, channel ${mismatch.neuron}: first of ${mismatch.differing} that differ\n` +
        `  expected index ${mismatch.expected}, actual ${mismatch.actual}`
      );
    case 'digest':
      return (
        `${where}: the digest differed, the spikes asked for one by one are right\n` +
        `  expected ${hex32(mismatch.expected)}, actual ${hex32(mismatch.actual)}`
      );
  }
}

function fired(spike: 0 | 1): string {
  return spike === 1 ? 'a spike' : 'no spike';
}

/** The result for people. */
export function formatVerifyResult(result: VerifyResult): string {
  const number = (value: number) => value.toLocaleString('en-US');
  const summary =
    `${result.target}, model ${result.modelHash}: ${number(result.checked)} of ${number(result.count)} seeds from ` +
    `${result.firstSeed}, ${number(result.digests)} digests over ${number(result.spikes)} spikes`;
  if (result.equal) return `${summary}: every bit equals the golden model`;
  const words = result.mismatches.length === 1 ? '1 mismatch' : `${result.mismatches.length} mismatches`;
  const { likely } = result;
  return [
    `${summary}: ${words}`,
    ...result.mismatches.map(formatMismatch),
    ...(likely === undefined ? [] : [`likely cause: ${likely.cause}: ${likely.text}`]),
  ].join('\n');
}

/** The result for machines: seeds, which may exceed 2^53, as decimal strings. */
export function verifyResultJson(result: VerifyResult & { readonly replay?: string }): string {
  return JSON.stringify(result, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
}
