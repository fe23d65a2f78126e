import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Board, boardNames, listBoards, loadBoard, parseBoard } from '../../boards/board.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { boardBudget, planFor, projectFiles } from '../../codegen/project.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { randomModel, TINY_SHAPE } from '../support/random-model.js';
import { shipped } from '../support/shipped.js';

const PICO = readFileSync(join(PACKAGE_ROOT, 'boards/rp2040.json'), 'utf8');

function refusal(action: () => unknown): FsvaeError {
  try {
    action();
  } catch (error) {
    if (error instanceof FsvaeError) {
      expect(error.message, 'one line').not.to.match(/\n/);
      return error;
    }
    throw error;
  }
  throw new Error('it was not refused');
}

/** The Pico's description with some of its fields replaced; undefined removes one. */
function changed(changes: Record<string, unknown>): string {
  const board = JSON.parse(PICO) as Record<string, unknown>;
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split('.');
    const last = keys.pop()!;
    let at = board;
    for (const key of keys) at = at[key] as Record<string, unknown>;
    if (value === undefined) Reflect.deleteProperty(at, last);
    else at[last] = value;
  }
  return JSON.stringify(board);
}

describe('board descriptions', () => {
  it('lists the boards that come with the package, all of them valid', () => {
    expect(boardNames()).to.include.members(['host', 'mps2-an386', 'rp2040']);
    expect(listBoards().map(({ name }) => name)).to.deep.equal(boardNames());
  });

  it('reads sizes and addresses as numbers', () => {
    const { memory, uf2 } = loadBoard('rp2040');
    expect(memory?.flash).to.deep.equal({ origin: 0x10000000, bytes: 2 << 20 });
    expect(memory?.ram).to.deep.equal({ origin: 0x20000000, bytes: 264 << 10 });
    expect(uf2?.familyId).to.equal(0xe48bff56);
  });

  for (const board of listBoards()) {
    it(`${board.name} names a port that is there, with the boot code it speaks of`, () => {
      const files = readdirSync(join(PACKAGE_ROOT, 'firmware-templates/ports', board.port));
      expect(files).to.include('port.c');
      if (board.boot2 !== null) expect(files).to.include(board.boot2);
      const plan = makePlan(randomModel(1, TINY_SHAPE), 'tiny');
      expect(projectFiles(plan, board).has('port/link.ld')).to.equal(board.memory !== null);
    });
  }

  it("takes the path of a description of one's own, and generates a project from it alone", () => {
    const folder = mkdtempSync(join(tmpdir(), 'fsvae-board-'));
    try {
      const path = join(folder, 'mine.json');
      writeFileSync(
        path,
        changed({
          name: 'mine',
          title: 'My own board',
          'link.baud': 230_400,
          'memory.flash.bytes': 8 << 20,
          'memory.ram.bytes': 200_000,
          'memory.stackBytes': 6144,
        }),
      );
      const board = loadBoard(path);
      expect(board.memory?.flash.bytes).to.equal(8 << 20);
      const files = projectFiles(makePlan(randomModel(1, TINY_SHAPE), 'tiny'), board);
      const text = (name: string): string => Buffer.from(files.get(name)!).toString();
      const config = text('board_config.h');
      for (const line of [
        'Board: My own board */',
        '#define BOARD_NAME "mine"',
        '#define BOARD_CLOCK_HZ 125000000u',
        '#define BOARD_BAUD 230400u',
        '#define BOARD_STACK_BYTES 6144u',
        '#define BOARD_USB_VENDOR_ID 0x2e8au',
      ]) {
        expect(config).to.contain(`${line}\n`);
      }
      const script = text('port/link.ld');
      for (const line of [
        'Memory of My own board.',
        'BOOT2 (rx) : ORIGIN = 0x10000000, LENGTH = 256',
        `FLASH (rx) : ORIGIN = 0x10000100, LENGTH = ${(8 << 20) - 256}`,
        'RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 200000',
        '. = . + 6144;',
      ]) {
        expect(script).to.contain(`${line}\n`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const [asked, offered] of [
    ['rp2o40', 'did you mean rp2040?'],
    ['RP2040', 'did you mean rp2040?'],
    ['hots', 'did you mean host?'],
    ['rp2530', 'did you mean rp2040 or rp2350?'],
    ['nucleo-f466re', 'did you mean nucleo-f446re'],
    ['teapot', `there is only: ${boardNames().join(', ')};`],
  ]) {
    it(`offers the nearest names for ${asked}`, () => {
      const error = refusal(() => loadBoard(asked));
      expect(error.kind).to.equal('usage');
      expect(error.message).to.contain(offered);
    });
  }

  it('names a file that cannot be read', () => {
    const error = refusal(() => loadBoard('no/such/board.json'));
    expect(error.kind).to.equal('usage');
    expect(error.message).to.contain('no/such/board.json');
  });

  it('lists all errors of a file, each with its path', () => {
    const error = refusal(() =>
      parseBoard(
        changed({ clockHz: 'fast', 'memory.ram.bytes': -1, 'link.baud': undefined, emulator: 'bochs', extra: 1 }),
        'mine.json',
      ),
    );
    expect(error.kind).to.equal('input');
    for (const part of [
      'mine.json',
      '5 error(s)',
      'clockHz:',
      'memory.ram.bytes:',
      'link.baud:',
      'emulator:',
      'extra',
    ]) {
      expect(error.message).to.contain(part);
    }
  });

  it('says it in one line, whatever the keys are', () => {
    const error = refusal(() => parseBoard(changed({ 'a\nb': 1 }), 'mine.json'));
    expect(error.message).to.contain('a\\u000ab');
    expect(error.message).to.not.match(/[\r\n]/);
  });

  for (const [what, changes, path] of [
    ['a title that ends a comment', { title: 'Pico */ int main' }, 'title'],
    ['a title of two lines', { title: 'Pico\n2' }, 'title'],
    ['a name that leaves its folder', { name: '../pico' }, 'name'],
    ['a port folder elsewhere', { port: '../../etc' }, 'port'],
    ['a port folder above the file, by a detour', { port: './ports/../../etc' }, 'port'],
    ['a port folder by its absolute path', { port: '/etc' }, 'port'],
    ['a compiler given by its path', { 'compilers.gcc.program': '/bin/sh' }, 'compilers.gcc.program'],
    ['two flags in one', { 'compilers.gcc.flags': ['-O2 -o /x'] }, 'compilers.gcc.flags.0'],
    ['flash of a gigabyte', { 'memory.flash.bytes': 2 ** 30 }, 'memory.flash.bytes'],
    ['RAM past the end of addresses', { 'memory.ram.origin': '0xffffff00' }, 'memory.ram'],
    ['an address in decimal', { 'memory.ram.origin': '512' }, 'memory.ram.origin'],
    ['a stack that fills RAM', { 'memory.ram.bytes': 4096 }, 'memory.stackBytes'],
    ['boot code without memory', { memory: null }, 'boot2'],
    ['an emulator without an image for it', { uf2: null }, 'uf2'],
    ['QEMU without the name of its machine', { emulator: 'qemu' }, 'machine'],
    ['a machine for another emulator', { machine: 'mps2-an386' }, 'machine'],
    ['a machine that is a flag', { machine: '-M' }, 'machine'],
    ['a UART without its interrupt', { 'link.uart': { registers: '0x40004000' } }, 'link.uart.interrupt'],
    ['a USB link without its ids', { 'link.usb': null }, 'link.usb'],
    ['a USB id in decimal', { 'link.usb.productId': '10' }, 'link.usb.productId'],
    ['no clock', { clockHz: 0 }, 'clockHz'],
  ] as const) {
    it(`refuses ${what}`, () => {
      const error = refusal(() => parseBoard(changed(changes), 'mine.json'));
      expect(error.kind).to.equal('input');
      expect(error.message).to.contain(` ${path}: `);
    });
  }

  for (const content of ['', '{', '[]', 'null', '{"__proto__": 1}', '\n\n}{\n']) {
    it(`refuses ${JSON.stringify(content)}`, () => {
      expect(refusal(() => parseBoard(content, 'mine.json')).kind).to.equal('input');
    });
  }
});

describe("a port of one's own", () => {
  let folder: string;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'fsvae-port-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A board file beside a folder `ports/mine` with these files. */
  function boardWith(files: Readonly<Record<string, string>>, changes: Record<string, unknown> = {}): string {
    mkdirSync(join(folder, 'ports/mine'), { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, 'ports/mine', name), content);
    const path = join(folder, 'mine.json');
    writeFileSync(path, changed({ port: './ports/mine', boot2: null, ...changes }));
    return path;
  }

  function filesOf(path: string): (name: string) => string | undefined {
    const files = projectFiles(makePlan(randomModel(1, TINY_SHAPE), 'tiny'), loadBoard(path));
    return (name) => (files.has(name) ? Buffer.from(files.get(name)!).toString() : undefined);
  }

  it('is taken from the folder beside the description, wherever the command runs', () => {
    const fileOf = filesOf(
      boardWith({
        'port.c': '/* mine */\n',
        'cortex_m.c': '/* instead */\n',
        'notes.h.hbs': '/* {{title}}: {{ramBytes}} */\n',
        '.port.c.swp': 'x',
      }),
    );
    expect(fileOf('port/port.c')).to.equal('/* mine */\n');
    expect(fileOf('port/notes.h')).to.equal('/* Raspberry Pi Pico (RP2040): 270336 */\n');
    expect(fileOf('port/cortex_m.c'), 'in place of the one that ports share').to.equal('/* instead */\n');
    expect(fileOf('port/bare_metal.c')).to.include('start_program');
    expect(fileOf('port/.port.c.swp')).to.equal(undefined);
  });

  for (const [what, change, message] of [
    ['a folder that is not there', { port: './nowhere' }, 'port: there is no folder ./nowhere beside this file'],
    ['a file in place of a folder', { port: './mine.json' }, 'port: there is no folder ./mine.json beside this file'],
    ['a folder without sources', { port: './ports' }, 'port: ./ports holds no .c and no .S file'],
    ['boot code that is not in it', { boot2: 'boot2.S' }, 'boot2: there is no boot2.S in the port ./ports/mine'],
    ['a port that the package has not', { port: 'mine' }, 'port: there is no port "mine", only esp32c3, host, mps2, '],
    ['what ports share', { port: 'cortex_m' }, 'port: there is no port "cortex_m", only '],
  ] as const) {
    it(`refuses ${what}`, () => {
      const path = boardWith({ 'port.c': '' }, change);
      const error = refusal(() => loadBoard(path));
      expect(error.kind).to.equal('input');
      expect(error.message).to.contain(`${path} has 1 error(s): ${message}`);
    });
  }

  for (const [what, template] of [
    ['a value that there is not', '{{clockMHz}}'],
    ['an end that is missing', '{{#if uart}}\n'],
    ['a helper that there is not', '{{double clockHz}}'],
  ]) {
    it(`names the template with ${what}`, () => {
      const path = boardWith({ 'port.c': '', 'link.ld.hbs': template });
      const error = refusal(() => filesOf(path));
      expect(error.kind).to.equal('input');
      expect(error.message).to.contain(`${join(folder, 'ports/mine')}/link.ld.hbs: `);
    });
  }

  it('refuses a folder that is too large for a port', () => {
    const path = boardWith({ 'port.c': '', 'core.dump': 'x'.repeat(1 << 20) + 'x' });
    const error = refusal(() => filesOf(path));
    expect(error.kind).to.equal('input');
    expect(error.message).to.match(/holds more than 1048576 bytes: is it the right folder\?$/);
  });
});

describe('a board with little RAM', () => {
  it('gets the kernels that need least, where the fastest ones do not fit, and is refused only then', () => {
    const { model } = shipped('mnist').golden;
    const pico = loadBoard('rp2040');
    const withRam = (bytes: number): Board => ({
      ...pico,
      memory: { ...pico.memory!, ram: { ...pico.memory!.ram, bytes } },
    });
    const arenas = [264, 96].map((kib) => {
      const board = withRam(kib * 1024);
      const plan = planFor(model, 'mnist', board);
      expect(boardBudget(plan, board)!.fits, `${kib} KiB`).to.equal(true);
      return plan.arena.bytes;
    });
    expect(arenas[1]).to.be.below(0.7 * arenas[0]);
    const small = withRam(64 * 1024);
    expect(boardBudget(planFor(model, 'mnist', small), small)!.remedies.join()).to.match(/largest buffer is/);
  });
});
