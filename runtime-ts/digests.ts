/** Rule T3: digests of everything that fires, gathered while a network runs. */

import { crc32 } from './crc32.js';
import { packSpikes } from './spike-bits.js';

export class DigestRows {
  /** One array of T digests per row; row 0 is `choices`. */
  readonly digests: Uint32Array[];
  /** Spikes per row, summed over all steps; 0 for `choices`. */
  readonly spikes: Uint32Array;

  /** @param choices T * C indices, time-major */
  constructor(rows: number, timeSteps: number, choices: Uint8Array) {
    this.digests = Array.from({ length: rows }, () => new Uint32Array(timeSteps));
    this.spikes = new Uint32Array(rows);
    const channels = choices.length / timeSteps;
    for (let t = 0; t < timeSteps; t++) {
      this.digests[0][t] = crc32(choices.subarray(t * channels, (t + 1) * channels));
    }
  }

  add(row: number, step: number, fired: Uint8Array): void {
    this.digests[row][step] = crc32(packSpikes(fired));
    for (const spike of fired) this.spikes[row] += spike;
  }
}
