import { expect } from 'chai';
import type { BoardClient } from '../../harness/client.js';
import { findDamage } from '../../harness/constants.js';
import { wordBytes } from '../../runtime-ts/words.js';
import {
  ConstantsKind,
  encodeFrame,
  FrameDecoder,
  PROTOCOL_MAJOR,
  Request,
  type RequestType,
  Status,
} from '../../harness/frame.js';
import type { BoardProcess } from '../../harness/process.js';
import { connectBoard, openSerial } from '../../harness/serial.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { errorOf } from './errors.js';
import { describeWithCompiler, startDevice } from './device.js';
import { FakeGolden, faulty, LATENT_BYTES, TIME_STEPS } from './fake-golden.js';

const golden = new FakeGolden();

describeWithCompiler('requests to the C application', () => {
  let device: BoardProcess;
  let client: BoardClient;

  before(async () => {
    device = await startDevice();
    ({ client } = await connectBoard(device.path));
  });
  after(async () => {
    await client.close();
    await device.close();
    // The sanitizers report on stderr when the process ends.
    expect(await device.ended).to.equal('');
  });

  it('hello says who the board is', async () => {
    expect(await client.hello()).to.deep.equal({
      protocolMajor: PROTOCOL_MAJOR,
      protocolMinor: 2,
      channels: 1,
      imageSize: 16,
      timeSteps: TIME_STEPS,
      latentChannels: 12,
      choices: 20,
      layers: 5,
      modelHash: '0123456789abcdef',
      weightChecksum: 0xfeedc0de,
      arenaBytes: 64,
      stackBytes: 8192,
      cyclesPerSecond: 1_000_000_000,
      maxBody: 4096,
      generator: '0.1.0',
      board: 'test-host',
      model: 'fake',
      serialNumber: 'TEST-0001',
    });
  });

  for (const seed of [0n, 1n, 0xffff_ffffn, 0x7fff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn]) {
    it(`sample(${seed}) is the golden image`, async () => {
      const { image, cycles } = await client.sample(seed);
      expect(image).to.deep.equal(golden.sample(seed));
      expect(cycles > 0n).to.be.true;
    });
  }

  it('a seed is taken modulo 2^64', async () => {
    expect((await client.sample(-1n)).image).to.deep.equal(golden.sample(0xffff_ffff_ffff_ffffn));
  });

  it('decode is the golden image', async () => {
    const latent = Uint8Array.from({ length: LATENT_BYTES }, (_, i) => (37 * i) & 255);
    expect((await client.decode(latent)).image).to.deep.equal(golden.decode(latent));
  });

  it('decode refuses a latent of another length before it is sent', async () => {
    const error = await errorOf(client.decode(new Uint8Array(LATENT_BYTES + 1)));
    expect(error.kind).to.equal('usage');
    expect(error.message).to.equal("latent has 9 bytes, but the board's model takes 8");
  });

  it('trace is the golden digests, spikes and image CRC-32', async () => {
    const { digests, spikes, imageCrc } = golden.trace(5n);
    const trace = await client.trace(5n);
    expect(trace.digests).to.deep.equal(digests);
    expect([...trace.spikes]).to.deep.equal(spikes);
    expect(trace.imageCrc).to.equal(imageCrc);
    expect(trace.imageCrc).to.equal(crc32((await client.sample(5n)).image));
  });

  it('spikes of a whole row, and of a range that begins within a byte', async () => {
    expect(await client.spikes(5n, 4, 3, 0, 4100)).to.deep.equal(golden.spikes(5n, 4, 3));
    const range = await client.spikes(5n, 4, 3, 1499, 13);
    for (let i = 0; i < 13; i++) {
      const spike = (range[i >> 3] >> (i & 7)) & 1;
      expect(spike, `neuron ${1499 + i}`).to.equal(golden.membrane(5n, 4, 3, 1499 + i).membrane > 600 ? 1 : 0);
    }
    expect(range[1] >> 5).to.equal(0);
  });

  it('membranes of more neurons than one answer holds, and the indices of choices', async () => {
    const membranes = await client.membranes(5n, 4, 1, 0, 4100);
    for (let i = 0; i < 4100; i++) expect(membranes[i], `neuron ${i}`).to.equal(golden.membrane(5n, 4, 1, i).membrane);
    const choices = await client.membranes(5n, 0, 1, 0, 12);
    for (let i = 0; i < 12; i++) expect(choices[i], `channel ${i}`).to.equal(golden.membrane(5n, 0, 1, i).membrane);
  });

  it('layers names the rows', async () => {
    expect(await client.layers()).to.deep.equal(
      golden.layerNames.map((name, row) => ({ name, neurons: golden.layerNeurons[row] })),
    );
  });

  it('statistics are those of the last image, and count', async () => {
    const before = await client.statistics();
    await client.sample(1n);
    await client.decode(new Uint8Array(LATENT_BYTES));
    await client.trace(1n);
    const after = await client.statistics();
    expect(after.images).to.equal(before.images + 2);
    expect(after.badFrames).to.equal(0);
    expect([...after.cycles]).to.deep.equal([1000n, 2000n, 3000n, 4000n, 5000n, 500n]);
    expect(after).to.include({ stackBytes: 8192, stackHighWater: 1234, arenaBytes: 64 });
  });

  it('requests that overlap are served one after the other', async () => {
    const seeds = [3n, 4n, 5n, 6n];
    const drawn = await Promise.all(seeds.map((seed) => client.sample(seed)));
    drawn.forEach(({ image }, i) => expect(image).to.deep.equal(golden.sample(seeds[i])));
  });

  it('a model that refuses to draw is one clear error', async () => {
    const error = await errorOf(client.sample(faulty(0xf7, 1n)));
    expect(error.kind).to.equal('link');
    expect(error.message).to.match(/^the board on \S+ refuses sample \(internal\): the model refused to draw$/);
  });

  const tensor = (row: number, step: number, kind: number, first: number, count: number) => {
    const body = new Uint8Array(19);
    body.set([row, step, kind], 8);
    new DataView(body.buffer).setUint32(11, first, true);
    new DataView(body.buffer).setUint32(15, count, true);
    return body;
  };
  const refused: [title: string, type: number, body: Uint8Array, error: RegExp][] = [
    ['a request of another version', 0x0b, new Uint8Array(0), /unknown request/],
    ['request 0', 0x00, new Uint8Array(0), /unknown request/],
    ['a hello with a body', Request.hello, new Uint8Array(1), /bad length/],
    ['a seed of 7 bytes', Request.sample, new Uint8Array(7), /bad length/],
    ['a seed of 9 bytes', Request.trace, new Uint8Array(9), /bad length/],
    ['a latent too short', Request.decode, new Uint8Array(LATENT_BYTES - 1), /bad length/],
    ['a reset to nowhere', Request.reset, Uint8Array.of(2), /bad argument/],
    ['a row too many', Request.tensor, tensor(5, 0, 0, 0, 1), /no such layer or step/],
    ['a step too many', Request.tensor, tensor(1, 4, 0, 0, 1), /no such layer or step/],
    ['an unknown kind', Request.tensor, tensor(1, 0, 2, 0, 1), /no such kind/],
    ['spikes of choices', Request.tensor, tensor(0, 0, 0, 0, 1), /no such kind/],
    ['no neuron', Request.tensor, tensor(1, 0, 0, 0, 0), /no such range/],
    ['a neuron too many', Request.tensor, tensor(1, 0, 0, 0, 25), /no such range/],
    ['a first neuron beyond the end', Request.tensor, tensor(1, 0, 0, 25, 1), /no such range/],
    ['a range that wraps', Request.tensor, tensor(1, 0, 0, 0xffffffff, 2), /no such range/],
    ['more membranes than an answer holds', Request.tensor, tensor(4, 0, 1, 0, 1025), /no such range/],
  ];
  for (const [title, type, body, message] of refused) {
    it(`refuses ${title}`, async () => {
      const error = await errorOf(client.request(type as RequestType, body));
      expect(error.message).to.match(message);
      expect((await client.sample(2n)).image).to.deep.equal(golden.sample(2n));
    });
  }

  const WORDS = 3003;
  const word = (i: number): number => Math.imul(i, 0x9e3779b1) >>> 0;

  it('constants, as words and as digests of parts', async () => {
    const words = await client.constants({ kind: ConstantsKind.words, first: WORDS - 3, words: 1, parts: 3 });
    expect([...words.values]).to.deep.equal([word(WORDS - 3), word(WORDS - 2), word(WORDS - 1)]);
    const whole = Uint32Array.from({ length: WORDS }, (_, i) => word(i));
    const { address, values } = await client.constants({
      kind: ConstantsKind.digests,
      first: 3,
      words: 1000,
      parts: 3,
    });
    expect(address).to.equal((words.address - 4 * (WORDS - 6)) >>> 0);
    expect([...values]).to.deep.equal(
      [3, 1003, 2003].map((first) => crc32(wordBytes(whole.subarray(first, first + 1000)))),
    );
  });

  it('finds a wrong constant with two requests, and says nothing of whole ones', async () => {
    const right = Uint32Array.from({ length: WORDS }, (_, i) => word(i));
    const wrong = right.slice();
    wrong[2222] ^= 0x40;
    const asked: unknown[] = [];
    const read: Parameters<typeof findDamage>[0] = (request) => {
      asked.push(request.kind);
      return client.constants(request);
    };
    const layout = (words: Uint32Array) => ({ words, describe: (at: number) => `word ${at}` });
    expect(await findDamage(read, [layout(right.map((value) => ~value)), layout(right)])).to.equal(undefined);
    expect(asked).to.have.length(1);
    const damage = await findDamage(read, [layout(wrong)]);
    expect(asked).to.have.length(3);
    expect(damage).to.include({
      word: 2222,
      expected: (word(2222) ^ 0x40) >>> 0,
      actual: word(2222),
      meaning: 'word 2222',
      wordsInPart: 1,
      damagedParts: 1,
    });
    // Half written: every second word is another.
    const half = await findDamage(read, [layout(right.map((value, i) => (i < 1500 ? value : ~value)))]);
    expect(half).to.include({ word: 1500, damagedParts: half!.parts - Math.floor(1500 / Math.ceil(WORDS / 1023)) });
  });

  for (const [title, request] of [
    ['a kind', { kind: 2 as 1, first: 0, words: 1, parts: 1 }],
    ['long words', { kind: ConstantsKind.words, first: 0, words: 2, parts: 1 }],
    ['parts of nothing', { kind: ConstantsKind.digests, first: 0, words: 0, parts: 1 }],
    ['no parts', { kind: ConstantsKind.digests, first: 0, words: 1, parts: 0 }],
    ['more parts than an answer holds', { kind: ConstantsKind.words, first: 0, words: 1, parts: 1024 }],
    ['a word beyond the end', { kind: ConstantsKind.words, first: WORDS, words: 1, parts: 1 }],
    ['words over the end', { kind: ConstantsKind.words, first: WORDS - 1, words: 1, parts: 2 }],
    ['a part that begins beyond the end', { kind: ConstantsKind.digests, first: 0, words: WORDS, parts: 2 }],
    ['a range that wraps', { kind: ConstantsKind.digests, first: 1, words: 0xffffffff, parts: 2 }],
  ] as const) {
    it(`refuses constants: ${title}`, async () => {
      const error = await errorOf(client.constants(request));
      expect(error.message).to.match(/no such (kind|range) of constants/);
    });
  }
});

describeWithCompiler('bytes to the C application', () => {
  let device: BoardProcess;

  before(async () => {
    device = await startDevice();
  });
  after(async () => {
    await device.close();
    expect(await device.ended).to.equal('');
  });

  /** Sends raw bytes and collects what comes back until the line has been silent for 150 ms. */
  async function exchange(bytes: Uint8Array): Promise<Uint8Array> {
    const transport = await openSerial(device.path, 115_200);
    const chunks: Uint8Array[] = [];
    let last = performance.now();
    transport.onBytes((chunk) => {
      chunks.push(chunk);
      last = performance.now();
    });
    await transport.write(bytes);
    while (performance.now() - last < 150) await new Promise((resolve) => setTimeout(resolve, 20));
    await transport.close();
    return Uint8Array.from(Buffer.concat(chunks));
  }
  const answers = async (bytes: Uint8Array) =>
    new FrameDecoder()
      .push(await exchange(bytes))
      .map((decoded) =>
        decoded.kind === 'frame' ? [decoded.frame.type, decoded.frame.status, decoded.frame.id] : decoded.reason,
      );
  const hello = (id: number, status = 0) => encodeFrame({ type: Request.hello, status, id, body: new Uint8Array(0) });

  it('a question gets one line of text', async () => {
    const text = Buffer.from(await exchange(Buffer.from('\0?\r\n'))).toString('latin1');
    expect(text).to.equal(
      'fsvae-codegen 0.1.0, model fake (0123456789abcdef) on test-host. ' +
        'This link speaks binary frames: talk to it with the fsvae-codegen command.\r\n\0',
    );
  });

  it('a damaged frame gets a typed error with id 0, and the next request its answer', async () => {
    const damaged = hello(9);
    damaged[3] ^= 0x10;
    expect(await answers(Buffer.concat([damaged, hello(10)]))).to.deep.equal([
      [0x80, Status.badFrame, 0],
      [0x81, Status.ok, 10],
    ]);
  });

  it('a frame longer than its buffer is swallowed, and the next request gets its answer', async () => {
    const long = encodeFrame({ type: Request.hello, status: 0, id: 1, body: new Uint8Array(20_000).fill(1) });
    expect(await answers(Buffer.concat([long, hello(2)]))).to.deep.equal([
      [0x80, Status.badFrame, 0],
      [0x81, Status.ok, 2],
    ]);
  });

  it('the same request twice gets the same answer twice', async () => {
    expect(await answers(Buffer.concat([hello(3), hello(3)]))).to.deep.equal([
      [0x81, Status.ok, 3],
      [0x81, Status.ok, 3],
    ]);
  });

  it('its own answers, sent back by a line that echoes, get none', async () => {
    const answer = await exchange(hello(4));
    expect(await answers(answer)).to.deep.equal([]);
  });

  it('a request with a status is refused, zeros alone are not even answered', async () => {
    expect(await answers(hello(5, -1))).to.deep.equal([[0x81, Status.badArgument, 5]]);
    expect(await answers(new Uint8Array(100))).to.deep.equal([]);
  });

  it('a reset is acknowledged first', async () => {
    const { client } = await connectBoard(device.path);
    await client.reset(false);
    expect((await client.hello()).board).to.equal('test-host');
    await client.reset(true);
    await client.close();
    await device.ended;
  });
});
