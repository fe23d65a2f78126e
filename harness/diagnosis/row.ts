/** One row of a trace by itself: the spikes that go into it, and its neurons run again, right or wrong on purpose. */

import type { GoldenModel } from '../../runtime-ts/golden.js';
import { inputNeurons, outputNeurons, sumWeights } from '../../runtime-ts/layers.js';
import { leakMembrane } from '../../runtime-ts/lif.js';
import type { IntegerModel, Leak, SpikingLayer } from '../../runtime-ts/model.js';

/** A layer and what it sees of one image. */
export interface Row {
  readonly layer: SpikingLayer;
  readonly leak: Leak;
  /** Spikes that go in, for each step. */
  readonly inputs: readonly Uint8Array[];
  /** The layer's outputs that the row's neurons are, at a step: all of them, but of z the chosen ones. */
  outputsAt(step: number): ArrayLike<number>;
  /** The golden model's spikes of the row, for each step. */
  readonly spikes: readonly Uint8Array[];
}

/** @param row of traceRows(), from 1 on: `choices` has no neurons */
export function rowOf(golden: GoldenModel, seed: bigint, row: number): Row {
  const { model, rows } = golden;
  const { timeSteps, latentChannels, choices: k } = model.config;
  const trace = golden.fullTrace(seed);
  const spikesOf = (from: number): Uint8Array[] =>
    Array.from({ length: timeSteps }, (_, t) =>
      trace.spikes[from].subarray(t * rows[from].neurons, (t + 1) * rows[from].neurons),
    );
  const z = model.prior.length;
  const layer = layerOf(model, row);
  const everywhere = Uint32Array.from({ length: outputNeurons(layer) }, (_, i) => i);
  return {
    layer,
    leak: model.leak,
    // The prior's first layer sees the z of the step before; the decoder's first z itself.
    inputs: row === 1 ? [new Uint8Array(latentChannels), ...spikesOf(z).slice(0, -1)] : spikesOf(row - 1),
    outputsAt: (step) =>
      row === z
        ? Uint32Array.from({ length: latentChannels }, (_, c) => k * c + trace.choices[step * latentChannels + c])
        : everywhere,
    spikes: spikesOf(row),
  };
}

function layerOf(model: IntegerModel, row: number): SpikingLayer {
  return [...model.prior, model.decoderInput, ...model.decoder][row - 1];
}

/** The sum of weights of each of the layer's outputs, for steps 0 .. last. */
export function sumsOf({ layer }: Row, inputs: readonly Uint8Array[]): Int32Array[] {
  const add = sumWeights(layer);
  return inputs.map((input) => {
    const sums = new Int32Array(outputNeurons(layer));
    add(input, sums);
    return sums;
  });
}

/** Input channels of the layer: neighbours share a position. */
export function inputChannels(layer: SpikingLayer): number {
  return layer.kind === 'linear' ? inputNeurons(layer) : layer.inChannels;
}

/** What a neuron does in one step. */
export interface NeuronStep {
  readonly membrane: number;
  readonly fires: boolean;
  readonly carried: number;
}

/** What it does it with. */
export interface NeuronInput {
  /** Membrane after the step before. */
  readonly carried: number;
  /** Sum of weights over the inputs that fire. */
  readonly sum: number;
  readonly bias: number;
  readonly threshold: number;
  readonly fractionBits: number;
  readonly leak: Leak;
}

export type Neuron = (input: NeuronInput) => NeuronStep;

/** Rules L1 to L4 with any of their parts exchanged. */
export function neuron(
  parts: {
    readonly leak?: (carried: number, leak: Leak) => number;
    readonly current?: (input: NeuronInput) => number;
    readonly membrane?: (value: number) => number;
    readonly fires?: (membrane: number, threshold: number) => boolean;
    readonly reset?: (membrane: number, threshold: number) => number;
  } = {},
): Neuron {
  const leak = parts.leak ?? leakMembrane;
  const current = parts.current ?? (({ sum, bias, fractionBits }) => sum * 2 ** fractionBits + bias);
  const whole = parts.membrane ?? ((value) => value);
  const fires = parts.fires ?? ((membrane, threshold) => membrane > threshold);
  const reset = parts.reset ?? (() => 0);
  return (input) => {
    const membrane = whole(leak(input.carried, input.leak) + current(input));
    const spike = fires(membrane, input.threshold);
    return { membrane, fires: spike, carried: spike ? reset(membrane, input.threshold) : membrane };
  };
}

/** What was seen of a row that is wrong for the first time at `step`. */
export interface Seen {
  readonly step: number;
  /** All spikes of the row at that step: bit i & 7 of byte i >> 3. */
  readonly spikes: Uint8Array;
  /** Membranes before reset at that step, of neurons from `first` on. */
  readonly first: number;
  readonly membranes: Int32Array;
}

/**
 * Would this neuron, fed with these sums, give exactly what was seen: the right spikes before the step, and at it the
 * spikes and membranes that the target had?
 */
export function explains(row: Row, sums: readonly Int32Array[], seen: Seen, step: Neuron): boolean {
  const { layer, leak } = row;
  const { bias, threshold, fractionBits } = layer;
  const channels = bias.length;
  const carried = new Int32Array(sums[0].length);
  const membrane = new Int32Array(sums[0].length);
  const fired = new Uint8Array(sums[0].length);
  for (let t = 0; t <= seen.step; t++) {
    for (let i = 0; i < carried.length; i++) {
      const c = i % channels;
      const after = step({
        carried: carried[i],
        sum: sums[t][i],
        bias: bias[c],
        threshold: threshold[c],
        fractionBits,
        leak,
      });
      carried[i] = after.carried;
      membrane[i] = after.membrane;
      fired[i] = Number(after.fires);
    }
    const outputs = row.outputsAt(t);
    for (let n = 0; n < outputs.length; n++) {
      const wanted = t < seen.step ? row.spikes[t][n] : (seen.spikes[n >> 3] >> (n & 7)) & 1;
      if (fired[outputs[n]] !== wanted) return false;
    }
    if (t < seen.step) continue;
    for (let n = 0; n < seen.membranes.length; n++) {
      if (membrane[outputs[seen.first + n]] !== seen.membranes[n]) return false;
    }
  }
  return true;
}
