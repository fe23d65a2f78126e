import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Board, FLASH_TOOLS, type FlashTool, loadBoard, parseBoard } from '../../boards/board.js';
import { encodeIntelHex } from '../../codegen/image/ihex.js';
import { encodeUf2 } from '../../codegen/image/uf2.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { chooseFlasher, flash, type FlashOptions, methodName } from '../../flashing/flash.js';
import { commandLine, findTool, installHint, runTool } from '../../flashing/tool.js';
import { errorOf } from '../harness/errors.js';
import { makeDrive, takeAway } from './boot-loader.js';

/** The RP2040's description with other flashers. */
function boardWith(flashers: unknown): Board {
  const json = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'boards/rp2040.json'), 'utf8')) as object;
  return parseBoard(JSON.stringify({ ...json, flashers }), 'my.json');
}

const describeOnUnix = process.platform === 'win32' ? describe.skip : describe;

describeOnUnix('flashing', () => {
  let folder: string;
  let said: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-flash-'));
    said = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A program that records its arguments, a line each, then does what it is told. */
  function fakeTool(name: string, then = 'exit 0'): string {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\nfor a in "$@"; do echo "$a"; done > "${folder}/${name}.args"\n${then}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  const argumentsOf = (name: string): string[] =>
    readFileSync(join(folder, `${name}.args`), 'utf8')
      .trimEnd()
      .split('\n');

  function options(more: Partial<FlashOptions> = {}): FlashOptions {
    return {
      waitMs: 300,
      path: folder,
      say: (line) => said.push(line),
      driveFolders: () => [join(folder, 'RPI-RP2'), join(folder, 'other')],
      listPorts: () => Promise.resolve([]),
      ...more,
    };
  }

  /** An image of each kind. */
  function image(): { uf2: string; elf: string; bin: string } {
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 31) & 255);
    const paths = { uf2: join(folder, 'a b.uf2'), elf: join(folder, 'fsvae.elf'), bin: join(folder, 'fsvae.bin') };
    writeFileSync(paths.uf2, encodeUf2(bytes, 0x10000000, 0xe48bff56));
    writeFileSync(paths.elf, 'elf');
    writeFileSync(paths.bin, bytes);
    return paths;
  }

  describe('by a tool', () => {
    const tools: [tool: FlashTool, args: string[], expected: (paths: ReturnType<typeof image>) => string[]][] = [
      ['picotool', ['load', '-v', '-x', 'FILE.uf2'], ({ uf2 }) => ['load', '-v', '-x', uf2]],
      [
        'openocd',
        ['-c', 'program {FILE.elf} verify reset exit'],
        ({ elf }) => ['-c', `program {${elf}} verify reset exit`],
      ],
      [
        'st-flash',
        ['--reset', 'write', 'FILE.bin', '0x08000000'],
        ({ bin }) => ['--reset', 'write', bin, '0x08000000'],
      ],
      [
        'nrfutil',
        ['device', 'program', '--firmware', 'FILE.hex'],
        ({ bin }) => ['device', 'program', '--firmware', bin.replace('.bin', '.hex')],
      ],
      [
        'esptool',
        ['--port', 'PORT', 'write-flash', '0x0', 'FILE.bin'],
        ({ bin }) => ['--port', '/dev/ttyX', 'write-flash', '0x0', bin],
      ],
    ];
    for (const [tool, args, expected] of tools) {
      it(`${tool}: the command is shown, then run with exactly these arguments`, async () => {
        const program = fakeTool(tool, 'echo done');
        const paths = image();
        const board = boardWith([{ kind: 'tool', tool, arguments: args }]);
        let output = '';
        const method = await flash(board, paths, options({ port: '/dev/ttyX', onOutput: (text) => (output += text) }));
        expect(method).to.equal(tool);
        expect(argumentsOf(tool)).to.deep.equal(expected(paths));
        expect(said).to.deep.equal([`$ ${commandLine(program, expected(paths))}`]);
        expect(output).to.equal('done\n');
      });
    }

    it('shows the command alone with dryRun', async () => {
      fakeTool('picotool');
      const paths = image();
      await flash(loadBoard('rp2040'), paths, options({ method: 'picotool', dryRun: true }));
      expect(said).to.deep.equal([`$ ${folder}/picotool load -v -x '${paths.uf2}'`]);
      expect(() => argumentsOf('picotool')).to.throw();
    });

    it('that fails: its exit code and its last line', async () => {
      fakeTool('picotool', 'echo searching; echo "No accessible RP2040 devices in BOOTSEL mode" >&2; exit 249');
      const error = await errorOf(flash(loadBoard('rp2040'), image(), options({ method: 'picotool' })));
      expect(error.kind).to.equal('flash');
      expect(error.message).to.match(
        /picotool load -v -x '.*' failed \(exit code 249\): No accessible RP2040 devices .*; check the cable/,
      );
      expect(error.message).to.not.match(/\n/);
      fakeTool('picotool');
      expect(await flash(loadBoard('rp2040'), image(), options({ method: 'picotool' }))).to.equal('picotool');
    });

    it('that is killed, says nothing, or never ends', async () => {
      const killed = fakeTool('picotool', 'kill -9 $$');
      expect((await errorOf(runTool(killed, [], () => undefined, 5000))).message).to.match(
        /failed \(SIGKILL\): it said nothing;/,
      );
      const hangs = fakeTool('openocd', 'echo "Error: \u001b[31mno probe"; exec sleep 30');
      const start = performance.now();
      expect((await errorOf(runTool(hangs, [], () => undefined, 400))).message).to.match(
        /failed \(no end within 0\.4 s\): Error: +\[31mno probe;/,
      );
      expect(performance.now() - start).to.be.below(5000);
    });

    it('that is not installed: how to install it, each of them', async () => {
      const missing = await errorOf(flash(loadBoard('rp2040'), image(), options({ method: 'picotool' })));
      expect(missing.kind).to.equal('flash');
      expect(missing.message).to.match(
        /^picotool is not installed \(brew install picotool, .*\), which --method picotool needs$/,
      );
      const board = boardWith([
        { kind: 'tool', tool: 'st-flash', arguments: [] },
        { kind: 'tool', tool: 'openocd', arguments: [] },
      ]);
      expect((await errorOf(flash(board, image(), options()))).message).to.match(
        /^no tool to flash rp2040 with: st-flash is not installed \(apt-get install stlink-tools.*\); openocd is not installed/,
      );
      for (const tool of FLASH_TOOLS) expect(installHint(tool)).to.match(/^\S+ is not installed \(.{10,}\)$/);
    });

    it('is the first of the board that is installed; a file that may not be run is none', () => {
      const board = boardWith([
        { kind: 'tool', tool: 'st-flash', arguments: [] },
        { kind: 'tool', tool: 'esptool', arguments: [] },
      ]);
      writeFileSync(join(folder, 'st-flash'), 'not a program', { mode: 0o644 });
      const older = fakeTool('esptool.py');
      expect(methodName(chooseFlasher(board, undefined, `:/no/such:${folder}`, false))).to.equal('esptool');
      expect(findTool('esptool', folder)).to.equal(older);
    });

    it('refuses a path that its script would read as something else', async () => {
      fakeTool('openocd');
      const elf = join(folder, 'a}; exec rm', 'x.elf');
      const error = await errorOf(flash(loadBoard('rp2040'), { elf }, options({ method: 'openocd' })));
      expect(error.message).to.match(/^openocd cannot be given the path .*: move it/);
    });

    it('refuses what is not there: the file that it wants, the port', async () => {
      fakeTool('picotool');
      const { elf } = image();
      const error = await errorOf(flash(loadBoard('rp2040'), { elf }, options({ method: 'picotool' })));
      expect(error.message).to.equal('picotool needs a .uf2 file: build with --board, or give one by --image');
      fakeTool('esptool');
      const board = boardWith([{ kind: 'tool', tool: 'esptool', arguments: ['PORT'] }]);
      expect((await errorOf(flash(board, image(), options()))).message).to.equal(
        'esptool needs the serial port: give it by --port',
      );
    });
  });

  describe('by a boot drive', () => {
    it('that is there', async () => {
      const drive = makeDrive(join(folder, 'RPI-RP2'));
      const paths = image();
      const file = readFileSync(paths.uf2);
      const [method, written] = await Promise.all([
        flash(loadBoard('rp2040'), paths, options()),
        takeAway(drive, file.length),
      ]);
      expect(method).to.equal('drive');
      expect(file.equals(written)).to.equal(true);
      expect(said).to.deep.equal([`copy ${paths.uf2} to ${drive}`, 'the board has taken the image and starts it']);
    });

    it('that comes while it is waited for', async () => {
      const drive = join(folder, 'RPI-RP2');
      const paths = image();
      const flashing = flash(loadBoard('rp2040'), paths, options({ waitMs: 5000 }));
      setTimeout(() => makeDrive(drive), 150);
      await Promise.all([flashing, takeAway(drive, readFileSync(paths.uf2).length)]);
      expect(said[0]).to.match(/^waiting up to 5 s for the drive RPI-RP2; Hold BOOTSEL/);
    });

    it('that never comes: what to do, which other drive is there, and which other ways', async () => {
      makeDrive(join(folder, 'other'), 'Model: Pico 2\nBoard-ID: RP2350\n');
      const error = await errorOf(flash(loadBoard('rp2040'), image(), options()));
      expect(error.kind).to.equal('flash');
      expect(error.message).to.match(
        /^no drive RPI-RP2 within 0\.3 s; there is \S+other \(RP2350, Pico 2\), of another board: start .* or use --method picotool or openocd$/,
      );
    });

    it('of which there are two: neither is guessed', async () => {
      makeDrive(join(folder, 'RPI-RP2'));
      makeDrive(join(folder, 'other'));
      const error = await errorOf(flash(loadBoard('rp2040'), image(), options()));
      expect(error.message).to.match(/^several boards wait for an image: .*RPI-RP2.*; .*other.*: name one by --drive$/);
      const drive = join(folder, 'other');
      const paths = image();
      await Promise.all([
        flash(loadBoard('rp2040'), paths, options({ drive })),
        takeAway(drive, readFileSync(paths.uf2).length),
      ]);
    });

    it('is shown with dryRun: what would be restarted, waited for and copied', async () => {
      const listPorts = () => Promise.resolve([{ path: '/dev/ttyNONE', vendorId: '2e8a', productId: '000a' }]);
      const paths = image();
      await flash(loadBoard('rp2040'), paths, options({ dryRun: true, listPorts }));
      expect(said).to.deep.equal([
        'close /dev/ttyNONE at 1200 baud: the board restarts into its boot loader',
        `copy ${paths.uf2} to the drive RPI-RP2`,
      ]);
    });

    it('restarts no board where two may be meant', async () => {
      const port = (path: string) => ({ path, vendorId: '2e8a', productId: '000a' });
      const listPorts = () => Promise.resolve([port('/dev/ttyA'), port('/dev/ttyB')]);
      await errorOf(flash(loadBoard('rp2040'), image(), options({ listPorts })));
      expect(said[0]).to.equal('/dev/ttyA and /dev/ttyB may be the board: name one by --port to have it restarted');
    });

    it('is not given an image of another chip, or half of one', async () => {
      const paths = image();
      writeFileSync(paths.uf2, encodeUf2(new Uint8Array(512), 0x10000000, 0xe48bff59));
      makeDrive(join(folder, 'RPI-RP2'));
      const other = await errorOf(flash(loadBoard('rp2040'), paths, options()));
      expect(other.kind).to.equal('input');
      expect(other.message).to.match(/is for family 0xe48bff59; rp2040 is 0xe48bff56$/);
      writeFileSync(paths.uf2, encodeUf2(new Uint8Array(2048), 0x10000000, 0xe48bff56).subarray(0, 1024));
      expect((await errorOf(flash(loadBoard('rp2040'), paths, options()))).message).to.match(
        /is not a usable UF2 file/,
      );
    });
  });

  it('is refused for a board without a way, and for a way that the board has not', async () => {
    expect((await errorOf(flash(loadBoard('host'), {}, options()))).message).to.match(
      /^host cannot be flashed: it runs on this machine/,
    );
    expect((await errorOf(flash(loadBoard('rp2040'), {}, options({ method: 'esptool' })))).message).to.equal(
      'rp2040 is not flashed by "esptool": there is drive, picotool, openocd',
    );
  });

  it("is checked in a board's description: unknown tools, and drives without UF2", () => {
    expect(() => boardWith([{ kind: 'tool', tool: 'rm', arguments: ['-rf'] }])).to.throw(/flashers\.0\.tool/);
    expect(() => boardWith([{ kind: 'tool', tool: 'picotool', arguments: ['a\nb'] }])).to.throw(
      /flashers\.0\.arguments\.0/,
    );
    const json = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'boards/mps2-an386.json'), 'utf8')) as object;
    const drive = JSON.stringify({ ...json, flashers: [{ kind: 'drive', ids: ['X'] }] });
    expect(() => parseBoard(drive, 'my.json')).to.throw(/flashers\.0: needs a UF2 file/);
  });
});

describe('Intel HEX', () => {
  it("gives the format's own example, and addresses beyond 64 KiB", () => {
    // Of the format's description: sixteen bytes at 0x0100, checksum 0x40.
    const data = Uint8Array.from(Buffer.from('214601360121470136007EFE09D21901', 'hex'));
    expect(encodeIntelHex(data, 0x0100)).to.equal(
      ':020000040000FA\n:10010000214601360121470136007EFE09D2190140\n:00000001FF\n',
    );
    const lines = encodeIntelHex(new Uint8Array(32).fill(0xff), 0x0001fff8).trimEnd().split('\n');
    expect(lines.map((line) => line.slice(1, 9))).to.deep.equal([
      '02000004',
      '08FFF800',
      '02000004',
      '10000000',
      '08001000',
      '00000001',
    ]);
    for (const line of lines) {
      const bytes = Buffer.from(line.slice(1), 'hex');
      expect(bytes.reduce((sum, byte) => sum + byte, 0) & 255, line).to.equal(0);
    }
  });
});
