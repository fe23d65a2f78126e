/**
 * Builds checkpoint files byte by byte, the valid and the hostile ones. Written from the format descriptions, and
 * sharing no code with the readers under test: CRC and deflate are Node's own.
 */

import { crc32, deflateRawSync } from 'node:zlib';

export function concat(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

function littleEndian(value: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let rest = BigInt(value);
  for (let i = 0; i < bytes; i++, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

export const u16 = (value: number): Uint8Array => littleEndian(value, 2);
export const u32 = (value: number): Uint8Array => littleEndian(value, 4);
export const u64 = (value: number): Uint8Array => littleEndian(value, 8);

/** The bytes of numbers as binary32. */
export const float32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
  readonly deflate?: boolean;
  /** False statements for the directory. */
  readonly claim?: {
    readonly bytes?: number;
    readonly storedBytes?: number;
    readonly crc?: number;
    readonly method?: number;
    readonly flags?: number;
    readonly offset?: number;
    readonly localName?: string;
  };
}

export interface ZipOptions {
  /** Sizes and offsets in zip64 fields, and a zip64 end record. */
  readonly zip64?: boolean;
  readonly comment?: string;
  readonly count?: number;
}

export function zip(entries: readonly ZipEntry[], options: ZipOptions = {}): Uint8Array {
  const locals: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, content, deflate = false, claim = {} } of entries) {
    const data = deflate ? deflateRawSync(content) : content;
    const bytes = claim.bytes ?? content.length;
    const storedBytes = claim.storedBytes ?? data.length;
    const offset = claim.offset ?? at;
    const common = concat(
      u16(claim.flags ?? 0),
      u16(claim.method ?? (deflate ? 8 : 0)),
      u32(0),
      u32(claim.crc ?? crc32(content)),
    );
    const localName = ascii(claim.localName ?? name);
    const local = concat(u32(0x04034b50), u16(20), common, u32(storedBytes), u32(bytes), u16(localName.length), u16(0));
    locals.push(concat(local, localName, data));
    at += local.length + localName.length + data.length;

    const big = options.zip64 === true;
    const extra = big ? concat(u16(9), u16(1), [0], u16(1), u16(24), u64(bytes), u64(storedBytes), u64(offset)) : [];
    directory.push(
      concat(
        concat(u32(0x02014b50), u16(20), u16(20), common),
        concat(u32(big ? 0xffffffff : storedBytes), u32(big ? 0xffffffff : bytes)),
        concat(u16(ascii(name).length), u16(extra.length), u16(0), u16(0), u16(0), u32(0)),
        concat(u32(big ? 0xffffffff : offset), ascii(name), extra),
      ),
    );
  }
  const central = concat(...directory);
  const count = options.count ?? entries.length;
  const comment = ascii(options.comment ?? '');
  const where = concat(u32(central.length), u32(at), u16(comment.length), comment);
  if (options.zip64 !== true) {
    return concat(...locals, central, u32(0x06054b50), u16(0), u16(0), u16(count), u16(count), where);
  }
  const record = concat(
    concat(u32(0x06064b50), u64(44), u16(45), u16(45), u32(0), u32(0)),
    concat(u64(count), u64(count), u64(central.length), u64(at)),
  );
  const locator = concat(u32(0x07064b50), u32(0), u64(at + central.length), u32(1));
  const full = concat(u32(0x06054b50), u16(0), u16(0), u16(0xffff), u16(0xffff), u32(0xffffffff), u32(0xffffffff));
  return concat(...locals, central, record, locator, full, u16(comment.length), comment);
}

/** Pickle opcodes, protocol 2, as pieces to put together: each leaves one value on the stack. */
export const py = {
  none: [0x4e],
  int: (value: number): number[] => [0x4a, ...u32(value >>> 0)],
  /** LONG1, eight bytes. */
  long: (value: number): number[] => [0x8a, 8, ...u64(value)],
  text: (value: string): number[] => [0x58, ...u32(ascii(value).length), ...ascii(value)],
  tuple: (...items: number[][]): number[] => [0x28, ...items.flat(), 0x74],
  list: (...items: number[][]): number[] => [0x5d, 0x28, ...items.flat(), 0x65],
  dict: (...items: [key: number[], value: number[]][]): number[] => [0x7d, 0x28, ...items.flat(2), 0x75],
  global: (module: string, name: string): number[] => [0x63, ...ascii(`${module}\n${name}\n`)],
  call: (callee: number[], args: number[]): number[] => [...callee, ...args, 0x52],
  persistent: (id: number[]): number[] => [...id, 0x51],
  program: (...pieces: number[][]): Uint8Array => Uint8Array.from([0x80, 2, ...pieces.flat(), 0x2e]),
};

export interface BuiltTensor {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  /** Python's storage class; FloatStorage. */
  readonly storage?: string;
  /** Elements that the pickle says the storage has; as many as the data has as float32. */
  readonly elements?: number;
  readonly stride?: readonly number[];
  readonly offset?: number;
  /** Another tensor's storage instead of an own one. */
  readonly key?: string;
}

const integer = (value: number): number[] => (Math.abs(value) < 2 ** 31 ? py.int(value) : py.long(value));

function contiguous(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

export function pickledTensor(tensor: BuiltTensor, key: string): number[] {
  const { shape, data, storage = 'FloatStorage', elements = data.length / 4 } = tensor;
  const id = py.tuple(py.text('storage'), py.global('torch', storage), py.text(key), py.text('cpu'), integer(elements));
  const hooks = py.call(py.global('collections', 'OrderedDict'), py.tuple());
  return py.call(
    py.global('torch._utils', '_rebuild_tensor_v2'),
    py.tuple(
      py.persistent(id),
      integer(tensor.offset ?? 0),
      py.tuple(...shape.map(integer)),
      py.tuple(...(tensor.stride ?? contiguous(shape)).map(integer)),
      [0x89],
      hooks,
    ),
  );
}

export function stateDict(tensors: Readonly<Record<string, BuiltTensor>>): number[] {
  return py.dict(
    ...Object.entries(tensors).map(([name, tensor], index): [number[], number[]] => [
      py.text(name),
      pickledTensor(tensor, tensor.key ?? String(index)),
    ]),
  );
}

export interface TorchOptions extends ZipOptions {
  readonly pickle?: Uint8Array;
  readonly byteOrder?: string;
  readonly deflate?: boolean;
  readonly extra?: readonly ZipEntry[];
}

/** What torch.save writes for a state_dict. */
export function torchFile(tensors: Readonly<Record<string, BuiltTensor>>, options: TorchOptions = {}): Uint8Array {
  const { deflate = false } = options;
  const entries = Object.values(tensors)
    .map((tensor, index) => ({ tensor, name: `net/data/${index}` }))
    .filter(({ tensor }) => tensor.key === undefined)
    .map(({ tensor, name }) => ({ name, content: tensor.data, deflate }));
  return zip(
    [
      { name: 'net/data.pkl', content: options.pickle ?? py.program(stateDict(tensors)), deflate },
      { name: 'net/byteorder', content: ascii(options.byteOrder ?? 'little') },
      ...entries,
      ...(options.extra ?? []),
    ],
    options,
  );
}

/** A .npy array, version 1 unless said otherwise, with any header text. */
export function npy(header: string, data: Uint8Array, version = 1): Uint8Array {
  const text = ascii(`${header}\n`);
  return concat([0x93], ascii('NUMPY'), [version, 0], version === 1 ? u16(text.length) : u32(text.length), text, data);
}

/** A safetensors file with any header text. */
export function safetensors(header: string, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return concat(u64(ascii(header).length), ascii(header), data);
}
