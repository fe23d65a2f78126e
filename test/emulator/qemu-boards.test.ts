/** Ports of the further boards that QEMU emulates: start, link, faults, restart. qemu.test.ts has the first board in full. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { readElf } from '../../codegen/image/elf.js';
import { qemuFor, requireQemu } from '../../emulator/qemu.js';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import { buildBenchProgram, skipWithoutCompiler } from './bench-program.js';
import { SerialLink } from './serial-link.js';

const EMULATOR = fileURLToPath(new URL('../../emulator/qemu-process.js', import.meta.url));

/** `tick`: instructions of a step of the board's counter, by which a count may be off at either end. */
const BOARDS = [
  { name: 'mps2-an500', tick: 40 },
  { name: 'mps2-an505', tick: 50 },
  { name: 'netduinoplus2', tick: 6 },
  // Code in RAM, between data: what the program is about, and what this linker warns of.
  { name: 'riscv32-virt', tick: 1, flags: ['-Wl,--no-warn-rwx-segments'] },
] as const satisfies readonly { name: string; tick: number; flags?: readonly string[] }[];

/** Most instructions around the loop that is counted: those of two readings of the counter, where ticks are divided. */
const READING = 60;

for (const { name, tick, ...options } of BOARDS) {
  describe(`${name} in QEMU`, function () {
    this.timeout(120_000);
    const board = loadBoard(name);
    let running: BoardProcess;
    let link: SerialLink;
    let symbols: ReadonlyMap<string, number>;

    before(async function () {
      requireQemu(qemuFor(board.core));
      skipWithoutCompiler(this, name, 'gcc');
      const program = await buildBenchProgram(board, 'gcc', 'bench.c', 'flags' in options ? options.flags : []);
      expect(program.diagnostics).to.equal('');
      ({ symbols } = readElf(readFileSync(program.programPath), program.programPath));
      running = await startBoardProcess(process.execPath, [EMULATOR, board.core, board.machine!, program.programPath]);
      link = await SerialLink.open(running.path);
      await link.settle();
    });

    after(async () => {
      await link?.close();
      await running?.close();
    });

    async function ask(command: string, bytes: number): Promise<Buffer> {
      link.send(Buffer.from(`\x1b${command}`));
      return link.read(bytes, 60_000);
    }

    async function echoes(): Promise<void> {
      link.send(Buffer.from('echo'));
      expect((await link.read(4)).toString()).to.equal('echo');
    }

    it('starts, and echoes', echoes);

    it('counts instructions', async () => {
      const count = Number((await ask('k', 8)).readBigUInt64LE());
      expect(count).to.be.within(2 ** 20 - 2 * tick, 2 ** 20 + 2 * tick + READING);
    });

    it('has its memory as C wants it, has no boot loader to enter, and has it again when it starts again', async () => {
      expect((await ask('m', 1)).toString()).to.equal('y');
      expect((await ask('b', 1)).toString()).to.equal('-');
      expect((await ask('r', 1)).toString()).to.equal('!');
      expect((await ask('m', 1)).toString()).to.equal('y');
    });

    it('knows how much of its stack was used', async () => {
      const before = await ask('s', 8);
      expect(before.readUInt32LE(0)).to.equal(board.memory!.stackBytes);
      link.send(Buffer.from('\x1bd'));
      const after = await ask('s', 8);
      expect(after.readUInt32LE(4) - before.readUInt32LE(4)).to.be.within(300, 700);
    });

    for (const [command, what] of [
      ['a', 'a store where no memory is'],
      ['l', 'a read where no memory is'],
      ['x', 'an undefined instruction'],
    ]) {
      it(`reports ${what}, and starts again`, async () => {
        const said = /^\r\nhard fault at 0x([0-9a-f]{8})\r\n\0!$/.exec((await ask(command, 30)).toString('latin1'));
        // The program's commands are the last of its code.
        expect(parseInt(said![1], 16)).to.be.within(symbols.get('main')!, symbols.get('__data_load')!);
        await echoes();
      });
    }

    it('reports a stack that overflows, and starts again', async () => {
      const said = await ask('o', 38);
      expect(said.toString('latin1')).to.equal('\r\nhard fault: the stack overflowed\r\n\0!');
      await echoes();
    });
  });
}
