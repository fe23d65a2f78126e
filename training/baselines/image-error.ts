/** Reconstruction error and its gradient. */

export interface ImageError {
  /** Mean over all pixels of the squared difference. */
  readonly mse: number;
  /** Gradient of the mean by the made image. */
  readonly dImages: Float32Array;
}

/** @param made, images values in -1 .. 1, as many of both */
export function imageError(made: Float32Array, images: Float32Array): ImageError {
  let sum = 0;
  const dImages = new Float32Array(made.length);
  for (let i = 0; i < made.length; i++) {
    const difference = made[i] - images[i];
    sum += difference * difference;
    dImages[i] = (2 * difference) / made.length;
  }
  return { mse: sum / made.length, dImages };
}
