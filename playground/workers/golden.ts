/** The golden model, beside the page. */

import { decodeModel } from '../../runtime-ts/model-file.js';
import { buildUp } from '../../runtime-ts/build-up.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import type { ModelConfig } from '../../runtime-ts/model.js';
import { serve } from './serve.js';

let golden: GoldenModel | undefined;

function model(): GoldenModel {
  if (golden === undefined) throw new Error('no model is loaded');
  return golden;
}

export interface LoadedGolden {
  readonly hash: string;
  readonly config: ModelConfig;
  readonly layerNames: readonly string[];
  readonly layerNeurons: readonly number[];
}

/** Everything that is shown of one image. */
export interface Observation {
  readonly image: Uint8Array;
  readonly imageCrc: number;
  /** CRC-32 by row of a trace and step. */
  readonly digests: readonly Uint32Array[];
  /** Spikes by row of a trace and step; zeros for the choices. */
  readonly counts: readonly Uint32Array[];
  /** z: T * C spikes, time-major. */
  readonly latent: Uint8Array;
  /** The image after 1 .. T steps. */
  readonly steps: readonly Uint8Array[];
}

const methods = {
  load(file: Uint8Array): LoadedGolden {
    golden = new GoldenModel(decodeModel(file).model);
    const { hash, layerNames, layerNeurons } = golden;
    return { hash, layerNames, layerNeurons, config: golden.model.config };
  },

  /** The image alone: the first thing that there is to see. */
  sample(seed: bigint): Uint8Array {
    return model().sample(seed);
  },

  observe(seed: bigint): Observation {
    const { rows } = model();
    const { timeSteps } = model().model.config;
    const { spikes } = model().fullTrace(seed);
    const { digests, image, imageCrc } = model().trace(seed);
    const counts = rows.map(({ neurons }, row) =>
      Uint32Array.from({ length: timeSteps }, (_, t) =>
        spikes[row].subarray(t * neurons, (t + 1) * neurons).reduce((sum, spike) => sum + spike, 0),
      ),
    );
    return {
      image,
      imageCrc,
      digests,
      counts,
      latent: spikes[rows.findIndex(({ name }) => name === 'z')],
      steps: buildUp(model().model.readout, spikes[rows.length - 1]),
    };
  },
};

export type GoldenMethods = typeof methods;

serve(methods);
