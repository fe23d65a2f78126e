import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
