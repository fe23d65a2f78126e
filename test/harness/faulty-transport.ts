/** A bad line between client and device: loses, doubles, flips, delays, adds and cuts bytes, by a seed that replays. */

import type { ByteTransport } from '../../harness/transport.js';
import { Dice } from '../support/dice.js';

/** Chance of each fault for each byte, 0 to 1. */
export interface FaultRates {
  readonly drop?: number;
  readonly duplicate?: number;
  readonly flip?: number;
  /** Everything behind this byte waits for 5 to 40 ms. */
  readonly delay?: number;
  /** A byte that nobody sent comes before it. */
  readonly noise?: number;
  /** It and the next 1 to 60 bytes are lost. */
  readonly cut?: number;
}

class Direction {
  faults = 0;
  private cutting = 0;
  private queue: Promise<unknown> = Promise.resolve();
  /** One a direction, so that the faults depend on seed and byte position alone, not on timing. */
  private readonly dice: Dice;

  constructor(
    seed: number,
    private readonly rates: FaultRates,
    private readonly deliver: (bytes: Uint8Array) => Promise<void> | void,
  ) {
    this.dice = new Dice(seed);
  }

  /** Resolves when what is left of the bytes is delivered. */
  send(bytes: Uint8Array): Promise<void> {
    const parts: { waitMs: number; bytes: number[] }[] = [{ waitMs: 0, bytes: [] }];
    for (const byte of bytes) {
      const { dice, rates } = this;
      const happens = (rate = 0) => {
        const hit = dice.next() < rate;
        if (hit) this.faults++;
        return hit;
      };
      if (happens(rates.cut)) this.cutting = 1 + dice.below(60);
      if (happens(rates.delay)) parts.push({ waitMs: 5 + dice.below(36), bytes: [] });
      const out = parts[parts.length - 1].bytes;
      if (this.cutting > 0) {
        this.cutting--;
        continue;
      }
      if (happens(rates.noise)) out.push(dice.below(256));
      if (happens(rates.drop)) continue;
      const sent = happens(rates.flip) ? byte ^ (1 << dice.below(8)) : byte;
      out.push(sent);
      if (happens(rates.duplicate)) out.push(sent);
    }
    const turn = this.queue.then(async () => {
      for (const part of parts) {
        if (part.waitMs > 0) await new Promise((resolve) => setTimeout(resolve, part.waitMs));
        if (part.bytes.length > 0) await this.deliver(Uint8Array.from(part.bytes));
      }
    });
    this.queue = turn.catch(() => undefined);
    return turn;
  }
}

export class FaultyTransport implements ByteTransport {
  readonly name: string;
  private readonly toDevice: Direction;
  private readonly toHost: Direction;
  private listener: ((bytes: Uint8Array) => void) | undefined;

  constructor(
    private readonly inner: ByteTransport,
    seed: number,
    rates: { toDevice: FaultRates; toHost: FaultRates },
  ) {
    this.name = inner.name;
    this.toDevice = new Direction(2 * seed, rates.toDevice, (bytes) => inner.write(bytes));
    this.toHost = new Direction(2 * seed + 1, rates.toHost, (bytes) => this.listener?.(bytes));
    inner.onBytes((bytes) => void this.toHost.send(bytes));
  }

  /** Faults so far. */
  get faults(): number {
    return this.toDevice.faults + this.toHost.faults;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.toDevice.send(bytes);
  }

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.listener = listener;
  }

  onClose(listener: () => void): void {
    this.inner.onClose(listener);
  }

  close(): Promise<void> {
    this.listener = undefined;
    return this.inner.close();
  }
}
