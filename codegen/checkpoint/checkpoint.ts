/** Named float tensors out of a trained network's file: PyTorch's zip format or safetensors, told apart by content. */

import { FsvaeError } from '../../runtime-ts/errors.js';
import { parseSafetensors, quoteName } from '../../runtime-ts/safetensors.js';
import { type CheckpointTensor, decodeFloats, FLOAT_BYTES, type FloatType } from './floats.js';
import { readTorchTensors } from './torch.js';
import { looksLikeZip, ZipArchive } from './zip.js';

export type { CheckpointTensor };

export interface Checkpoint {
  /** Path or name, for messages. */
  readonly source: string;
  /** By name in the state_dict; integer tensors and those without dimensions (num_batches_tracked) are left out. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
}

const INTEGER_DTYPES = new Set(['BOOL', 'U8', 'I8', 'U16', 'I16', 'U32', 'I32', 'U64', 'I64']);

/** In a safetensors file the header follows its eight bytes of length; its first byte is always "{". */
function looksLikeSafetensors(bytes: Uint8Array): boolean {
  return bytes.length > 8 && bytes[8] === '{'.charCodeAt(0);
}

/** PROTO and its protocol number: a pickle that is not inside a zip archive. */
function looksLikePickle(bytes: Uint8Array): boolean {
  return bytes.length > 1 && bytes[0] === 0x80 && bytes[1] <= 5;
}

function readSafetensors(bytes: Uint8Array, source: string): Map<string, CheckpointTensor> {
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, { dtype, shape, data }] of parseWithSource(bytes, source)) {
    if (INTEGER_DTYPES.has(dtype) || shape.length === 0) continue;
    if (!(dtype in FLOAT_BYTES)) {
      const read = Object.keys(FLOAT_BYTES).join(', ');
      throw new FsvaeError('input', `${source}: tensor ${quoteName(name)} is ${dtype}, but only ${read} are read`);
    }
    const type = dtype as FloatType;
    tensors.set(name, { shape, data: decodeFloats(type, data, data.length / FLOAT_BYTES[type]) });
  }
  return tensors;
}

function parseWithSource(bytes: Uint8Array, source: string): ReturnType<typeof parseSafetensors>['tensors'] {
  try {
    return parseSafetensors(bytes).tensors;
  } catch (error) {
    if (error instanceof FsvaeError) throw new FsvaeError(error.kind, `${source}: ${error.message}`);
    throw error;
  }
}

/**
 * Reads a checkpoint from memory. Nothing in it is executed; what it can make this program allocate is bounded.
 * Values are not judged: NaN is for the reader of a tensor to refuse, with requireFinite.
 *
 * @param source path or name for messages
 * @throws FsvaeError `input`, one line: what is wrong, where, and what to do
 */
export function parseCheckpoint(bytes: Uint8Array, source: string): Checkpoint {
  if (looksLikeSafetensors(bytes)) return { source, tensors: readSafetensors(bytes, source) };
  if (looksLikeZip(bytes)) return { source, tensors: readTorchTensors(new ZipArchive(bytes, source), source) };
  if (looksLikePickle(bytes)) {
    throw new FsvaeError(
      'input',
      `${source}: is a bare pickle (PyTorch before 1.6, or a Python object), which is not read: ` +
        'load it with a current PyTorch and torch.save the state_dict() again',
    );
  }
  throw new FsvaeError(
    'input',
    `${source}: is neither a PyTorch checkpoint (zip) nor a safetensors file: give what torch.save(net.state_dict()) wrote`,
  );
}

/**
 * Refuses NaN and infinity.
 *
 * @param name the tensor's name in the state_dict
 * @throws FsvaeError `input`, naming the first such element by its index in each dimension
 */
export function requireFinite(name: string, tensor: CheckpointTensor, source: string): void {
  const { data, shape } = tensor;
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    const index: number[] = [];
    let rest = i;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index.unshift(rest % shape[axis]);
      rest = Math.floor(rest / shape[axis]);
    }
    throw new FsvaeError(
      'input',
      `${source}: tensor ${quoteName(name)}[${index.join(', ')}] is ${data[i]}, but must be finite: ` +
        'the training diverged; take an earlier checkpoint',
    );
  }
}
