/** Mistakes that a kernel may make, each run against what was seen: the one that gives exactly that is the likely cause. */

import { PIXEL_THRESHOLDS, readImage, weightSpikes } from '../../runtime-ts/readout.js';
import type { GoldenModel } from '../../runtime-ts/golden.js';
import type { ReadoutLayer } from '../../runtime-ts/model.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { explains, inputChannels, type Neuron, neuron, type Row, type Seen, sumsOf } from './row.js';

export type CauseKind =
  | 'damaged constants'
  | 'wrong rounding'
  | 'overflow'
  | 'wrong kernel'
  | 'wrong random choice'
  | 'stale firmware'
  | 'unstable'
  | 'unknown';

export interface Suspect {
  readonly cause: CauseKind;
  /** Half a sentence; rules are those of docs/arithmetic.md. */
  readonly text: string;
}

const wrap = (bits: number) => (value: number) => (value << (32 - bits)) >> (32 - bits);
const saturate = (bits: number) => (value: number) =>
  Math.min(2 ** (bits - 1) - 1, Math.max(-(2 ** (bits - 1)), value));
const scaled = (value: number, fractionBits: number): number => value * 2 ** fractionBits;

const NEURONS: readonly (Suspect & { readonly neuron: Neuron })[] = [
  {
    cause: 'wrong rounding',
    text: 'the leak rounds towards zero, not down (rule L1)',
    neuron: neuron({ leak: (v, { multiplier, shift }) => Math.trunc((v * multiplier) / 2 ** shift) }),
  },
  {
    cause: 'wrong rounding',
    text: 'the leak rounds to the nearest, not down (rule L1)',
    neuron: neuron({ leak: (v, { multiplier, shift }) => Math.round((v * multiplier) / 2 ** shift) }),
  },
  {
    cause: 'wrong rounding',
    text: 'the leak rounds up, not down (rule L1)',
    neuron: neuron({ leak: (v, { multiplier, shift }) => Math.ceil((v * multiplier) / 2 ** shift) }),
  },
  {
    cause: 'wrong kernel',
    text: 'a neuron fires at its threshold, not only above it: >= for > (rule L3)',
    neuron: neuron({ fires: (membrane, threshold) => membrane >= threshold }),
  },
  {
    cause: 'wrong kernel',
    text: 'the membrane does not leak (rule L1)',
    neuron: neuron({ leak: (v) => v }),
  },
  {
    cause: 'wrong kernel',
    text: 'nothing is carried from step to step (rule L4)',
    neuron: neuron({ leak: () => 0 }),
  },
  {
    cause: 'wrong kernel',
    text: 'the membrane is not reset after a spike (rule L4)',
    neuron: neuron({ reset: (membrane) => membrane }),
  },
  {
    cause: 'wrong kernel',
    text: 'the reset takes the threshold off instead of going to 0 (rule L4)',
    neuron: neuron({ reset: (membrane, threshold) => membrane - threshold }),
  },
  {
    cause: 'wrong kernel',
    text: 'the bias is not added (rule L2)',
    neuron: neuron({ current: ({ sum, fractionBits }) => scaled(sum, fractionBits) }),
  },
  {
    cause: 'wrong kernel',
    text: 'the bias is added twice (rule L2)',
    neuron: neuron({ current: ({ sum, bias, fractionBits }) => scaled(sum, fractionBits) + 2 * bias }),
  },
  {
    cause: 'wrong kernel',
    text: 'the sum is not shifted by the fraction bits F (rule L2)',
    neuron: neuron({ current: ({ sum, bias }) => sum + bias }),
  },
  ...[16, 8].flatMap((bits): (Suspect & { readonly neuron: Neuron })[] => [
    {
      cause: 'overflow',
      text: `the membrane wraps around at ${bits} bits (rule B2)`,
      neuron: neuron({ membrane: wrap(bits) }),
    },
    {
      cause: 'overflow',
      text: `the membrane is cut off at ${bits} bits (rule B2)`,
      neuron: neuron({ membrane: saturate(bits) }),
    },
    {
      cause: 'overflow',
      text: `the sum of weights wraps around at ${bits} bits (rule B1)`,
      neuron: neuron({ current: ({ sum, bias, fractionBits }) => scaled(wrap(bits)(sum), fractionBits) + bias }),
    },
    {
      cause: 'overflow',
      text: `the sum of weights is cut off at ${bits} bits (rule B1)`,
      neuron: neuron({ current: ({ sum, bias, fractionBits }) => scaled(saturate(bits)(sum), fractionBits) + bias }),
    },
  ]),
];

/** At each position without its last, or first, channel that fires. */
function withoutOne(input: Uint8Array, channels: number, which: 'first' | 'last'): Uint8Array {
  const left = input.slice();
  for (let at = 0; at < input.length; at += channels) {
    const position = left.subarray(at, at + channels);
    const fired = which === 'first' ? position.indexOf(1) : position.lastIndexOf(1);
    if (fired >= 0) position[fired] = 0;
  }
  return left;
}

function only(input: Uint8Array, channels: number, channel: number): Uint8Array {
  return input.map((spike, i) => (i % channels === channel ? spike : 0));
}

/** The mistake that makes a row what was seen of it; undefined when it is none of these. */
export function suspectRow(row: Row, seen: Seen): Suspect | undefined {
  const inputs = row.inputs.slice(0, seen.step + 1);
  const sums = sumsOf(row, inputs);
  const found = NEURONS.find((suspect) => explains(row, sums, seen, suspect.neuron));
  if (found !== undefined) return { cause: found.cause, text: found.text };

  const right = neuron();
  const channels = inputChannels(row.layer);
  const named = row.layer.kind === 'linear' ? 'input' : 'input channel';
  const fed = (text: string, other: readonly Uint8Array[]): Suspect | undefined =>
    explains(row, sumsOf(row, other), seen, right) ? { cause: 'wrong kernel', text } : undefined;
  const one = row.layer.kind === 'linear' ? 'each step' : 'each step and position';
  const byFeed =
    fed(
      `the last ${named} that fires is left out at ${one} (rules S2, S3)`,
      inputs.map((input) => withoutOne(input, channels, 'last')),
    ) ??
    fed(
      `the first ${named} that fires is left out at ${one} (rules S2, S3)`,
      inputs.map((input) => withoutOne(input, channels, 'first')),
    ) ??
    fed('the spikes of the step before are taken for those of this one (rules P1, D2)', [
      new Uint8Array(inputs[0].length),
      ...inputs.slice(0, -1),
    ]);
  if (byFeed !== undefined) return byFeed;

  for (let channel = 0; channel < channels; channel++) {
    const own = sumsOf(
      row,
      inputs.map((input) => only(input, channels, channel)),
    );
    if (own.every((step) => step.every((sum) => sum === 0))) continue;
    for (const [factor, text] of [
      [-1, 'is never counted'],
      [1, 'is counted twice'],
    ] as const) {
      const changed = sums.map((step, t) => step.map((sum, i) => sum + factor * own[t][i]));
      if (explains(row, changed, seen, right)) {
        return { cause: 'wrong kernel', text: `${named} ${channel} ${text} (rules S2, S3)` };
      }
    }
  }
  return undefined;
}

/** Indices drawn otherwise: the choices of steps 0 .. `step`, time-major. */
const DRAWS: readonly { readonly text: string; draw(seed: bigint, count: number, k: number): Uint8Array }[] = [
  {
    text: 'the seed is cut to 32 bits (rule G1)',
    draw: (seed, count, k) => drawn(new Pcg32(BigInt.asUintN(32, seed)), count, (generator) => generator.below(k)),
  },
  {
    text: 'choices are taken modulo k, not by multiplication (rule G2)',
    draw: (seed, count, k) => drawn(new Pcg32(seed), count, (generator) => generator.next() % k),
  },
  {
    text: 'no product is rejected, so that choices are not uniform (rule G2)',
    draw: (seed, count, k) =>
      drawn(new Pcg32(seed), count, (generator) => Math.floor((generator.next() * k) / 2 ** 32)),
  },
  ...Array.from({ length: 256 }, (_, stream) => ({
    text: `the generator runs on stream ${stream} (rule G1)`,
    draw: (seed: bigint, count: number, k: number) =>
      drawn(new Pcg32(seed, BigInt(stream)), count, (generator) => generator.below(k)),
  })),
];

function drawn(generator: Pcg32, count: number, next: (generator: Pcg32) => number): Uint8Array {
  return Uint8Array.from({ length: count }, () => next(generator));
}

/** @param actual the C indices drawn at the step */
export function suspectChoice(golden: GoldenModel, seed: bigint, step: number, actual: ArrayLike<number>): Suspect {
  const { latentChannels, choices: k } = golden.model.config;
  const is = (indices: Uint8Array): boolean =>
    Array.from({ length: latentChannels }, (_, c) => indices[step * latentChannels + c] === actual[c]).every(Boolean);
  const found = DRAWS.find(({ draw }) => is(draw(seed, (step + 1) * latentChannels, k)));
  return { cause: 'wrong random choice', text: found?.text ?? 'the generator is another one (rules G1 to G3)' };
}

const READOUTS: readonly { readonly text: string; change(readout: ReadoutLayer): ReadoutLayer }[] = [
  { text: 'the bias is not added (rule R3)', change: (readout) => ({ ...readout, bias: readout.bias.map(() => 0) }) },
  {
    text: 'the time coefficients run backwards (rule R1)',
    change: (readout) => ({ ...readout, coefficients: readout.coefficients.slice().reverse() }),
  },
  {
    text: 'a pixel counts the thresholds below the sum, not those up to it (rule R4)',
    change: (readout) => ({ ...readout, thresholds: readout.thresholds.map((threshold) => threshold + 1) }),
  },
];

/** The mistake of the readout that makes this image of the right spikes. */
export function suspectReadout(golden: GoldenModel, seed: bigint, actual: Uint8Array): Suspect {
  const { readout, config } = golden.model;
  const spikes = golden.fullTrace(seed).spikes.at(-1)!;
  const neurons = spikes.length / config.timeSteps;
  const draws = ({ change }: (typeof READOUTS)[number]): boolean => {
    const changed = change(readout);
    const weighted = new Int32Array(neurons);
    for (let t = 0; t < config.timeSteps; t++) {
      weightSpikes(changed, spikes.subarray(t * neurons, (t + 1) * neurons), t, weighted);
    }
    return readImage(changed, weighted).every((pixel, i) => pixel === actual[i]);
  };
  const found = READOUTS.find(draws);
  return {
    cause: 'wrong kernel',
    text:
      found === undefined
        ? `of the readout (rules R1 to R4, ${PIXEL_THRESHOLDS} thresholds a channel)`
        : `of the readout: ${found.text}`,
  };
}
