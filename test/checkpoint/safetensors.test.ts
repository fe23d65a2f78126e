import { expect } from 'chai';
import fc from 'fast-check';
import { encodeSafetensors, parseSafetensors, quoteName, type Tensor } from '../../runtime-ts/safetensors.js';
import { ascii, concat, safetensors, u64 } from './builder.js';
import { refusal, refuseOrAccept, unaligned } from './refusal.js';

const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i + 1);
const one = (fields: string): string => `{"a":{${fields}}}`;

describe('safetensors', () => {
  it('writes the bytes that the format describes', () => {
    const tensors = new Map<string, Tensor>([['w', { dtype: 'I16', shape: [1, 2], data: bytes(4) }]]);
    const header = '{"__metadata__":{"k":"v"},"w":{"dtype":"I16","shape":[1,2],"data_offsets":[0,4]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8, ' ');
    expect(encodeSafetensors(tensors, { k: 'v' })).to.deep.equal(concat(u64(padded.length), ascii(padded), bytes(4)));
  });

  it('reads a file whose header has another order, spaces and escapes', () => {
    const header =
      '{ "b" : {"shape":[2],"data_offsets":[3,5],"dtype":"U8"},"\\u0061":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}  ';
    const { tensors, metadata } = parseSafetensors(unaligned(safetensors(header, bytes(5))));
    expect([...tensors.keys()]).to.deep.equal(['a', 'b']);
    expect([...tensors.get('a')!.data]).to.deep.equal([1, 2, 3]);
    expect([...tensors.get('b')!.data]).to.deep.equal([4, 5]);
    expect(Object.keys(metadata)).to.deep.equal([]);
  });

  it('gives back what was encoded, names like __proto__ and "1" included', () => {
    const name = fc.oneof(
      fc.constantFrom('__proto__', 'constructor', '1', '0', ''),
      fc.string({ maxLength: 8, unit: 'grapheme' }),
    );
    const tensor = fc
      .record({
        dtype: fc.constantFrom('U8', 'I16', 'F32', 'F64', 'BF16', 'F4'),
        shape: fc.array(fc.nat(4), { maxLength: 3 }),
      })
      .map(({ dtype, shape }): Tensor => {
        const bits = { U8: 8, I16: 16, F32: 32, F64: 64, BF16: 16, F4: 4 }[dtype]!;
        const even = dtype === 'F4' ? [...shape, 2] : shape;
        return { dtype, shape: even, data: bytes((even.reduce((product, size) => product * size, 1) * bits) / 8) };
      });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, tensor), { maxLength: 6 }), fc.dictionary(name, name), (list, metadata) => {
        const tensors = new Map(list);
        const file = encodeSafetensors(tensors, metadata);
        expect(file).to.deep.equal(encodeSafetensors(tensors, metadata));
        const read = parseSafetensors(unaligned(file));
        expect(Object.entries(read.metadata)).to.deep.equal(Object.entries(metadata));
        expect(new Set(read.tensors.keys())).to.deep.equal(new Set(tensors.keys()));
        for (const [key, { dtype, shape, data }] of tensors) {
          const got = read.tensors.get(key)!;
          expect([got.dtype, got.shape, [...got.data]]).to.deep.equal([dtype, shape, [...data]]);
        }
      }),
    );
  });

  it('metadata keys reach no prototype', () => {
    const { metadata } = parseSafetensors(safetensors('{"__metadata__":{"__proto__":"x","toString":"y"}}'));
    expect(Object.entries(metadata)).to.deep.equal([
      ['__proto__', 'x'],
      ['toString', 'y'],
    ]);
    expect(metadata.constructor).to.equal(undefined);
    expect(({} as Record<string, unknown>).x).to.equal(undefined);
  });

  const refused: [title: string, header: string, data: number, message: RegExp][] = [
    ['a list', '[1,2,3]', 0, /does not begin with "\{"/],
    ['leading space', ' {}', 0, /does not begin with "\{"/],
    ['broken JSON', '{"a":\n', 0, /not valid JSON/],
    ['bytes after the JSON', '{}x', 0, /not valid JSON/],
    ['deep nesting', `{"a":${'['.repeat(50000)}`, 0, /nests deeper than 3/],
    [
      'a tensor twice',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      /name "a" twice/,
    ],
    ['a field twice', one('"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,1]'), 1, /name "shape" twice/],
    ['__proto__ twice', '{"__metadata__":{"__proto__":"1","__proto__":"2"}}', 0, /name "__proto__" twice/],
    ['metadata that is a list', '{"__metadata__":[]}', 0, /not an object/],
    ['metadata that is a number', '{"__metadata__":{"a":1}}', 0, /metadata "a" is not text/],
    ['a tensor that is null', '{"a":null}', 0, /"a" is not described/],
    ['no dtype', one('"shape":[1],"data_offsets":[0,1]'), 1, /"a" has no dtype/],
    ['an unknown dtype', one('"dtype":"F32x","shape":[1],"data_offsets":[0,4]'), 4, /unknown dtype "F32x"/],
    [
      'a dtype that every object has',
      one('"dtype":"constructor","shape":[1],"data_offsets":[0,1]'),
      1,
      /unknown dtype/,
    ],
    ['no shape', one('"dtype":"U8","data_offsets":[0,1]'), 1, /shape that is not/],
    ['a negative size', one('"dtype":"U8","shape":[-1,-1],"data_offsets":[0,1]'), 1, /shape that is not/],
    ['a fraction as size', one('"dtype":"U8","shape":[0.5,2],"data_offsets":[0,1]'), 1, /shape that is not/],
    ['a size beyond 2^53', one('"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]'), 1, /shape that is not/],
    [
      'sizes that overflow',
      one('"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]'),
      4,
      /more bytes than the file has/,
    ],
    ['many dimensions', one(`"dtype":"U8","shape":[${Array(33).fill(1)}],"data_offsets":[0,1]`), 1, /33 dimensions/],
    [
      'a shape that needs more',
      one('"dtype":"I32","shape":[3],"data_offsets":[0,8]'),
      8,
      /more bytes than the file has, but has 8/,
    ],
    ['a shape that needs less', one('"dtype":"I32","shape":[1],"data_offsets":[0,8]'), 8, /needs 4 bytes, but has 8/],
    ['half a byte', one('"dtype":"F4","shape":[3],"data_offsets":[0,1]'), 1, /needs/],
    ['one offset', one('"dtype":"U8","shape":[1],"data_offsets":[1]'), 1, /data_offsets/],
    ['offsets in reverse', one('"dtype":"U8","shape":[1],"data_offsets":[1,0]'), 1, /bytes 1 to 0/],
    [
      'an end after the file',
      one('"dtype":"U8","shape":[9],"data_offsets":[0,9]'),
      8,
      /bytes 0 to 9, but the file has 8/,
    ],
    [
      'an overlap',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
      3,
      /"b" at byte 1 overlaps/,
    ],
    [
      'a hole',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}',
      3,
      /bytes 1 to 2, before tensor "b"/,
    ],
    ['bytes left over', one('"dtype":"U8","shape":[1],"data_offsets":[0,1]'), 3, /last 2 bytes belong to no tensor/],
    ['an unprintable name', '{"\\u001b[31m\\n\u202e":null}', 0, /tensor "\\u001b\[31m\\n\\u202e"/],
  ];
  for (const [title, header, data, message] of refused) {
    it(`refuses ${title}`, () => {
      expect(refusal(() => parseSafetensors(safetensors(header, bytes(data))))).to.match(message);
    });
  }

  it('refuses header lengths that do not fit, before allocating', () => {
    for (const length of [3, 2 ** 31, 2 ** 32 + 2, 2 ** 53]) {
      expect(refusal(() => parseSafetensors(concat(u64(length), ascii('{}'))))).to.match(
        /does not fit in a file of 10/,
      );
    }
    expect(refusal(() => parseSafetensors(new Uint8Array(9)))).to.match(/9 bytes, too few/);
    const long = new Uint8Array(8 * 2 ** 20 + 17);
    long.set(u64(8 * 2 ** 20 + 8));
    expect(refusal(() => parseSafetensors(long))).to.match(/more than the limit of 8388608/);
  });

  it('refuses invalid UTF-8 and a byte order mark', () => {
    expect(refusal(() => parseSafetensors(concat(u64(4), ascii('{"'), [0xff], ascii('}'))))).to.match(
      /not valid JSON in UTF-8/,
    );
    expect(refusal(() => parseSafetensors(concat(u64(5), [0xef, 0xbb, 0xbf], ascii('{}'))))).to.match(/does not begin/);
  });

  it('encoding refuses what reading would refuse', () => {
    const encode = (name: string, tensor: Tensor): Uint8Array => encodeSafetensors(new Map([[name, tensor]]), {});
    expect(refusal(() => encode('a', { dtype: 'F32', shape: [2], data: bytes(4) }))).to.match(/"a", F32 \[2\], needs/);
    expect(refusal(() => encode('a', { dtype: 'X', shape: [4], data: bytes(4) }))).to.match(/unknown dtype "X"/);
    expect(refusal(() => encode('__metadata__', { dtype: 'U8', shape: [4], data: bytes(4) }))).to.match(
      /no tensor can be/,
    );
  });

  it('survives any change of bytes: reads it or refuses in one line', () => {
    const tensors = new Map<string, Tensor>([
      ['x', { dtype: 'F32', shape: [2], data: bytes(8) }],
      ['y', { dtype: 'U8', shape: [3], data: bytes(3) }],
    ]);
    const file = encodeSafetensors(tensors, { m: 'n' });
    for (let end = 0; end < file.length; end++) refusal(() => parseSafetensors(file.slice(0, end)));
    const flip = fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), (flips) => {
        const changed = file.slice();
        for (const [at, bits] of flips) changed[at] ^= bits;
        refuseOrAccept(() => parseSafetensors(changed));
      }),
      { numRuns: 500 },
    );
  });

  it('quotes names for one line of printable ASCII', () => {
    expect(quoteName('a"b\n\u00e9')).to.equal('"a\\"b\\n\\u00e9"');
    expect(quoteName('x'.repeat(80))).to.equal(`"${'x'.repeat(80)}"`);
    expect(quoteName('x'.repeat(500))).to.equal(`"${'x'.repeat(80)}..."`);
    // Escapes make text longer: what counts is what is printed, and none is cut in two.
    expect(quoteName('\0'.repeat(500))).to.equal(`"${'\\u0000'.repeat(13)}..."`);
    expect(quoteName('\ud83d\ude00\ud83d')).to.equal('"\\ud83d\\ude00\\ud83d"');
  });
});
