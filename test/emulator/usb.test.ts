import { expect } from 'chai';
import { EMULATED_FLASH_ID } from '../../emulator/flash-chip.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { BenchChip } from './bench-chip.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from './bench-program.js';

const ESCAPE = 0x1b;
const MILLISECOND = 125_000;
/** More than the reader waits for the rest of a frame. */
const PATIENCE = 25 * MILLISECOND;
/** All that the device can hold: 32 packets to the host, 16 from it. */
const MOST_HELD = (32 + 16) * 64;

/** Bytes that the test program echoes, each different from its neighbours. */
function noise(count: number, start = 0): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => 0x20 + ((start + i * 7 + (i >> 6)) % 200));
}

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`USB of the RP2040 port, built with ${compiler}, emulated`, function () {
    this.timeout(120_000);
    let program: BenchImage;

    before(async function () {
      skipWithoutCompiler(this, 'rp2040', compiler);
      program = await buildBenchImage(compiler);
    });

    function plugged(onBootLoader?: () => void): BenchChip {
      const bench = new BenchChip(program.image.bytes, undefined, undefined, {
        usb: true,
        ...(onBootLoader === undefined ? {} : { onBootLoader }),
      });
      expect(bench.faults).to.deep.equal([]);
      return bench;
    }

    /** What it answers to a control transfer; undefined: it refused. */
    function asked(bench: BenchChip, type: number, request: number, value: number, index: number, count: number) {
      const answers: (Uint8Array | undefined)[] = [];
      bench.chip.usb!.control(type, request, value, index, count, (given) => answers.push(given));
      bench.untilIdle();
      expect(answers).to.have.length(1);
      return answers[0];
    }

    it('says what it is: a serial port with the serial number of its flash chip', () => {
      const { descriptors } = plugged().chip.usb!;
      const device = Buffer.from(descriptors.get('1.0')!);
      expect(device).to.have.length(18);
      expect([device.readUInt16LE(8), device.readUInt16LE(10)]).to.deep.equal([0x2e8a, 0x000a]);
      const text = (index: number): string =>
        Buffer.from(descriptors.get(`3.${index}`)!.subarray(2)).toString('utf16le');
      expect(text(device[14])).to.equal('fsvae-codegen');
      expect(text(device[15])).to.equal('FSVAE bench');
      expect(text(device[16])).to.equal(Buffer.from(EMULATED_FLASH_ID).toString('hex'));

      const configuration = descriptors.get('2.0')!;
      const kinds: number[] = [];
      for (let at = 0; at < configuration.length; at += configuration[at]) kinds.push(configuration[at + 1]);
      expect(kinds).to.deep.equal([2, 11, 4, 0x24, 0x24, 0x24, 0x24, 5, 4, 5, 5]);
      expect(Buffer.from(configuration).readUInt16LE(2)).to.equal(configuration.length);
    });

    it('answers every standard request, and refuses what it has not', () => {
      const bench = plugged();
      const cases: [string, number[], number[] | undefined][] = [
        ['status', [0x80, 0, 0, 0, 2], [0, 0]],
        ['status of an endpoint', [0x82, 0, 0, 0x82, 2], [0, 0]],
        ['configuration', [0x80, 8, 0, 0, 1], [1]],
        ['alternate setting', [0x81, 10, 0, 1, 1], [0]],
        ['line coding', [0xa1, 0x21, 0, 0, 7], [0x00, 0xc2, 0x01, 0x00, 0, 0, 8]],
        ['the start of a descriptor', [0x80, 6, 0x0100, 0, 4], [18, 1, 0x00, 0x02]],
        ['a qualifier: it knows one speed', [0x80, 6, 0x0600, 0, 10], undefined],
        ['a second configuration', [0x80, 6, 0x0201, 0, 9], undefined],
        ['a string that is not there', [0x80, 6, 0x0304, 0x0409, 255], undefined],
        ['a request of no standard', [0xc0, 0x77, 0, 0, 8], undefined],
        ['status again, after refusals', [0x80, 0, 0, 0, 2], [0, 0]],
      ];
      for (const [what, [type, request, value, index, count], expected] of cases) {
        const answer = asked(bench, type, request, value, index, count);
        expect(answer && Array.from(answer), what).to.deep.equal(expected);
      }
      expect(bench.usbEcho(noise(100)).equals(noise(100))).to.equal(true);
    });

    it('echoes any number of bytes', () => {
      const bench = plugged();
      for (const count of [1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 193, 256, 1024, 2048, 4096]) {
        expect(bench.usbEcho(noise(count, count)), `${count} bytes`).to.deep.equal(Buffer.from(noise(count, count)));
      }
    });

    it('ends an answer of whole packets with an empty one: the host would wait for more', () => {
      const bench = plugged();
      for (let i = 0; i < 3; i++) {
        expect(bench.usbEcho(Uint8Array.of(ESCAPE, 'p'.charCodeAt(0)))).to.have.length(192);
      }
    });

    it('loses nothing of a burst many times its buffers', () => {
      const bytes = noise(65_536);
      expect(plugged().usbEcho(bytes).equals(bytes)).to.equal(true);
    });

    it('keeps a host waiting that sends more than there is room for, and waits for one that reads nothing', () => {
      const bench = plugged();
      const { usb } = bench.chip;
      const bytes = noise(3 * MOST_HELD);
      usb!.listen(false);
      bench.usbReceived = [];
      usb!.send(bytes);
      const packets = usb!.packets;
      bench.chip.run(200 * MILLISECOND);
      expect(bench.usbReceived).to.deep.equal([]);
      expect((usb!.packets - packets) * 64, 'taken').to.be.within(MOST_HELD - 64, MOST_HELD + 64);
      usb!.listen(true);
      bench.untilIdle();
      expect(Buffer.from(bench.usbReceived).equals(bytes)).to.equal(true);
    });

    it('loses nothing whatever the pace of either side', () => {
      for (let seed = 1n; seed <= 12n; seed++) {
        const random = new Pcg32(seed);
        const below = (bound: number): number => random.next() % bound;
        const bench = plugged();
        const { usb } = bench.chip;
        const sent: number[] = [];
        bench.usbReceived = [];
        for (let i = 0; i < 40; i++) {
          const bytes = noise(below(4) === 0 ? below(600) : below(66), below(1000));
          sent.push(...bytes);
          usb!.send(bytes);
          usb!.listen(below(3) > 0);
          bench.chip.run(below(2) === 0 ? below(2000) : below(MILLISECOND));
          if (below(10) === 0) usb!.clearHalts();
        }
        usb!.listen(true);
        bench.untilIdle();
        expect(Buffer.from(bench.usbReceived).equals(Buffer.from(sent)), `seed ${seed}`).to.equal(true);
      }
    });

    it('sleeps between packets: a program that waits has no interrupts to serve', () => {
      const bench = plugged();
      const { cycles } = bench.chip;
      bench.chip.run(1e9);
      expect(bench.chip.cycles).to.equal(cycles);
    });

    const away: [string, (bench: BenchChip) => void, (bench: BenchChip) => void][] = [
      [
        'closed and opened again',
        ({ chip }) => chip.usb!.setLine({ open: false }),
        ({ chip }) => chip.usb!.setLine({ open: true }),
      ],
      ['put to sleep and woken', ({ chip }) => chip.usb!.suspend(), ({ chip }) => chip.usb!.resume()],
      ['reset and found again', ({ chip }) => chip.usb!.reset(), () => undefined],
    ];
    for (const [what, leave, comeBack] of away) {
      it(`serves the UART meanwhile and goes on when it is ${what}, in the middle of an answer`, () => {
        const bench = plugged();
        const { usb } = bench.chip;
        usb!.listen(false);
        usb!.send(noise(3000));
        bench.chip.run(50 * MILLISECOND);
        leave(bench);
        bench.chip.run(50 * MILLISECOND);
        expect(bench.echo(Buffer.from('uart')).toString()).to.equal('uart');
        comeBack(bench);
        usb!.listen(true);
        bench.untilIdle();
        expect(bench.usbEcho(noise(500)).subarray(-500).equals(noise(500))).to.equal(true);
      });
    }

    it('answers on the link that was asked', () => {
      const bench = plugged();
      const end = Uint8Array.of(0);
      for (let i = 0; i < 5; i++) {
        bench.usbReceived = [];
        expect(bench.echo(Buffer.from('uart\0')).toString()).to.equal('uart\0');
        expect(bench.usbReceived).to.deep.equal([]);
        bench.chip.usb!.send(Buffer.from('usb\0'));
        expect(bench.untilIdle().toString(), 'on the UART').to.equal('');
        expect(Buffer.from(bench.usbReceived).toString()).to.equal('usb\0');
      }
      expect(bench.usbEcho(end).equals(end)).to.equal(true);
    });

    it('reads a frame to its end before it reads the other link, unless the rest does not come', () => {
      const bench = plugged();
      bench.usbReceived = [];
      expect(bench.echo(Buffer.from('half')).toString()).to.equal('half');
      bench.chip.usb!.send(Buffer.from('other\0'));
      bench.chip.receive(Buffer.from(' whole\0'));
      expect(bench.untilIdle().toString()).to.equal(' whole\0');
      expect(Buffer.from(bench.usbReceived).toString()).to.equal('other\0');

      bench.usbReceived = [];
      const before = bench.chip.cycles;
      expect(bench.echo(Buffer.from('half')).toString()).to.equal('half');
      bench.chip.usb!.send(Buffer.from('other\0'));
      expect(bench.untilIdle().toString(), 'ended for it').to.equal('\0');
      expect(Buffer.from(bench.usbReceived).toString()).to.equal('other\0');
      expect(bench.chip.cycles - before).to.be.below(PATIENCE);
    });

    it('is not kept from USB by a UART that never falls silent', () => {
      const bench = plugged();
      bench.usbReceived = [];
      bench.chip.receive(noise(200_000));
      bench.chip.run(10 * MILLISECOND);
      bench.chip.usb!.send(Buffer.from('\0usb\0'));
      bench.chip.run(1100 * MILLISECOND);
      expect(Buffer.from(bench.usbReceived).toString()).to.equal('\0usb\0');
    });

    it('reports a hard fault over USB when that was asked, and is found again', () => {
      const bench = plugged();
      const said = bench.usbEcho(Uint8Array.of(ESCAPE, 'f'.charCodeAt(0)));
      expect(said.toString('latin1')).to.match(/^\r\nhard fault at 0x[0-9a-f]{8}\r\n\0$/);
      expect(bench.usbEcho(Buffer.from('again')).toString()).to.equal('again');
    });

    const touches: [string, { open: boolean; baudRate?: number }[], boolean][] = [
      ['closed at 1200 baud', [{ open: true, baudRate: 1200 }, { open: false }], true],
      ['set to 1200 baud when closed', [{ open: false }, { open: false, baudRate: 1200 }], true],
      ['open at 1200 baud', [{ open: true, baudRate: 1200 }], false],
      ['closed at another rate', [{ open: true, baudRate: 1201 }, { open: false }], false],
      ['closed', [{ open: false }], false],
      [
        'closed after 1200 baud were set back',
        [{ open: true, baudRate: 1200 }, { open: true, baudRate: 9600 }, { open: false }],
        false,
      ],
    ];
    for (const [what, lines, enters] of touches) {
      it(`${enters ? 'enters' : 'does not enter'} the boot loader when it is ${what}`, () => {
        let entered = 0;
        const bench = plugged(() => entered++);
        for (const line of lines) {
          bench.chip.usb!.setLine(line);
          bench.untilIdle();
        }
        expect(entered).to.equal(enters ? 1 : 0);
      });
    }

    it('enters the boot loader when it is asked to', () => {
      let entered = 0;
      const bench = plugged(() => entered++);
      bench.chip.usb!.send(Uint8Array.of(ESCAPE, 'b'.charCodeAt(0)));
      bench.untilIdle();
      expect(entered).to.equal(1);
    });

    it('works without a cable', () => {
      const bench = new BenchChip(program.image.bytes);
      expect(bench.echo(Buffer.from('uart')).toString()).to.equal('uart');
    });
  });
}
