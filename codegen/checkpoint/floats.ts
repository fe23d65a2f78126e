/**
 * Floating-point numbers as checkpoints store them: little-endian, at any alignment. binary16 and bfloat16 are widened
 * to binary32, which holds each of their values exactly; binary64 is kept.
 */

export type FloatType = 'F16' | 'BF16' | 'F32' | 'F64';

export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { F16: 2, BF16: 2, F32: 4, F64: 8 };

/** One float tensor of a checkpoint. */
export interface CheckpointTensor {
  /** At least one dimension. */
  readonly shape: readonly number[];
  /** C order. float16 and bfloat16 are widened to float32 and float64 is kept: no value changes. */
  readonly data: Float32Array | Float64Array;
}

/** IEEE 754 binary16 to a number, exactly: 1 sign, 5 exponent (bias 15), 10 fraction bits; subnormals, inf and NaN too. */
function fromBinary16(bits: number): number {
  const sign = (bits & 0x8000) !== 0 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (0x400 + fraction) * 2 ** (exponent - 25);
}

/** The elements of `data` with the given index, one after the other; `indexOf(i)` must lie inside `data`. */
export function decodeFloats(
  type: FloatType,
  data: Uint8Array,
  count: number,
  indexOf: (i: number) => number = (i) => i,
): Float32Array | Float64Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const values = type === 'F64' ? new Float64Array(count) : new Float32Array(count);
  switch (type) {
    case 'F64':
      for (let i = 0; i < count; i++) values[i] = view.getFloat64(indexOf(i) * 8, true);
      break;
    case 'F32':
      for (let i = 0; i < count; i++) values[i] = view.getFloat32(indexOf(i) * 4, true);
      break;
    case 'F16':
      for (let i = 0; i < count; i++) values[i] = fromBinary16(view.getUint16(indexOf(i) * 2, true));
      break;
    case 'BF16': {
      // bfloat16 is the upper half of a binary32.
      const bits = new Uint32Array(values.buffer);
      for (let i = 0; i < count; i++) bits[i] = view.getUint16(indexOf(i) * 2, true) << 16;
      break;
    }
  }
  return values;
}
