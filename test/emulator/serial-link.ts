/** A serial port as tests use it: opened with the serialport package, read until enough has come. */

import { SerialPort } from 'serialport';

export class SerialLink {
  private received = Buffer.alloc(0);
  private wake: (() => void) | undefined;

  private constructor(private readonly port: SerialPort) {
    port.on('data', (data: Buffer) => {
      this.received = Buffer.concat([this.received, data]);
      this.wake?.();
    });
  }

  static open(path: string): Promise<SerialLink> {
    return new Promise((resolve, reject) => {
      const port: SerialPort = new SerialPort({ path, baudRate: 115200 }, (error) => {
        if (error) reject(error);
        else resolve(new SerialLink(port));
      });
    });
  }

  send(bytes: Uint8Array): void {
    this.port.write(Buffer.from(bytes));
  }

  /** Exactly `count` bytes; fails when they have not come in time. */
  async read(count: number, timeoutMs = 20_000): Promise<Buffer> {
    const end = Date.now() + timeoutMs;
    while (this.received.length < count) {
      const left = end - Date.now();
      if (left <= 0) throw new Error(`${this.received.length} of ${count} bytes came within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const bytes = this.received.subarray(0, count);
    this.received = this.received.subarray(count);
    return bytes;
  }

  /**
   * Makes sure that an echoing program is there, past what it may have said before the port was open. It asks until it is
   * answered: a UART that the program has not yet switched on drops what comes, as QEMU's of the STM32F4 does.
   */
  async settle(): Promise<void> {
    const asking = setInterval(() => this.send(Buffer.from('x')), 100);
    try {
      while ((await this.read(1)).toString() !== 'x');
    } finally {
      clearInterval(asking);
    }
    // Answers come in order, so this one is the last.
    this.send(Buffer.from('.'));
    while ((await this.read(1)).toString() !== '.');
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.port.close(() => resolve()));
  }
}
