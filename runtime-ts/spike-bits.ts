/** Spikes as bits: how digests, latents and the serial link see them (rules T1 and T2 of docs/arithmetic.md). */

/** Rule T1: bit i & 7 of byte i >> 3 is spike `first + i`; the last byte is filled with 0. */
export function packSpikes(spikes: Uint8Array, first = 0, count = spikes.length - first): Uint8Array {
  const packed = new Uint8Array((count + 7) >> 3);
  for (let i = 0; i < count; i++) if (spikes[first + i] !== 0) packed[i >> 3] |= 1 << (i & 7);
  return packed;
}

/** The inverse of packSpikes for one run of `count` spikes that begins at byte `at`. */
export function unpackSpikes(packed: Uint8Array, at: number, count: number): Uint8Array {
  const spikes = new Uint8Array(count);
  for (let i = 0; i < count; i++) spikes[i] = (packed[at + (i >> 3)] >> (i & 7)) & 1;
  return spikes;
}

/** Rule T2. @param z T * C spikes, time-major */
export function packLatent(z: Uint8Array, timeSteps: number, latentChannels: number): Uint8Array {
  const run = latentBytes(1, latentChannels);
  const packed = new Uint8Array(timeSteps * run);
  for (let t = 0; t < timeSteps; t++) packed.set(packSpikes(z, t * latentChannels, latentChannels), t * run);
  return packed;
}

/** Rule T2: bytes of a latent: T runs of C bits, each run packed by rule T1. */
export function latentBytes(timeSteps: number, latentChannels: number): number {
  return timeSteps * ((latentChannels + 7) >> 3);
}
