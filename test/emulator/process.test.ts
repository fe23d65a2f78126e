import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { sealBoot2 } from '../../codegen/image/boot2.js';
import { encodeUf2 } from '../../codegen/image/uf2.js';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import { lastWords, processorSeconds } from './board-processes.js';
import { type BenchImage, buildBenchImage, skipWithoutCompiler } from './bench-program.js';
import { SerialLink } from './serial-link.js';

const EMULATOR = fileURLToPath(new URL('../../emulator/rp2040-process.js', import.meta.url));

for (const { by, args } of [
  { by: 'UART', args: [] },
  { by: 'USB', args: ['--usb'] },
]) {
  describe(`RP2040 emulator process, ${by}`, function () {
    let program: BenchImage;
    let running: BoardProcess;
    let link: SerialLink;

    before(async function () {
      skipWithoutCompiler(this, 'rp2040', 'auto');
      program = await buildBenchImage('auto');
    });

    beforeEach(async () => {
      running = await startBoardProcess(process.execPath, [EMULATOR, program.image.uf2Path!, ...args]);
      link = await SerialLink.open(running.path);
      await link.settle();
    });

    afterEach(async () => {
      await link?.close();
      await running?.close();
    });

    it('is opened like a serial port, and echoes all of 64 KB', async () => {
      const bytes = Uint8Array.from({ length: 65_536 }, (_, i) => 0x20 + ((i * 7 + (i >> 6)) % 200));
      link.send(bytes);
      expect((await link.read(bytes.length)).equals(bytes)).to.equal(true);
    });

    it('survives the port being closed and opened again, and the board being started again', async () => {
      await link.close();
      link = await SerialLink.open(running.path);
      link.send(Buffer.from('again'));
      expect((await link.read(5)).toString()).to.equal('again');
      link.send(Buffer.from('\x1br'));
      // What a host sends before it has noticed the restart is lost, as on a real line.
      let answer = '';
      for (let i = 0; i < 20 && !answer.endsWith('x'); i++) {
        link.send(Buffer.from('x'));
        answer = await link.read(1, 1000).then(String, () => '');
      }
      expect(answer).to.equal('x');
    });

    it('uses no processor time while the program waits', async function () {
      if (!existsSync('/proc/self/stat')) this.skip();
      await new Promise((resolve) => setTimeout(resolve, 200));
      const before = processorSeconds(running.pid);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(processorSeconds(running.pid) - before).to.be.below(0.25);
    });

    it('says when the program enters the boot loader', async () => {
      link.send(Buffer.from('\x1bb'));
      await new Promise((resolve) => setTimeout(resolve, 500));
      await link.close();
      await running.close();
      expect(await running.ended).to.equal('the program entered the boot loader');
    });

    if (args.length > 0) return; // what follows does not depend on the link

    it('tells of a hard fault on stderr, and goes on', async () => {
      link.send(Buffer.from('\x1bf'));
      expect((await link.read(30)).toString('latin1')).to.match(/^\r\nhard fault at 0x[0-9a-f]{8}\r\n\0!$/);
      await link.close();
      await running.close();
      expect(await running.ended).to.match(/^hard fault: a store to 0x10000200/);
    });

    it('ends with its reason when the core locks up', async () => {
      link.send(Buffer.from('\x1bo'));
      expect(await running.ended).to.match(/^the emulated RP2040 locked up: .*overflowed/);
    });

    it('counts reads of flash when asked to, and tells between requests', async () => {
      await link.close();
      await running.close();
      running = await startBoardProcess(process.execPath, [EMULATOR, program.image.uf2Path!, '--xip']);
      link = await SerialLink.open(running.path);
      await link.settle();
      type Counts = { cycles: number; xip: { accesses: number; misses: number }[] };
      const ask = async (): Promise<Counts> => JSON.parse(await running.ask('xip')) as Counts;
      const start = await ask();
      expect(start.xip[0].misses).to.be.within(1, start.xip[0].accesses - 1);
      expect(start.xip[1]).to.deep.equal({ accesses: 0, misses: 0 });
      expect(await ask(), 'nothing since').to.deep.equal({ ...start, xip: [start.xip[1], start.xip[1]] });
      link.send(Buffer.from('x'));
      await link.read(1);
      const echo = await ask();
      expect(echo.xip[0].accesses).to.be.within(20, 2000);
      expect(echo.cycles).to.be.above(start.cycles);
      expect(await running.ask('time')).to.equal('{"error":"unknown question: time"}');
    });

    it('ends when stdin closes', async () => {
      const child = spawn(process.execPath, [EMULATOR, program.image.uf2Path!], { stdio: ['pipe', 'pipe', 'inherit'] });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
      child.stdin.end();
      expect(await ended).to.equal(0);
    });
  });
}

describe('RP2040 emulator process, refusing', () => {
  it('no image', async () => {
    expect(await lastWords(EMULATOR)).to.contain('usage: rp2040-process IMAGE.uf2');
  });

  it('more than it understands', async () => {
    expect(await lastWords(EMULATOR, 'a.uf2', '--xyz')).to.contain('usage: rp2040-process IMAGE.uf2');
    expect(await lastWords(EMULATOR, 'a.uf2', '1024', '2048')).to.contain('usage: rp2040-process IMAGE.uf2');
  });

  it('an image that is not there', async () => {
    expect(await lastWords(EMULATOR, 'no-such.uf2')).to.contain('no-such.uf2 cannot be read');
  });

  it('a file that is no image', async () => {
    const path = join(process.cwd(), 'package.json');
    expect(await lastWords(EMULATOR, path)).to.match(/is not a usable UF2 file|whole blocks/);
  });

  /** The file is written where nothing else is, refused, and removed. */
  async function lastWordsOn(file: Uint8Array, ...args: string[]): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'fsvae-uf2-'));
    try {
      const path = join(folder, 'other.uf2');
      writeFileSync(path, file);
      return await lastWords(EMULATOR, path, ...args);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('an image for another chip', async () => {
    const said = await lastWordsOn(encodeUf2(new Uint8Array(512), 0x10000000, 0xe48bff59));
    expect(said).to.contain('is for another chip: family 0xe48bff59');
  });

  it('an image whose boot code has no valid checksum', async () => {
    const image = new Uint8Array(512).fill(1, 0, 252);
    sealBoot2(image);
    image[3] ^= 4;
    const said = await lastWordsOn(encodeUf2(image, 0x10000000, 0xe48bff56));
    expect(said).to.contain('the image begins with no boot code of valid checksum');
  });

  it('an image that is larger than the flash it is given', async () => {
    const image = new Uint8Array(2048);
    sealBoot2(image);
    const said = await lastWordsOn(encodeUf2(image, 0x10000000, 0xe48bff56), '1024');
    expect(said).to.contain('the image of 2048 bytes is larger than the flash of 1024');
  });
});
