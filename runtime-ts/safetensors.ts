/**
 * The safetensors container (format description in the safetensors project's README): eight bytes of header length,
 * little-endian; a JSON header of tensor name -> dtype, shape and byte range, padded with spaces; then the data.
 * Nothing in a file is trusted: every length is compared with what is really there before anything is built from it.
 */

import { FsvaeError } from './errors.js';

/** One tensor as it lies in the file: C order, little-endian. */
export interface Tensor {
  /** A name of the format: BOOL, U8, I8, ..., F16, BF16, F32, F64. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** A view of the file's bytes after parsing, at any alignment: copy before making a typed array of it. */
  readonly data: Uint8Array;
}

/** Bits of one element. The types that no part of this project computes with stay opaque bytes. */
const DTYPE_BITS: ReadonlyMap<string, number> = new Map([
  ['BOOL', 8],
  ['U8', 8],
  ['I8', 8],
  ['U16', 16],
  ['I16', 16],
  ['U32', 32],
  ['I32', 32],
  ['U64', 64],
  ['I64', 64],
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E8M0', 8],
  ['F16', 16],
  ['BF16', 16],
  ['F32', 32],
  ['F64', 64],
  ['C64', 64],
]);

const LENGTH_BYTES = 8;
/** Far above any model here (an FSVAE has about 120 tensors), and small enough to be parsed at once. */
const MAX_HEADER_BYTES = 8 * 2 ** 20;
const MAX_TENSORS = 2 ** 16;
const MAX_DIMENSIONS = 32;
/** Header object, tensor object, list of sizes: valid headers nest no deeper. */
const MAX_DEPTH = 3;
const MAX_QUOTED = 80;
const METADATA_KEY = '__metadata__';

function refuse(why: string): never {
  throw new FsvaeError('input', `not a readable safetensors file: ${why}`);
}

/**
 * A name from a file, made safe for a one-line message: quoted, printable ASCII only, and cut after 80 characters,
 * counted as they are printed: an escape such as \u0000 counts six.
 */
export function quoteName(name: string): string {
  let text = '';
  for (let i = 0; i < name.length; i++) {
    const escaped = JSON.stringify(name[i])
      .slice(1, -1)
      .replace(/[^\x20-\x7e]/, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
    if (text.length + escaped.length > MAX_QUOTED) return `"${text}..."`;
    text += escaped;
  }
  return `"${text}"`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * JSON.parse keeps the last of two equal keys without a word, so two readers could see two different tensors. This
 * looks at the text itself; on text that is not JSON it may miss things, which JSON.parse then finds.
 */
function refuseDuplicateKeys(json: string): void {
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : undefined);
      if (open.length > MAX_DEPTH) refuse(`its header nests deeper than ${MAX_DEPTH} levels`);
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const start = i;
      for (i++; i < json.length && json[i] !== '"'; i++) if (json[i] === '\\') i++;
      let next = i + 1;
      while (next < json.length && ' \t\r\n'.includes(json[next])) next++;
      if (json[next] !== ':') continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      const keys = open[open.length - 1];
      if (keys?.has(key) === true) refuse(`its header has the name ${quoteName(key)} twice`);
      keys?.add(key);
    }
  }
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    const json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    refuseDuplicateKeys(json);
    header = JSON.parse(json);
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    // The parser's own text may quote the file, line breaks included.
    refuse('its header is not valid JSON in UTF-8: the file is damaged or is something else');
  }
  if (!isObject(header)) refuse('its header is not a JSON object');
  return header;
}

function parseMetadata(value: unknown): Record<string, string> {
  // Without a prototype: a key such as "constructor" or "__proto__" is then a key like any other.
  const metadata = Object.create(null) as Record<string, string>;
  if (value === undefined) return metadata;
  if (!isObject(value)) refuse(`"${METADATA_KEY}" is not an object`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') refuse(`metadata ${quoteName(key)} is not text`);
    metadata[key] = text;
  }
  return metadata;
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Bytes of a tensor; more than `limit` is given as Infinity, so that no product can overflow. */
function byteLength(shape: readonly number[], bits: number, limit: number): number {
  if (shape.includes(0)) return 0;
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (elements * bits > limit * 8) return Infinity;
  }
  return (elements * bits) / 8;
}

interface Range {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseTensor(name: string, value: unknown, dataBytes: number): Range {
  const quoted = quoteName(name);
  if (!isObject(value)) refuse(`tensor ${quoted} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') refuse(`tensor ${quoted} has no dtype`);
  const bits = DTYPE_BITS.get(dtype);
  if (bits === undefined) refuse(`tensor ${quoted} has the unknown dtype ${quoteName(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    refuse(`tensor ${quoted} has a shape that is not a list of whole numbers >= 0`);
  }
  if (shape.length > MAX_DIMENSIONS) {
    refuse(`tensor ${quoted} has ${shape.length} dimensions, more than the limit of ${MAX_DIMENSIONS}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    refuse(`tensor ${quoted} has data_offsets that are not two whole numbers >= 0`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    refuse(`tensor ${quoted} lies at bytes ${begin} to ${end}, but the file has ${dataBytes} bytes of data`);
  }
  const needed = byteLength(shape, bits, dataBytes);
  if (needed !== end - begin) {
    const wanted = Number.isFinite(needed) ? `${needed} bytes` : 'more bytes than the file has';
    refuse(`tensor ${quoted}, ${dtype} [${shape.join(', ')}], needs ${wanted}, but has ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

/**
 * Reads a safetensors file. The tensors come in the order of their data; their bytes are views of `bytes`.
 *
 * Refused: a header longer than 8 MiB or than the file, anything but one JSON object, a name given twice, an unknown
 * dtype, a shape that does not give the tensor's bytes, byte ranges that overlap, leave a hole, or leave bytes over.
 *
 * @throws FsvaeError `input`, one line, naming the tensor
 */
export function parseSafetensors(bytes: Uint8Array): {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
} {
  if (bytes.length < LENGTH_BYTES + 2) refuse(`it has ${bytes.length} bytes, too few for a header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  const dataStart = LENGTH_BYTES + headerBytes;
  if (dataStart > bytes.length) {
    refuse(`its header of ${headerBytes} bytes does not fit in a file of ${bytes.length}: the file is cut short`);
  }
  if (headerBytes > MAX_HEADER_BYTES) {
    refuse(`its header has ${headerBytes} bytes, more than the limit of ${MAX_HEADER_BYTES}`);
  }
  if (bytes[LENGTH_BYTES] !== '{'.charCodeAt(0)) refuse('its header does not begin with "{"');
  const data = bytes.subarray(dataStart);

  const entries = Object.entries(parseHeader(bytes.subarray(LENGTH_BYTES, dataStart)));
  if (entries.length > MAX_TENSORS + 1) {
    refuse(`it has ${entries.length} entries, more than the limit of ${MAX_TENSORS} tensors`);
  }
  const metadata = parseMetadata(entries.find(([name]) => name === METADATA_KEY)?.[1]);
  const ranges = entries
    .filter(([name]) => name !== METADATA_KEY)
    .map(([name, value]) => parseTensor(name, value, data.length))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);

  let at = 0;
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, begin, end } of ranges) {
    if (begin < at) refuse(`tensor ${quoteName(name)} at byte ${begin} overlaps the one before, which ends at ${at}`);
    if (begin > at) refuse(`bytes ${at} to ${begin}, before tensor ${quoteName(name)}, belong to no tensor`);
    tensors.set(name, { dtype, shape, data: data.subarray(begin, end) });
    at = end;
  }
  if (at !== data.length) refuse(`its last ${data.length - at} bytes belong to no tensor`);
  return { tensors, metadata };
}

/**
 * Writes a safetensors file: metadata first, tensors in the order given, header padded with spaces so that the data
 * begins at a multiple of eight bytes. The same arguments give the same bytes.
 *
 * @throws FsvaeError `input` where parseSafetensors would refuse the result
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  // The text is put together piece by piece: an object would move names that look like numbers to the front.
  const fields = Object.entries(metadata).map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
  const entries = [`"${METADATA_KEY}":{${fields.join(',')}}`];
  if (tensors.size > MAX_TENSORS) refuse(`${tensors.size} tensors are more than the limit of ${MAX_TENSORS}`);
  let dataBytes = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    if (name === METADATA_KEY) refuse(`no tensor can be named "${METADATA_KEY}"`);
    const offsets = [dataBytes, dataBytes + data.length];
    parseTensor(name, { dtype, shape, data_offsets: offsets }, offsets[1]);
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets })}`);
    dataBytes = offsets[1];
  }
  const text = new TextEncoder().encode(`{${entries.join(',')}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    refuse(`its header would have ${headerBytes} bytes, more than the limit of ${MAX_HEADER_BYTES}`);
  }

  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + dataBytes);
  new DataView(bytes.buffer).setUint32(0, headerBytes, true);
  bytes.set(text, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  bytes.fill(' '.charCodeAt(0), LENGTH_BYTES + text.length, at);
  for (const { data } of tensors.values()) {
    bytes.set(data, at);
    at += data.length;
  }
  return bytes;
}
