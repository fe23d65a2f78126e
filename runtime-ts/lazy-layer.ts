/**
 * The prior's last layer, evaluated only where rule P1 picks a neuron: one of its k a channel and step. The outcome is
 * the same as when all neurons run at all steps.
 */

import { layerBounds } from './bounds.js';
import { leakMembrane } from './lif.js';
import type { Leak, LinearLayer } from './model.js';

/** What evaluating cost, added up by a LazyLayer that is given it. */
export interface LazyWork {
  /** Neurons times steps whose current was added up. */
  evaluations: number;
  /** Weights read for that: one for each input that fired at the step. */
  synapticOperations: number;
}

/**
 * For thresholds of 0 or more, which is all that a model file may hold, this evaluates the same neurons at the same steps as
 * fsvae_lazy_fires() in firmware-templates/kernels/prior.h does: both look back from the step asked for, one step a turn, and
 * begin with the same interval. (Only for a neuron whose threshold no membrane can reach is the interval here
 * narrower, and that neuron is settled by its own step in both.) test/codegen/lazy-work.test.ts holds the two to it.
 */
export class LazyLayer {
  /** For each step the inputs that fired: inputs[step * inFeatures ..], `counts[step]` of them. */
  private readonly inputs: Int32Array;
  private readonly counts: Int32Array;
  private steps = 0;
  /** Membrane after reset of each neuron at the last step at which it is known exactly, before step `known`. */
  private readonly carried: Int32Array;
  /** How many steps of each neuron are known exactly; 0: none, it rests at 0. */
  private readonly known: Uint8Array;
  /** No membrane is ever outside (rule B2). */
  private readonly lowest: number;
  private readonly highest: number;
  /** Currents of the neuron that is being looked at, by step. */
  private readonly currents: Int32Array;

  constructor(
    private readonly layer: LinearLayer,
    private readonly leak: Leak,
    timeSteps: number,
    private readonly work?: LazyWork,
  ) {
    this.inputs = new Int32Array(timeSteps * layer.inFeatures);
    this.counts = new Int32Array(timeSteps);
    this.carried = new Int32Array(layer.outFeatures);
    this.known = new Uint8Array(layer.outFeatures);
    this.currents = new Int32Array(timeSteps);
    const { membrane } = layerBounds(layer, leak, timeSteps);
    this.lowest = membrane.min;
    this.highest = membrane.max;
  }

  reset(): void {
    this.steps = 0;
    this.carried.fill(0);
    this.known.fill(0);
  }

  /** Begins the next step. */
  step(input: Uint8Array): void {
    const start = this.steps * this.layer.inFeatures;
    let count = 0;
    for (let i = 0; i < input.length; i++) if (input[i] !== 0) this.inputs[start + count++] = i;
    this.counts[this.steps++] = count;
  }

  /**
   * Does this neuron fire at the step begun last? To be asked once a step.
   *
   * Its membrane depends on all steps before. But the leak shrinks what is unknown about an old membrane. So begin a few
   * steps back with an interval that certainly holds the membrane: from the proven lowest value to the threshold, beyond
   * which it would have fired and been reset to 0. Carry the interval through leak, current, firing and reset: leak and
   * addition keep order, so its ends bound everything inside. Once the whole interval lies on one side of the threshold
   * at the step asked for, the answer is certain; while it does not, begin one step further back, at the latest where
   * the membrane is known exactly and the interval is one point.
   */
  fires(neuron: number): boolean {
    const { leak, currents } = this;
    const threshold = this.layer.threshold[neuron];
    const known = this.known[neuron];
    const last = this.steps - 1;
    for (let from = last; ; from--) {
      currents[from] = this.current(neuron, from);
      let low = from === known ? this.carried[neuron] : this.lowest;
      let high = from === known ? low : this.highestCarried(threshold);
      for (let t = from; t < last; t++) {
        low = leakMembrane(low, leak) + currents[t];
        high = leakMembrane(high, leak) + currents[t];
        if (low > threshold) {
          low = 0;
          high = 0;
        } else if (high > threshold) {
          // May or may not have fired.
          low = Math.min(low, 0);
          high = this.highestCarried(threshold);
        }
      }
      low = leakMembrane(low, leak) + currents[last];
      high = leakMembrane(high, leak) + currents[last];
      if (low > threshold) {
        this.remember(neuron, 0);
        return true;
      }
      if (high <= threshold) {
        if (low === high) this.remember(neuron, low);
        return false;
      }
    }
  }

  /** What is carried has not fired, or is 0. */
  private highestCarried(threshold: number): number {
    return Math.min(Math.max(threshold, 0), this.highest);
  }

  private remember(neuron: number, membrane: number): void {
    this.carried[neuron] = membrane;
    this.known[neuron] = this.steps;
  }

  /** Rules S2 and L2: the neuron's current at a step. */
  private current(neuron: number, step: number): number {
    const { inFeatures, weight, bias, fractionBits } = this.layer;
    const start = step * inFeatures;
    const end = start + this.counts[step];
    if (this.work !== undefined) {
      this.work.evaluations++;
      this.work.synapticOperations += this.counts[step];
    }
    const row = neuron * inFeatures;
    let sum = 0;
    for (let e = start; e < end; e++) sum += weight[row + this.inputs[e]];
    return (sum << fractionBits) + bias[neuron];
  }
}
