import { expect } from 'chai';
import fc from 'fast-check';
import { boot2Crc, boot2IsSealed, sealBoot2 } from '../../codegen/image/boot2.js';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** The checksum as its definition reads: the remainder of a division of polynomials, one bit after the other. */
function remainder(bytes: Uint8Array): number {
  const divisor = 0x104c11db7n;
  let dividend = 0n;
  for (const byte of bytes) dividend = (dividend << 8n) | BigInt(byte);
  const bits = 8 * bytes.length;
  dividend <<= 32n;
  dividend ^= 0xffffffffn << BigInt(bits); // the initial value meets the first 32 bits
  for (let bit = bits - 1; bit >= 0; bit--) {
    if ((dividend >> BigInt(bit + 32)) & 1n) dividend ^= divisor << BigInt(bit);
  }
  return Number(dividend);
}

describe("second-stage boot's checksum", () => {
  it('is the CRC-32 known as MPEG-2: its published check value', () => {
    expect(boot2Crc(Buffer.from('123456789'))).to.equal(0x0376e6e7);
  });

  it('is the remainder that its definition says, for any bytes', () => {
    expect(remainder(Buffer.from('123456789'))).to.equal(0x0376e6e7);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 252 }), (bytes) => {
        expect(boot2Crc(bytes)).to.equal(remainder(bytes));
      }),
      { numRuns: 50 },
    );
  });

  it('seals what the check then accepts, and refuses after any flipped bit', () => {
    const image = Uint8Array.from({ length: 600 }, (_, i) => (i < 252 ? (i * 31) & 0xff : i < 256 ? 0 : 0xaa));
    expect(boot2IsSealed(image)).to.equal(false);
    sealBoot2(image);
    expect(boot2IsSealed(image)).to.equal(true);
    for (let bit = 0; bit < 256 * 8; bit += 7) {
      image[bit >> 3] ^= 1 << (bit & 7);
      expect(boot2IsSealed(image), `bit ${bit}`).to.equal(false);
      image[bit >> 3] ^= 1 << (bit & 7);
    }
    expect(image[256]).to.equal(0xaa);
  });

  it('works on a view into a larger buffer', () => {
    const whole = new Uint8Array(1024).fill(7);
    const view = whole.subarray(300, 700);
    view.fill(0, 252, 256);
    sealBoot2(view);
    expect(boot2IsSealed(view)).to.equal(true);
    expect(whole.subarray(0, 300).every((byte) => byte === 7)).to.equal(true);
  });

  it('can be sealed twice', () => {
    const image = new Uint8Array(256);
    sealBoot2(image);
    const once = image.slice();
    sealBoot2(image);
    expect(image).to.deep.equal(once);
  });

  for (const [what, image, reason] of [
    ['code that reaches into its place', new Uint8Array(256).fill(1), 'longer than the 252 bytes'],
    ['an image that is too short', new Uint8Array(255), '255 bytes instead of 256'],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => sealBoot2(image.slice())).to.throw(FsvaeError, reason);
      expect(boot2IsSealed(image)).to.equal(false);
    });
  }
});
