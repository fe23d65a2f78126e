/**
 * The engine: TensorFlow.js on its WebAssembly back end, which has SIMD convolutions and matrix products (XNNPACK). What it
 * lacks or does slowly, everything that is one pass over neurons, runs as compiled TypeScript on the same memory.
 */

import { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** Starts the engine; to be called once before anything else here. */
export async function startEngine(): Promise<string> {
  await tf.setBackend('wasm');
  await tf.ready();
  const simd = (await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')) === true;
  return `TensorFlow.js ${tf.version_core}, WebAssembly${simd ? ' with SIMD' : ''}, one thread`;
}

function backend(): BackendWasm {
  return tf.backend() as BackendWasm;
}

/** A float32 tensor of undefined content, for `values` to be written to. @throws FsvaeError `usage` without memory */
export function allocate<R extends tf.Rank>(shape: tf.ShapeMap[R]): tf.Tensor<R> {
  const info = backend().makeOutput(shape as number[], 'float32');
  const tensor = tf.engine().makeTensorFromTensorInfo(info, backend()) as tf.Tensor<R>;
  values(tensor);
  return tensor;
}

/** A tensor of the given values. */
export function upload<R extends tf.Rank>(content: Float32Array, shape: tf.ShapeMap[R]): tf.Tensor<R> {
  const tensor = allocate<R>(shape);
  values(tensor).set(content);
  return tensor;
}

/**
 * The tensor's own memory, to read and, before the engine has seen the tensor, to write. Any later allocation may move it:
 * ask again instead of keeping it.
 *
 * @throws FsvaeError `usage` when the engine had no memory left for the tensor, which it says by giving address 0
 */
export function values(tensor: tf.Tensor): Float32Array {
  const memory = backend().typedArrayFromHeap(tensor) as Float32Array;
  if (memory.byteOffset === 0 && memory.length > 0) {
    throw new FsvaeError(
      'usage',
      `the engine's 4 GiB of memory do not hold a tensor of [${tensor.shape.join(', ')}] more: lower batchSize`,
    );
  }
  return memory;
}

/** Runs `work`; every tensor that it made and did not dispose of is freed at the end, so it returns none. */
export function scoped<T>(work: () => T): T {
  const engine = tf.engine();
  engine.startScope();
  try {
    return work();
  } finally {
    engine.endScope();
  }
}
