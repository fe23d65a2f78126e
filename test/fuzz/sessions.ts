/**
 * Sessions over a line that is bad by a seed that replays: bytes lost, doubled, flipped, delayed, added, cut out; the board
 * restarted in the middle of a frame; a second program on the port; the port closed. Each request gives the right bits, or one
 * error within its bound.
 */

import { BoardClient, type ClientOptions } from '../../harness/client.js';
import { encodeFrame, Request, Status } from '../../harness/frame.js';
import { openSerial } from '../../harness/serial.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { FakeGolden, LATENT_BYTES } from '../harness/fake-golden.js';
import { FaultyTransport, type FaultRates } from '../harness/faulty-transport.js';
import { Dice } from '../support/dice.js';

/** Short waits: the device answers in milliseconds. */
const QUICK: ClientOptions = { answerMs: 80, drawMs: 120, quietMs: 30, attempts: 5 };

/** Every attempt runs into its end, and some more for a busy machine. */
const BOUND_MS = 10_000;

export interface SessionOutcome {
  readonly right: number;
  readonly failed: number;
  readonly faults: number;
}

function rates(dice: Dice): FaultRates {
  // From one in 100,000 to one in 30, each by itself; half of the kinds not at all.
  const rate = (): number => (dice.next() < 0.5 ? 0 : 10 ** -(1.5 + 3.5 * dice.next()));
  return {
    drop: rate(),
    duplicate: rate(),
    flip: rate(),
    delay: rate() / 10,
    noise: rate(),
    cut: rate() / 10,
  };
}

const golden = new FakeGolden();

/**
 * @param path of a device with the fake model
 * @throws Error when an answer is wrong, an error is no single line of kind `link`, or a wait exceeds its bound
 */
export async function session(path: string, seed: number, index: number): Promise<SessionOutcome> {
  const dice = new Dice(seed, index);
  const transport = new FaultyTransport(await openSerial(path, 115_200), 1 + dice.below(1 << 30), {
    toDevice: rates(dice),
    toHost: rates(dice),
  });
  const client = new BoardClient(transport, { ...QUICK, firstId: 1 + dice.below(0xffff) });
  const special = dice.next();
  const disturb = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, dice.below(20)));
    if (special < 0.1) {
      // Restarted while an answer is on its way, and then the tail of a frame that is none.
      await transport.write(encodeFrame({ type: Request.reset, status: Status.ok, id: 9, body: Uint8Array.of(0) }));
      await transport.write(Uint8Array.from({ length: dice.below(300) }, () => dice.below(256)));
    } else if (special < 0.2) {
      // A second program: its answers reach this one too.
      const other = encodeFrame({
        type: Request.layers,
        status: Status.ok,
        id: 1 + dice.below(0xffff),
        body: new Uint8Array(0),
      });
      for (let n = 0; n < 4; n++) await transport.write(other);
    } else if (special < 0.25) {
      await client.close();
    }
  };
  const image = BigInt(dice.below(1 << 30));
  const latent = new Uint8Array(LATENT_BYTES).fill(dice.below(256));
  const row = dice.of([1, 2, 3, 4]);
  const requests: [what: string, run: () => Promise<boolean>][] = [
    ['hello', async () => (await client.hello()).model === 'fake'],
    ['sample', async () => same((await client.sample(image)).image, golden.sample(image))],
    ['decode', async () => same((await client.decode(latent)).image, golden.decode(latent))],
    ['trace', async () => (await client.trace(image)).digests.every((d, i) => same(d, golden.trace(image).digests[i]))],
    [
      'spikes',
      async () => same(await client.spikes(image, row, 1, 0, golden.layerNeurons[row]), golden.spikes(image, row, 1)),
    ],
    [
      'membranes',
      async () => (await client.membranes(image, 2, 3, 5, 1))[0] === golden.membrane(image, 2, 3, 5).membrane,
    ],
  ];
  let right = 0;
  let failed = 0;
  try {
    const disturbed = disturb();
    for (const [what, run] of requests) {
      const begun = performance.now();
      try {
        if (!(await run())) throw new Error(`wrong bits for ${what}`);
        right++;
      } catch (error) {
        if (!(error instanceof FsvaeError)) throw error;
        if (error.kind !== 'link' || /[\r\n]/.test(error.message)) {
          throw new Error(`${what} ended with ${error.kind}: ${error.message}`, { cause: error });
        }
        failed++;
      }
      const took = performance.now() - begun;
      if (took > BOUND_MS) throw new Error(`${what} took ${Math.round(took)} ms`);
    }
    await disturbed.catch(() => undefined); // the line it writes to may be gone
  } finally {
    await client.close();
  }
  return { right, failed, faults: transport.faults };
}

function same(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
