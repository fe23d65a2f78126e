/** A model on a board in numbers, as reports and the page show it. Plain data: it can be sent to another thread. */

import type { Board } from '../boards/description.js';
import { denseOperations } from '../codegen/emit/view.js';
import type { Budget } from '../codegen/plan/budget.js';
import { type FlashCache, predictCost } from '../codegen/plan/cost.js';
import type { PlacedBuffer } from '../codegen/plan/arena.js';
import type { Plan } from '../codegen/plan/plan.js';
import { boardBudget } from '../codegen/project-files.js';
import { signedBits } from '../runtime-ts/bounds.js';
import type { ModelConfig } from '../runtime-ts/model.js';
import type { ImageWork } from '../runtime-ts/work.js';

export interface LayerSummary {
  readonly name: string;
  readonly weights: number;
  readonly weightBits: 8 | 4;
  /** Bytes of flash: weights, biases, thresholds, sums. */
  readonly flashBytes: number;
  /** Proven (rule B): bits that the membrane needs, with sign. */
  readonly membraneBits: number;
  /** Weights added for an image if every neuron fired at each step. */
  readonly denseOperations: number;
}

export interface Summary {
  readonly model: { readonly name: string; readonly hash: string; readonly config: ModelConfig };
  readonly board: { readonly name: string; readonly title: string; readonly core: string };
  /** The spiking layers, then the readout. */
  readonly layers: readonly LayerSummary[];
  readonly arena: { readonly bytes: number; readonly buffers: readonly PlacedBuffer[] };
  /** What runs while buffers are alive; PlacedBuffer.first and .last count these. */
  readonly phases: readonly string[];
  /** undefined for the host, which has no memory to fill. */
  readonly budget: Budget | undefined;
  /** Cycles predicted for an image on one Cortex-M0+ core, by row of a trace and then the readout. */
  readonly predicted: readonly { readonly name: string; readonly cycles: number }[];
}

/**
 * @param work of an image, or the mean of several: what the prediction rests on
 * @param cache through which flash is read; undefined: flash answers at once
 */
export function summarize(plan: Plan, board: Board, work: ImageWork, cache: FlashCache | undefined): Summary {
  const { model } = plan;
  const { timeSteps } = model.config;
  const flashOf = (name: string): number =>
    plan.weights.sections
      .filter((section) => section.name.startsWith(`${name}.`))
      .reduce((sum, section) => sum + 4 * section.words, 0);
  const spiking = [...model.prior, model.decoderInput, ...model.decoder];
  const { readout } = model;
  return {
    model: { name: plan.modelName, hash: plan.modelHash, config: model.config },
    board: { name: board.name, title: board.title, core: board.core },
    layers: [
      ...spiking.map((layer) => ({
        name: layer.name,
        weights: layer.weight.length,
        weightBits: layer.weightBits,
        flashBytes: flashOf(layer.name),
        membraneBits: signedBits(plan.bounds.layers.find((bounds) => bounds.name === layer.name)!.membrane),
        denseOperations: timeSteps * denseOperations(layer),
      })),
      {
        name: readout.name,
        weights: readout.weight.length,
        weightBits: readout.weightBits,
        flashBytes: flashOf(readout.name),
        membraneBits: signedBits(plan.bounds.readout.membrane),
        denseOperations: readout.weight.length * readout.size * readout.size,
      },
    ],
    arena: { bytes: plan.arena.bytes, buffers: plan.arena.buffers },
    phases: ['choices', 'prior', model.decoderInput.name, ...model.decoder.map((layer) => layer.name)],
    budget: boardBudget(plan, board),
    predicted: predictCost(plan, work, cache).layers.map(({ name, cycles }) => ({ name, cycles })),
  };
}
