/** Serial ports: opening them, and saying in one line why a board cannot be reached through one. */

import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SerialPort } from 'serialport';
import { FsvaeError } from '../runtime-ts/errors.js';
import { formatHolders, portHolders } from './port-holder.js';
import { BoardClient, type ClientOptions, NoAnswerError, type Unanswered } from './client.js';
import type { Hello } from './frame.js';
import type { ByteTransport } from './transport.js';

/** A port as the system lists it. */
export interface PortDescription {
  readonly path: string;
  /** Four hex digits each, lower case, for USB ports. */
  readonly vendorId?: string;
  readonly productId?: string;
  readonly serialNumber?: string;
}

/** What a board's own USB device calls itself. */
export interface UsbBoard {
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
}

/** Names of the boards that a port may be, by its USB ids: programs of others may use the same ones. */
export function boardsAt(port: PortDescription, boards: readonly UsbBoard[]): string[] {
  const is = (text: string | undefined, id: number): boolean => text !== undefined && Number.parseInt(text, 16) === id;
  return boards
    .filter(({ vendorId, productId }) => is(port.vendorId, vendorId) && is(port.productId, productId))
    .map(({ name }) => name);
}

/**
 * The machine's serial ports. On Linux the serialport package asks `udevadm` and takes the process down where that is
 * missing (containers, some embedded systems), so there the names under /dev are read instead, without USB ids.
 */
export async function listPorts(): Promise<PortDescription[]> {
  if (process.platform === 'linux' && !onPath('udevadm')) {
    return readdirSync('/dev')
      .filter((name) => /^tty(ACM|USB|AMA)\d+$/.test(name))
      .sort()
      .map((name) => ({ path: `/dev/${name}` }));
  }
  return (await SerialPort.list()).map((port) => ({
    path: port.path,
    ...(port.vendorId === undefined ? {} : { vendorId: port.vendorId.toLowerCase() }),
    ...(port.productId === undefined ? {} : { productId: port.productId.toLowerCase() }),
    ...(port.serialNumber === undefined ? {} : { serialNumber: port.serialNumber }),
  }));
}

/**
 * Ports that may be one of `boards`, by their USB ids.
 *
 * @param list the machine's ports
 */
export async function boardPorts(
  boards: readonly UsbBoard[],
  list: () => Promise<PortDescription[]> = listPorts,
): Promise<PortDescription[]> {
  return (await list()).filter((port) => boardsAt(port, boards).length > 0);
}

/**
 * The port of the one board that is there: by USB ids, and where several have them, by who says hello.
 *
 * @param helloMs how long each of several may take to say who it is, in milliseconds
 * @throws FsvaeError `link` when there is none, or several
 */
export async function findBoardPort(
  boards: readonly UsbBoard[],
  list: () => Promise<PortDescription[]> = listPorts,
  helloMs = 5000,
): Promise<string> {
  const all = await list();
  const candidates = all.filter((port) => boardsAt(port, boards).length > 0);
  if (candidates.length === 1) return candidates[0].path;
  if (candidates.length === 0) {
    const seen =
      all.length === 0
        ? 'there is no serial port at all'
        : `there is ${all
            .slice(0, 8)
            .map(({ path }) => path)
            .join(', ')}`;
    throw new FsvaeError(
      'link',
      `no serial port has a board's USB ids (${seen}): plug the board in; a board on a serial adapter is named by --port PATH`,
    );
  }
  const answers = await Promise.all(
    candidates.map(async ({ path, serialNumber }) => {
      try {
        const { client, hello } = await connectBoard(path, { helloMs });
        await client.close();
        return { path, said: `${hello.board}, model ${hello.model}, serial ${hello.serialNumber}`, isBoard: true };
      } catch (error) {
        const why = error instanceof FsvaeError && /busy/.test(error.message) ? 'busy' : 'no hello';
        return { path, said: `${why}${serialNumber === undefined ? '' : `, serial ${serialNumber}`}`, isBoard: false };
      }
    }),
  );
  const found = answers.filter(({ isBoard }) => isBoard);
  if (found.length === 1) return found[0].path;
  const listed = answers.map(({ path, said }) => `${path} (${said})`).join('; ');
  throw new FsvaeError(
    'link',
    found.length === 0
      ? `none of the ports with a board's USB ids says hello: ${listed}: flash the board, or name its port by --port PATH`
      : `several boards are there: ${listed}: name one by --port PATH`,
  );
}

/**
 * Opens a port at 1200 baud and closes it: a board whose firmware knows this restarts into its boot loader.
 *
 * @throws FsvaeError `link` as openSerial() does
 */
export async function touch(path: string): Promise<void> {
  const transport = await openSerial(path, 1200);
  // Some systems pass the rate on only while the port is open for a moment.
  await new Promise((resolve) => setTimeout(resolve, 100));
  await transport.close();
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

async function otherPorts(): Promise<string> {
  const paths = (await listPorts().catch(() => [])).map((port) => port.path);
  return paths.length === 0 ? 'no serial port is there' : `there is ${paths.slice(0, 8).join(', ')}`;
}

/**
 * Why a port did not open, in one line.
 *
 * @param reason the message of the serialport package, which passes on the system's
 */
export async function explainOpenFailure(path: string, reason: string): Promise<FsvaeError> {
  if (/no such (file|device)|file not found|ENOENT|ENXIO|ENODEV/i.test(reason)) {
    return new FsvaeError(
      'link',
      `serial port ${path} does not exist (${await otherPorts()}): check that the board is plugged in, then the path`,
    );
  }
  if (/lock|busy|EBUSY/i.test(reason) || (process.platform === 'win32' && /access denied/i.test(reason))) {
    const holders = await portHolders(path).catch(() => undefined);
    const who =
      holders === undefined
        ? 'another program has it open, and the system does not tell which'
        : holders.length === 0
          ? 'another program has it open'
          : `${formatHolders(holders)} has it open`;
    return new FsvaeError('link', `serial port ${path} is busy: ${who}; close that program first`);
  }
  if (/permission|access denied|EACCES|EPERM/i.test(reason)) {
    return new FsvaeError(
      'link',
      `no permission to open serial port ${path}: add your user to the group that owns it (often dialout or uucp) and ` +
        'log in again',
    );
  }
  const cause = reason
    .replaceAll(/\s+/g, ' ')
    .replace(/^Error:? /, '')
    .trim();
  return new FsvaeError('link', `serial port ${path} does not open (${cause}): is it a serial port?`);
}

/**
 * Opens a port: 8 data bits, no parity, 1 stop bit, no flow control.
 *
 * @param path device path, or COM port name on Windows
 * @throws FsvaeError `link`: it does not exist, is busy, may not be opened, or is no serial port
 */
export async function openSerial(path: string, baudRate: number): Promise<ByteTransport> {
  const port = new SerialPort({ path, baudRate, autoOpen: false });
  await new Promise<void>((resolve, reject) => {
    port.open((error) => {
      if (error) explainOpenFailure(path, error.message).then(reject, reject);
      else resolve();
    });
  });
  return new SerialTransport(port);
}

class SerialTransport implements ByteTransport {
  readonly name: string;
  private closeListener: (() => void) | undefined;
  private closing: Promise<void> | undefined;

  constructor(private readonly port: SerialPort) {
    this.name = port.path;
    port.on('close', () => this.closeListener?.());
    // Without a listener an unplugged board would end the process; the close event that follows tells the client.
    port.on('error', () => undefined);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.port.write(Buffer.from(bytes), (error) => {
        if (error) {
          reject(new FsvaeError('link', `cannot write to ${this.name} (${error.message}): was the board unplugged?`));
        } else {
          resolve();
        }
      });
    });
  }

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.port.on('data', listener);
  }

  onClose(listener: () => void): void {
    this.closeListener = listener;
  }

  close(): Promise<void> {
    // Once: whoever closes again waits for the same end, since until then the port cannot be opened anew.
    this.closing ??= new Promise((resolve) => {
      if (this.port.isOpen) this.port.close(() => resolve());
      else resolve();
    });
    return this.closing;
  }
}

export interface ConnectOptions extends ClientOptions {
  readonly baudRate?: number;
  /** How long a board may take to say who it is, in milliseconds. It reads all of its weights for that, once. */
  readonly helloMs?: number;
}

/**
 * Opens a port and asks the board who it is.
 *
 * @throws FsvaeError `link`: see openSerial(); or the board is silent, or something else than a board is there;
 *   `model-mismatch`: it speaks another version of the protocol
 */
export async function connectBoard(
  path: string,
  options: ConnectOptions = {},
): Promise<{ client: BoardClient; hello: Hello }> {
  const baudRate = options.baudRate ?? 115_200;
  return greet(await openSerial(path, baudRate), baudRate, options);
}

/** The same over a link that is open already. Closes it when no board answers. */
export async function greet(
  transport: ByteTransport,
  baudRate: number,
  options: ConnectOptions = {},
): Promise<{ client: BoardClient; hello: Hello }> {
  const helloMs = options.helloMs ?? 10_000;
  const client = new BoardClient(transport, options);
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswerError('', client.unanswered)), helloMs);
  });
  try {
    // The time limit above ends the attempts, however many there were.
    const hello = await Promise.race([client.hello(1_000_000), tooLate]);
    return { client, hello };
  } catch (error) {
    await client.close();
    if (error instanceof NoAnswerError) throw explainSilence(transport.name, baudRate, helloMs, error.unanswered);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function explainSilence(path: string, baudRate: number, helloMs: number, unanswered: Unanswered): FsvaeError {
  if (unanswered.bytes === 0) {
    return new FsvaeError(
      'link',
      `${path} is silent: no hello within ${helloMs / 1000} s at ${baudRate} baud; is this the board's port, is it ` +
        'flashed, is its reset released?',
    );
  }
  if (unanswered.echo) {
    return new FsvaeError(
      'link',
      `${path} sends back what is sent to it instead of answering: a terminal in echo mode or RX wired to TX, not a board`,
    );
  }
  const shown = unanswered.text === '' ? 'no readable text' : `"${unanswered.text}"`;
  return new FsvaeError(
    'link',
    `${path} speaks something else: ${unanswered.bytes} bytes in ${helloMs / 1000} s at ${baudRate} baud, none of them ` +
      `an answer (${shown}); is this the board's port, its firmware this program's, the baud rate right?`,
  );
}
