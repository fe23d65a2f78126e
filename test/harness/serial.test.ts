import * as pty from '@lydell/node-pty';
import { expect } from 'chai';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { BoardClient } from '../../harness/client.js';
import { checkIdentity, generatorNote } from '../../harness/identity.js';
import { startBoardProcess } from '../../harness/process.js';
import { boardsAt, connectBoard, explainOpenFailure, listPorts, openSerial } from '../../harness/serial.js';
import { describeWithCompiler, startDevice } from './device.js';
import { errorOf } from './errors.js';
import { FakeGolden } from './fake-golden.js';

interface PtyPair {
  /** Path of the end that plays the serial port. */
  readonly path: string;
  readonly close: () => void;
}

/** A pseudo-terminal with a player at the other end: `play` gets what the host sends and a way to answer. */
function openPair(play: (write: (text: string) => void, received: Buffer | undefined) => void): PtyPair {
  // The declared types leave out open(), which only Unix has.
  const { open } = pty as unknown as {
    open(options: { encoding: null }): {
      master: NodeJS.ReadableStream & { write(data: Buffer): void; destroy(): void };
      slave: NodeJS.ReadableStream & { destroy(): void };
      ptsName: string;
    };
  };
  const pair = open({ encoding: null });
  // node-pty reads the other side, paused or not, and takes bytes away from whoever opens it: a descriptor of our own
  // keeps the terminal alive instead.
  const other = openSync(pair.ptsName, constants.O_RDWR | constants.O_NOCTTY);
  pair.slave.destroy();
  const write = (text: string) => pair.master.write(Buffer.from(text, 'latin1'));
  pair.master.on('data', (data: Buffer) => play(write, data));
  const timer = setInterval(() => play(write, undefined), 20);
  return {
    path: pair.ptsName,
    close: () => {
      clearInterval(timer);
      pair.master.destroy();
      closeSync(other);
    },
  };
}

const describeOnUnix = process.platform === 'win32' ? describe.skip : describe;

describeOnUnix('a port without a board', () => {
  it('that does not exist is named', async () => {
    const error = await errorOf(connectBoard('/dev/ttyNOSUCH7'));
    expect(error.kind).to.equal('link');
    expect(error.message).to.match(/^serial port \/dev\/ttyNOSUCH7 does not exist \(.+\): check/);
  });

  it('that is no serial port is named', async () => {
    const error = await errorOf(openSerial('/dev/null', 115_200));
    expect(error.kind).to.equal('link');
    expect(error.message).to.match(/^serial port \/dev\/null does not open \(.+\): is it a serial port\?$/);
  });

  const players: [title: string, play: Parameters<typeof openPair>[0], message: RegExp][] = [
    ['silent', () => undefined, /^\S+ is silent: no hello within 0\.6 s at 115200 baud; /],
    [
      'an echo',
      (write, received) => received && write(received.toString('latin1')),
      /^\S+ sends back what is sent to it/,
    ],
    [
      'text without end',
      (write) => write('temp=23.5 humidity=40\r\n'),
      /^\S+ speaks something else: \d+ bytes in 0\.6 s at 115200 baud, none of them an answer \("temp=23\.5 humidity=40 {2}temp=/,
    ],
    [
      'a prompt',
      (write, received) => received && write('sh: not found\r\n$ '),
      /speaks something else: .*\("sh: not found {2}\$/,
    ],
    ['zeros without end', (write) => write('\0'.repeat(50)), /speaks something else: \d+ bytes .*\(no readable text\)/],
  ];
  for (const [title, play, message] of players) {
    it(`but ${title} is told apart within the time allowed`, async () => {
      const pair = openPair(play);
      const start = performance.now();
      const error = await errorOf(connectBoard(pair.path, { helloMs: 600, answerMs: 150, quietMs: 50 }));
      pair.close();
      expect(error.kind).to.equal('link');
      expect(error.message).to.match(message);
      expect(performance.now() - start).to.be.within(500, 3000);
    });
  }
});

describeOnUnix('a request', () => {
  it('ends although the line never falls silent', async () => {
    const pair = openPair((write) => write('never silent '));
    const transport = await openSerial(pair.path, 115_200);
    const client = new BoardClient(transport, { answerMs: 100, quietMs: 1000, attempts: 1 });
    const start = performance.now();
    const error = await errorOf(client.hello());
    await client.close();
    pair.close();
    expect(error.message).to.match(/^no answer to hello from \S+: \d+ bytes came back, none of them an answer; check/);
    // 100 ms for the first byte, 2 s and a millisecond for each of a hello's 298 bytes.
    expect(performance.now() - start).to.be.within(2300, 4000);
  });
});

describe('why a port does not open', () => {
  const reasons: [system: string, reason: string, message: RegExp][] = [
    ['Linux', 'Error: No such file or directory, cannot open /dev/ttyX', /does not exist/],
    ['Windows', 'Opening COM9: File not found', /does not exist/],
    ['Linux', 'Error Resource temporarily unavailable Cannot lock port', /is busy: another program has it open/],
    ['macOS', 'Error: Resource busy, cannot open /dev/cu.usbmodem1', /is busy: another program has it open/],
    ['Linux', 'Error: Permission denied, cannot open /dev/ttyX', /^no permission to open .*dialout/],
    ['Linux', 'Error: Inappropriate ioctl\nfor device', /does not open \(Inappropriate ioctl for device\)/],
  ];
  for (const [system, reason, message] of reasons) {
    it(`on ${system}: ${JSON.stringify(reason)}`, async () => {
      const error = await explainOpenFailure('/dev/ttyX', reason);
      expect(error.kind).to.equal('link');
      expect(error.message).to.match(message);
      expect(error.message).to.not.match(/[\r\n]/);
    });
  }
});

describe('listing ports', () => {
  it('knows a board by its USB ids', () => {
    const boards = [{ name: 'pico', vendorId: 0x2e8a, productId: 0x000a }];
    const at = (ids: object): string[] => boardsAt({ path: '/dev/ttyACM0', ...ids }, boards);
    expect(at({ vendorId: '2e8a', productId: '000a' })).to.deep.equal(['pico']);
    expect(at({ vendorId: '2E8A', productId: '000A' })).to.deep.equal(['pico']);
    expect(at({ vendorId: '2e8a', productId: '000b' })).to.deep.equal([]);
    expect(at({ vendorId: '1209', productId: '000a' })).to.deep.equal([]);
    expect(at({})).to.deep.equal([]);
  });

  it('works with udevadm and without', async () => {
    for (const port of await listPorts()) expect(port.path).to.be.a('string').and.not.equal('');
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    try {
      if (process.platform === 'linux') expect(await listPorts()).to.be.an('array');
    } finally {
      process.env['PATH'] = path;
    }
  });
});

describeWithCompiler('a port with a board', () => {
  it('that another program has open is busy, and free again afterwards', async () => {
    const device = await startDevice();
    const { client } = await connectBoard(device.path);
    const error = await errorOf(connectBoard(device.path));
    expect(error.kind).to.equal('link');
    // Where the system tells, it names who else has the terminal open: the device itself.
    expect(error.message).to.match(/^serial port \S+ is busy: (another program|.+ \(process \d+\)) has it open/);
    // Closed twice at once: either way the port is free when it is done.
    void client.close();
    await client.close();
    const again = await connectBoard(device.path);
    expect(again.hello.model).to.equal('fake');
    await again.client.close();
    await device.close();
  });

  it('that says something first still answers', async () => {
    const device = await startDevice();
    const fd = openSync(device.path, 'r+');
    // Half a frame is left over from a program that was killed.
    writeSync(fd, '\0\x02\x02garbage');
    const { client } = await connectBoard(device.path);
    expect((await client.statistics()).badFrames).to.equal(1);
    await client.close();
    closeSync(fd);
    await device.close();
  });

  it('whose line brings many damaged frames at once does not run out of attempts', async () => {
    const device = await startDevice();
    const transport = await openSerial(device.path, 115_200);
    const client = new BoardClient(transport, { quietMs: 100, attempts: 3 });
    await transport.write(Buffer.from('\0noise'.repeat(30)));
    expect((await client.hello()).model).to.equal('fake');
    expect((await client.statistics()).badFrames).to.equal(30);
    await client.close();
    await device.close();
  });

  it('that is gone while it draws is one clear error, at once', async () => {
    const device = await startDevice();
    const { client } = await connectBoard(device.path);
    const drawing = errorOf(client.sample(0xf8n << 32n));
    setTimeout(() => void device.close(), 50);
    const start = performance.now();
    const error = await drawing;
    expect(error.kind).to.equal('link');
    expect(error.message).to.match(/is closed: the board was unplugged or reset, or its process ended/);
    expect(performance.now() - start).to.be.below(5000);
    expect((await errorOf(client.trace(1n))).message).to.match(/is closed/);
    await client.close();
  });
});

describeWithCompiler('the identity of a board', () => {
  const golden = new FakeGolden();

  it('is accepted when model and weights are the ones asked for', async () => {
    const device = await startDevice();
    const { client, hello } = await connectBoard(device.path);
    checkIdentity(hello, { model: 'fake', modelHash: golden.hash, weightChecksums: [0xfeedc0de] }, device.path);
    expect(generatorNote(hello, '0.1.0')).to.be.undefined;
    expect(generatorNote(hello, '0.2.0')).to.match(/generated by fsvae-codegen 0\.1\.0, this is 0\.2\.0/);
    await client.close();
    await device.close();
  });

  const strangers: [title: string, defines: string[], message: RegExp][] = [
    [
      'another model',
      ['FSVAE_MODEL_HASH="fedcba9876543210"', 'FSVAE_MODEL_NAME="celeba"'],
      /^the board on \S+ runs model celeba \(fedcba9876543210\), you asked for fake \(0123456789abcdef\): flash it \(flash-it\), or name/,
    ],
    [
      'damaged flash',
      ['FAKE_WEIGHT_CHECKSUM=0x0badf00du'],
      /weights with CRC-32 0x0badf00d, but the build of model fake wrote 0xfeedc0de: its flash is damaged/,
    ],
  ];
  for (const [title, defines, message] of strangers) {
    it(`is refused by name for ${title}`, async () => {
      const device = await startDevice(defines);
      const { client, hello } = await connectBoard(device.path);
      const expected = {
        model: 'fake',
        modelHash: golden.hash,
        weightChecksums: [0xfeedc0de],
        flashCommand: 'flash-it',
      };
      const error = await errorOf(Promise.resolve().then(() => checkIdentity(hello, expected, device.path)));
      expect(error.kind).to.equal('model-mismatch');
      expect(error.message).to.match(message);
      await client.close();
      await device.close();
    });
  }
});

describe('a board process', () => {
  const node = (script: string) => startBoardProcess(process.execPath, ['-e', script], { startMs: 3000, stopMs: 300 });

  it('that does not exist is named', async () => {
    const error = await errorOf(startBoardProcess('/no/such/emulator', []));
    expect(error.message).to.match(/^emulator ended before it opened a port \(it did not start\): .*ENOENT/);
  });

  it('that dies shows its last line on stderr', async () => {
    const error = await errorOf(node('console.error("first");console.error("image too large");process.exit(3)'));
    expect(error.message).to.match(/^node ended before it opened a port \(exit code 3\): image too large$/);
  });

  it('that says something else is shown', async () => {
    const error = await errorOf(node('console.log("hello there");setInterval(()=>0,1000)'));
    expect(error.message).to.match(/said "hello there" instead of naming its pseudo-terminal/);
  });

  it('that says nothing is given up', async () => {
    const error = await errorOf(
      startBoardProcess(process.execPath, ['-e', 'console.error("waiting");setInterval(()=>0,1000)'], { startMs: 400 }),
    );
    expect(error.message).to.match(/^node opened no port within 0\.4 s(; its last words: waiting)?$/);
  });

  it('that floods stdout is cut off', async () => {
    const error = await errorOf(node('process.stdout.write("x".repeat(1e6));setInterval(()=>0,1000)'));
    expect(error.message).to.match(/said "x{80}" instead/);
  });

  it('is killed when it does not end by itself', async () => {
    const child = await node(
      'process.on("SIGTERM",()=>0);process.stdin.resume();console.log(JSON.stringify({pty:"/dev/null"}));setInterval(()=>0,1000)',
    );
    const start = performance.now();
    await child.close();
    await child.close();
    expect(performance.now() - start).to.be.within(250, 3000);
    expect(() => process.kill(child.pid, 0)).to.throw();
  });
});
