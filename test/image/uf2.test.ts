import { expect } from 'chai';
import fc from 'fast-check';
import { decodeUf2, encodeUf2 } from '../../codegen/image/uf2.js';
import { FsvaeError } from '../../runtime-ts/errors.js';

const FAMILY = 0xe48bff56;
const ADDRESS = 0x10000000;

function sample(bytes = 1000): Uint8Array {
  return encodeUf2(
    Uint8Array.from({ length: bytes }, (_, i) => (i * 7) & 0xff),
    ADDRESS,
    FAMILY,
  );
}

describe('UF2', () => {
  it('has the fields of the published format', () => {
    const view = new DataView(sample(300).buffer);
    const words = Array.from({ length: 8 }, (_, i) => view.getUint32(512 + 4 * i, true));
    expect(words).to.deep.equal([0x0a324655, 0x9e5d5157, 0x2000, ADDRESS + 256, 256, 1, 2, FAMILY]);
    expect(view.getUint32(1020, true)).to.equal(0x0ab16f30);
  });

  it('comes back as it was, filled up to whole blocks with 0', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000 }), (image) => {
        const { bytes, address, familyId } = decodeUf2(encodeUf2(image, ADDRESS, FAMILY), 'x.uf2');
        expect(address).to.equal(ADDRESS);
        expect(familyId).to.equal(FAMILY);
        expect(bytes.length).to.equal(Math.ceil(image.length / 256) * 256);
        expect(bytes.subarray(0, image.length)).to.deep.equal(image);
        expect(bytes.subarray(image.length).every((byte) => byte === 0)).to.equal(true);
      }),
    );
  });

  it('is read from a view into a larger buffer', () => {
    const file = sample();
    const whole = new Uint8Array(file.length + 100).fill(0xee);
    whole.set(file, 37);
    expect(decodeUf2(whole.subarray(37, 37 + file.length), 'x.uf2')).to.deep.equal(decodeUf2(file, 'x.uf2'));
  });

  for (const [what, offset, value] of [
    ['first magic number', 0, 1],
    ['second magic number', 4, 1],
    ['last magic number', 508, 1],
    ['family', 28, 0xe48bff59],
    ['family flag', 8, 0],
    ['not-for-flash flag', 8, 0x2001],
    ['payload size', 16, 476],
    ['payload size that leaves the block', 16, 0xffffffff],
    ['block number', 20, 0],
    ['number of blocks', 24, 0xffffffff],
    ['address', 12, 0x10000000],
  ] as const) {
    it(`refuses a second block with a wrong ${what}`, () => {
      const file = sample();
      new DataView(file.buffer).setUint32(512 + offset, value, true);
      expect(() => decodeUf2(file, 'x.uf2')).to.throw(FsvaeError, /^x\.uf2 is not a usable UF2 file: block 1 /);
    });
  }

  it('refuses a file cut at any place that leaves fewer blocks than it says', () => {
    const file = sample();
    for (let length = 0; length < file.length; length += 64) {
      expect(() => decodeUf2(file.subarray(0, length), 'x.uf2'), `${length} bytes`).to.throw(FsvaeError);
    }
  });

  it('never fails otherwise than by refusing', () => {
    fc.assert(
      fc.property(fc.nat(2047), fc.nat(255), (at, value) => {
        const file = sample();
        file[at] = value;
        try {
          decodeUf2(file, 'x.uf2');
        } catch (error) {
          expect(error).to.be.instanceOf(FsvaeError);
        }
      }),
    );
  });
});
