import { deflateRawSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { looksLikeZip, ZipArchive } from '../../codegen/checkpoint/zip.js';
import { ascii, concat, zip, type ZipEntry, type ZipOptions } from './builder.js';
import { refusal, refuseOrAccept, unaligned } from './refusal.js';

const text = ascii('spikes '.repeat(20));
const entry = (over: Partial<ZipEntry> = {}): ZipEntry => ({ name: 'a/b', content: text, ...over });
const open = (bytes: Uint8Array): ZipArchive => new ZipArchive(bytes, 'x.zip');

/** Reads everything that is there. */
function readAll(bytes: Uint8Array): void {
  const archive = open(bytes);
  for (const name of archive.names) archive.read(name);
}

describe('zip', () => {
  const layouts: [title: string, options: ZipOptions][] = [
    ['plain', {}],
    ['zip64', { zip64: true }],
    ['with a comment', { comment: 'PK\x05\x06 is a signature too' }],
    ['zip64 with a comment', { zip64: true, comment: 'c' }],
  ];
  for (const [title, options] of layouts) {
    it(`reads stored and deflated entries: ${title}`, () => {
      const file = zip(
        [entry(), entry({ name: 'c', deflate: true }), entry({ name: 'e', content: ascii('') })],
        options,
      );
      expect(looksLikeZip(file)).to.equal(true);
      const archive = open(unaligned(file));
      expect(archive.names).to.deep.equal(['a/b', 'c', 'e']);
      expect([archive.sizeOf('c'), archive.sizeOf('d'), archive.has('e')]).to.deep.equal([140, undefined, true]);
      expect(archive.read('a/b')).to.deep.equal(text);
      expect(archive.read('c')).to.deep.equal(text);
      expect(archive.read('e')).to.have.length(0);
    });
  }

  it('reads an empty archive', () => {
    expect(open(zip([])).names).to.deep.equal([]);
  });

  const refused: [title: string, file: Uint8Array, message: RegExp][] = [
    ['nothing', new Uint8Array(0), /end record is missing/],
    ['an encrypted entry', zip([entry({ claim: { flags: 1 } })]), /"a\/b" is encrypted/],
    ['another compression', zip([entry({ claim: { method: 12 } })]), /compressed by method 12/],
    ['a name twice', zip([entry(), entry()]), /entry "a\/b" twice/],
    ['another local name', zip([entry({ claim: { localName: 'a/c' } })]), /another name in its local header/],
    ['a false CRC', zip([entry({ claim: { crc: 1 } })]), /"a\/b" has CRC-32 \w+, but should have 1:/],
    ['a false CRC of a deflated entry', zip([entry({ deflate: true, claim: { crc: 1 } })]), /but should have 1:/],
    [
      'a stored entry of two sizes',
      zip([entry({ claim: { bytes: 141 } })]),
      /stored in 140 bytes, but claims to hold 141/,
    ],
    [
      'a deflated entry that is longer',
      zip([entry({ deflate: true, claim: { bytes: 139 } })]),
      /not inflate to the 139/,
    ],
    [
      'a deflated entry that is shorter',
      zip([entry({ deflate: true, claim: { bytes: 141 } })]),
      /not inflate to the 141/,
    ],
    ['a deflated entry of size 0', zip([entry({ deflate: true, claim: { bytes: 0 } })]), /not inflate to the 0/],
    ['bytes that do not inflate', zip([entry({ claim: { method: 8 } })]), /does not inflate to the 140 bytes/],
    [
      'an entry longer than the file',
      zip([entry({ claim: { storedBytes: 9999, bytes: 9999 } })]),
      /9999 bytes does not fit/,
    ],
    [
      'an impossible ratio',
      zip([entry({ deflate: true, claim: { bytes: 2 ** 31 } })]),
      /to 2147483648 bytes, more than deflate/,
    ],
    [
      'a size beyond 2^53',
      zip([entry({ deflate: true, claim: { bytes: 2 ** 60 } })], { zip64: true }),
      /more than deflate/,
    ],
    [
      'an offset outside',
      zip([entry({ claim: { offset: 2 ** 52 } })], { zip64: true }),
      /no local header at byte 4503/,
    ],
    [
      'entries over each other',
      zip([entry(), entry({ name: 'a/c', claim: { offset: 0, localName: 'a/b' } })]),
      /another name/,
    ],
    ['too high a count', zip([entry()], { count: 2 }), /entry 1 of its directory is damaged/],
    ['too low a count', zip([entry(), entry({ name: 'c' })], { count: 1 }), /directory has 47 bytes too many/],
    ['an absurd count', zip([entry()], { count: 2 ** 40, zip64: true }), /has 1099511627776 entries, more than/],
    ['bytes before it', concat(ascii('MZ'), zip([entry()])), /directory does not end at/],
    ['bytes after it', concat(zip([entry()]), ascii('x')), /end record is missing/],
  ];
  for (const [title, file, message] of refused) {
    it(`refuses ${title}`, () => {
      const line = refusal(() => readAll(file));
      expect(line).to.match(/^x\.zip: not a readable zip archive: /);
      expect(line).to.match(message);
    });
  }

  it('refuses entries that share bytes, by name and place', () => {
    // Two local headers inside one another: the second lies in the first one's data.
    const inner = zip([entry({ name: 'in' })]).subarray(0, 30 + 2 + text.length);
    const file = zip([entry({ name: 'out', content: inner }), entry({ name: 'in', claim: { offset: 33 } })]);
    expect(refusal(() => open(file))).to.match(/entries "out" and "in" overlap/);
  });

  it('refuses more than 512 MiB in all before inflating any of it', () => {
    const content = deflateRawSync(new Uint8Array(2 ** 20));
    const claim = { method: 8, bytes: 2 ** 20 };
    const file = zip(Array.from({ length: 513 }, (_, i) => ({ name: String(i), content, claim })));
    const before = process.memoryUsage().arrayBuffers;
    expect(refusal(() => open(file))).to.match(
      /entry "512" brings its inflated size to 537919488 bytes, more than the limit/,
    );
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(16 * 2 ** 20);
  });

  it('refuses every truncation, and survives any change of bytes', () => {
    for (const options of [{}, { zip64: true }]) {
      const file = zip([entry(), entry({ name: 'c', deflate: true })], options);
      for (let end = 0; end < file.length; end++) refusal(() => readAll(file.slice(0, end)));
      const flip = fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }));
      fc.assert(
        fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), (flips) => {
          const changed = file.slice();
          for (const [at, bits] of flips) changed[at] ^= bits;
          refuseOrAccept(() => readAll(changed));
        }),
        { numRuns: 1000 },
      );
    }
  });
});
