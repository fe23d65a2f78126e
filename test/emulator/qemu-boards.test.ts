/** Ports of the further boards that QEMU emulates: start, link, faults, restart. qemu.test.ts has the first board in full. */

import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { qemuFor, requireQemu } from '../../emulator/qemu.js';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import { buildBenchProgram, skipWithoutCompiler } from './bench-program.js';
import { SerialLink } from './serial-link.js';

const EMULATOR = fileURLToPath(new URL('../../emulator/qemu-process.js', import.meta.url));

// The count may be off by two ticks of the counter, of 40 and of 50 instructions.
for (const [name, slack] of [
  ['mps2-an500', 80],
  ['mps2-an505', 100],
] as const) {
  describe(`${name} in QEMU`, function () {
    this.timeout(120_000);
    const board = loadBoard(name);
    let running: BoardProcess;
    let link: SerialLink;

    before(async function () {
      requireQemu(qemuFor(board.core));
      skipWithoutCompiler(this, name, 'gcc');
      const program = await buildBenchProgram(board, 'gcc');
      expect(program.diagnostics).to.equal('');
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
      expect(count).to.be.within(2 ** 20 - slack, 2 ** 20 + slack);
    });

    it('reports an undefined instruction, and starts again', async () => {
      const said = await ask('x', 30);
      expect(said.toString('latin1')).to.match(/^\r\nhard fault at 0x[0-9a-f]{8}\r\n\0!$/);
      await echoes();
    });

    it('reports a stack that overflows, and starts again', async () => {
      const said = await ask('o', 38);
      expect(said.toString('latin1')).to.equal('\r\nhard fault: the stack overflowed\r\n\0!');
      await echoes();
    });
  });
}
