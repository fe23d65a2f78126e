import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { parseNpz, readNpz } from '../../codegen/checkpoint/npz.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { ascii, concat, float32, npy, u16, zip } from './builder.js';
import { refusal, refuseOrAccept, unaligned } from './refusal.js';

const FIXTURES = join(PACKAGE_ROOT, 'test/checkpoint/fixtures');
const npz = (array: Uint8Array): Uint8Array => zip([{ name: 'a.npy', content: array }]);
const parse = (bytes: Uint8Array): ReturnType<typeof parseNpz> => parseNpz(bytes, 'x.npz');
const header = (descr: string, shape: string, order = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;

describe('npz', () => {
  // Written by NumPy itself.
  for (const name of ['arrays.npz', 'arrays-compressed.npz']) {
    it(`reads every number type as NumPy writes it: ${name}`, () => {
      const arrays = parse(unaligned(readFileSync(join(FIXTURES, name))));
      const expected: [name: string, type: unknown, shape: number[], values: number[]][] = [
        ['b1', Uint8Array, [3], [1, 0, 1]],
        ['u1', Uint8Array, [2], [0, 255]],
        ['i1', Int8Array, [2], [-128, 127]],
        ['u2', Uint16Array, [1], [65535]],
        ['i2', Int16Array, [1], [-32768]],
        ['i4', Int32Array, [1, 2], [-(2 ** 31), 2 ** 31 - 1]],
        ['u4', Uint32Array, [1], [2 ** 32 - 1]],
        ['i8', Float64Array, [2], [-(2 ** 53) + 1, 7]],
        ['u8', Float64Array, [1], [2 ** 53 - 1]],
        ['f2', Float32Array, [2], [1.5, -(2 ** -24)]],
        ['f4', Float32Array, [2, 3], [1, 2, 3, 4, 5, 6]],
        ['f8', Float64Array, [1], [1 / 3]],
        ['fortran', Int16Array, [2, 3, 4], Array.from({ length: 24 }, (_, i) => i)],
        ['scalar', Float32Array, [], [2.5]],
        ['empty', Uint8Array, [0, 3], []],
      ];
      expect([...arrays.keys()]).to.deep.equal(expected.map(([key]) => key));
      for (const [key, type, shape, values] of expected) {
        const array = arrays.get(key)!;
        expect([key, array.data.constructor, array.shape, [...array.data]]).to.deep.equal([key, type, shape, values]);
      }
    });
  }

  it('reads versions 2 and 3, and header fields in any order', () => {
    for (const version of [1, 2, 3]) {
      const text = "{'shape': (2,), 'descr': '<u2', 'fortran_order': False}   ";
      expect([...parse(npz(npy(text, concat(u16(7), u16(65535)), version))).get('a')!.data]).to.deep.equal([7, 65535]);
    }
  });

  const two = float32(1, 2);
  const refused: [title: string, bytes: Uint8Array, message: RegExp][] = [
    ['something else', ascii('hello'), /is not a \.npz file/],
    ['a single .npy', npy(header('<f4', '(2,)'), two), /is not a \.npz file/],
    [
      'an entry that is no array',
      zip([{ name: 'net/data.pkl', content: two }]),
      /entry "net\/data\.pkl" is not an array/,
    ],
    ['an entry without the magic', npz(ascii('not an array at all')), /array "a": is not in \.npy format/],
    ['an unknown version', npz(npy(header('<f4', '(2,)'), two, 4)), /version is 4/],
    ['a header that is cut short', npz(npy(header('<f4', '(2,)'), two).subarray(0, 40)), /header is cut short/],
    [
      'a huge header',
      npz(concat([0x93], ascii('NUMPY'), [2, 0, 0xff, 0xff, 0xff, 0xff])),
      /4294967295 bytes, more than/,
    ],
    ['Python objects', npz(npy(header('|O', '(2,)'), two)), /holds Python objects/],
    ['text', npz(npy(header('<U4', '(2,)'), two)), /dtype "<U4" is not read/],
    ['complex numbers', npz(npy(header('<c8', '(1,)'), two)), /dtype "<c8" is not read/],
    ['big-endian numbers', npz(npy(header('>f4', '(2,)'), two)), /dtype ">f4" is big-endian/],
    [
      'a structured array',
      npz(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }", two)),
      /structured array/,
    ],
    ['a header with code', npz(npy(header('<f4', '(__import__("os").system("echo"),)'), two)), /not understood at/],
    [
      'a field twice',
      npz(npy("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", two)),
      /"descr" twice/,
    ],
    ['a field too few', npz(npy("{'descr': '<f4', 'shape': (2,), }", two)), /lacks descr, fortran_order or shape/],
    ['no dictionary', npz(npy('[1, 2]', two)), /not a dictionary/],
    ['a negative size', npz(npy(header('<f4', '(-2,)'), two)), /not understood/],
    ['an empty size', npz(npy(header('<f4', '(2,,1)'), two)), /is not a tuple of/],
    ['33 dimensions', npz(npy(header('<f4', `(${'1, '.repeat(33)})`), two)), /is not a tuple of at most 32/],
    ['a shape that needs more', npz(npy(header('<f4', '(3,)'), two)), /<f4 \[3\] needs 12 bytes, but it has 8/],
    ['a shape that needs less', npz(npy(header('<f4', '()'), two)), /needs 4 bytes, but it has 8/],
    ['a huge shape', npz(npy(header('|u1', '(4503599627370496, 4503599627370496)'), two)), /bytes, but it has 8/],
    [
      'an int64 beyond 2^53',
      npz(npy(header('<i8', '(1,)'), Uint8Array.from([0, 0, 0, 0, 0, 0, 0x20, 0]))),
      /"a": element 0 is beyond 2\^53/,
    ],
    ['a uint64 beyond 2^53', npz(npy(header('<u8', '(1,)'), new Uint8Array(8).fill(255))), /element 0 is beyond 2\^53/],
  ];
  for (const [title, bytes, message] of refused) {
    it(`refuses ${title}`, () => {
      expect(refusal(() => parse(bytes)))
        .to.match(/^x\.npz: /)
        .and.to.match(message);
    });
  }

  it('brings Fortran order to C order for any shape', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), (shape) => {
        const count = shape.reduce((product, size) => product * size, 1);
        // Value of an element: its index in C order. Written with the first index running fastest.
        const values = Array.from({ length: count }, (_, position) => {
          let rest = position;
          const index = shape.map((size) => {
            const here = rest % size;
            rest = Math.floor(rest / size);
            return here;
          });
          return index.reduce((cOrder, here, axis) => cOrder * shape[axis] + here, 0);
        });
        const file = npz(npy(header('<f4', `(${shape.join(', ')},)`, 'True'), float32(...values)));
        expect([...parse(file).get('a')!.data]).to.deep.equal(Array.from({ length: count }, (_, i) => i));
      }),
    );
  });

  it('refuses every truncation, and survives any change of an array behind a valid checksum', () => {
    const array = npy(header('<f4', '(2, 1)'), two);
    const file = npz(array);
    for (let end = 0; end < file.length; end += 7) refusal(() => parse(file.slice(0, end)));
    for (let end = 0; end < array.length; end++) refusal(() => parse(npz(array.slice(0, end))));
    const change = fc.tuple(fc.nat(array.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = array.slice();
        for (const [at, byte] of changes) changed[at] = byte;
        refuseOrAccept(() => parse(npz(changed)));
      }),
      { numRuns: 1000 },
    );
  });

  it('reads a file, and says when there is none', () => {
    expect(readNpz(join(FIXTURES, 'arrays.npz')).size).to.equal(15);
    expect(() => readNpz(join(FIXTURES, 'absent.npz')))
      .to.throw(FsvaeError, /absent\.npz: no such file$/)
      .with.property('kind', 'usage');
  });
});
