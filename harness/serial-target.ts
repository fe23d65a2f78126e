/** A board behind the serial protocol as a target. */

import { type BoardClient, UnknownRequestError } from './client.js';
import type { Constants, ConstantsRequest, DrawnImage, EncoderInfo, Hello } from './frame.js';
import type { Target, TargetEncoder, TargetImage, TargetShape, TargetTrace } from './target.js';

/** The first version of the protocol in which a board can be asked for its encoder. */
const ENCODER_MINOR = 2;

/** undefined where the firmware has none. */
async function boardEncoder(client: BoardClient, { protocolMinor }: Hello): Promise<TargetEncoder | undefined> {
  if (protocolMinor < ENCODER_MINOR) return undefined;
  let info: EncoderInfo;
  try {
    info = await client.encoder();
  } catch (error) {
    if (error instanceof UnknownRequestError) return undefined;
    throw error;
  }
  return {
    hash: info.hash,
    weightChecksum: info.weightChecksum,
    rows: info.rows,
    encode: async (image, seed) => ({ ...(await client.encode(image, seed)), ...client.timing }),
    reconstruct: async (image, seed) => {
      const drawn = await client.reconstruct(image, seed);
      return { ...drawn, squaredError: Number(drawn.squaredError), ...client.timing };
    },
    trace: async (image, seed) => {
      const { imageCrc, ...trace } = await client.encoderTrace(image, seed, info.rows.length);
      return { ...trace, latentCrc: imageCrc };
    },
    cycles: async () => (await client.encoder()).rows.map(({ cycles }) => Number(cycles)),
  };
}

export class SerialTarget implements Target {
  readonly name: string;
  readonly cyclesPerSecond: number;

  private constructor(
    readonly client: BoardClient,
    readonly hello: Hello,
    readonly shape: TargetShape,
    readonly encoder: TargetEncoder | undefined,
  ) {
    this.name = `${hello.board} on ${client.name}`;
    this.cyclesPerSecond = hello.cyclesPerSecond;
  }

  /** Asks a board that has said hello for the rest of its shape. Check its identity first. */
  static async of(client: BoardClient): Promise<SerialTarget> {
    const hello = await client.hello();
    const rows = await client.layers();
    const shape = {
      layerNames: rows.map((row) => row.name),
      layerNeurons: rows.map((row) => row.neurons),
      timeSteps: hello.timeSteps,
      channels: hello.channels,
      imageSize: hello.imageSize,
    };
    return new SerialTarget(client, hello, shape, await boardEncoder(client, hello));
  }

  async sample(seed: bigint): Promise<TargetImage> {
    return this.timed(await this.client.sample(seed));
  }

  async decode(latent: Uint8Array): Promise<TargetImage> {
    return this.timed(await this.client.decode(latent));
  }

  trace(seed: bigint): Promise<TargetTrace> {
    return this.client.trace(seed);
  }

  spikes(seed: bigint, layer: number, step: number): Promise<Uint8Array> {
    return this.client.spikes(seed, layer, step, 0, this.shape.layerNeurons[layer]);
  }

  membranes(seed: bigint, layer: number, step: number, first: number, count: number): Promise<Int32Array> {
    return this.client.membranes(seed, layer, step, first, count);
  }

  async layerCycles(): Promise<number[]> {
    return Array.from((await this.client.statistics()).cycles, Number);
  }

  constants(request: ConstantsRequest): Promise<Constants> {
    return this.client.constants(request);
  }

  close(): Promise<void> {
    return this.client.close();
  }

  private timed(drawn: DrawnImage): TargetImage {
    return { ...drawn, ...this.client.timing };
  }
}
