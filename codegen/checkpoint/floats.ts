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

/** The nearest binary16 of a number, of two equally near the even one; beyond the largest, 65504 and a half step, infinity. */
function toBinary16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  // Exponent of the last place: 2^-24 below the least normal number, else ten places below the leading one.
  const place = Math.max(-24, Math.floor(Math.log2(size === 0 ? 1e-9 : size)) - 10);
  const steps = size / 2 ** place;
  const below = Math.floor(steps);
  const up = steps - below > 0.5 || (steps - below === 0.5 && below % 2 === 1);
  // Carries into the exponent as they should: the fields lie one behind the other.
  return sign | (below + Number(up) + (place + 24) * 0x400);
}

/** @returns little-endian binary16; undefined where a finite number has none, being too large */
export function encodeBinary16(values: ArrayLike<number>): Uint8Array | undefined {
  const bytes = new Uint8Array(2 * values.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const half = toBinary16(values[i]);
    if ((half & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) return undefined;
    view.setUint16(2 * i, half, true);
  }
  return bytes;
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
