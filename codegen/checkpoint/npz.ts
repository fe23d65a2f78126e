/**
 * Reads NumPy's .npz: a zip archive of .npy arrays (NumPy's NEP 1 and its versions 2 and 3). An array's header is a
 * Python dictionary; it is matched against the one form that NumPy writes, never evaluated.
 */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { quoteName } from '../../runtime-ts/safetensors.js';
import { readBytes } from './file.js';
import { decodeFloats } from './floats.js';
import { looksLikeZip, ZipArchive } from './zip.js';

export interface NpzArray {
  readonly shape: readonly number[];
  /** C order. bool is 0 or 1; 64-bit integers are exact in the Float64Array; float16 is widened. */
  readonly data:
    Uint8Array | Int8Array | Uint16Array | Int16Array | Int32Array | Uint32Array | Float32Array | Float64Array;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** NumPy's own headers have 118 bytes or, with many dimensions, a few hundred. */
const MAX_HEADER_BYTES = 4096;
const MAX_DIMENSIONS = 32;

interface NumberType {
  readonly bytes: number;
  /** Reads `count` elements from the view's beginning. */
  readonly read: (view: DataView, count: number) => NpzArray['data'];
}

function fill<A extends NpzArray['data']>(array: A, element: (i: number) => number): A {
  for (let i = 0; i < array.length; i++) array[i] = element(i);
  return array;
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** 64-bit integers: exact up to 2^53, NaN beyond, which the caller refuses. */
const exact = (value: bigint): number => (Number.isSafeInteger(Number(value)) ? Number(value) : NaN);

const TYPES: ReadonlyMap<string, NumberType> = new Map<string, NumberType>([
  ['b1', { bytes: 1, read: (view, n) => fill(new Uint8Array(n), (i) => (view.getUint8(i) !== 0 ? 1 : 0)) }],
  ['u1', { bytes: 1, read: (view, n) => fill(new Uint8Array(n), (i) => view.getUint8(i)) }],
  ['i1', { bytes: 1, read: (view, n) => fill(new Int8Array(n), (i) => view.getInt8(i)) }],
  ['u2', { bytes: 2, read: (view, n) => fill(new Uint16Array(n), (i) => view.getUint16(2 * i, true)) }],
  ['i2', { bytes: 2, read: (view, n) => fill(new Int16Array(n), (i) => view.getInt16(2 * i, true)) }],
  ['u4', { bytes: 4, read: (view, n) => fill(new Uint32Array(n), (i) => view.getUint32(4 * i, true)) }],
  ['i4', { bytes: 4, read: (view, n) => fill(new Int32Array(n), (i) => view.getInt32(4 * i, true)) }],
  ['u8', { bytes: 8, read: (view, n) => fill(new Float64Array(n), (i) => exact(view.getBigUint64(8 * i, true))) }],
  ['i8', { bytes: 8, read: (view, n) => fill(new Float64Array(n), (i) => exact(view.getBigInt64(8 * i, true))) }],
  ['f2', { bytes: 2, read: (view, n) => decodeFloats('F16', bytesOf(view), n) }],
  ['f4', { bytes: 4, read: (view, n) => decodeFloats('F32', bytesOf(view), n) }],
  ['f8', { bytes: 8, read: (view, n) => decodeFloats('F64', bytesOf(view), n) }],
]);

interface Header {
  readonly descr: string;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

/** Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, the keys in any order, each of them once. */
function parseHeader(text: string, refuse: (why: string) => never): Header {
  const body = /^\{(.*)\}\s*$/.exec(text)?.[1];
  if (body === undefined) refuse('its header is not a dictionary: it is damaged or was not written by NumPy');
  const fields = new Map<string, string>();
  const field = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d, L]*\)|\[[^\]]*\])\s*(?:,|$)/y;
  let at = 0;
  while (at < body.length && body.slice(at).trim() !== '') {
    field.lastIndex = at;
    const match = field.exec(body);
    if (match === null) refuse(`its header is not understood at ${quoteName(body.slice(at, at + 40))}`);
    if (fields.has(match[1])) refuse(`its header has "${match[1]}" twice`);
    fields.set(match[1], match[2]);
    at = field.lastIndex;
  }
  const descr = fields.get('descr') ?? '';
  const fortran = fields.get('fortran_order') ?? '';
  const shapeText = fields.get('shape') ?? '';
  if (descr.startsWith('[')) refuse('it is a structured array: save one plain array per name');
  if (!descr.startsWith("'") || !/^(True|False)$/.test(fortran) || !shapeText.startsWith('(')) {
    refuse('its header lacks descr, fortran_order or shape');
  }
  const sizes = shapeText.slice(1, -1).replace(/L/g, '').trim();
  // A tuple of one is written with a comma after it, and nothing else is.
  const shape =
    sizes === ''
      ? []
      : sizes
          .replace(/,$/, '')
          .split(',')
          .map((size) => Number(size.trim() || 'none'));
  if (shape.length > MAX_DIMENSIONS || !shape.every((size) => Number.isSafeInteger(size))) {
    refuse(`its shape ${quoteName(shapeText)} is not a tuple of at most ${MAX_DIMENSIONS} whole numbers >= 0`);
  }
  return { descr: descr.slice(1, -1), fortranOrder: fortran === 'True', shape };
}

/** Fortran order to C order. */
function transpose(data: NpzArray['data'], shape: readonly number[]): NpzArray['data'] {
  const source = data.slice();
  const stride = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  return fill(data, (i) => {
    let at = 0;
    let rest = i;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]) * stride[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return source[at];
  });
}

function parseNpy(bytes: Uint8Array, name: string, source: string): NpzArray {
  const refuse = (why: string): never => {
    throw new FsvaeError('input', `${source}: array ${quoteName(name)}: ${why}`);
  };
  if (bytes.length < 12 || !MAGIC.every((byte, i) => bytes[i] === byte)) return refuse('is not in .npy format');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const major = bytes[6];
  if (major < 1 || major > 3) return refuse(`its .npy version is ${major}, but 1 to 3 are read`);
  const headerAt = major === 1 ? 10 : 12;
  const headerBytes = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (headerBytes > MAX_HEADER_BYTES) {
    return refuse(`its header has ${headerBytes} bytes, more than the limit of ${MAX_HEADER_BYTES}`);
  }
  if (headerAt + headerBytes > bytes.length) return refuse('its header is cut short');
  const text = new TextDecoder('latin1').decode(bytes.subarray(headerAt, headerAt + headerBytes));
  const { descr, fortranOrder, shape } = parseHeader(text, refuse);

  const [, order, code] = /^([<>|=]?)([a-zA-Z]\d*)$/.exec(descr) ?? [];
  const type = TYPES.get(code);
  if (code?.startsWith('O')) return refuse('it holds Python objects: save an array of numbers');
  if (type === undefined)
    return refuse(`its dtype ${quoteName(descr)} is not read: save bool, integers or float16/32/64`);
  if (order === '>' && type.bytes > 1)
    return refuse(`its dtype ${quoteName(descr)} is big-endian: save it little-endian`);
  const data = bytes.subarray(headerAt + headerBytes);
  const count = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
  if (count * type.bytes !== data.length) {
    return refuse(`${descr} [${shape.join(', ')}] needs ${count * type.bytes} bytes, but it has ${data.length}`);
  }
  const values = type.read(new DataView(data.buffer, data.byteOffset, data.byteLength), count);
  if (code === 'i8' || code === 'u8') {
    const inexact = values.findIndex((value) => Number.isNaN(value));
    if (inexact >= 0) return refuse(`element ${inexact} is beyond 2^53, which no count here can be`);
  }
  return { shape, data: fortranOrder ? transpose(values, shape) : values };
}

/**
 * Reads a .npz from memory. Every array is C order, whatever the file has.
 *
 * @param source path or name for messages
 * @returns arrays by name, without the `.npy` of the archive's entries
 * @throws FsvaeError `input`, one line, naming the array
 */
export function parseNpz(bytes: Uint8Array, source: string): Map<string, NpzArray> {
  if (!looksLikeZip(bytes)) {
    throw new FsvaeError('input', `${source}: is not a .npz file: write it with numpy.savez or numpy.savez_compressed`);
  }
  const archive = new ZipArchive(bytes, source);
  const arrays = new Map<string, NpzArray>();
  for (const entry of archive.names) {
    if (!entry.endsWith('.npy')) {
      throw new FsvaeError(
        'input',
        `${source}: entry ${quoteName(entry)} is not an array (.npy): this is not a .npz file`,
      );
    }
    const name = entry.slice(0, -'.npy'.length);
    arrays.set(name, parseNpy(archive.read(entry), name, source));
  }
  return arrays;
}

/**
 * Reads a .npz file.
 *
 * @throws FsvaeError `usage` when the file cannot be read, `input` as parseNpz
 */
export function readNpz(path: string): Map<string, NpzArray> {
  return parseNpz(readBytes(path), path);
}
