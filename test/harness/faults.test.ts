import { expect } from 'chai';
import { BoardClient, type ClientOptions } from '../../harness/client.js';
import type { BoardProcess } from '../../harness/process.js';
import { openSerial } from '../../harness/serial.js';
import { SerialTarget } from '../../harness/serial-target.js';
import { verify } from '../../harness/verify.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { describeWithCompiler, startDevice } from './device.js';
import { FakeGolden, faulty, LATENT_BYTES } from './fake-golden.js';
import { type FaultRates, FaultyTransport } from './faulty-transport.js';

const golden = new FakeGolden();

/** Short waits: the device here answers in milliseconds. */
const QUICK: ClientOptions = { answerMs: 250, drawMs: 400, quietMs: 80, attempts: 6 };

/** A request's longest time with QUICK: every attempt runs into its end, and some more for a busy machine. */
const BOUND_MS = 15_000;

describeWithCompiler('a bad line', () => {
  let device: BoardProcess;

  before(async () => {
    device = await startDevice();
  });
  after(async () => {
    await device.close();
    // Whatever came in, the sanitizers found nothing.
    expect(await device.ended).to.equal('');
  });

  const open: BoardClient[] = [];
  afterEach(async () => {
    for (const client of open.splice(0)) await client.close();
  });

  async function connect(seed: number, toDevice: FaultRates, toHost: FaultRates, options = QUICK) {
    const transport = new FaultyTransport(await openSerial(device.path, 115_200), seed, { toDevice, toHost });
    const client = new BoardClient(transport, options);
    open.push(client);
    return { transport, client };
  }

  /** Every kind of request once. Each gives the right bits or one FsvaeError of kind `link`, within the bound. */
  async function session(client: BoardClient, seed: bigint): Promise<{ right: number; failed: number }> {
    const latent = new Uint8Array(LATENT_BYTES).fill(Number(seed & 255n));
    const trace = golden.trace(seed);
    const checks: [name: string, run: () => Promise<unknown>][] = [
      ['hello', async () => expect((await client.hello()).model).to.equal('fake')],
      ['sample', async () => expect((await client.sample(seed)).image).to.deep.equal(golden.sample(seed))],
      ['decode', async () => expect((await client.decode(latent)).image).to.deep.equal(golden.decode(latent))],
      [
        'trace',
        async () => {
          const { digests, imageCrc } = await client.trace(seed);
          expect({ digests, imageCrc }).to.deep.equal({ digests: trace.digests, imageCrc: trace.imageCrc });
        },
      ],
      ['spikes', async () => expect(await client.spikes(seed, 4, 1, 0, 4100)).to.deep.equal(golden.spikes(seed, 4, 1))],
      [
        'membrane',
        async () =>
          expect([...(await client.membranes(seed, 2, 3, 5, 1))]).to.deep.equal([
            golden.membrane(seed, 2, 3, 5).membrane,
          ]),
      ],
    ];
    let right = 0;
    let failed = 0;
    for (const [name, run] of checks) {
      const start = performance.now();
      try {
        await run();
        right++;
      } catch (error) {
        if (!(error instanceof FsvaeError)) throw error;
        expect(error.kind, `${name}: ${error.message}`).to.equal('link');
        expect(error.message).to.not.match(/[\r\n]/);
        failed++;
      }
      expect(performance.now() - start, name).to.be.below(BOUND_MS);
    }
    return { right, failed };
  }

  const mild: [name: string, rates: FaultRates][] = [
    ['loses a byte in 1000', { drop: 1 / 1000 }],
    ['doubles a byte in 1000', { duplicate: 1 / 1000 }],
    ['flips a bit in 1000 bytes', { flip: 1 / 1000 }],
    ['stalls once in 100 bytes', { delay: 1 / 100 }],
    ['adds a byte in 1000', { noise: 1 / 1000 }],
    ['cuts out a run in 1000 bytes', { cut: 1 / 1000 }],
    ['does a little of everything', { drop: 3e-4, duplicate: 3e-4, flip: 3e-4, delay: 2e-3, noise: 3e-4, cut: 2e-4 }],
  ];
  for (const [name, rates] of mild) {
    it(`that ${name} costs repetitions, and every answer is right`, async () => {
      let faults = 0;
      let retries = 0;
      for (let seed = 1; seed <= 6; seed++) {
        const { transport, client } = await connect(seed, rates, rates, { ...QUICK, attempts: 12 });
        expect(await session(client, BigInt(seed)), `seed ${seed}`).to.deep.equal({ right: 6, failed: 0 });
        faults += transport.faults;
        retries += client.counters.retries;
        await client.close();
      }
      expect(faults).to.be.above(0);
      if (rates.delay !== 1 / 100) expect(retries).to.be.above(0);
    });
  }

  it('that is hopeless gives right bits or one clear error for each request, in bounded time', async () => {
    const rates = { drop: 0.02, duplicate: 0.02, flip: 0.02, noise: 0.02, cut: 0.01 };
    let failed = 0;
    for (let seed = 1; seed <= 2; seed++) {
      const { client } = await connect(seed, rates, rates, { ...QUICK, answerMs: 120, drawMs: 120, attempts: 3 });
      failed += (await session(client, BigInt(seed))).failed;
      await client.close();
    }
    expect(failed).to.be.above(0);
  });

  it('that is dead in one direction gives one clear error', async () => {
    const dead = { drop: 1 };
    for (const [toDevice, toHost] of [
      [dead, {}],
      [{}, dead],
    ]) {
      const { client } = await connect(1, toDevice, toHost, { ...QUICK, answerMs: 50, attempts: 3 });
      expect((await session(client, 1n)).right).to.equal(0);
      await client.close();
    }
  });

  it('never changes a verdict: a right board is right, a wrong one wrong at the right place', async () => {
    const rates = { drop: 5e-4, flip: 5e-4, noise: 5e-4, duplicate: 5e-4 };
    for (let seed = 1; seed <= 3; seed++) {
      const { client } = await connect(seed, rates, rates, { ...QUICK, attempts: 12 });
      const target = await SerialTarget.of(client);
      expect((await verify(target, golden, { firstSeed: 10n, count: 3 })).equal).to.be.true;
      const wrong = await verify(target, golden, { firstSeed: faulty(0xf1, 10n), count: 3 });
      expect(wrong.mismatches).to.have.length(1);
      expect(wrong.mismatches[0]).to.include({ kind: 'spike', layer: 4, step: 2, neuron: 1500 });
      await client.close();
    }
  });

  it('brings late answers to an earlier request, which are not taken for later ones', async () => {
    const transport = await openSerial(device.path, 115_200);
    const client = new BoardClient(transport, { answerMs: 40, drawMs: 40, quietMs: 40, attempts: 2, firstId: 1 });
    const patient = new BoardClient(transport, { drawMs: 3000, firstId: 40_000 });
    open.push(patient);
    await client.hello();
    await patient.hello();
    // The device draws for 300 ms each time; the client gives up after 80 ms, and both answers come in later.
    let refused = 0;
    await client.sample(faulty(0xf8, 1n)).catch(() => refused++);
    expect(refused).to.equal(1);
    const staleBefore = patient.counters.stale;
    expect((await patient.sample(2n)).image).to.deep.equal(golden.sample(2n));
    expect(patient.counters.stale - staleBefore).to.equal(2);
  });
});
