/**
 * The same sums of weights as layers.ts, faster: two output channels share one 32-bit integer, so that one addition
 * serves both, and eight such pairs are added up at a time in local variables.
 *
 * A pair is kept as `low + 65536 * high`, modulo 2^32. Adding pairs adds both channels at once, and where both sums lie
 * within 16 bits, which rule B1 proves for any spikes, each can be read back exactly.
 */

import { type Range, sumBounds, within } from './bounds.js';
import type { SumWeights } from './layers.js';
import type { SpikingLayer } from './model.js';

const INT16: Range = { min: -(2 ** 15), max: 2 ** 15 - 1 };

/** Pairs of channels that are added up at a time. */
const BLOCK = 8;

/** One way from the input map to an output position: the spikes of `pixel` add the weights of kernel position `tap`. */
interface Reach {
  readonly pixel: number;
  readonly tap: number;
}

/** A layer as input pixels, kernel positions and output positions; a linear layer has one of each. */
interface Geometry {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly pixels: number;
  readonly taps: number;
  /** For each output position all ways that lead to it. */
  readonly reaches: readonly (readonly Reach[])[];
  weight(input: number, output: number, tap: number): number;
}

function geometryOf(layer: SpikingLayer): Geometry {
  const { weight } = layer;
  if (layer.kind === 'linear') {
    return {
      inChannels: layer.inFeatures,
      outChannels: layer.outFeatures,
      pixels: 1,
      taps: 1,
      reaches: [[{ pixel: 0, tap: 0 }]],
      weight: (input, output) => weight[output * layer.inFeatures + input],
    };
  }
  const { inChannels, outChannels, inSize } = layer;
  const outSize = 2 * inSize;
  const reaches: Reach[][] = Array.from({ length: outSize * outSize }, () => []);
  for (let y = 0; y < inSize; y++) {
    for (let x = 0; x < inSize; x++) {
      for (let ky = y === 0 ? 1 : 0; ky < 3; ky++) {
        for (let kx = x === 0 ? 1 : 0; kx < 3; kx++) {
          // Rule S3. The other border is never left: 2y + 1 is at most outSize - 1.
          reaches[(2 * y + ky - 1) * outSize + 2 * x + kx - 1].push({ pixel: y * inSize + x, tap: ky * 3 + kx });
        }
      }
    }
  }
  return {
    inChannels,
    outChannels,
    pixels: inSize * inSize,
    taps: 9,
    reaches,
    weight: (input, output, tap) => weight[(input * outChannels + output) * 9 + tap],
  };
}

/** Rules S2 and S3 in pairs; undefined where a sum could leave 16 bits. */
export function sumWeightsInPairs(layer: SpikingLayer): SumWeights | undefined {
  if (!layer.bias.every((_, channel) => within(sumBounds(layer, channel), INT16))) return undefined;
  const { inChannels, outChannels, pixels, taps, reaches, weight } = geometryOf(layer);
  // [in][tap][pair], filled up with 0 to whole blocks.
  const pairs = Math.ceil(outChannels / (2 * BLOCK)) * BLOCK;
  const packed = new Int32Array(inChannels * taps * pairs);
  for (let i = 0; i < inChannels; i++) {
    for (let tap = 0; tap < taps; tap++) {
      for (let o = 0; o < outChannels; o++) {
        packed[(i * taps + tap) * pairs + (o >> 1)] += weight(i, o, tap) * (o % 2 === 0 ? 1 : 65536);
      }
    }
  }
  // reaches, flat: those of output position p are reachFirst[p] .. reachFirst[p + 1] - 1.
  const flat = reaches.flat();
  const reachPixel = Int32Array.from(flat, ({ pixel }) => pixel);
  const reachTap = Int32Array.from(flat, ({ tap }) => tap);
  const reachFirst = new Int32Array(reaches.length + 1);
  reaches.forEach((ways, p) => (reachFirst[p + 1] = reachFirst[p] + ways.length));
  // The inputs that fire, as the places where their weights begin: those of pixel p are first[p] .. first[p + 1] - 1.
  const events = new Int32Array(pixels * inChannels);
  const first = new Int32Array(pixels + 1);

  return (input, sums) => {
    let count = 0;
    for (let pixel = 0; pixel < pixels; pixel++) {
      first[pixel] = count;
      for (let i = 0; i < inChannels; i++) {
        events[count] = i * taps * pairs;
        count += input[pixel * inChannels + i]; // 0 or 1: what does not fire is overwritten
      }
    }
    first[pixels] = count;
    for (let position = 0; position < reaches.length; position++) {
      for (let block = 0; block < pairs; block += BLOCK) {
        let p0 = 0;
        let p1 = 0;
        let p2 = 0;
        let p3 = 0;
        let p4 = 0;
        let p5 = 0;
        let p6 = 0;
        let p7 = 0;
        for (let r = reachFirst[position]; r < reachFirst[position + 1]; r++) {
          const offset = reachTap[r] * pairs + block;
          const end = first[reachPixel[r] + 1];
          for (let e = first[reachPixel[r]]; e < end; e++) {
            const at = events[e] + offset;
            p0 = (p0 + packed[at]) | 0;
            p1 = (p1 + packed[at + 1]) | 0;
            p2 = (p2 + packed[at + 2]) | 0;
            p3 = (p3 + packed[at + 3]) | 0;
            p4 = (p4 + packed[at + 4]) | 0;
            p5 = (p5 + packed[at + 5]) | 0;
            p6 = (p6 + packed[at + 6]) | 0;
            p7 = (p7 + packed[at + 7]) | 0;
          }
        }
        const to = position * outChannels + 2 * block;
        const channels = Math.min(2 * BLOCK, outChannels - 2 * block);
        unpack(sums, to, p0, channels);
        unpack(sums, to + 2, p1, channels - 2);
        unpack(sums, to + 4, p2, channels - 4);
        unpack(sums, to + 6, p3, channels - 6);
        unpack(sums, to + 8, p4, channels - 8);
        unpack(sums, to + 10, p5, channels - 10);
        unpack(sums, to + 12, p6, channels - 12);
        unpack(sums, to + 14, p7, channels - 14);
      }
    }
  };
}

/** Writes the two sums of a pair, as far as there are `channels` left. */
function unpack(sums: Int32Array, to: number, pair: number, channels: number): void {
  const low = (pair << 16) >> 16;
  if (channels > 0) sums[to] = low;
  if (channels > 1) sums[to + 1] = (pair - low) >> 16;
}
