/**
 * Reads the pickle inside a PyTorch checkpoint, and executes nothing. A pickle is a program for a small stack machine
 * that may call any Python function; this one knows only the opcodes (CPython's pickletools) that dictionaries of
 * tensors need, and only the callables that PyTorch writes for tensors, each of which becomes plain data. Any other
 * opcode or callable is refused by name.
 */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { quoteName } from '../../runtime-ts/safetensors.js';
import { FLOAT_BYTES, type FloatType } from './floats.js';

/**
 * An FSVAE's pickle has 14 KB, with an optimizer's state about five times that. An empty dictionary takes one byte in
 * the file and some two hundred in memory, so this bounds the memory too.
 */
const MAX_PICKLE_BYTES = 2 ** 20;
const MAX_PROTOCOL = 5;
const MAX_DIMENSIONS = 16;

export type ElementType = FloatType | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = {
  ...FLOAT_BYTES,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Python's name -> what its elements are. Storages without a dtype are bytes. */
const STORAGES: ReadonlyMap<string, ElementType> = new Map([
  ['torch.DoubleStorage', 'F64'],
  ['torch.FloatStorage', 'F32'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
  ['torch.UntypedStorage', 'U8'],
  ['torch.storage.UntypedStorage', 'U8'],
]);

const ORDERED_DICT = 'collections.OrderedDict';
const REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2';
const REBUILD_PARAMETER = 'torch._utils._rebuild_parameter';
const CALLABLES = new Set([ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER]);

/** A storage that the pickle names; its bytes lie in another entry of the archive. */
export class PickledStorage {
  constructor(
    readonly type: ElementType,
    /** Name of the entry below `data/`. */
    readonly key: string,
    /** How many elements it should have. */
    readonly elements: number,
  ) {}
}

/** A tensor as a strided view of a storage; offset and stride in elements, all of them whole numbers >= 0. */
export class PickledTensor {
  constructor(
    readonly storage: PickledStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly stride: readonly number[],
  ) {}
}

/** A Python dict or OrderedDict. */
export class PickledDict {
  readonly items = new Map<PickleValue, PickleValue>();
}

/** A Python list or, when `fixed`, a tuple. */
export class PickledList {
  constructor(
    readonly items: PickleValue[],
    readonly fixed: boolean,
  ) {}
}

/** A name that the pickle imports: one of the callables or storages above. */
class PickledGlobal {
  constructor(readonly name: string) {}
}

export type PickleValue =
  null | boolean | number | string | PickledStorage | PickledTensor | PickledDict | PickledList | PickledGlobal;

/** What MARK leaves on the stack. */
const MARK = Symbol('mark');

/** Every opcode of protocols 0 to 5, so that a refusal can name it. */
const OPCODE_NAMES: ReadonlyMap<number, string> = new Map(
  (
    '28 MARK,29 TUPLE,2e STOP,30 POP,31 POP_MARK,32 DUP,42 BINBYTES,43 SHORT_BINBYTES,46 FLOAT,47 BINFLOAT,49 INT,' +
    '4a BININT,4b BININT1,4c LONG,4d BININT2,4e NONE,50 PERSID,51 BINPERSID,52 REDUCE,53 STRING,54 BINSTRING,' +
    '55 SHORT_BINSTRING,56 UNICODE,58 BINUNICODE,5d EMPTY_LIST,61 APPEND,62 BUILD,63 GLOBAL,64 DICT,65 APPENDS,67 GET,' +
    '68 BINGET,69 INST,6a LONG_BINGET,6c LIST,6f OBJ,70 PUT,71 BINPUT,72 LONG_BINPUT,73 SETITEM,74 TUPLE,75 SETITEMS,' +
    '7d EMPTY_DICT,80 PROTO,81 NEWOBJ,82 EXT1,83 EXT2,84 EXT4,85 TUPLE1,86 TUPLE2,87 TUPLE3,88 NEWTRUE,89 NEWFALSE,' +
    '8a LONG1,8b LONG4,8c SHORT_BINUNICODE,8d BINUNICODE8,8e BINBYTES8,8f EMPTY_SET,90 ADDITEMS,91 FROZENSET,' +
    '92 NEWOBJ_EX,93 STACK_GLOBAL,94 MEMOIZE,95 FRAME,96 BYTEARRAY8,97 NEXT_BUFFER,98 READONLY_BUFFER'
  )
    .replace('29 TUPLE,', '29 EMPTY_TUPLE,')
    .split(',')
    .map((entry) => [parseInt(entry, 16), entry.slice(3)]),
);

class PickleReader {
  private readonly stack: (PickleValue | typeof MARK)[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly view: DataView;
  private at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly source: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): PickleValue {
    if (this.bytes.length > MAX_PICKLE_BYTES) {
      this.refuse(`it has ${this.bytes.length} bytes, more than the limit of ${MAX_PICKLE_BYTES}`);
    }
    // Each turn takes at least one byte, and none takes more memory than a fixed multiple of the bytes it takes.
    for (;;) {
      const opcode = this.bytes[this.take(1)];
      if (opcode === 0x2e) break;
      this.execute(opcode);
    }
    if (this.stack.length !== 1) this.refuse(`it ends with ${this.stack.length} values on its stack instead of one`);
    if (this.at !== this.bytes.length) this.refuse(`${this.bytes.length - this.at} bytes follow its end`);
    return this.pop();
  }

  private refuse(why: string): never {
    throw new FsvaeError('input', `${this.source}: not a readable state_dict: ${why}`);
  }

  /** Moves past `count` bytes and gives where they begin. */
  private take(count: number): number {
    const from = this.at;
    if (count > this.bytes.length - from) this.refuse(`its pickle is cut short at byte ${from}`);
    this.at += count;
    return from;
  }

  private uint64(): number {
    const from = this.take(8);
    return this.view.getUint32(from + 4, true) * 2 ** 32 + this.view.getUint32(from, true);
  }

  private text(length: number): string {
    const from = this.take(length);
    try {
      const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      return decoder.decode(this.bytes.subarray(from, from + length));
    } catch {
      return this.refuse(`the text at byte ${from} of its pickle is not UTF-8`);
    }
  }

  private line(): string {
    const length = this.bytes.subarray(this.at).indexOf(0x0a);
    if (length < 0) this.refuse(`its pickle is cut short at byte ${this.at}`);
    const text = this.text(length);
    this.take(1);
    return text;
  }

  /** Little-endian two's complement of 0 to 255 bytes; what a checkpoint counts fits in 2^53. */
  private long(): number {
    const length = this.bytes[this.take(1)];
    const from = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[from + i]);
    const number = Number(BigInt.asIntN(length * 8, value));
    if (!Number.isSafeInteger(number)) this.refuse(`the number at byte ${from} of its pickle is beyond 2^53`);
    return number;
  }

  private pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined || value === MARK)
      this.refuse(`its pickle takes a value that is not there, at byte ${this.at}`);
    return value as PickleValue;
  }

  private top(): PickleValue {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  private popToMark(): PickleValue[] {
    const mark = this.stack.lastIndexOf(MARK);
    if (mark < 0) this.refuse(`its pickle takes a mark that is not there, at byte ${this.at}`);
    const values = this.stack.splice(mark + 1) as PickleValue[];
    this.stack.pop();
    return values;
  }

  private remember(index: number): void {
    this.memo.set(index, this.top());
  }

  private recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.refuse(`its pickle refers to value ${index}, which it never stored`);
    this.stack.push(value);
  }

  private pushTuple(items: PickleValue[]): void {
    this.stack.push(new PickledList(items, true));
  }

  private execute(opcode: number): void {
    const { stack, view } = this;
    switch (opcode) {
      case 0x80: {
        const protocol = this.bytes[this.take(1)];
        if (protocol > MAX_PROTOCOL)
          this.refuse(`its pickle has protocol ${protocol}, but 0 to ${MAX_PROTOCOL} are read`);
        return;
      }
      case 0x95: // FRAME: only a hint for buffering
        if (this.uint64() > this.bytes.length - this.at) this.refuse('its pickle is cut short: a frame does not fit');
        return;
      case 0x28:
        stack.push(MARK);
        return;
      case 0x4e:
        stack.push(null);
        return;
      case 0x88:
        stack.push(true);
        return;
      case 0x89:
        stack.push(false);
        return;
      case 0x4a:
        stack.push(view.getInt32(this.take(4), true));
        return;
      case 0x4b:
        stack.push(view.getUint8(this.take(1)));
        return;
      case 0x4d:
        stack.push(view.getUint16(this.take(2), true));
        return;
      case 0x8a:
        stack.push(this.long());
        return;
      case 0x47: // BINFLOAT is the one big-endian number
        stack.push(view.getFloat64(this.take(8), false));
        return;
      case 0x58:
        stack.push(this.text(view.getUint32(this.take(4), true)));
        return;
      case 0x8c:
        stack.push(this.text(view.getUint8(this.take(1))));
        return;
      case 0x8d:
        stack.push(this.text(this.uint64()));
        return;
      case 0x7d:
        stack.push(new PickledDict());
        return;
      case 0x5d:
        stack.push(new PickledList([], false));
        return;
      case 0x29:
        this.pushTuple([]);
        return;
      case 0x85:
      case 0x86:
      case 0x87: {
        const items: PickleValue[] = [];
        for (let i = 0x84; i < opcode; i++) items.unshift(this.pop());
        this.pushTuple(items);
        return;
      }
      case 0x74:
        this.pushTuple(this.popToMark());
        return;
      case 0x71:
        this.remember(view.getUint8(this.take(1)));
        return;
      case 0x72:
        this.remember(view.getUint32(this.take(4), true));
        return;
      case 0x94:
        this.remember(this.memo.size);
        return;
      case 0x68:
        this.recall(view.getUint8(this.take(1)));
        return;
      case 0x6a:
        this.recall(view.getUint32(this.take(4), true));
        return;
      case 0x61:
        this.append([this.pop()]);
        return;
      case 0x65:
        this.append(this.popToMark());
        return;
      case 0x73: {
        const value = this.pop();
        this.setItems([this.pop(), value]);
        return;
      }
      case 0x75:
        this.setItems(this.popToMark());
        return;
      case 0x63: {
        const module = this.line();
        this.pushGlobal(module, this.line());
        return;
      }
      case 0x93: {
        const name = this.pop();
        this.pushGlobal(this.pop(), name);
        return;
      }
      case 0x51:
        stack.push(this.storage(this.pop()));
        return;
      case 0x52: {
        const args = this.pop();
        stack.push(this.call(this.pop(), args));
        return;
      }
      case 0x62: // BUILD sets attributes; a state_dict carries one, _metadata, which says nothing about the weights
        if (!(this.pop() instanceof PickledDict) || !(this.top() instanceof PickledDict)) {
          this.refuse('its pickle sets the attributes of something other than a dictionary');
        }
        return;
      default: {
        const name = OPCODE_NAMES.get(opcode) ?? 'an unknown one';
        this.refuse(
          `its pickle uses the opcode 0x${opcode.toString(16).padStart(2, '0')} (${name}) at byte ${this.at - 1}, ` +
            'which no state_dict needs; nothing was executed',
        );
      }
    }
  }

  private append(values: PickleValue[]): void {
    const list = this.top();
    if (!(list instanceof PickledList) || list.fixed) this.refuse('its pickle appends to something other than a list');
    for (const value of values) list.items.push(value);
  }

  private setItems(values: PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickledDict)) this.refuse('its pickle sets an item of something other than a dictionary');
    if (values.length % 2 !== 0) this.refuse('its pickle sets a dictionary key without a value');
    for (let i = 0; i < values.length; i += 2) {
      const key = values[i];
      if (typeof key === 'object' && key !== null)
        this.refuse('its pickle has a dictionary key that is not text or a number');
      dict.items.set(key, values[i + 1]);
    }
  }

  private pushGlobal(module: PickleValue, name: PickleValue): void {
    if (typeof module !== 'string' || typeof name !== 'string')
      this.refuse('its pickle imports a name that is not text');
    const path = `${module}.${name}`;
    if (!CALLABLES.has(path) && !STORAGES.has(path)) {
      this.refuse(
        `its pickle imports ${quoteName(path)}, which no dictionary of real tensors needs; nothing was executed: ` +
          'save torch.save(net.state_dict(), path) rather than the module',
      );
    }
    this.stack.push(new PickledGlobal(path));
  }

  /** The tuple that PyTorch stores for a storage: ('storage', type, key, device, number of elements). */
  private storage(id: PickleValue): PickledStorage {
    if (id instanceof PickledList && id.items.length === 5) {
      const [tag, type, key, , elements] = id.items;
      const element = type instanceof PickledGlobal ? STORAGES.get(type.name) : undefined;
      if (tag === 'storage' && element !== undefined && typeof key === 'string' && isSize(elements)) {
        return new PickledStorage(element, key, elements);
      }
    }
    return this.refuse('its pickle describes a storage in an unknown way');
  }

  private call(callee: PickleValue, args: PickleValue): PickleValue {
    if (!(callee instanceof PickledGlobal)) this.refuse('its pickle calls something that is not a function');
    if (!CALLABLES.has(callee.name)) this.refuse(`its pickle calls ${quoteName(callee.name)} as a function`);
    if (!(args instanceof PickledList)) this.refuse(`its pickle calls ${callee.name} without a list of arguments`);
    const { items } = args;
    if (callee.name === ORDERED_DICT) {
      if (items.length > 0)
        this.refuse(`its pickle calls ${ORDERED_DICT} with ${items.length} arguments instead of none`);
      return new PickledDict();
    }
    if (callee.name === REBUILD_PARAMETER) {
      if (!(items[0] instanceof PickledTensor)) this.refuse(`its pickle calls ${REBUILD_PARAMETER} without a tensor`);
      return items[0];
    }
    const [storage, offset, shape, stride] = items;
    if (!(storage instanceof PickledStorage) || !(shape instanceof PickledList) || !(stride instanceof PickledList)) {
      this.refuse(`its pickle calls ${REBUILD_TENSOR} with arguments other than storage, offset, shape and stride`);
    }
    const sizes = shape.items;
    const steps = stride.items;
    if (sizes.length > MAX_DIMENSIONS || sizes.length !== steps.length) {
      this.refuse(
        `a tensor of storage ${quoteName(storage.key)} has ${sizes.length} sizes and ${steps.length} strides, ` +
          `but must have as many of each, at most ${MAX_DIMENSIONS}`,
      );
    }
    if (!isSize(offset) || !sizes.every(isSize) || !steps.every(isSize)) {
      this.refuse(
        `a tensor of storage ${quoteName(storage.key)} has an offset, size or stride that is not a whole number >= 0`,
      );
    }
    return new PickledTensor(storage, offset, sizes, steps);
  }
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/**
 * Reads one pickle, protocols 2 to 5 as PyTorch writes them, as plain data. Values may be shared and nest to any
 * depth: do not walk the result recursively.
 *
 * @param source path or name for messages
 * @throws FsvaeError `input`, one line, naming the opcode or callable that is refused
 */
export function readPickle(bytes: Uint8Array, source: string): PickleValue {
  return new PickleReader(bytes, source).read();
}
