/**
 * The plan of encoder and posterior: kernels, constants and arena. A part of its own, which a project has or has not: the
 * generator's constants and addresses are the same with it and without.
 */

import { type LayerBounds, signedBits } from '../../runtime-ts/bounds.js';
import { type EncoderRow, proveEncoderBounds } from '../../runtime-ts/encoder.js';
import type { ConvLayer, IntegerEncoder } from '../../runtime-ts/encoder-model.js';
import { encoderHash, encoderTraceRows } from '../../runtime-ts/golden-encoder.js';
import type { LinearLayer } from '../../runtime-ts/model.js';
import { type Arena, type BufferRequest, placeBuffers } from './arena.js';
import { keptBits, lazyBuffers, requireLazyReach } from './stepwise.js';
import {
  halfRowSums,
  joinParts,
  layerRows,
  lazyRows,
  needsWideParams,
  packParams,
  packRows,
  packRun,
  ROW_ORDER,
  requireReach,
  type Weights,
} from './weights.js';

/** Blocks of eight channels alone: an image is encoded once, and drawn often. */
export type EncoderKernel = 'plain' | 'lanes';

interface PlannedBase<Layer> {
  readonly layer: Layer;
  readonly bounds: LayerBounds;
  /** Row of the encoder's trace. */
  readonly row: number;
  readonly wideParams: boolean;
}

export interface PlannedEncoderLayer<Layer extends ConvLayer | LinearLayer> extends PlannedBase<Layer> {
  readonly kernel: EncoderKernel;
}

export interface EncoderPlan {
  readonly encoder: IntegerEncoder;
  /** 64 hexadecimal digits. */
  readonly hash: string;
  readonly rows: readonly EncoderRow[];
  /** Of all layers, in order. */
  readonly bounds: readonly LayerBounds[];
  /** Bits of the posterior's membranes, which are kept between steps: 16 or 32 (rule B3). */
  readonly membraneBits: 16 | 32;
  readonly pixels: PlannedBase<ConvLayer>;
  readonly convolutions: readonly PlannedEncoderLayer<ConvLayer>[];
  readonly latentInput: PlannedEncoderLayer<LinearLayer>;
  readonly hidden: readonly PlannedEncoderLayer<LinearLayer>[];
  /** The posterior's last layer, evaluated only where chosen. */
  readonly lazy: PlannedBase<LinearLayer>;
  readonly weights: Weights;
  readonly arena: Arena;
}

/** Rows of the input map that meet in one row of outputs (rule E2). */
const ROWS_LISTED = 3;

function outputNeurons({ inSize, outChannels }: ConvLayer): number {
  return (inSize * inSize * outChannels) / 4;
}

/** Buffers of a run and when they are alive: a phase for each convolution, then before_latent_layer, then the posterior. */
function buffers(encoder: IntegerEncoder, trainBytes: number, membraneBytes: number): BufferRequest[] {
  const { config, convolutions, latentInput, posterior } = encoder;
  const { timeSteps, latentChannels, channels } = config;
  const hidden = posterior.slice(0, -1);
  const last = posterior[posterior.length - 1];
  const latentPhase = convolutions.length;
  const posteriorPhase = latentPhase + 1;
  const requests: BufferRequest[] = [];
  const add = (name: string, bytes: number, first: number, end = first): void => {
    requests.push({ name, bytes, first, last: end });
  };
  add('patch', 2 * 9 * channels * 2, 0); // for two processors
  convolutions.forEach((layer, i) => {
    if (i > 0) {
      add(`events_${i}`, ROWS_LISTED * layer.inSize * timeSteps * layer.inChannels * 2, i);
      add(`count_${i}`, ROWS_LISTED * layer.inSize * timeSteps * 2, i);
    }
    add(`map_${i}`, outputNeurons(layer) * trainBytes, i, i + 1);
  });
  add('latent_events', timeSteps * latentInput.inFeatures * 2, latentPhase);
  add('latent_count', timeSteps * 2, latentPhase);
  add('seen', latentChannels * trainBytes, latentPhase, posteriorPhase);
  add('choices', timeSteps * latentChannels, posteriorPhase);
  add('z_events', latentChannels * 2, posteriorPhase);
  add('inputs', 2 * latentChannels * 2, posteriorPhase);
  add('fired', (Math.max(latentChannels, ...hidden.map((layer) => layer.outFeatures)) + 7) >> 3, posteriorPhase);
  hidden.forEach((layer, i) => {
    add(`hidden_${i}_membrane`, layer.outFeatures * membraneBytes, posteriorPhase);
    if (i < hidden.length - 1) add(`hidden_${i}_events`, layer.outFeatures * 2, posteriorPhase);
  });
  for (const [name, bytes] of lazyBuffers(last, timeSteps, membraneBytes)) add(name, bytes, posteriorPhase);
  return requests;
}

function layOutEncoder(encoder: IntegerEncoder): Weights {
  const [pixels, ...others] = encoder.convolutions;
  const last = encoder.posterior[encoder.posterior.length - 1];
  const patch = 9 * pixels.inChannels;
  const sums = halfRowSums(last);
  return joinParts([
    // One byte a weight whatever its bits: there are few, and each is multiplied by a pixel.
    {
      name: `${pixels.name}.weight`,
      words: packRun(pixels.weight.length, 8, (at) => {
        const [o, k, i] = [
          Math.floor(at / patch),
          Math.floor((at % patch) / pixels.inChannels),
          at % pixels.inChannels,
        ];
        return pixels.weight[(o * pixels.inChannels + i) * 9 + k];
      }),
    },
    {
      name: `${pixels.name}.params`,
      words: Uint32Array.from({ length: 2 * pixels.outChannels }, (_, at) =>
        at % 2 === 0 ? pixels.bias[at >> 1] : pixels.threshold[at >> 1],
      ),
    },
    ...others.flatMap((layer) => [
      {
        name: `${layer.name}.weight`,
        words: packRows(
          { inputs: layer.inChannels, outputs: layer.outChannels, positions: 9, bits: layer.weightBits },
          'lanes',
          (i, o, n) => layer.weight[(o * layer.inChannels + i) * 9 + ROW_ORDER[n]],
        ),
      },
      { name: `${layer.name}.params`, words: packParams(layer, true) },
    ]),
    ...[encoder.latentInput, ...encoder.posterior.slice(0, -1)].flatMap((layer) => [
      { name: `${layer.name}.weight`, words: layerRows(layer, 'lanes', false) },
      { name: `${layer.name}.params`, words: packParams(layer, true) },
    ]),
    { name: `${last.name}.weight`, words: lazyRows(last) },
    ...(sums === undefined ? [] : [{ name: `${last.name}.sums`, words: sums }]),
  ]);
}

/**
 * Plans encoder and posterior. No board takes part.
 *
 * @throws FsvaeError `input` when a layer is too wide for the kernels
 */
export function planEncoder(encoder: IntegerEncoder): EncoderPlan {
  const { convolutions, latentInput, posterior, config } = encoder;
  const bounds = proveEncoderBounds(encoder);
  const rows = encoderTraceRows(encoder);
  const layers = [...convolutions, latentInput, ...posterior];
  const base = <Layer extends ConvLayer | LinearLayer>(layer: Layer): PlannedBase<Layer> => ({
    layer,
    bounds: bounds[layers.indexOf(layer)],
    // The last of the posterior is seen as z, which has its place.
    row: 1 + layers.indexOf(layer),
    wideParams: needsWideParams(layer),
  });
  const blocked = <Layer extends ConvLayer | LinearLayer>(layer: Layer): PlannedEncoderLayer<Layer> => {
    requireReach(layer, 'lanes');
    const planned = base(layer);
    return { ...planned, kernel: signedBits(planned.bounds.sum) <= 16 ? 'lanes' : 'plain' };
  };
  const last = posterior[posterior.length - 1];
  requireLazyReach(last);
  const [pixels, ...others] = convolutions;
  return {
    encoder,
    hash: encoderHash(encoder),
    rows,
    bounds,
    membraneBits: keptBits(bounds.slice(-posterior.length)),
    pixels: base(pixels),
    convolutions: others.map(blocked),
    latentInput: blocked(latentInput),
    hidden: posterior.slice(0, -1).map(blocked),
    lazy: base(last),
    weights: layOutEncoder(encoder),
    // The generator's membranes share a type with these: room for its width is made either way.
    arena: placeBuffers(buffers(encoder, config.timeSteps <= 16 ? 2 : 4, 4)),
  };
}
