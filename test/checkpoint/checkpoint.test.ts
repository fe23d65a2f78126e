import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { parseCheckpoint, requireFinite } from '../../codegen/checkpoint/checkpoint.js';
import { decodeFloats, encodeBinary16 } from '../../codegen/checkpoint/floats.js';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { encodeSafetensors } from '../../runtime-ts/safetensors.js';
import {
  ascii,
  type BuiltTensor,
  concat,
  float32,
  pickledTensor,
  py,
  safetensors,
  stateDict,
  torchFile,
  zip,
} from './builder.js';
import { refusal, refuseOrAccept, unaligned } from './refusal.js';

const FIXTURES = join(PACKAGE_ROOT, 'test/checkpoint/fixtures');
const parse = (bytes: Uint8Array): ReturnType<typeof parseCheckpoint> => parseCheckpoint(bytes, 'x.pth');
const w: BuiltTensor = { shape: [2, 3], data: float32(1, 2, 3, 4, 5, 6) };

/** Name -> shape and values, for comparisons. */
function contents(bytes: Uint8Array): Record<string, [shape: readonly number[], values: number[]]> {
  return Object.fromEntries([...parse(bytes).tensors].map(([name, { shape, data }]) => [name, [shape, [...data]]]));
}

/** A checkpoint whose pickle is given opcode by opcode. */
const program = (...pieces: number[][]): Uint8Array => torchFile({ w }, { pickle: py.program(...pieces) });

describe('checkpoint: PyTorch', () => {
  // Structure written by CPython's pickle and zip archive by its zipfile, not by the builder of these tests.
  for (const name of ['protocol2', 'protocol4', 'protocol2-wrapped', 'protocol4-wrapped']) {
    it(`reads what Python's own pickler writes: ${name}`, () => {
      const eighths = (...values: number[]): number[] => values.map((value) => value / 8);
      expect(contents(unaligned(readFileSync(join(FIXTURES, `${name}.pt`))))).to.deep.equal({
        'a.weight': [[3, 4], eighths(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)],
        'a.transposed': [[4, 3], eighths(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11)],
        'a.view': [[2, 2], eighths(5, 6, 9, 10)],
        'a.half': [[4], [1, -2.5, 2 ** -24, 65504]],
        'a.bfloat': [[4], [1, -3.140625, 2 ** 100, 0]],
        'a.double': [[2], [1 / 3, 1e300]],
        'a.parameter': [[1], [7.5]],
      });
    });
  }

  it('keeps float64 and widens float16 and bfloat16 to float32', () => {
    const { tensors } = parse(readFileSync(join(FIXTURES, 'protocol2.pt')));
    expect(tensors.get('a.double')!.data).to.be.instanceOf(Float64Array);
    for (const name of ['a.weight', 'a.half', 'a.bfloat'])
      expect(tensors.get(name)!.data).to.be.instanceOf(Float32Array);
  });

  it('reads all 65,536 float16 values as the definition gives them', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const file = torchFile({
      h: { shape: [65536], data: new Uint8Array(bits.buffer), storage: 'HalfStorage', elements: 65536 },
    });
    const { data } = parse(file).tensors.get('h')!;
    for (let i = 0; i < 65536; i++) {
      const [sign, exponent, fraction] = [i >>> 15, (i >>> 10) & 31, i & 1023];
      let expected = exponent === 0 ? fraction / 2 ** 24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
      if (exponent === 31) expected = fraction === 0 ? Infinity : NaN;
      if (!Object.is(data[i], sign === 1 ? -expected : expected)) expect.fail(`${i} gives ${data[i]}`);
    }
  });

  it('writes float16 as it reads it, of other numbers the nearest, of two the even one', () => {
    const every = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
    const values = decodeFloats('F16', new Uint8Array(every.buffer), every.length);
    expect(Buffer.compare(encodeBinary16(values)!, new Uint8Array(every.buffer))).to.equal(0);
    const halves = (list: number[]): number[] => [...new Uint16Array(encodeBinary16(list)!.slice().buffer)];
    for (let i = 0; i < 0x7bff; i++) {
      const [low, high] = values.slice(i, i + 2);
      const middle = (low + high) / 2;
      const even = i % 2 === 0 ? i : i + 1;
      const seen = halves([middle, middle - (high - low) / 1000, middle + (high - low) / 1000]);
      if (seen.join() !== [even, i, i + 1].join()) expect.fail(`between ${low} and ${high}: ${seen}`);
    }
    expect(halves([Infinity, -Infinity, 65504, 65519])).to.deep.equal([0x7c00, 0xfc00, 0x7bff, 0x7bff]);
    expect(encodeBinary16([1, 65520])).to.equal(undefined);
  });

  it('does not mind how the archive is made', () => {
    const expected = {
      w: [
        [2, 3],
        [1, 2, 3, 4, 5, 6],
      ],
    };
    for (const options of [{}, { zip64: true }, { deflate: true }, { comment: 'x' }]) {
      expect(contents(unaligned(torchFile({ w }, options)))).to.deep.equal(expected);
    }
  });

  it('gathers any strided view as its definition says', () => {
    const axis = fc.record({ size: fc.integer({ min: 1, max: 4 }), stride: fc.nat(7) });
    fc.assert(
      fc.property(fc.array(axis, { minLength: 1, maxLength: 4 }), fc.nat(5), (axes, offset) => {
        const values = Float32Array.from({ length: 512 }, (_, i) => i);
        const shape = axes.map(({ size }) => size);
        const stride = axes.map((each) => each.stride);
        const file = torchFile({ v: { shape, stride, offset, data: new Uint8Array(values.buffer) } });
        let expected = [offset];
        for (const { size, stride: step } of axes) {
          expected = expected.flatMap((from) => Array.from({ length: size }, (_, i) => from + i * step));
        }
        expect(contents(file).v).to.deep.equal([shape, expected]);
      }),
    );
  });

  it('leaves out integer tensors and those without dimensions, and needs no data for them', () => {
    const long: BuiltTensor = { shape: [], data: new Uint8Array(8), storage: 'LongStorage', elements: 1 };
    const file = torchFile({
      w,
      'bn.num_batches_tracked': long,
      scalar: { shape: [], data: float32(1) },
      i: { ...long, shape: [1], key: '99' },
    });
    expect(Object.keys(contents(file))).to.deep.equal(['w']);
  });

  it('reads tensors that share a storage, and empty ones', () => {
    const file = torchFile({ w, tied: { ...w, key: '0' }, empty: { shape: [0, 5], data: float32(), elements: 0 } });
    expect(contents(file)).to.deep.equal({
      w: [
        [2, 3],
        [1, 2, 3, 4, 5, 6],
      ],
      tied: [
        [2, 3],
        [1, 2, 3, 4, 5, 6],
      ],
      empty: [[0, 5], []],
    });
  });

  it('finds the state_dict under one of the usual names, if it is the only one', () => {
    const dict = stateDict({ w });
    const wrap = (...keys: string[]): Uint8Array =>
      program(py.dict(...keys.map((key): [number[], number[]] => [py.text(key), dict]), [py.text('epoch'), py.int(3)]));
    for (const key of ['state_dict', 'model', 'model_state_dict', 'net'])
      expect(Object.keys(contents(wrap(key)))).to.deep.equal(['w']);
    expect(refusal(() => parse(wrap('model', 'net')))).to.match(
      /several dictionaries of tensors, under "model" and "net"/,
    );
    expect(refusal(() => parse(wrap('optimizer')))).to.match(
      /holds no tensors by name, neither directly nor under "state_dict"/,
    );
  });

  const tensor = (over: Partial<BuiltTensor>): Uint8Array => torchFile({ t: { ...w, ...over } });
  const globals: [module: string, name: string][] = [
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['torch', 'load'],
    ['torch', 'ComplexFloatStorage'],
    ['torch._utils', '_rebuild_qtensor'],
    ['collections', 'OrderedDict.__class__'],
    ['fsvae_models.fsvae', 'FSVAE'],
  ];
  const refused: [title: string, file: () => Uint8Array, message: RegExp][] = [
    ...globals.map(([module, name]): [string, () => Uint8Array, RegExp] => [
      `the import of ${module}.${name}`,
      () => program(py.call(py.global(module, name), py.tuple(py.text('echo')))),
      new RegExp(`imports "${module}.${name}", .*nothing was executed`),
    ]),
    ['the import by STACK_GLOBAL', () => program(py.text('os'), py.text('system'), [0x93]), /imports "os.system"/],
    ['an import whose name is a number', () => program(py.int(1), py.int(2), [0x93]), /name that is not text/],
    ['a line break in an imported name', () => program(py.text('a\nb'), py.text('c'), [0x93]), /imports "a\\nb.c"/],
    [
      'an imported name full of zeros',
      () => program(py.text('\0'.repeat(200)), py.text('x'), [0x93]),
      /imports "(\\u0000){13}\.\.\."/,
    ],
    ['the opcode INST', () => program([0x28, 0x69, ...ascii('os\nsystem\n')]), /opcode 0x69 \(INST\) at byte 3/],
    ['the opcode OBJ', () => program([0x28, 0x6f]), /opcode 0x6f \(OBJ\)/],
    ['the opcode NEWOBJ', () => program([0x7d, 0x29, 0x81]), /opcode 0x81 \(NEWOBJ\)/],
    ['the opcode EXT1', () => program([0x82, 1]), /opcode 0x82 \(EXT1\)/],
    ['the opcode EMPTY_SET', () => program([0x8f]), /opcode 0x8f \(EMPTY_SET\)/],
    ['an opcode that does not exist', () => program([0xff]), /opcode 0xff \(an unknown one\)/],
    [
      'a storage that is called',
      () => program(py.call(py.global('torch', 'FloatStorage'), py.tuple())),
      /calls "torch.FloatStorage" as a function/,
    ],
    [
      'text that is called',
      () => program(py.call(py.text('os.system'), py.tuple())),
      /calls something that is not a function/,
    ],
    [
      'an OrderedDict with arguments',
      () => program(py.call(py.global('collections', 'OrderedDict'), py.tuple(py.none))),
      /with 1 arguments/,
    ],
    [
      'a tensor of nothing',
      () => program(py.call(py.global('torch._utils', '_rebuild_tensor_v2'), py.tuple())),
      /arguments other than/,
    ],
    [
      'a parameter of nothing',
      () => program(py.call(py.global('torch._utils', '_rebuild_parameter'), py.tuple())),
      /without a tensor/,
    ],
    ['attributes of a list', () => program([0x5d, 0x7d, 0x62]), /attributes of something other/],
    ['a strange storage', () => program(py.persistent(py.text('storage'))), /storage in an unknown way/],
    ['appending to a tuple', () => program([0x29, 0x4e, 0x61]), /appends to something other/],
    ['an item of a list', () => program([0x5d, 0x4e, 0x4e, 0x73]), /item of something other/],
    ['a key without a value', () => program([0x7d, 0x28, 0x4e, 0x75]), /key without a value/],
    ['a dictionary as key', () => program([0x7d, 0x7d, 0x4e, 0x73]), /key that is not text or a number/],
    ['a memo entry that is not there', () => program([0x68, 9]), /value 9, which it never stored/],
    ['an empty stack', () => program([0x61]), /takes a value that is not there/],
    ['a mark as value', () => program([0x28, 0x85]), /takes a value that is not there/],
    ['no mark', () => program([0x4e, 0x74]), /takes a mark that is not there/],
    ['two values at the end', () => program(py.none, py.none), /2 values on its stack/],
    ['bytes after the end', () => program(py.none, [0x2e], py.none), /bytes follow its end/],
    ['text longer than the file', () => program([0x58, 0xff, 0xff, 0xff, 0xff]), /cut short/],
    ['text of 2^63 bytes', () => program([0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80]), /cut short/],
    ['text that is not UTF-8', () => program([0x8c, 1, 0xff]), /not UTF-8/],
    ['a frame that does not fit', () => program([0x95, 0, 0, 0, 0, 0, 0, 0, 1]), /frame does not fit/],
    ['an integer beyond 2^53', () => program([0x8a, 8, 1, 0, 0, 0, 0, 0, 0x20, 0]), /beyond 2\^53/],
    ['a new protocol', () => torchFile({}, { pickle: Uint8Array.from([0x80, 6, 0x4e, 0x2e]) }), /protocol 6/],
    [
      'a pickle beyond its limit',
      () => torchFile({}, { pickle: new Uint8Array(2 ** 20 + 1).fill(0x4e) }),
      /1048577 bytes, more than/,
    ],
    ['a tensor instead of a dictionary', () => program(pickledTensor(w, '0')), /no dictionary of tensors/],
    ['a dictionary of numbers', () => program(py.dict([py.text('a'), py.int(1)])), /no tensors by name/],
    [
      'a dictionary inside itself',
      () => program([0x7d, 0x71, 0], py.text('model'), [0x68, 0, 0x73]),
      /no tensors by name/,
    ],

    ['a negative size', () => tensor({ shape: [-2, -3] }), /not a whole number >= 0/],
    ['a negative stride', () => tensor({ stride: [-3, 1] }), /not a whole number >= 0/],
    ['a negative offset', () => tensor({ offset: -1 }), /not a whole number >= 0/],
    ['fewer strides than sizes', () => tensor({ stride: [1] }), /2 sizes and 1 strides/],
    ['17 dimensions', () => tensor({ shape: Array<number>(17).fill(1) }), /17 sizes and 17 strides/],
    ['an offset that leads outside', () => tensor({ offset: 1 }), /"t", \[2, 3\], reaches element 6 of a storage of 6/],
    ['a stride that leads outside', () => tensor({ stride: [4, 1] }), /reaches element 6 of a storage of 6/],
    ['a huge shape', () => tensor({ shape: [2 ** 26, 2 ** 26] }), /reaches element 450359\d+ of a storage of 6/],
    [
      'sizes that overflow',
      () => tensor({ shape: [2 ** 50, 2 ** 50], stride: [2 ** 50, 1] }),
      /reaches element 1\.2\d+e\+30/,
    ],
    [
      'a huge expanded tensor',
      () => tensor({ shape: [2 ** 50], stride: [0] }),
      /more elements than its storage, which has 6/,
    ],
    [
      'a huge expanded tensor in many sizes',
      () => tensor({ shape: Array<number>(16).fill(2 ** 52), stride: Array<number>(16).fill(0) }),
      /more elements than its storage/,
    ],
    [
      'a storage that is too small',
      () => tensor({ elements: 7 }),
      /"t" needs 28 bytes of storage, but entry "net\/data\/0" has 24/,
    ],
    [
      'a storage that claims gigabytes',
      () => tensor({ shape: [2 ** 32], elements: 2 ** 32 }),
      /needs 17179869184 bytes/,
    ],
    ['a storage that is missing', () => tensor({ key: '7' }), /"t" is missing its data, entry "net\/data\/7"/],
    [
      'a storage elsewhere',
      () => tensor({ key: '../../data.pkl' }),
      /missing its data, entry "net\/data\/..\/..\/data.pkl"/,
    ],
    ['big-endian numbers', () => torchFile({ w }, { byteOrder: 'big' }), /byte order is not "little"/],
    [
      'two pickles',
      () => torchFile({ w }, { extra: [{ name: 'b/data.pkl', content: py.program(py.none) }] }),
      /has 2 FOLDER\/data.pkl/,
    ],
    [
      'TorchScript',
      () => torchFile({ w }, { extra: [{ name: 'net/constants.pkl', content: py.program(py.none) }] }),
      /TorchScript/,
    ],
    ['any other zip archive', () => zip([{ name: 'a', content: float32() }]), /not written by torch.save/],
    ['a .npz file', () => zip([{ name: 'z.npy', content: float32() }]), /NumPy .npz file/],
  ];
  for (const [title, file, message] of refused) {
    it(`refuses ${title}`, () => {
      const line = refusal(() => parse(file()));
      expect(line).to.match(/^x\.pth: /);
      expect(line).to.match(message);
    });
  }

  it('takes lists that hold themselves and 100,000 levels of nesting for what they are: not tensors', () => {
    const levels = Array.from({ length: 100000 }, () => 0x85);
    expect(refusal(() => parse(program([0x29], levels)))).to.match(/no dictionary of tensors/);
    expect(refusal(() => parse(program([0x5d, 0x71, 0, 0x68, 0, 0x61])))).to.match(/no dictionary of tensors/);
    // Each tuple holds the one before twice: 2^60 leaves for whoever walks it.
    const doubling = Array.from({ length: 60 }, () => [0x71, 0, 0x68, 0, 0x86]).flat();
    expect(refusal(() => parse(program([0x29], doubling)))).to.match(/no dictionary of tensors/);
  });

  it('refuses many views of one storage, by which a file of a few kilobytes could take hundreds of megabytes', () => {
    const zeros: BuiltTensor = { shape: [2 ** 18], data: new Uint8Array(2 ** 20) };
    const views = Object.fromEntries(
      Array.from({ length: 400 }, (_, i) => [`t${i}`, i === 0 ? zeros : { ...zeros, key: '0' }]),
    );
    const small = torchFile(views, { deflate: true });
    expect(small.length).to.be.below(20000);
    const before = process.memoryUsage().arrayBuffers;
    expect(refusal(() => parse(small))).to.match(
      /tensor "t4" brings the views of entry "net\/data\/0" to 5242880 bytes, more than 4 times the 1048576/,
    );
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(16 * 2 ** 20);
  });

  it('refuses every seventh truncation, and survives any change of bytes', () => {
    const file = torchFile({ w, b: { shape: [2], data: float32(1, 2) } }, { deflate: false });
    for (let end = 0; end < file.length; end += 7) refusal(() => parse(file.slice(0, end)));
    const flip = fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), (flips) => {
        const changed = file.slice();
        for (const [at, bits] of flips) changed[at] ^= bits;
        refuseOrAccept(() => parse(changed));
      }),
      { numRuns: 500 },
    );
  });

  it('survives any change of the pickle behind a valid checksum', () => {
    const pickle = py.program(stateDict({ w, b: { shape: [2], data: float32(1, 2) } }));
    for (let end = 0; end < pickle.length; end++)
      refusal(() => parse(torchFile({ w }, { pickle: pickle.slice(0, end) })));
    const change = fc.tuple(fc.nat(pickle.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const changed = pickle.slice();
        for (const [at, byte] of changes) changed[at] = byte;
        refuseOrAccept(() => parse(torchFile({ w, b: { shape: [2], data: float32(1, 2) } }, { pickle: changed })));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('checkpoint: safetensors and files', () => {
  it('reads the float tensors of a safetensors file', () => {
    const file = encodeSafetensors(
      new Map([
        ['h', { dtype: 'F16', shape: [1], data: Uint8Array.from([0, 0xc1]) }],
        ['b', { dtype: 'BF16', shape: [1], data: Uint8Array.from([0x49, 0xc0]) }],
        ['w', { dtype: 'F32', shape: [2, 1], data: float32(0.5, -8) }],
        ['d', { dtype: 'F64', shape: [1], data: new Uint8Array(Float64Array.of(1 / 3).buffer) }],
        ['scalar', { dtype: 'F32', shape: [], data: float32(1) }],
        ['n', { dtype: 'I64', shape: [1], data: new Uint8Array(8) }],
      ]),
      {},
    );
    expect(contents(unaligned(file))).to.deep.equal({
      h: [[1], [-2.5]],
      b: [[1], [-3.140625]],
      w: [
        [2, 1],
        [0.5, -8],
      ],
      d: [[1], [1 / 3]],
    });
  });

  it('takes a safetensors file whose header length looks like a pickle or a zip archive for what it is', () => {
    for (const length of [0x0280, 0x4b50]) {
      const file = safetensors('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(length), float32(2));
      expect([file[0], file[1]]).to.deep.equal([length & 255, length >> 8]);
      expect(contents(file)).to.deep.equal({ w: [[1], [2]] });
    }
  });

  const refused: [title: string, bytes: Uint8Array, message: RegExp][] = [
    ['a bare pickle', py.program(stateDict({ w })), /is a bare pickle/],
    ['an empty file', new Uint8Array(0), /neither a PyTorch checkpoint/],
    ['text', ascii('hello'), /neither a PyTorch checkpoint/],
    ['damaged safetensors', safetensors('{"w":1}'), /not a readable safetensors file: tensor "w"/],
    [
      'eight-bit floats',
      safetensors('{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', concat([1])),
      /"w" is F8_E4M3, but only F16, BF16, F32, F64/,
    ],
  ];
  for (const [title, bytes, message] of refused) {
    it(`refuses ${title}`, () => {
      expect(refusal(() => parse(bytes)))
        .to.match(/^x\.pth: /)
        .and.to.match(message);
    });
  }

  it('reads files by content, and says which one is missing', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fsvae-checkpoint-'));
    try {
      const path = join(folder, 'named.safetensors');
      writeFileSync(path, torchFile({ w }));
      const { source, tensors } = readCheckpoint(path);
      expect([source, ...tensors.keys()]).to.deep.equal([path, 'w']);
      const cases: [string, RegExp][] = [
        [join(folder, 'absent'), /absent: no such file$/],
        [folder, /: is not a file$/],
      ];
      for (const [absent, message] of cases) {
        expect(() => readCheckpoint(absent))
          .to.throw(FsvaeError, message)
          .with.property('kind', 'usage');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses NaN and infinity by tensor and index', () => {
    const make =
      (...values: number[]): (() => void) =>
      () => {
        requireFinite('prior.layers.0.weight', { shape: [2, 2], data: Float32Array.from(values) }, 'x.pth');
      };
    make(0, -0, 1e38, -1e38)();
    expect(refusal(make(0, 0, 0, NaN))).to.match(
      /^x\.pth: tensor "prior\.layers\.0\.weight"\[1, 1\] is NaN, but must be finite/,
    );
    expect(refusal(make(0, Infinity, NaN, 0))).to.match(/\[0, 1\] is Infinity/);
    expect(refusal(make(0, 0, -Infinity, 0))).to.match(/\[1, 0\] is -Infinity/);
  });
});
