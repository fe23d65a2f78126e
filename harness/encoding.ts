/** A board's way from images to latents and back, against the golden model's. */

import { FsvaeError } from '../runtime-ts/errors.js';
import type { GoldenEncoder } from '../runtime-ts/golden-encoder.js';
import type { GoldenModel } from './golden.js';
import type { Target, TargetEncoder, TargetReconstruction } from './target.js';

/** What became of one image. */
export interface Reconstruction {
  /** As the target drew it. */
  readonly image: Uint8Array;
  readonly exact: boolean;
  /** Counts of the target's clock; undefined where it has none, or the golden model encoded. */
  readonly cycles: bigint | undefined;
}

/**
 * Encodes an image and draws it again: all of it on the target, or the drawing alone.
 *
 * @param encoder the target's; undefined: the golden model encodes
 * @param seed of the posterior's choices
 */
export async function reconstructOn(
  target: Pick<Target, 'decode'>,
  encoder: TargetEncoder | undefined,
  golden: { readonly model: GoldenModel; readonly encoder: GoldenEncoder },
  image: Uint8Array,
  seed: bigint,
): Promise<Reconstruction> {
  const latent = golden.encoder.encode(image, seed);
  const expected = golden.model.decode(latent);
  const drawn: Pick<TargetReconstruction, 'image' | 'cycles'> =
    encoder === undefined ? await target.decode(latent) : await encoder.reconstruct(image, seed);
  return {
    image: drawn.image,
    exact: drawn.image.every((pixel, at) => pixel === expected[at]),
    cycles: encoder === undefined ? undefined : drawn.cycles,
  };
}

/**
 * Where a target's encoding of an image first parts from the golden encoder's: `encoder.2 at step 3`; undefined where it
 * does not.
 */
export async function firstEncodingDifference(
  target: TargetEncoder,
  golden: GoldenEncoder,
  image: Uint8Array,
  seed: bigint,
): Promise<string | undefined> {
  const actual = await target.trace(image, seed);
  const expected = golden.trace(image, seed);
  if (actual.digests.length !== golden.rows.length) {
    throw new FsvaeError(
      'model-mismatch',
      `the encoder on the board has ${actual.digests.length} rows, this one ${golden.rows.length}: flash it again`,
    );
  }
  // What comes first in time comes first: a layer sees only layers before it at the same step, and z of the step before.
  for (let step = 0; step < expected.digests[0].length; step++) {
    const row = golden.rows.findIndex((_, at) => actual.digests[at][step] !== expected.digests[at][step]);
    if (row >= 0) return `${golden.rows[row].name} at step ${step}`;
  }
  return undefined;
}
