/** The whole way, with the real firmware in the emulator: touched, flashed by way of its drive, asked who it is. */

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { buildProject, writeProject } from '../../codegen/project.js';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import { skipWithoutCompiler } from '../emulator/bench-program.js';
import { shipped } from '../support/shipped.js';
import { makeDrive, takeAway } from './boot-loader.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const EMULATOR = fileURLToPath(new URL('../../emulator/rp2040-process.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const describeOnLinux = process.platform === 'linux' ? describe : describe.skip;

describeOnLinux('a board, emulated', function () {
  this.timeout(120_000);
  let folder: string;
  /** As udev names a board: it stays while what it leads to changes. */
  let port: string;
  let uf2: string;
  let running: BoardProcess | undefined;

  before(async function () {
    skipWithoutCompiler(this, 'rp2040', 'auto');
    folder = mkdtempSync(join(tmpdir(), 'fsvae-flashed-'));
    port = join(folder, 'board');
    const board = loadBoard('rp2040');
    const build = await buildProject(writeProject(shipped('tiny').plan, board, join(folder, 'project')));
    uf2 = build.image!.uf2Path!;
  });
  afterEach(async () => {
    await running?.close();
    running = undefined;
  });
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  async function plugIn(image: string): Promise<void> {
    running = await startBoardProcess(process.execPath, [EMULATOR, image, '2097152', '--usb']);
    symlinkSync(running.path, `${port}.new`);
    renameSync(`${port}.new`, port);
  }

  /** The command as a user runs it, while the test goes on being the board. */
  function command(args: readonly string[]): { ended: Promise<Ended>; said: (text: RegExp) => Promise<void> } {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    let look = (): void => undefined;
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString('utf8');
      look();
    });
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString('utf8');
      look();
    });
    const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
    const said = (text: RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        look = () => text.test(out + err) && resolve();
        look();
        void ended.then(() => reject(new Error(`it ended without ${text}: ${out}${err}`)));
      });
    return { ended, said };
  }

  const rateOf = (path: string): string => execFileSync('stty', ['-F', path, 'speed'], { encoding: 'utf8' }).trim();

  it('is restarted by 1200 baud, takes the image by its drive, and is verified over serial', async () => {
    await plugIn(uf2);
    const drive = join(folder, 'RPI-RP2');
    const args = ['flash', '--board', 'rp2040', '--model', 'tiny', '--image', uf2, '--drive', drive, '--port', port];
    const { ended, said } = command([...args, '--verify']);
    await said(/waiting up to 60 s for the drive RPI-RP2\n/);
    // What Linux's driver passes on to the device, the test has to: a pseudo-terminal only keeps the rate.
    expect(rateOf(port)).to.equal('1200');
    expect(await running!.ask('touch')).to.equal('{"touched":true}');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await running!.close();
    expect(await running!.ended).to.equal('the program entered the boot loader');

    makeDrive(drive);
    const written = await takeAway(drive, readFileSync(uf2).length);
    const flashed = join(folder, 'flashed.uf2');
    writeFileSync(flashed, written);
    await plugIn(flashed);
    const { code, out, err } = await ended;
    expect(err).to.match(/^(\d+\/\d+ bytes\n)+$/);
    expect(out).to.match(/^close \S+ at 1200 baud: the board restarts into its boot loader\n/);
    expect(out).to.match(/\ncopy \S+ to \S+RPI-RP2\nthe board has taken the image and starts it\n/);
    expect(out).to.match(/: the board runs tiny, its constants are whole\n$/);
    expect(code).to.equal(0);
  });

  it('that runs another model afterwards is no success', async () => {
    const drive = makeDrive(join(folder, 'RPI-RP2'));
    await plugIn(uf2); // the old firmware, which the image does not replace
    const args = ['flash', '--board', 'rp2040', '--image', uf2, '--model', 'tiny', '--drive', drive, '--port', port];
    const { ended } = command([...args, '--bits', '4', '--verify', '--json']);
    await takeAway(drive, readFileSync(uf2).length);
    const { code, out, err } = await ended;
    expect(err.trimEnd().split('\n').at(-1)).to.match(
      /^fsvae-codegen: the board on \S+ runs model tiny .* you asked for tiny/,
    );
    expect(code).to.equal(EXIT_CODES['model-mismatch']);
    expect(out).to.equal('');
  });

  it('that never comes back is one line, in time', async () => {
    const drive = makeDrive(join(folder, 'RPI-RP2'));
    const gone = join(folder, 'no-port');
    const args = [
      'flash',
      '--board',
      'rp2040',
      '--image',
      uf2,
      '--drive',
      drive,
      '--port',
      gone,
      '--wait',
      '1',
      '--verify',
    ];
    const { ended } = command(args);
    await takeAway(drive, readFileSync(uf2).length);
    const { code, err } = await ended;
    expect(err).to.match(/\nfsvae-codegen: serial port \S+no-port does not exist .*\n$/);
    expect(code).to.equal(EXIT_CODES.link);
  });

  it('unplugged while it streams is one line, at once, and a second try works', async () => {
    await plugIn(uf2);
    const first = command(['stream', '--model', 'tiny', '--port', port, '-n', '100000']);
    await first.said(/\d+\/100000 images/);
    await running!.close();
    const start = performance.now();
    const { code, err } = await first.ended;
    expect(err.trimEnd().split('\n').at(-1)).to.match(
      /^fsvae-codegen: .*(is closed: the board was unplugged|was the board unplugged\?)/,
    );
    expect(err).to.not.match(/\n {4}at /);
    expect(code).to.equal(EXIT_CODES.link);
    expect(performance.now() - start).to.be.below(10_000);
    await plugIn(uf2);
    const second = await command(['stream', '--model', 'tiny', '--port', port, '-n', '2']).ended;
    expect(second.out).to.match(/\n2 of 2 images bit-exact\n$/);
    expect(second.code).to.equal(0);
    expect(existsSync(port)).to.equal(true);
  });
});
