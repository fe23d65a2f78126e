import { expect } from 'chai';
import fc from 'fast-check';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { decodeModel, encodeModel, modelHash } from '../../runtime-ts/model-file.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { encodeSafetensors, parseSafetensors, type Tensor } from '../../runtime-ts/safetensors.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';

const model = randomModel(11, TINY_SHAPE);
const bytes = encodeModel(model, { name: 'tiny' });

/** The file with its tensors or header changed, still a well-formed safetensors file. */
function altered(change: (tensors: Map<string, Tensor>, header: Record<string, unknown>) => void): Uint8Array {
  const { tensors, metadata } = parseSafetensors(bytes);
  const header = JSON.parse(metadata.model) as Record<string, unknown>;
  change(tensors, header);
  return encodeSafetensors(tensors, { ...metadata, model: JSON.stringify(header) });
}

function withValue(name: string, index: number, value: number): Uint8Array {
  return altered((tensors) => {
    const tensor = tensors.get(name)!;
    const data = new Uint8Array(tensor.data);
    const view = new DataView(data.buffer);
    if (tensor.dtype === 'I8') view.setInt8(index, value);
    else view.setInt32(4 * index, value, true);
    tensors.set(name, { ...tensor, data });
  });
}

describe('integer model file', () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`loads back to the same bits: ${name}`, () => {
      const original = randomModel(12, shape);
      const { model: loaded, notes } = decodeModel(encodeModel(original, { origin: 'here' }));
      expect(notes).to.deep.equal({ origin: 'here' });
      expect(encodeModel(loaded)).to.deep.equal(encodeModel(original));
      expect(new GoldenModel(loaded).sample(3n)).to.deep.equal(new GoldenModel(original).sample(3n));
    });
  }

  it('loads from a Buffer that is part of a larger one, at any alignment', () => {
    for (const offset of [0, 1, 3]) {
      const larger = Buffer.alloc(bytes.length + 8, 0xee);
      larger.set(bytes, offset);
      const { model: loaded } = decodeModel(larger.subarray(offset, offset + bytes.length));
      expect(modelHash(loaded)).to.equal(modelHash(model));
    }
  });

  it('is named by what it computes, not by its notes', () => {
    expect(modelHash(decodeModel(encodeModel(model, { name: 'other' })).model)).to.equal(modelHash(model));
    const changed: IntegerModel = { ...model, leak: { multiplier: 1, shift: 3 } };
    expect(modelHash(changed)).to.not.equal(modelHash(model));
    expect(modelHash(model)).to.match(/^[0-9a-f]{64}$/);
  });

  const REFUSED: [string, Uint8Array, RegExp][] = [
    [
      'a weight beyond its bits',
      withValue('decoder_input.weight', 5, -128),
      /"decoder_input\.weight"\[5\] is -128, outside -127 \.\. 127/,
    ],
    ['a negative threshold', withValue('prior.layers.1.threshold', 2, -1), /"prior\.layers\.1\.threshold"\[2\] is -1/],
    [
      'pixel thresholds that do not ascend',
      withValue('final_layer.1.thresholds', 0, 2 ** 31 - 1),
      /thresholds" must ascend/,
    ],
    [
      'a bias that overflows',
      withValue('final_layer.0.bias', 0, 2 ** 31 - 1),
      /final_layer\.0: the membrane can reach .* leaves 32 bits/,
    ],
    [
      'a missing tensor',
      altered((tensors) => tensors.delete('decoder.0.bias')),
      /tensor "decoder\.0\.bias" is missing/,
    ],
    [
      'a surplus tensor',
      altered((tensors) => tensors.set('extra', { dtype: 'I8', shape: [1], data: new Uint8Array(1) })),
      /unexpected tensors: extra/,
    ],
    [
      'another version',
      encodeSafetensors(parseSafetensors(bytes).tensors, { ...parseSafetensors(bytes).metadata, version: '9' }),
      /format version 9/,
    ],
    ['no format at all', encodeSafetensors(parseSafetensors(bytes).tensors, {}), /does not say format/],
    [
      'T beyond 32',
      altered((_, header) => ((header.config as Record<string, unknown>).timeSteps = 33)),
      /timeSteps is 33, but must be an integer from 1 to 32/,
    ],
    [
      'k beyond 256',
      altered((_, header) => ((header.config as Record<string, unknown>).choices = 257)),
      /choices is 257/,
    ],
    [
      'a leak of its own making',
      altered((_, header) => (header.leak = { multiplier: 1.5, shift: 2 })),
      /leak multiplier is 1\.5/,
    ],
    [
      'layers that do not fit each other',
      altered((_, header) => ((header.layers as { shape: number[] }[])[1].shape[1] = 4)),
      /prior\.layers\.1 takes 4 inputs, but gets 9/,
    ],
    [
      'a name that could leave its folder',
      altered((_, header) => ((header.layers as { name: string }[])[0].name = '../x')),
      /has a name that is not letters/,
    ],
    [
      'sizes that ask for gigabytes',
      altered((_, header) => ((header.layers as { shape: number[] }[])[0].shape = [2 ** 30, 2 ** 30])),
      /must be an integer from 1 to/,
    ],
  ];
  for (const [what, file, message] of REFUSED) {
    it(`refuses ${what}, in one line`, () => {
      expect(() => decodeModel(file)).to.throw(FsvaeError, message);
      try {
        decodeModel(file);
      } catch (error) {
        expect((error as FsvaeError).kind).to.equal('input');
        expect((error as Error).message).to.not.include('\n');
      }
    });
  }

  it('refuses every truncation', () => {
    for (let length = 0; length < bytes.length; length += 97) {
      expect(() => decodeModel(bytes.subarray(0, length)), `${length} bytes`).to.throw(FsvaeError);
    }
  });

  it('never throws anything but one line about the input, whatever byte is flipped', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = bytes.slice();
        damaged[at] ^= flip;
        try {
          decodeModel(damaged);
        } catch (error) {
          expect(error).to.be.instanceOf(FsvaeError);
          expect((error as FsvaeError).kind).to.equal('input');
        }
      }),
      { numRuns: 300 },
    );
  });
});
