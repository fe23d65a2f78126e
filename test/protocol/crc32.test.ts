import { expect } from 'chai';
import fc from 'fast-check';
import { crc32 } from '../../runtime-ts/crc32.js';

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

describe('CRC-32', () => {
  // The check value of the catalogue of parametrised CRC algorithms (CRC-32/ISO-HDLC), and values any zip tool gives.
  const known: [text: string, crc: number][] = [
    ['', 0],
    ['a', 0xe8b7be43],
    ['123456789', 0xcbf43926],
    ['The quick brown fox jumps over the lazy dog', 0x414fa339],
  ];
  for (const [text, crc] of known) {
    it(`of "${text}" is 0x${crc.toString(16)}`, () => {
      expect(crc32(ascii(text))).to.equal(crc);
    });
  }

  it('in two parts is the CRC-32 of the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
        expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).to.equal(crc32(bytes));
      }),
    );
  });

  it('of a view into a larger buffer covers the view alone', () => {
    expect(crc32(ascii('xx123456789yy').subarray(2, 11))).to.equal(0xcbf43926);
  });

  it('sees every single flipped bit', () => {
    const bytes = ascii('123456789');
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      expect(crc32(flipped), `bit ${bit}`).not.to.equal(0xcbf43926);
    }
  });
});
