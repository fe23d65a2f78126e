import { expect } from 'chai';
import { layerBounds } from '../../runtime-ts/bounds.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { inputNeurons, outputNeurons } from '../../runtime-ts/layers.js';
import { leakMembrane } from '../../runtime-ts/lif.js';
import type { IntegerModel, SpikingLayer } from '../../runtime-ts/model.js';
import { fanOuts } from '../../runtime-ts/work.js';
import { randomModel, SHAPES } from '../support/random-model.js';
import { shipped } from '../support/shipped.js';

/** Spikes of a row as one array a step. */
function steps(spikes: Uint8Array, timeSteps: number): Uint8Array[] {
  const neurons = spikes.length / timeSteps;
  return Array.from({ length: timeSteps }, (_, t) => spikes.subarray(t * neurons, (t + 1) * neurons));
}

/** Rules S2 and S3 to the letter: every place that a spike adds a weight to. */
function reached(layer: SpikingLayer, neuron: number): number {
  if (layer.kind === 'linear') return layer.outFeatures;
  const { inChannels, outChannels, inSize } = layer;
  const position = Math.floor(neuron / inChannels);
  let places = 0;
  for (let ky = 0; ky < 3; ky++) {
    for (let kx = 0; kx < 3; kx++) {
      const y = 2 * Math.floor(position / inSize) + ky - 1;
      const x = 2 * (position % inSize) + kx - 1;
      if (y >= 0 && x >= 0 && y < 2 * inSize && x < 2 * inSize) places += outChannels;
    }
  }
  return places;
}

/**
 * The look-back of the lazy layer by trying every integer: which (neuron, step) must be evaluated until all membranes
 * that are possible a few steps back agree on whether the neuron fires. After each step the possible ones are taken
 * to be all from the least to the greatest.
 *
 * @param inputs the layer's input at each step
 * @param chosen the neurons asked for at each step
 */
function evaluatedByTrial(
  { prior, leak, config }: IntegerModel,
  inputs: readonly Uint8Array[],
  chosen: readonly (readonly number[])[],
): { step: number }[] {
  const layer = prior[prior.length - 1];
  const lowest = layerBounds(layer, leak, config.timeSteps).membrane.min;
  const known = new Map<number, { steps: number; membrane: number }>();
  const evaluated: { step: number }[] = [];
  chosen.forEach((neurons, step) => {
    for (const neuron of neurons) {
      const threshold = layer.threshold[neuron];
      const current = (t: number): number =>
        inputs[t].reduce((sum, spike, i) => sum + spike * layer.weight[neuron * layer.inFeatures + i], 0) *
          2 ** layer.fractionBits +
        layer.bias[neuron];
      const exact = known.get(neuron) ?? { steps: 0, membrane: 0 };
      for (let from = step; ; from--) {
        evaluated.push({ step: from });
        let possible =
          from === exact.steps ? { min: exact.membrane, max: exact.membrane } : { min: lowest, max: threshold };
        for (let t = from; t < step; t++) {
          const added = current(t);
          const after = { min: Infinity, max: -Infinity };
          for (let v = possible.min; v <= possible.max; v++) {
            const u = leakMembrane(v, leak) + added;
            const carried = u > threshold ? 0 : u;
            after.min = Math.min(after.min, carried);
            after.max = Math.max(after.max, carried);
          }
          possible = after;
        }
        // Leak and addition keep order: the membranes before firing lie between those of the ends.
        const [least, greatest] = [possible.min, possible.max].map((v) => leakMembrane(v, leak) + current(step));
        if (least > threshold !== greatest > threshold) continue;
        if (least > threshold) known.set(neuron, { steps: step + 1, membrane: 0 });
        else if (least === greatest) known.set(neuron, { steps: step + 1, membrane: least });
        break;
      }
    }
  });
  return evaluated;
}

describe('the work of an image', function () {
  this.timeout(60_000);

  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`equals a count by trial: ${name}`, () => {
      const golden = new GoldenModel(randomModel(3, shape));
      const { model } = golden;
      const { timeSteps, latentChannels, choices: k } = model.config;
      const layers: SpikingLayer[] = [...model.prior, model.decoderInput, ...model.decoder];
      const last = model.prior.length - 1;
      for (const seed of [0n, 1n]) {
        const work = golden.work(seed);
        const { spikes, choices } = golden.fullTrace(seed);
        const outputs = spikes.slice(1).map((row) => steps(row, timeSteps)); // z is the prior's last layer's
        const inputs = layers.map((_, i) => {
          if (i > 0) return outputs[i - 1];
          return [new Uint8Array(latentChannels), ...outputs[last].slice(0, -1)];
        });
        const total = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);
        layers.forEach((layer, i) => {
          const { synapticOperations, lifUpdates, inputSpikes, spikes: fired } = work.layers[i];
          expect(work.layers[i].name).to.equal(layer.name);
          expect(inputSpikes).to.equal(total(inputs[i].map(total)));
          expect(fired).to.equal(total(outputs[i].map(total)));
          const { channels, size } =
            layer.kind === 'linear'
              ? { channels: layer.inFeatures, size: 1 }
              : { channels: layer.inChannels, size: layer.inSize };
          const active = new Set(
            inputs[i].flatMap((step) =>
              Array.from(step).flatMap((spike, n) =>
                spike === 0 ? [] : [`row ${Math.floor(n / channels / size)}, channel ${n % channels}`],
              ),
            ),
          );
          expect(work.layers[i].activeInputs).to.equal(active.size);
          const eager = total(
            inputs[i].map((step) => total(Array.from(step, (spike, n) => spike * reached(layer, n)))),
          );
          if (i !== last) {
            expect(synapticOperations, layer.name).to.equal(eager);
            expect(lifUpdates, layer.name).to.equal(timeSteps * outputNeurons(layer));
            return;
          }
          const chosen = Array.from({ length: timeSteps }, (_, t) =>
            Array.from({ length: latentChannels }, (_, c) => c * k + choices[t * latentChannels + c]),
          );
          const evaluated = evaluatedByTrial(model, inputs[i], chosen);
          const events = inputs[i].map(total);
          expect(lifUpdates, layer.name).to.equal(evaluated.length);
          expect(synapticOperations, layer.name).to.equal(total(evaluated.map(({ step }) => events[step])));
          // One evaluation for each choice at least; all neurons at all steps at most.
          expect(lifUpdates).to.be.within(timeSteps * latentChannels, timeSteps * outputNeurons(layer));
          expect(synapticOperations).to.be.within(latentChannels * total(events), eager);
        });
        const firing = new Set(
          outputs[outputs.length - 1].flatMap((step) =>
            Array.from(step).flatMap((spike, n) => (spike === 0 ? [] : [n])),
          ),
        );
        expect(work.readoutTrains).to.equal(firing.size);
        expect(work.spikes).to.equal(total(work.layers.map((layer) => layer.spikes)));
        expect(work.synapticOperations).to.equal(total(work.layers.map((layer) => layer.synapticOperations)));
        expect(work.lifUpdates).to.equal(total(work.layers.map((layer) => layer.lifUpdates)));
      }
    });
  }

  it('fan-outs count the borders of a map exactly', () => {
    for (const layer of [...shipped('mnist').golden.model.decoder, ...randomModel(1, SHAPES.tiny).prior]) {
      const counted = fanOuts(layer);
      expect(counted.length).to.equal(inputNeurons(layer));
      counted.forEach((value, neuron) => {
        if (value !== reached(layer, neuron)) expect.fail(`${layer.name}, neuron ${neuron}: ${value}`);
      });
    }
  });

  it('of the full-size model the lazy layer reads a tenth of what all its neurons would', () => {
    const { golden } = shipped('mnist');
    const { model } = golden;
    const last = model.prior[model.prior.length - 1];
    const { inputSpikes, synapticOperations } = golden.work(0n).layers[model.prior.length - 1];
    expect(synapticOperations).to.be.below((inputSpikes * last.outFeatures) / 10);
  });
});
