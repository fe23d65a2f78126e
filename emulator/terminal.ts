/** The pseudo-terminal that an emulated board's UART is bridged to. */

import { constants, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { ReadStream } from 'node:tty';
import * as pty from '@lydell/node-pty';

/** Our side of a pseudo-terminal. */
export interface Terminal {
  /** Path of the other side. */
  readonly name: string;
  write(data: Uint8Array): void;
  onData(listener: (data: Buffer) => void): void;
}

/** A pseudo-terminal that stays while its other side is opened and closed. */
export function openTerminal(): Terminal {
  // The declared types leave out open(), which only Unix has.
  const { open } = pty as unknown as {
    open(options: { encoding: null }): { master: Duplex; slave: ReadStream; ptsName: string };
  };
  const { master, slave, ptsName } = open({ encoding: null });
  // Else the terminal itself echoes what the program says while nobody has opened it, and the program hears itself.
  slave.setRawMode(true);
  // node-pty reads the other side, paused or not, and so takes bytes away from whoever opens it. A descriptor of our own
  // that nobody reads keeps that side open instead, or our side would end whenever the other one is closed.
  openSync(ptsName, constants.O_RDWR | constants.O_NOCTTY);
  slave.destroy();
  return {
    name: ptsName,
    write: (data) => void master.write(data),
    onData: (listener) => void master.on('data', listener),
  };
}
