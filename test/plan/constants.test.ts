/** What a damaged word of the constants is called, against the layout: change one weight, and see which word changes. */

import { expect } from 'chai';
import { describeConstant } from '../../codegen/plan/constants.js';
import { makePlan } from '../../codegen/plan/plan.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { SHIPPED_IDS, shipped } from '../support/shipped.js';

/** The synapse of weight `index`, told the other way round than the code under test: by counting loops. */
function nameOf(model: IntegerModel, layerName: string, index: number): string {
  const layers = [...model.prior, model.decoderInput, ...model.decoder, model.readout];
  const layer = layers.find(({ name }) => name === layerName)!;
  let at = 0;
  if (layer.kind === 'linear') {
    for (let o = 0; o < layer.outFeatures; o++) {
      for (let i = 0; i < layer.inFeatures; i++, at++) if (at === index) return `from input ${i} to output ${o}`;
    }
  } else {
    for (let i = 0; i < layer.inChannels; i++) {
      for (let o = 0; o < layer.outChannels; o++) {
        for (let ky = 0; ky < 3; ky++) {
          for (let kx = 0; kx < 3; kx++, at++) {
            if (at === index) return `from input channel ${i} to output channel ${o}, kernel row ${ky}, column ${kx}`;
          }
        }
      }
    }
  }
  throw new Error(`no weight ${index} in ${layerName}`);
}

describe('a damaged constant', function () {
  this.timeout(120_000);

  for (const id of SHIPPED_IDS.filter((name) => name.startsWith('tiny'))) {
    it(`${id}: is named by the weight that it is`, () => {
      const { plan } = shipped(id);
      const { model } = plan;
      const random = new Pcg32(7n);
      for (const layer of [...model.prior, model.decoderInput, ...model.decoder, model.readout]) {
        for (let n = 0; n < 3; n++) {
          const index = random.below(Math.min(layer.weight.length, 65536));
          const value = layer.weight[index] === 3 ? 4 : 3;
          const weight = layer.weight.slice();
          weight[index] = value;
          const changed = <L extends { name: string }>(of: L): L => (of.name === layer.name ? { ...of, weight } : of);
          const other: IntegerModel = {
            ...model,
            prior: model.prior.map(changed),
            decoderInput: changed(model.decoderInput),
            decoder: model.decoder.map(changed),
            readout: changed(model.readout),
          };
          const { words } = makePlan(other, 'changed').weights;
          const word = plan.weights.words.findIndex((before, at) => words[at] !== before);
          expect(describeConstant(plan, word, words[word])).to.equal(
            `weight of ${layer.name} ${nameOf(model, layer.name, index)}: ${value} instead of ${layer.weight[index]}`,
          );
        }
      }
    });
  }

  it('is named by its place where it is no weight, and beyond the end', () => {
    const { plan } = shipped('tiny');
    const params = plan.weights.sections.find(({ name }) => name === 'decoder_input.params')!;
    expect(describeConstant(plan, params.offset + 2, 0)).to.equal(`word 2 of ${params.words} of decoder_input.params`);
    expect(describeConstant(plan, plan.weights.words.length, 0)).to.match(/^beyond the last of \d+ words$/);
  });
});
