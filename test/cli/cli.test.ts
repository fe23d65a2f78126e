import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PNG } from 'pngjs';
import { boardNames } from '../../boards/board.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { EXIT_CODES } from '../../cli/exit-codes.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

describe('command line', function () {
  this.timeout(120_000);
  let folder: string;

  before(() => (folder = mkdtempSync(join(tmpdir(), 'fsvae-cli-'))));
  after(() => rmSync(folder, { recursive: true }));

  /** Runs the command as a user would, in a folder of its own. */
  function run(args: readonly string[], env: Record<string, string> = {}): Run {
    const child = spawnSync(process.execPath, [MAIN, ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    return { code: child.status, out: child.stdout, err: child.stderr };
  }

  /** Every failure: one line, an exit code of its own, no stack trace, nothing on stdout. */
  function refused(args: readonly string[], code: number, message: RegExp, env: Record<string, string> = {}): void {
    const { code: actual, out, err } = run(args, env);
    const lines = err.trimEnd().split('\n');
    expect(lines[lines.length - 1]).to.match(message);
    expect(lines[lines.length - 1]).to.match(/^fsvae-codegen: /);
    expect(err).to.not.match(/\n {4}at /);
    expect(actual).to.equal(code);
    expect(out).to.not.match(/Error/);
  }

  it('ends without a word when whoever reads its output has gone', () => {
    const piped = `"${process.execPath}" "${MAIN}" inspect tiny | true; echo "\${PIPESTATUS[0]}"`;
    const child = spawnSync('bash', ['-c', piped], { cwd: folder, encoding: 'utf8' });
    expect(child.stderr).to.equal('');
    expect(child.stdout.trim()).to.equal('141');
  });

  it('says in one line that its output cannot be written', function () {
    if (!existsSync('/dev/full')) this.skip();
    const child = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" inspect tiny > /dev/full`], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(child.stderr).to.equal('fsvae-codegen: cannot write stdout: ENOSPC\n');
    expect(child.status).to.equal(EXIT_CODES.usage);
  });

  it('shows help with examples and exit codes', () => {
    const { code, out } = run(['--help']);
    expect(code).to.equal(0);
    expect(out).to.include('fsvae-codegen --board rp2040');
    expect(out).to.include('Exit codes: 0 ok, 1 bits differ');
    for (const command of [
      'flash',
      'simulate',
      'stream',
      'verify',
      'sample',
      'quantize',
      'inspect',
      'check',
      'convert',
      'train',
      'eval',
      'boards',
      'ports',
    ]) {
      expect(out).to.match(new RegExp(`\\n  ${command} `));
      expect(run([command, '--help']).code).to.equal(0);
    }
  });

  it('generates and builds, text and JSON', () => {
    const text = run(['--board', 'rp2040', '--model', 'tiny', '--out', 'pico', '--compiler', 'zig']);
    expect(text.err).to.equal('');
    expect(text.code).to.equal(0);
    expect(text.out).to.match(/flash used +\d+ of 2097152/);
    expect(text.out).to.include('Hold BOOTSEL');
    expect(existsSync(join(folder, 'pico/build/fsvae.uf2'))).to.equal(true);
    const qemu = run(['--board', 'mps2-an386', '--model', 'tiny', '--out', 'mps2', '--compiler', 'zig']);
    expect(qemu.out).to.match(/ -M mps2-an386 .*-kernel mps2[/\\]build[/\\]fsvae\.elf\n/);
    expect(existsSync(join(folder, 'mps2/build/fsvae.bin'))).to.equal(true);
    const json = run(['--board', 'host', '--model', 'tiny', '--out', 'host', '--json']);
    const parsed = JSON.parse(json.out) as { board: string; model: { hash: string }; program: string };
    expect(parsed.board).to.equal('host');
    expect(parsed.model.hash).to.match(/^[0-9a-f]{64}$/);
    expect(existsSync(join(folder, parsed.program))).to.equal(true);
  });

  it('generates a project for another build system, with and without a board', () => {
    const text = run(['--format', 'arduino', '--model', 'tiny', '--out', 'library']);
    expect(text.err).to.equal('');
    expect(text.out).to.match(/wrote \d+ files to library\nHow to build it: library[/\\]README\.md\n$/);
    expect(existsSync(join(folder, 'library/examples/Draw/Draw.ino'))).to.equal(true);
    const json = run(['--format', 'zephyr', '--board', 'rp2040', '--model', 'tiny', '--json']);
    const parsed = JSON.parse(json.out) as { format: string; folder: string; budget: { fits: boolean } };
    expect(parsed).to.include({ format: 'zephyr', folder: join('build', 'zephyr-tiny') });
    expect(parsed.budget.fits).to.equal(true);
    refused(
      ['--format', 'arduino', '--model', 'tiny', '--weights', 'incbin'],
      EXIT_CODES.usage,
      /take constants as array/,
    );
    refused(['--format', 'makefile'], EXIT_CODES.usage, /Allowed choices are bare, plain, cmake/);
    refused(['--model', 'tiny'], EXIT_CODES.usage, /required option '-b, --board <name\|file>' not specified/);
  });

  it('shows what it would flash, and refuses what cannot be', () => {
    const args = ['--model', 'tiny', '--compiler', 'zig', '--out', 'pico'];
    const shown = run(['flash', '--board', 'rp2040', ...args, '--dry-run']);
    expect(shown.out).to.match(/\ncopy pico[/\\]build[/\\]fsvae\.uf2 to \S.*\n$/);
    expect(shown.code).to.equal(0);
    refused(
      ['flash', '--board', 'rp2040', '--method', 'esptool'],
      EXIT_CODES.usage,
      /there is drive, picotool, openocd$/,
    );
    refused(['flash', '--board', 'rp2040', '--image', 'x.hex'], EXIT_CODES.usage, /takes a \.uf2, \.elf or \.bin file/);
    refused(['flash', '--board', 'rp2040', '--image', 'no.uf2'], EXIT_CODES.usage, /no\.uf2 does not exist/);
    refused(
      ['flash', '--board', 'mps2-an386', '--image', 'package.bin', '--verify'],
      EXIT_CODES.usage,
      /--verify needs --port/,
    );
    const none = [
      'flash',
      '--board',
      'rp2040',
      '--image',
      'pico/build/fsvae.uf2',
      '--drive',
      'no-drive',
      '--wait',
      '1',
    ];
    refused(none, EXIT_CODES.flash, /no drive RPI-RP2 within 1 s: start the board's boot loader/);
  });

  it("tells each image's CRC-32, which examples of project formats print", () => {
    const { out } = run(['sample', '--model', 'tiny', '-n', '2', '--json']);
    const { images } = JSON.parse(out) as { images: { seed: string; crc32: string }[] };
    expect(images).to.deep.equal([
      { seed: '0', crc32: 'a29ddf0b' },
      { seed: '1', crc32: '69906d32' },
    ]);
  });

  it('keeps the promise of the fit answer: program and RAM stay within its upper bounds', () => {
    for (const board of ['rp2040', 'mps2-an386', 'mps2-an505', 'riscv32-virt']) {
      for (const compiler of ['gcc', 'zig']) {
        const out = `${board}-${compiler}`;
        const built = run(['--board', board, '--model', 'mnist', '--out', out, '--compiler', compiler, '--json']);
        if (built.code === EXIT_CODES.toolchain) continue; // this compiler is not installed; the other one is tested
        const { budget, flashUsed, ramUsed } = JSON.parse(built.out) as {
          budget: { flash: { used: number }; ram: { used: number } };
          flashUsed: number;
          ramUsed: number;
        };
        expect(flashUsed, out).to.be.at.most(budget.flash.used);
        expect(ramUsed, out).to.be.at.most(budget.ram.used);
        expect(flashUsed, out).to.be.above(budget.flash.used - 44 * 1024);
      }
    }
  });

  it('writes a WebAssembly module with its loader, types and README, and draws with it', () => {
    const { code, out } = run(['--board', 'wasm', '--model', 'tiny', '--out', 'module', '--json']);
    expect(code).to.equal(0);
    expect(JSON.parse(out)).to.include({ board: 'wasm', program: 'module/build/fsvae.wasm', uf2: null, bin: null });
    for (const file of ['build/fsvae.wasm', 'port/fsvae.mjs', 'port/fsvae.d.mts', 'port/README.md']) {
      expect(existsSync(join(folder, 'module', file)), file).to.equal(true);
    }
    const drawn = run(['simulate', '--board', 'wasm', '--model', 'tiny', '--images', '3', '--out', 'module']);
    expect(drawn.code).to.equal(0);
    expect(drawn.out).to.include('3 of 3 images bit-exact');
  });

  it('lists the boards: what they are, and how long an image takes', () => {
    const { out, code } = run(['boards', '--json']);
    expect(code).to.equal(0);
    const rows = JSON.parse(out) as Record<string, unknown>[];
    expect(rows.map(({ name }) => name)).to.deep.equal(boardNames());
    const pico = rows.find(({ name }) => name === 'rp2040')!;
    expect(pico).to.include({
      core: 'cortex-m0plus',
      flash: 2 << 20,
      ram: 264 << 10,
      holds: 'mnist',
      emulator: 'rp2040js',
    });
    expect(pico.formats).to.deep.equal(['bare', 'plain', 'cmake', 'arduino', 'platformio', 'zephyr']);
    expect(rows.find(({ name }) => name === 'esp32c3')!.formats).to.include('esp-idf');
    expect(rows.filter(({ formats }) => (formats as string[]).includes('esp-idf'))).to.have.length(1);
    expect(pico.image).to.include({ model: 'mnist', basis: 'emulated' });
    // A part that the full-size model does not fit; a board of QEMU, which has no speed.
    expect(rows.find(({ name }) => name === 'nucleo-f446re')!.image).to.include({
      model: 'mnist-small',
      basis: 'predicted',
    });
    expect(rows.find(({ name }) => name === 'riscv32-virt')!.image).to.equal(null);
    const text = run(['boards']).out;
    expect(text).to.match(
      /\nrp2040 +cortex-m0plus +2048 KiB +264 KiB +rp2040js +bare,plain,cmake\S+ +mnist \d+ ms +USB serial/,
    );
    expect(text).to.match(/\nrp2350 +cortex-m33 .* mnist \d+ ms \*/);
  });

  it('writes the same bytes every time, whatever the folder', () => {
    for (const out of ['first', 'deeper/second']) {
      expect(run(['--board', 'rp2040', '--model', 'tiny', '--out', out, '--compiler', 'zig']).code).to.equal(0);
    }
    const read = (out: string, file: string): Buffer => readFileSync(join(folder, out, file));
    for (const file of ['fsvae.c', 'fsvae.h', 'fsvae_weights.bin', 'build/fsvae.uf2']) {
      expect(read('first', file).equals(read('deeper/second', file)), file).to.equal(true);
    }
  });

  it('draws with the emulated board and ends with the verdict', () => {
    const { code, out, err } = run([
      'simulate',
      '--model',
      'tiny',
      '--compiler',
      'zig',
      '-n',
      '3',
      '--png',
      'out/grid.png',
    ]);
    expect(err).to.match(/3\/3 images {2}[\d.]+ a second, all bit-exact/);
    expect(out).to.match(/\n3 of 3 images bit-exact\n$/);
    expect(code).to.equal(0);
    const png = PNG.sync.read(readFileSync(join(folder, 'out/grid.png')));
    expect(png.width).to.equal(2 * 8 * 4 + 2);
  });

  it('verifies an emulated board, as text and as JSON', () => {
    const text = run(['verify', '--simulate', '--model', 'tiny', '-n', '2']);
    expect(text.code).to.equal(0);
    expect(text.out).to.match(/2 of 2 seeds from 0, .* every bit equals the golden model/);
    const json = run([
      'verify',
      '--simulate',
      '--board',
      'host',
      '--model',
      'tiny',
      '-n',
      '2',
      '--seed',
      '0xffffffffffffffff',
      '--json',
    ]);
    const parsed = JSON.parse(json.out) as { equal: boolean; checked: number };
    expect(parsed).to.include({ equal: true, checked: 2 });
  });

  it('quantizes to a file that gives the same model, and inspects both', () => {
    expect(
      run(['quantize', 'tiny', '--bits', '8,prior=4', '-o', 'q/tiny.int8.safetensors', '--samples', '1']).code,
    ).to.equal(0);
    const quantized = JSON.parse(run(['inspect', 'q/tiny.int8.safetensors', '--json']).out) as {
      hash: string;
      kind: string;
    };
    const checkpoint = JSON.parse(run(['inspect', 'tiny', '--bits', '8,prior=4', '--json']).out) as {
      hash: string;
      kind: string;
    };
    expect(quantized.hash).to.equal(checkpoint.hash);
    expect([quantized.kind, checkpoint.kind]).to.deep.equal(['integer model', 'checkpoint']);
    const text = run(['inspect', 'tiny']).out;
    expect(text).to.match(/on rp2040: fits; flash/);
    expect(text).to.match(/an image takes \d+ spikes, [\d,]+ synaptic operations, [\d,]+ LIF updates/);
    expect(text).to.match(/predicted for a Cortex-M0\+ [^\n]*: \d+\.\d million cycles an image/);
  });

  it('scales thresholds: another model, with fewer spikes', () => {
    const inspect = (...flags: string[]) =>
      JSON.parse(run(['inspect', 'tiny', '--json', ...flags]).out) as { hash: string; activity: { spikes: number } };
    const plain = inspect();
    const fewer = inspect('--threshold-scale', '1,decoder_input=1.5');
    expect(fewer.hash).to.not.equal(plain.hash);
    expect(fewer.activity.spikes).to.be.below(plain.activity.spikes);
    expect(inspect('--threshold-scale', '1').hash).to.equal(plain.hash);
  });

  it('samples with the golden model', () => {
    const { code, out } = run(['sample', '--model', 'tiny', '-n', '2', '--png', 'golden.png']);
    expect(code).to.equal(0);
    expect(out).to.include('picture: golden.png');
  });

  it('lists boards as a table and as JSON', () => {
    const boards = JSON.parse(run(['boards', '--json']).out) as {
      name: string;
      core: string;
      flash: number | null;
      ram: number | null;
    }[];
    expect(boards.find(({ name }) => name === 'rp2040')).to.include({
      core: 'cortex-m0plus',
      flash: 2097152,
      ram: 270336,
    });
    expect(run(['boards']).out).to.match(/rp2040 +cortex-m0plus +2048 KiB/);
  });

  it("prints a board's description as it is, to begin one with", () => {
    const { code, out } = run(['boards', 'rp2040']);
    expect(code).to.equal(0);
    expect(out).to.equal(readFileSync(join(PACKAGE_ROOT, 'boards/rp2040.json'), 'utf8'));
    refused(['boards', 'rp2o40'], EXIT_CODES.usage, /no board "rp2o40": did you mean rp2040\?/);
  });

  it('certifies what it verified, adds a target with each run, and replays it', () => {
    const verified = ['verify', '--simulate', '-m', 'tiny', '-n', '2', '--certificate', 'bits.json'];
    expect(run([...verified, '-b', 'host']).out).to.match(
      /certificate: bits\.json, 2 targets that give the same bits\n/,
    );
    expect(run([...verified, '-b', 'rp2040']).out).to.match(/certificate: bits\.json, 3 targets/);
    const written = readFileSync(join(folder, 'bits.json'), 'utf8');
    expect(run([...verified, '-b', 'host']).code).to.equal(0);
    expect(readFileSync(join(folder, 'bits.json'), 'utf8'), 'the same run, the same bytes').to.equal(written);

    const { code, out } = run(['certificate', 'check', 'bits.json']);
    expect(out).to.match(/2 seeds from 0\n {2}equal {4}golden model\n {2}equal {4}host, [^\n]+\n {2}equal {4}rp2040, /);
    expect(code).to.equal(0);

    refused(
      [...verified, '-s', '5', '-b', 'host'],
      EXIT_CODES.usage,
      /bits\.json is a certificate of something else \(seeds differ\)/,
    );
    refused([...verified, '--bits', '4', '-b', 'host'], EXIT_CODES.usage, /something else \(model differ\)/);
    // One digit of a digest.
    const tampered = written.replace(
      /("name": "z",\s+"neurons": \d+,\s+"digest": ")(.)/,
      (_, before: string, digit: string) => before + (digit === '0' ? '1' : '0'),
    );
    writeFileSync(join(folder, 'tampered.json'), tampered);
    refused(
      ['certificate', 'check', 'tampered.json'],
      EXIT_CODES.mismatch,
      /1 of 3 targets no longer give what tampered\.json says/,
    );
    writeFileSync(
      join(folder, 'broken.json'),
      tampered.replace('"count": 2', '"count": 0').replace('"host"', '"hosts"'),
    );
    refused(
      ['certificate', 'check', 'broken.json'],
      EXIT_CODES.input,
      /broken\.json has 2 error\(s\): seeds\.count: [^;]+; targets\.1\.kind: /,
    );
    refused(['certificate', 'check', 'none.json'], EXIT_CODES.usage, /certificate none\.json cannot be read/);
  });

  describe('bad input gets one line and its own exit code', () => {
    const file = (name: string, content: string | Uint8Array): string => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, name), content);
      return name;
    };

    it('usage', () => {
      refused([], EXIT_CODES.usage, /required option '-b, --board <name\|file>' not specified/);
      refused(['--board', 'rp2400'], EXIT_CODES.usage, /no board "rp2400": did you mean rp2040 or rp2350\?/);
      refused(
        ['--board', 'rp2040', '--model', 'nowhere.pth'],
        EXIT_CODES.usage,
        /no model or checkpoint "nowhere\.pth"/,
      );
      refused(['sample', '--seed', '-1'], EXIT_CODES.usage, /from 0 to 2\^64 - 1/);
      refused(['sample', '-n', '0'], EXIT_CODES.usage, /whole number from 1/);
      refused(['--board', 'rp2040', '--bits', '3'], EXIT_CODES.usage, /8 or 4 bits/);
      refused(['quantize', 'tiny', '--threshold-scale', '9'], EXIT_CODES.usage, /a factor is a number from 0\.25 to 4/);
      expect(run(['quantize', 'tiny', '--samples', '1', '-o', 'done.safetensors']).code).to.equal(0);
      refused(
        ['inspect', 'done.safetensors', '--threshold-scale', '1'],
        EXIT_CODES.usage,
        /done\.safetensors is quantized already: --bits, --tau, --threshold and --threshold-scale need its checkpoint/,
      );
      refused(['--board', 'rp2040', '--tau', '0.3'], EXIT_CODES.usage, /tau 0\.3 cannot be exact/);
      refused(['frobnicate', '--board', 'rp2040'], EXIT_CODES.usage, /too many arguments|unknown command/);
      refused(['verify'], EXIT_CODES.usage, /verify needs either --port PATH, or --simulate/);
    });

    it('files that are no checkpoint', () => {
      refused(['sample', '-m', file('text.pth', 'hello')], EXIT_CODES.input, /text\.pth: is neither a/);
      refused(['sample', '-m', file('empty.pth', '')], EXIT_CODES.input, /empty\.pth/);
      refused(
        [
          'sample',
          '-m',
          file('cut.safetensors', readFileSync(join(PACKAGE_ROOT, 'models/tiny/tiny.safetensors')).subarray(0, 5000)),
        ],
        EXIT_CODES.input,
        /cut\.safetensors/,
      );
      refused(['check', 'models', 'x.npz'], EXIT_CODES.usage, /models: no such file/);
    });

    it('a board that is too small, before any compiler runs', () => {
      const board = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'boards/rp2040.json'), 'utf8')) as {
        name: string;
        memory: { flash: { bytes: number } };
      };
      board.name = 'small';
      board.memory.flash.bytes = 1048576;
      refused(
        ['--board', file('small.json', JSON.stringify(board)), '--out', 'never'],
        EXIT_CODES.fit,
        /does not fit small: flash needs \d+ of 1048576 bytes, \d+ too many; 4-bit weights everywhere|--bits/,
      );
      expect(existsSync(join(folder, 'never'))).to.equal(false);
    });

    it('no compiler', () => {
      const board = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'boards/rp2040.json'), 'utf8')) as {
        compilers: { gcc: { program: string }; zig: unknown };
      };
      board.compilers.gcc.program = 'no-such-gcc';
      board.compilers.zig = null;
      const path = file('uncompiled.json', JSON.stringify(board));
      refused(['--board', path, '--model', 'tiny'], EXIT_CODES.toolchain, /no-such-gcc/);
      refused(
        ['--board', path, '--model', 'tiny', '--compiler', 'gcc'],
        EXIT_CODES.toolchain,
        /no-such-gcc is not installed: install it/,
      );
    });

    it('a port that does not exist', () => {
      refused(['stream', '--port', '/dev/no-such-port', '-m', 'tiny'], EXIT_CODES.link, /\/dev\/no-such-port/);
    });
  });
});
