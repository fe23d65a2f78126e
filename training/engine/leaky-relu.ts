/** LeakyReLU after an affine map of each channel, as loops over rows of channels: element (row * channels + channel). */

/** PyTorch's default. */
const NEGATIVE_SLOPE = 0.01;

/** y = v where v = x * scale + shift is above 0, else 0.01 * v. */
export function leakyReluForward(x: Float32Array, scale: Float32Array, shift: Float32Array, y: Float32Array): void {
  const channels = scale.length;
  for (let block = 0; block < x.length; block += channels) {
    for (let c = 0; c < channels; c++) {
      const value = Math.fround(Math.fround(x[block + c] * scale[c]) + shift[c]);
      y[block + c] = value > 0 ? value : NEGATIVE_SLOPE * value;
    }
  }
}

/** d of v from d of y: at 0 the slope is the negative side's, as in PyTorch. */
export function leakyReluBackward(
  dy: Float32Array,
  x: Float32Array,
  scale: Float32Array,
  shift: Float32Array,
  d: Float32Array,
): void {
  const channels = scale.length;
  for (let block = 0; block < x.length; block += channels) {
    for (let c = 0; c < channels; c++) {
      const value = Math.fround(Math.fround(x[block + c] * scale[c]) + shift[c]);
      d[block + c] = value > 0 ? dy[block + c] : NEGATIVE_SLOPE * dy[block + c];
    }
  }
}
