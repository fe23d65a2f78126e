/** What will run, and where everything lies: the integer model, decided down to offsets. Templates only write it out. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { type LayerBounds, type ModelBounds, proveBounds, signedBits } from '../../runtime-ts/bounds.js';
import { latentBytes } from '../../runtime-ts/spike-bits.js';
import { modelHash } from '../../runtime-ts/model-file.js';
import { type TraceRow, traceRows } from '../../runtime-ts/network.js';
import type { ConvTransposeLayer, IntegerModel, LinearLayer } from '../../runtime-ts/model.js';
import { type Arena, type BufferRequest, placeBuffers } from './arena.js';
import { layOutWeights, lazyRowWords, lazyWeightWords, needsWideParams, rowBytes, type Weights } from './weights.js';

interface PlannedBase {
  readonly bounds: LayerBounds;
  /** Row of a trace. */
  readonly row: number;
  readonly wideParams: boolean;
}

/** A layer whose outputs are computed in blocks of eight channels. */
export interface PlannedLayer extends PlannedBase {
  readonly layer: LinearLayer | ConvTransposeLayer;
  /** Sums in 16-bit lanes, two to a word (rule B3); else plain 32-bit sums. */
  readonly lanes: boolean;
}

/** The prior's last layer, evaluated only where chosen. */
export interface PlannedLazyLayer extends PlannedBase {
  readonly layer: LinearLayer;
}

export interface Plan {
  readonly model: IntegerModel;
  readonly modelName: string;
  /** 64 hexadecimal digits. */
  readonly modelHash: string;
  readonly bounds: ModelBounds;
  readonly rows: readonly TraceRow[];
  /** Bits of a spike train: 16 or 32. */
  readonly trainBits: 16 | 32;
  /** Bits of the membranes that are kept between steps: 16 or 32 (rule B3). */
  readonly membraneBits: 16 | 32;
  readonly hidden: readonly PlannedLayer[];
  readonly lazy: PlannedLazyLayer;
  readonly decoderInput: PlannedLayer;
  readonly decoder: readonly PlannedLayer[];
  readonly weights: Weights;
  readonly arena: Arena;
  readonly imageBytes: number;
  readonly latentBytes: number;
}

/** An event is the offset of a row, in bytes, in 16 bits; of the prior's last layer the index of an input. */
const MOST_EVENT = 65536;

/** The phases of a run, in which buffers live: drawing, prior, decoder_input, then one for each map layer. */
const DRAWING = 0;
const PRIOR = 1;
const DECODER_INPUT = 2;
const mapPhase = (layer: number): number => 3 + layer;

/** Buffers of a run and when they are alive. */
function buffers(model: IntegerModel, trainBytes: number, membraneBytes: number): BufferRequest[] {
  const { timeSteps, latentChannels } = model.config;
  const hidden = model.prior.slice(0, -1);
  const last = model.prior[model.prior.length - 1];
  const lastMap = mapPhase(model.decoder.length - 1);
  const widestHidden = Math.max(latentChannels, ...hidden.map((layer) => layer.outFeatures));
  const requests: BufferRequest[] = [
    { name: 'choices', bytes: timeSteps * latentChannels, first: DRAWING, last: PRIOR },
    { name: 'z', bytes: latentChannels * trainBytes, first: PRIOR, last: DECODER_INPUT },
    { name: 'fired', bytes: (widestHidden + 7) >> 3, first: PRIOR, last: PRIOR },
    { name: 'history', bytes: timeSteps * last.inFeatures * 2, first: PRIOR, last: PRIOR },
    { name: 'history_count', bytes: timeSteps * 2, first: PRIOR, last: PRIOR },
    { name: 'lazy_membrane', bytes: last.outFeatures * membraneBytes, first: PRIOR, last: PRIOR },
    { name: 'lazy_known', bytes: last.outFeatures, first: PRIOR, last: PRIOR },
    { name: 'lazy_row_0', bytes: 4 * lazyRowWords(last), first: PRIOR, last: PRIOR },
    { name: 'lazy_row_1', bytes: 4 * lazyRowWords(last), first: PRIOR, last: PRIOR },
    { name: 'lazy_spread', bytes: last.weightBits === 8 ? 4 : 8 * lazyWeightWords(last), first: PRIOR, last: PRIOR },
    { name: 'z_events', bytes: latentChannels * 2, first: PRIOR, last: PRIOR },
    { name: 'latent_events', bytes: timeSteps * latentChannels * 2, first: DECODER_INPUT, last: DECODER_INPUT },
    { name: 'latent_count', bytes: timeSteps * 2, first: DECODER_INPUT, last: DECODER_INPUT },
  ];
  hidden.forEach((layer, i) => {
    requests.push({
      name: `hidden_${i}_membrane`,
      bytes: layer.outFeatures * membraneBytes,
      first: PRIOR,
      last: PRIOR,
    });
    if (i < hidden.length - 1) {
      requests.push({ name: `hidden_${i}_events`, bytes: layer.outFeatures * 2, first: PRIOR, last: PRIOR });
    }
  });
  requests.push({
    name: 'map_0',
    bytes: model.decoderInput.outFeatures * trainBytes,
    first: DECODER_INPUT,
    last: mapPhase(0),
  });
  model.decoder.forEach((layer, i) => {
    const now = mapPhase(i);
    requests.push(
      { name: `events_${i}`, bytes: 2 * layer.inSize * timeSteps * layer.inChannels * 2, first: now, last: now },
      { name: `count_${i}`, bytes: 2 * layer.inSize * timeSteps * 2, first: now, last: now },
    );
    if (now < lastMap) {
      const neurons = 4 * layer.inSize * layer.inSize * layer.outChannels;
      requests.push({ name: `map_${i + 1}`, bytes: neurons * trainBytes, first: now, last: now + 1 });
    }
  });
  const { size, inChannels, outChannels } = model.readout;
  requests.push(
    { name: 'row_pair', bytes: 2 * size * inChannels * trainBytes, first: lastMap, last: lastMap },
    { name: 'readout_weights', bytes: outChannels * inChannels * 9 * 4, first: lastMap, last: lastMap },
    { name: 'readout_membranes', bytes: outChannels * 4 * (size + 2) * 4, first: lastMap, last: lastMap },
    { name: 'coefficient_tables', bytes: trainBytes * 512, first: lastMap, last: lastMap },
  );
  return requests;
}

/**
 * Plans a model. No board takes part: the same plan serves all; budget.ts says whether a board holds it.
 *
 * @param modelName a name for people, in the banner and in the board's hello; printable ASCII, at most 32 characters
 * @throws FsvaeError `input` when a layer is too wide for the kernels
 */
export function makePlan(model: IntegerModel, modelName: string): Plan {
  const bounds = proveBounds(model);
  const rows = traceRows(model);
  const boundsOf = (name: string): LayerBounds => bounds.layers.find((layer) => layer.name === name)!;
  const base = (layer: LinearLayer | ConvTransposeLayer): Omit<PlannedBase, 'row'> => ({
    bounds: boundsOf(layer.name),
    wideParams: needsWideParams(layer),
  });
  const blocked = (layer: LinearLayer | ConvTransposeLayer): PlannedLayer => {
    const inputs = layer.kind === 'linear' ? layer.inFeatures : layer.inChannels;
    if (inputs * rowBytes(layer.weightBits) > MOST_EVENT) {
      throw new FsvaeError(
        'input',
        `${layer.name} has ${inputs} inputs; the kernels take at most ${MOST_EVENT / rowBytes(layer.weightBits)}`,
      );
    }
    return {
      ...base(layer),
      layer,
      row: rows.findIndex((row) => row.name === layer.name),
      lanes: signedBits(boundsOf(layer.name).sum) <= 16,
    };
  };
  const last = model.prior[model.prior.length - 1];
  if (last.inFeatures > MOST_EVENT) {
    throw new FsvaeError('input', `${last.name} has ${last.inFeatures} inputs; the kernels take at most ${MOST_EVENT}`);
  }
  const kept = model.prior.map((layer) => boundsOf(layer.name));
  const membraneBits = kept.every((b) => signedBits(b.membrane) <= 16 && signedBits(b.threshold) <= 16) ? 16 : 32;
  const trainBits = model.config.timeSteps <= 16 ? 16 : 32;
  const { channels, imageSize, timeSteps, latentChannels } = model.config;
  return {
    model,
    modelName,
    modelHash: modelHash(model),
    bounds,
    rows,
    trainBits,
    membraneBits,
    hidden: model.prior.slice(0, -1).map(blocked),
    lazy: { ...base(last), layer: last, row: model.prior.length },
    decoderInput: blocked(model.decoderInput),
    decoder: model.decoder.map(blocked),
    weights: layOutWeights(model),
    arena: placeBuffers(buffers(model, trainBits / 8, membraneBits / 8)),
    imageBytes: channels * imageSize * imageSize,
    latentBytes: latentBytes(timeSteps, latentChannels),
  };
}
