/** What the harness needs of a golden model; the one in runtime-ts has this shape. */
export interface GoldenModel {
  /** SHA-256 of the model in hex, or its first 16 digits. */
  readonly hash: string;
  /** Rows of a trace in their order: `choices`, the prior's hidden layers, `z`, the decoder's spiking layers. */
  readonly layerNames: readonly string[];
  /** Neurons of each row. */
  readonly layerNeurons: readonly number[];
  /** The image of a seed: channels * size * size bytes, channel-major. */
  sample(seed: bigint): Uint8Array;
  /** The image of a packed latent. */
  decode(latent: Uint8Array): Uint8Array;
  /** CRC-32 of each row's packed spikes at each step (of the row `choices`: of its index bytes), spikes per row. */
  trace(seed: bigint): {
    readonly digests: readonly Uint32Array[];
    readonly spikes: ArrayLike<number>;
    readonly imageCrc: number;
  };
  /** All spikes of a row at a step: bit i & 7 of byte i >> 3. */
  spikes(seed: bigint, layer: number, step: number): Uint8Array;
  /** Membrane before reset of one neuron, and the threshold it must exceed to fire. For `choices`, the index drawn. */
  membrane(
    seed: bigint,
    layer: number,
    step: number,
    neuron: number,
  ): { readonly membrane: number; readonly threshold: number };
}
