/**
 * Reads what `torch.save` writes since PyTorch 1.6: a zip archive with the pickled structure in FOLDER/data.pkl, the
 * bytes of each storage in FOLDER/data/KEY, and the byte order in FOLDER/byteorder.
 */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { quoteName } from '../../runtime-ts/safetensors.js';
import { type CheckpointTensor, decodeFloats, FLOAT_BYTES, type FloatType } from './floats.js';
import { ELEMENT_BYTES, type ElementType, PickledDict, PickledTensor, readPickle, type PickleValue } from './pickle.js';
import { MAX_TOTAL_BYTES, type ZipArchive } from './zip.js';

/** Under these keys training scripts keep the state_dict beside epoch, optimizer and the like. */
const WRAPPER_KEYS = ['state_dict', 'model_state_dict', 'model', 'net', 'network'];
const PICKLE_NAME = 'data.pkl';
/** Tied weights are two views of one storage. More views of the same bytes are how kilobytes could claim gigabytes. */
const MOST_SHARING = 4;

function isFloat(type: ElementType): type is FloatType {
  return type in FLOAT_BYTES;
}

/** The tensors of a dictionary by name; undefined for anything but a dictionary with at least one tensor. */
function tensorsOf(value: PickleValue | undefined): Map<string, PickledTensor> | undefined {
  if (!(value instanceof PickledDict)) return undefined;
  const tensors = new Map<string, PickledTensor>();
  for (const [key, item] of value.items) {
    if (item instanceof PickledTensor && typeof key === 'string') tensors.set(key, item);
  }
  return tensors.size > 0 ? tensors : undefined;
}

function findStateDict(root: PickleValue, source: string): Map<string, PickledTensor> {
  const direct = tensorsOf(root);
  if (direct !== undefined) return direct;
  const save = 'save it with torch.save(net.state_dict(), path)';
  if (!(root instanceof PickledDict))
    throw new FsvaeError('input', `${source}: holds no dictionary of tensors: ${save}`);
  const wrapped = WRAPPER_KEYS.filter((key) => tensorsOf(root.items.get(key)) !== undefined);
  if (wrapped.length > 1) {
    const keys = wrapped.map(quoteName).join(' and ');
    throw new FsvaeError('input', `${source}: holds several dictionaries of tensors, under ${keys}: save only the one`);
  }
  if (wrapped.length === 0) {
    const looked = WRAPPER_KEYS.map(quoteName).join(', ');
    throw new FsvaeError('input', `${source}: holds no tensors by name, neither directly nor under ${looked}: ${save}`);
  }
  return tensorsOf(root.items.get(wrapped[0]))!;
}

/** True when the elements follow each other in C order. The stride of a dimension of size 1 says nothing. */
function isContiguous(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && stride[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/** Where element i, counted in C order, lies in the storage. */
function stridedIndex(shape: readonly number[], stride: readonly number[], offset: number): (i: number) => number {
  if (isContiguous(shape, stride)) return (i) => offset + i;
  return (i) => {
    let at = offset;
    let rest = i;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]) * stride[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return at;
  };
}

/**
 * Number of elements of a view, after checking that all of them lie inside the storage.
 *
 * A view with more elements than its storage (an expanded tensor, stride 0) is refused: it is how a few bytes could
 * claim gigabytes, and no layer's parameter is one.
 */
function countElements(quoted: string, tensor: PickledTensor, source: string): number {
  const { shape, stride, offset, storage } = tensor;
  if (shape.includes(0)) return 0;
  let count = 1;
  let last = offset;
  for (let axis = 0; axis < shape.length; axis++) {
    count *= shape[axis];
    last += (shape[axis] - 1) * stride[axis];
  }
  const seen = `${source}: tensor ${quoted}, [${shape.join(', ')}]`;
  if (last >= storage.elements) {
    throw new FsvaeError(
      'input',
      `${seen}, reaches element ${last} of a storage of ${storage.elements} elements: the file is damaged`,
    );
  }
  if (count > storage.elements) {
    throw new FsvaeError(
      'input',
      `${seen}, has more elements than its storage, which has ${storage.elements}: save it after .contiguous()`,
    );
  }
  return count;
}

function checkStorage(archive: ZipArchive, quoted: string, tensor: PickledTensor, entry: string, source: string): void {
  const stored = archive.sizeOf(entry);
  if (stored === undefined) {
    throw new FsvaeError('input', `${source}: tensor ${quoted} is missing its data, entry ${quoteName(entry)}`);
  }
  const needed = tensor.storage.elements * ELEMENT_BYTES[tensor.storage.type];
  if (needed > stored) {
    throw new FsvaeError(
      'input',
      `${source}: tensor ${quoted} needs ${needed} bytes of storage, but entry ${quoteName(entry)} has ${stored}`,
    );
  }
}

function checkFolder(archive: ZipArchive, source: string): string {
  const pickles = archive.names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    const found = pickles.length === 0 ? 'no' : String(pickles.length);
    const hint = archive.names.some((name) => name.endsWith('.npy'))
      ? 'this is a NumPy .npz file, not a checkpoint'
      : 'this zip archive was not written by torch.save';
    throw new FsvaeError('input', `${source}: has ${found} FOLDER/${PICKLE_NAME}: ${hint}`);
  }
  const folder = pickles[0].slice(0, -PICKLE_NAME.length);
  if (archive.has(`${folder}constants.pkl`)) {
    throw new FsvaeError(
      'input',
      `${source}: is a TorchScript module: load it with torch.jit.load and torch.save its state_dict()`,
    );
  }
  const byteOrder = `${folder}byteorder`;
  // Files from before PyTorch 2.1 do not say; those were written little-endian on every common machine.
  if (archive.has(byteOrder) && new TextDecoder().decode(archive.read(byteOrder)) !== 'little') {
    throw new FsvaeError(
      'input',
      `${source}: its byte order is not "little": save it again on a little-endian machine`,
    );
  }
  return folder;
}

/**
 * The float tensors of a state_dict, or of one wrapped once (`{'state_dict': ...}`). Integer tensors and those without
 * dimensions are left out. Data is in C order whatever the strides in the file.
 *
 * @param source path or name for messages
 * @throws FsvaeError `input`, one line, naming tensor or entry
 */
export function readTorchTensors(archive: ZipArchive, source: string): Map<string, CheckpointTensor> {
  const folder = checkFolder(archive, source);
  const stateDict = findStateDict(readPickle(archive.read(`${folder}${PICKLE_NAME}`), source), source);
  const wanted: { name: string; tensor: PickledTensor; type: FloatType; entry: string; count: number }[] = [];
  let total = 0;
  const viewed = new Map<string, number>();
  for (const [name, tensor] of stateDict) {
    const { type } = tensor.storage;
    if (!isFloat(type) || tensor.shape.length === 0) continue;
    const quoted = quoteName(name);
    const entry = `${folder}data/${tensor.storage.key}`;
    checkStorage(archive, quoted, tensor, entry, source);
    const count = countElements(quoted, tensor, source);
    const shared = (viewed.get(entry) ?? 0) + count * FLOAT_BYTES[type];
    viewed.set(entry, shared);
    if (shared > MOST_SHARING * archive.sizeOf(entry)!) {
      throw new FsvaeError(
        'input',
        `${source}: tensor ${quoted} brings the views of entry ${quoteName(entry)} to ${shared} bytes, more than ` +
          `${MOST_SHARING} times the ${archive.sizeOf(entry)!} that it has: save each tensor after .clone()`,
      );
    }
    total += count * (type === 'F64' ? 8 : 4); // as decodeFloats widens them
    if (total > MAX_TOTAL_BYTES) {
      throw new FsvaeError(
        'input',
        `${source}: tensor ${quoted} brings the tensors to ${total} bytes, more than the limit of ${MAX_TOTAL_BYTES}`,
      );
    }
    wanted.push({ name, tensor, type, entry, count });
  }

  // Only now, with everything checked, is memory taken.
  const storages = new Map<string, Uint8Array>();
  const tensors = new Map<string, CheckpointTensor>();
  for (const { name, tensor, type, entry, count } of wanted) {
    const bytes = storages.get(entry) ?? archive.read(entry);
    storages.set(entry, bytes);
    const { shape, stride, offset } = tensor;
    tensors.set(name, { shape, data: decodeFloats(type, bytes, count, stridedIndex(shape, stride, offset)) });
  }
  return tensors;
}
