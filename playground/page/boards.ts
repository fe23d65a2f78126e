/** Links to boards: the emulated one, the C in this browser, one at a serial port of this machine, one behind the server of this page. */

import type { ByteTransport } from '../../harness/transport.js';
import { BOARD_IN, BOARD_OUT } from '../../harness/page-data.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { BoardEvent, BoardMethods } from '../workers/board.js';
import type { ModuleMethods } from '../workers/module.js';
import { WorkerLink } from './worker-link.js';

/** What all links have: who listens, and that the end is told once. */
export abstract class Link implements ByteTransport {
  /** Resolves when the link is lost or closed. */
  readonly gone: Promise<void>;
  private tellGone: () => void = () => undefined;
  private bytesListener: (bytes: Uint8Array) => void = () => undefined;
  private closeListener: () => void = () => undefined;
  private closed = false;

  constructor() {
    this.gone = new Promise((resolve) => (this.tellGone = resolve));
  }

  abstract readonly name: string;
  abstract write(bytes: Uint8Array): Promise<void>;
  protected abstract end(): Promise<void>;

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.bytesListener = listener;
  }

  onClose(listener: () => void): void {
    this.closeListener = listener;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.lost();
    await this.end();
  }

  protected received(bytes: Uint8Array): void {
    this.bytesListener(bytes);
  }

  protected lost(): void {
    if (this.closed) return;
    this.closed = true;
    this.closeListener();
    this.tellGone();
  }

  /** Passes on what a stream brings, until it ends. */
  protected async listen(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        this.received(value);
      }
    } catch {
      // Unplugged, or the server has gone: the client hears that the link is lost.
    }
    this.lost();
  }
}

export class EmulatedBoard extends Link {
  readonly name = 'the emulated UART';
  private readonly worker = new WorkerLink<BoardMethods, BoardEvent>(
    new Worker(new URL('../workers/board.ts', import.meta.url), { type: 'module' }),
  );

  /**
   * @param onCycles hears, a few times a second while the chip runs, how many cycles have passed since its start
   * @param onFault hears of hard faults, in one line
   */
  constructor(onCycles: (cycles: number) => void, onFault: (what: string) => void) {
    super();
    this.worker.onEvent = (event) => {
      if (event.kind === 'bytes') this.received(event.bytes);
      else if (event.kind === 'cycles') onCycles(event.cycles);
      else onFault(event.what);
    };
  }

  start(firmware: Uint8Array, flashBytes: number): Promise<void> {
    return this.worker.call('start', { firmware, flashBytes });
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.worker.call('send', bytes);
  }

  protected async end(): Promise<void> {
    this.worker.end();
  }
}

/** The model's C, compiled to WebAssembly. */
export class ModuleBoard extends Link {
  readonly name = 'the WebAssembly module';
  private readonly worker = new WorkerLink<ModuleMethods, Uint8Array>(
    new Worker(new URL('../workers/module.ts', import.meta.url), { type: 'module' }),
  );

  constructor() {
    super();
    this.worker.onEvent = (bytes) => this.received(bytes);
  }

  start(wasm: Uint8Array): Promise<void> {
    return this.worker.call('start', wasm);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.worker.call('send', bytes);
  }

  protected async end(): Promise<void> {
    this.worker.end();
  }
}

/** Web Serial, as far as it is used here: the types that come with TypeScript do not have it. */
interface WebSerialPort {
  readonly readable: ReadableStream<Uint8Array> | null;
  readonly writable: WritableStream<Uint8Array> | null;
  open(options: { baudRate: number }): Promise<void>;
  close(): Promise<void>;
}

interface WebSerial {
  requestPort(): Promise<WebSerialPort>;
}

/** undefined where the browser has no Web Serial, or the page does not come from a trustworthy address. */
export function webSerial(): WebSerial | undefined {
  return (navigator as { serial?: WebSerial }).serial;
}

export class SerialBoard extends Link {
  readonly name = 'the serial port';
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(private readonly port: WebSerialPort) {
    super();
    this.reader = port.readable!.getReader();
    this.writer = port.writable!.getWriter();
    void this.listen(this.reader);
  }

  /**
   * Lets the user choose a port and opens it.
   *
   * @returns undefined when none was chosen
   * @throws FsvaeError `link` when it does not open
   */
  static async choose(serial: WebSerial, baudRate: number): Promise<SerialBoard | undefined> {
    let port: WebSerialPort;
    try {
      port = await serial.requestPort();
    } catch {
      return undefined;
    }
    try {
      await port.open({ baudRate });
    } catch (error) {
      throw new FsvaeError(
        'link',
        `the port does not open: ${(error as Error).message}; does another program have it?`,
      );
    }
    return new SerialBoard(port);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.writer.write(bytes);
  }

  protected async end(): Promise<void> {
    await this.reader.cancel().catch(() => undefined);
    this.reader.releaseLock();
    this.writer.releaseLock();
    await this.port.close().catch(() => undefined);
  }
}

/** The board that `fsvae-codegen view` is connected to: its bytes come as a response without end. */
export class ServedBoard extends Link {
  private readonly stop = new AbortController();
  private sending: Promise<unknown> = Promise.resolve();

  private constructor(readonly name: string) {
    super();
  }

  static async open(name: string): Promise<ServedBoard> {
    const board = new ServedBoard(name);
    const response = await fetch(BOARD_OUT, { signal: board.stop.signal });
    if (!response.ok || response.body === null) throw new FsvaeError('link', `${name}: ${await response.text()}`);
    void board.listen(response.body.getReader());
    return board;
  }

  /** One request after the other, so that bytes arrive in the order in which they were written. */
  write(bytes: Uint8Array): Promise<void> {
    const body = bytes.slice();
    const sent = this.sending.then(async () => {
      const response = await fetch(BOARD_IN, { method: 'POST', body });
      if (!response.ok) throw new FsvaeError('link', `${this.name}: ${await response.text()}`);
    });
    this.sending = sent.catch(() => undefined);
    return sent;
  }

  protected async end(): Promise<void> {
    this.stop.abort();
  }
}
