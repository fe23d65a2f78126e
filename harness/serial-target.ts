/** A board behind the serial protocol as a target. */

import type { BoardClient } from './client.js';
import type { Constants, ConstantsRequest, DrawnImage, Hello } from './frame.js';
import type { Target, TargetImage, TargetShape, TargetTrace } from './target.js';

export class SerialTarget implements Target {
  readonly name: string;
  readonly cyclesPerSecond: number;

  private constructor(
    readonly client: BoardClient,
    readonly hello: Hello,
    readonly shape: TargetShape,
  ) {
    this.name = `${hello.board} on ${client.name}`;
    this.cyclesPerSecond = hello.cyclesPerSecond;
  }

  /** Asks a board that has said hello for the rest of its shape. Check its identity first. */
  static async of(client: BoardClient): Promise<SerialTarget> {
    const hello = await client.hello();
    const rows = await client.layers();
    return new SerialTarget(client, hello, {
      layerNames: rows.map((row) => row.name),
      layerNeurons: rows.map((row) => row.neurons),
      timeSteps: hello.timeSteps,
      channels: hello.channels,
      imageSize: hello.imageSize,
    });
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
