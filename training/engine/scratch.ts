/** Memory that is used again: a fresh page costs more than what is done with it. */

export class Scratch {
  private buffer = new ArrayBuffer(0);

  private sized(size: number): ArrayBuffer {
    if (this.buffer.byteLength < 4 * size) this.buffer = new ArrayBuffer(4 * size);
    return this.buffer;
  }

  /** So many numbers of any value; those of the last call, to either method, are lost. */
  take(size: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.sized(size), 0, size);
  }

  takeIntegers(size: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.sized(size), 0, size);
  }
}

/** One step of neurons, used by one layer after the other. */
export const oneStep = new Scratch();
