import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { formatHolders, parseLsof, portHolders } from '../../harness/port-holder.js';
import type { BoardProcess } from '../../harness/process.js';
import { boardPorts, findBoardPort, openSerial, type PortDescription } from '../../harness/serial.js';
import { describeWithCompiler, startDevice } from './device.js';
import { errorOf } from './errors.js';

const PICO = { name: 'pico', vendorId: 0x2e8a, productId: 0x000a };

const pico = (path: string, serialNumber?: string): PortDescription => ({
  path,
  vendorId: '2e8a',
  productId: '000a',
  ...(serialNumber === undefined ? {} : { serialNumber }),
});

describe('what lsof says', () => {
  it('is a list of processes with their names', () => {
    expect(parseLsof('p4711\ncminicom\nf3\np12\ncscreen\n')).to.deep.equal([
      { pid: 4711, program: 'minicom' },
      { pid: 12, program: 'screen' },
    ]);
    expect(parseLsof('')).to.deep.equal([]);
    expect(parseLsof('cnobody\np5\n')).to.deep.equal([{ pid: 5, program: '' }]);
  });

  it('is shown in a line, whatever a program calls itself', () => {
    expect(
      formatHolders([
        { pid: 1, program: 'a\nb\u001b' },
        { pid: 2, program: '' },
      ]),
    ).to.equal('a?b? (process 1) and a program (process 2)');
  });
});

describeWithCompiler('a port', () => {
  let device: BoardProcess;
  let other: BoardProcess;

  before(async () => {
    device = await startDevice();
    other = await startDevice();
  });
  after(async () => {
    await device.close();
    await other.close();
  });

  it('that another program has open is said to be: which, and its number', async function () {
    if (process.platform !== 'linux') this.skip(); // elsewhere lsof may be missing
    // A program of its own that opens the port as serial programs do: for itself alone.
    const script = `import { SerialPort } from 'serialport'; process.stdin.resume(); const port = new SerialPort({ path: ${JSON.stringify(device.path)}, baudRate: 9600 }, (error) => console.log(error?.message ?? 'open'));`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      const [said] = (await once(holder.stdout, 'data')) as [Buffer];
      expect(said.toString()).to.equal('open\n');
      const holders = await portHolders(device.path);
      expect(holders!.map(({ pid }) => pid)).to.include(holder.pid);
      const error = await errorOf(openSerial(device.path, 115_200));
      expect(error.message).to.match(
        /^serial port \S+ is busy: .*\(process \d+\).* has it open; close that program first$/,
      );
      expect(error.message).to.include(`(process ${holder.pid})`);
    } finally {
      holder.kill();
      await once(holder, 'close');
    }
    expect((await portHolders(device.path))!.map(({ pid }) => pid)).to.not.include(holder.pid);
    const transport = await openSerial(device.path, 115_200);
    await transport.close();
  });

  describe('found by `auto`', () => {
    const find = (ports: PortDescription[], helloMs = 3000): Promise<string> =>
      findBoardPort([PICO], () => Promise.resolve(ports), helloMs);

    it('is the only one with the ids of a board, without a question', async () => {
      expect(
        await find([{ path: '/dev/ttyS0' }, pico('/dev/ttyNOT'), { path: '/dev/ttyUSB0', vendorId: '0403' }]),
      ).to.equal('/dev/ttyNOT');
      expect(await boardPorts([PICO], () => Promise.resolve([pico('/dev/a'), { path: '/dev/b' }]))).to.deep.equal([
        pico('/dev/a'),
      ]);
    });

    it('is the one that says hello, of several', async () => {
      expect(await find([pico('/dev/ttyNOSUCH9'), pico(device.path)])).to.equal(device.path);
    });

    it('is refused where several say hello: all are listed, with what they run', async () => {
      const error = await errorOf(find([pico(device.path), pico(other.path)]));
      expect(error.kind).to.equal('link');
      expect(error.message).to.match(
        /^several boards are there: \S+ \(\S+, model fake, serial \S*\); \S+ \(\S+, model fake, serial \S*\): name one by --port PATH$/,
      );
    });

    it('is refused where none says hello, with the serial numbers', async () => {
      const error = await errorOf(find([pico('/dev/ttyNO1', 'E66'), pico('/dev/ttyNO2')], 300));
      expect(error.message).to.match(
        /^none of the ports with a board's USB ids says hello: \/dev\/ttyNO1 \(no hello, serial E66\); \/dev\/ttyNO2 \(no hello\): flash/,
      );
    });

    it('is refused where there is none, with what there is', async () => {
      expect((await errorOf(find([]))).message).to.match(/\(there is no serial port at all\): plug the board in/);
      expect((await errorOf(find([{ path: '/dev/ttyUSB0', vendorId: '0403', productId: '6001' }]))).message).to.match(
        /\(there is \/dev\/ttyUSB0\): plug the board in; a board on a serial adapter is named by --port PATH$/,
      );
    });
  });
});
