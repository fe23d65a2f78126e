/** Encoder and posterior, in floats and in integers, against the definitions of their layers. */

import { expect } from 'chai';
import { type Checkpoint, type CheckpointTensor } from '../../codegen/checkpoint/checkpoint.js';
import { hasEncoder, readFloatEncoder, runEncoder } from '../../codegen/float/encoder.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { encoderLayerNames, quantizeEncoder } from '../../codegen/quantize/encoder.js';
import { EncoderNetwork, encoderRows, pixelInput, proveEncoderBounds } from '../../runtime-ts/encoder.js';
import type { ConvLayer } from '../../runtime-ts/encoder-model.js';
import { leakMembrane } from '../../runtime-ts/lif.js';
import type { LinearLayer } from '../../runtime-ts/model.js';
import { drawChoices, Pcg32 } from '../../runtime-ts/pcg32.js';
import { refusal } from '../checkpoint/refusal.js';
import { tinyWithEncoder } from '../support/tiny-encoder.js';

const checkpoint = tinyWithEncoder();
const model = readFloatModel(checkpoint);
const encoder = readFloatEncoder(checkpoint, model);
const { timeSteps, latentChannels, choices: k, channels, imageSize } = model.config;

function picture(seed: bigint): Uint8Array {
  const random = new Pcg32(seed);
  return Uint8Array.from({ length: channels * imageSize ** 2 }, () => random.next() % 256);
}

/** Channel-major map: [channel][y][x]. */
type Maps = number[][][];

/** A convolution by its definition: correlate with the kernel at every second place of the padded map. */
function convolve(
  input: Maps,
  weight: (o: number, i: number, ky: number, kx: number) => number,
  outputs: number,
): Maps {
  const size = input[0].length;
  const at = (i: number, y: number, x: number): number =>
    y < 0 || x < 0 || y >= size || x >= size ? 0 : input[i][y][x];
  return Array.from({ length: outputs }, (_, o) =>
    Array.from({ length: size / 2 }, (__, y) =>
      Array.from({ length: size / 2 }, (___, x) => {
        let sum = 0;
        for (let i = 0; i < input.length; i++) {
          for (let ky = 0; ky < 3; ky++) {
            for (let kx = 0; kx < 3; kx++) sum += weight(o, i, ky, kx) * at(i, 2 * y + ky - 1, 2 * x + kx - 1);
          }
        }
        return sum;
      }),
    ),
  );
}

const positionMajor = (maps: Maps): number[] =>
  maps[0].flatMap((row, y) => row.flatMap((_, x) => maps.map((map) => map[y][x])));

function toMaps(spikes: ArrayLike<number>, count: number): Maps {
  const size = Math.sqrt(spikes.length / count);
  return Array.from({ length: count }, (_, c) =>
    Array.from({ length: size }, (__, y) =>
      Array.from({ length: size }, (___, x) => spikes[(y * size + x) * count + c]),
    ),
  );
}

const imageMaps = (image: ArrayLike<number>): Maps =>
  Array.from({ length: channels }, (_, c) =>
    Array.from({ length: imageSize }, (__, y) =>
      Array.from({ length: imageSize }, (___, x) => image[(c * imageSize + y) * imageSize + x]),
    ),
  );

describe('encoder and posterior', () => {
  it('are told from a checkpoint that only generates', () => {
    expect(hasEncoder(checkpoint)).to.equal(true);
    expect(encoderLayerNames(encoder)).to.deep.equal([
      'encoder.0',
      'encoder.1',
      'before_latent_layer',
      'posterior.layers.0',
      'posterior.layers.1',
      'posterior.layers.2',
    ]);
    expect(encoder.convolutions.map(({ inSize }) => inSize)).to.deep.equal([8, 4]);
  });

  it('in floats, are what tdBN, convolution and LIF are by definition', () => {
    const image = Float64Array.from(picture(5n), (byte) => byte / 127.5 - 1);
    const choices = drawChoices(9n, timeSteps, latentChannels, k);
    const { layers, posterior, z } = runEncoder(model, encoder, image, choices);
    const of = (name: string): ArrayLike<number> => checkpoint.tensors.get(name)!.data;
    /** tdBN of one sum, and then paper eq. 1 to 3 over time, neuron by neuron. */
    const fire = (name: string, alpha: number, sums: number[][], channelOf: (neuron: number) => number): number[][] => {
      const carried = sums[0].map(() => 0);
      return sums.map((step) =>
        step.map((sum, n) => {
          const c = channelOf(n);
          const bn = (part: string): number => of(`${name}.bn.${part}`)[c];
          const x =
            ((alpha * 0.2 * (sum + of(`${name}.bias`)[c] - bn('running_mean'))) / Math.sqrt(bn('running_var') + 1e-5)) *
              bn('weight') +
            bn('bias');
          const u = 0.25 * carried[n] + x;
          carried[n] = u > 0.2 ? 0 : u;
          return Number(u > 0.2);
        }),
      );
    };
    const at = (spikes: Uint8Array, t: number): Uint8Array =>
      spikes.subarray((t * spikes.length) / timeSteps, ((t + 1) * spikes.length) / timeSteps);
    const steps = Array.from({ length: timeSteps }, (_, t) => t);

    encoder.convolutions.forEach(({ name, inChannels, outChannels }, l) => {
      const weight = (o: number, i: number, ky: number, kx: number): number =>
        of(`${name}.weight`)[((o * inChannels + i) * 3 + ky) * 3 + kx];
      const sums = steps.map((t) =>
        positionMajor(
          convolve(l === 0 ? imageMaps(image) : toMaps(at(layers[l - 1], t), inChannels), weight, outChannels),
        ),
      );
      const expected = fire(name, 1, sums, (n) => n % outChannels);
      steps.forEach((t) => expect([...at(layers[l], t)], `${name}, step ${t}`).to.deep.equal(expected[t]));
    });
    // The checkpoint reads the bottom map channel by channel.
    const linear = (name: string, inputs: number[][]): number[][] => {
      const weight = of(`${name}.weight`);
      const width = inputs[0].length;
      return inputs.map((input) =>
        Array.from({ length: weight.length / width }, (_, o) =>
          input.reduce((sum, spike, i) => sum + spike * weight[o * width + i], 0),
        ),
      );
    };
    const bottom = steps.map((t) => toMaps(at(layers[1], t), encoder.convolutions[1].outChannels).flat(2));
    const latent = fire('before_latent_layer', 1, linear('before_latent_layer', bottom), (n) => n);
    steps.forEach((t) => expect([...at(layers[2], t)], `latent, step ${t}`).to.deep.equal(latent[t]));
    let spikes = steps.map((t) => [...latent[t], ...(t === 0 ? Array<number>(latentChannels).fill(0) : at(z, t - 1))]);
    posterior.forEach((layer, l) => {
      const name = `posterior.layers.${l}`;
      spikes = fire(name, 2, linear(name, spikes), (n) => n);
      steps.forEach((t) => expect([...at(layer, t)], `${name}, step ${t}`).to.deep.equal(spikes[t]));
    });
    steps.forEach((t) => {
      const picked = Array.from(
        { length: latentChannels },
        (_, c) => spikes[t][k * c + choices[t * latentChannels + c]],
      );
      expect([...at(z, t)]).to.deep.equal(picked);
    });
    expect(z.some((spike) => spike === 1) && z.some((spike) => spike === 0)).to.equal(true);
  });

  for (const bits of [8, 4] as const) {
    it(`in integers of ${bits} bits, follow rules E1 to E5`, () => {
      const integer = quantizeEncoder(model, encoder, { bits });
      const network = new EncoderNetwork(integer);
      const rows = encoderRows(integer);
      const bounds = proveEncoderBounds(integer);
      for (const seed of [1n, 2n]) {
        const image = picture(seed);
        const choices = drawChoices(seed, timeSteps, latentChannels, k);
        const spikes = rows.map(() => [] as number[][]);
        const membranes = rows.map(() => [] as number[][]);
        const z = network.encode(image, choices, (row, _, fired, membrane) => {
          spikes[row].push([...fired]);
          membranes[row].push([...membrane]);
        });
        const run = (layer: ConvLayer | LinearLayer, sums: number[][]): [spikes: number[][], membranes: number[][]] => {
          const carried = sums[0].map(() => 0);
          const seen = sums.map((step) =>
            step.map((sum, n) => {
              const c = n % layer.bias.length;
              const u = leakMembrane(carried[n], integer.leak) + sum * 2 ** layer.fractionBits + layer.bias[c];
              carried[n] = u > layer.threshold[c] ? 0 : u;
              return [Number(u > layer.threshold[c]), u] as const;
            }),
          );
          return [seen.map((step) => step.map(([fired]) => fired)), seen.map((step) => step.map(([, u]) => u))];
        };
        integer.convolutions.forEach((layer, l) => {
          const weight = (o: number, i: number, ky: number, kx: number): number =>
            layer.weight[((o * layer.inChannels + i) * 3 + ky) * 3 + kx];
          const sums = Array.from({ length: timeSteps }, (_, t) =>
            positionMajor(
              convolve(
                l === 0 ? imageMaps(Array.from(image, pixelInput)) : toMaps(spikes[l - 1][t], layer.inChannels),
                weight,
                layer.outChannels,
              ),
            ),
          );
          expect([spikes[l], membranes[l]], layer.name).to.deep.equal(run(layer, sums));
        });
        const dense = (layer: LinearLayer, inputs: number[][]): number[][] =>
          inputs.map((input) =>
            Array.from({ length: layer.outFeatures }, (_, o) =>
              input.reduce((sum, spike, i) => sum + spike * layer.weight[o * layer.inFeatures + i], 0),
            ),
          );
        const latent = integer.convolutions.length;
        expect([spikes[latent], membranes[latent]]).to.deep.equal(
          run(integer.latentInput, dense(integer.latentInput, spikes[latent - 1])),
        );
        let inputs = spikes[latent].map((own, t) => [
          ...own,
          ...(t === 0 ? own.map(() => 0) : z.subarray((t - 1) * latentChannels, t * latentChannels)),
        ]);
        integer.posterior.forEach((layer, l) => {
          const [fired, u] = run(layer, dense(layer, inputs));
          if (l + 1 < integer.posterior.length)
            expect([spikes[latent + 1 + l], membranes[latent + 1 + l]]).to.deep.equal([fired, u]);
          inputs = fired;
        });
        inputs.forEach((fired, t) => {
          const picked = Array.from(
            { length: latentChannels },
            (_, c) => fired[k * c + choices[t * latentChannels + c]],
          );
          expect([...z.subarray(t * latentChannels, (t + 1) * latentChannels)], `z, step ${t}`).to.deep.equal(picked);
        });
        rows.slice(0, -1).forEach(({ name, neurons }, row) => {
          expect(spikes[row][0], name).to.have.length(neurons);
          const { membrane } = bounds[row];
          expect(Math.min(...membranes[row].flat())).to.be.at.least(membrane.min);
          expect(Math.max(...membranes[row].flat())).to.be.at.most(membrane.max);
        });
      }
    });
  }

  it('see a pixel as a whole number, black and white as far apart as -1 and 1', () => {
    expect([0, 1, 127, 128, 254, 255].map(pixelInput)).to.deep.equal([-255, -253, -1, 1, 253, 255]);
  });

  it('refuse an image of another size, and a checkpoint that lacks them or has them in other shapes', () => {
    const network = new EncoderNetwork(quantizeEncoder(model, encoder));
    const choices = drawChoices(0n, timeSteps, latentChannels, k);
    expect(refusal(() => network.encode(new Uint8Array(63), choices))).to.match(/63 bytes, the model takes 64/);
    const changed = (change: (tensors: Map<string, CheckpointTensor>) => void): Checkpoint => {
      const tensors = new Map(checkpoint.tensors);
      change(tensors);
      return { source: 'changed', tensors };
    };
    for (const [what, change, message] of [
      [
        'no encoder',
        (t: Map<string, CheckpointTensor>) =>
          [...t.keys()].filter((n) => n.startsWith('encoder')).forEach((n) => t.delete(n)),
        /it holds only what generation needs/,
      ],
      [
        'no posterior',
        (t: Map<string, CheckpointTensor>) => t.delete('posterior.layers.2.weight'),
        /missing posterior\.layers\.2\.weight, expected \(32, 24\)/,
      ],
      [
        'another latent',
        (t: Map<string, CheckpointTensor>) =>
          t.set('before_latent_layer.weight', { shape: [8, 20], data: new Float32Array(160) }),
        /before_latent_layer\.weight is \(8, 20\), expected \(8, 24\)/,
      ],
    ] as const) {
      expect(
        refusal(() => readFloatEncoder(changed(change), model)),
        what,
      ).to.match(message);
    }
  });
});
