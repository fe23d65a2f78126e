/** The board that QEMU emulates: its port, and the process around QEMU. Without QEMU these tests fail, saying how to get it. */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { requireQemu } from '../../emulator/qemu.js';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { lastWords, processorSeconds } from './board-processes.js';
import { type BenchProgram, buildBenchProgram, skipWithoutCompiler } from './bench-program.js';
import { SerialLink } from './serial-link.js';

const EMULATOR = fileURLToPath(new URL('../../emulator/qemu-process.js', import.meta.url));
const BOARD = loadBoard('mps2-an386');
const TICK = 40; // instructions

/** Processes whose parent is `pid` (Linux). */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`${BOARD.name} in QEMU, built with ${compiler}`, function () {
    this.timeout(120_000);
    let program: BenchProgram;
    let running: BoardProcess;
    let link: SerialLink;

    before(async function () {
      requireQemu();
      skipWithoutCompiler(this, BOARD.name, compiler);
      program = await buildBenchProgram(BOARD, compiler);
    });

    beforeEach(async () => {
      running = await startBoardProcess(process.execPath, [EMULATOR, BOARD.core, BOARD.machine!, program.programPath]);
      link = await SerialLink.open(running.path);
      await link.settle();
    });

    afterEach(async () => {
      await link?.close();
      await running?.close();
    });

    async function ask(command: string, bytes: number): Promise<Buffer> {
      link.send(Buffer.from(`\x1b${command}`));
      return link.read(bytes, 60_000);
    }

    it('is compiled without a warning', () => expect(program.diagnostics).to.equal(''));

    it('echoes all of 16 KB', async () => {
      const bytes = Uint8Array.from({ length: 16_384 }, (_, i) => 0x20 + ((i * 7 + (i >> 6)) % 200));
      link.send(bytes);
      expect((await link.read(bytes.length)).equals(bytes)).to.equal(true);
    });

    it('survives the port being closed and opened again', async () => {
      await link.close();
      link = await SerialLink.open(running.path);
      link.send(Buffer.from('again'));
      expect((await link.read(5)).toString()).to.equal('again');
    });

    it('starts with its memory as C wants it', async () => {
      expect((await ask('m', 1)).toString()).to.equal('y');
    });

    it('counts instructions, to three ticks, its own reading included', async () => {
      const counts: number[] = [];
      for (let i = 0; i < 5; i++) counts.push(Number((await ask('k', 8)).readBigUInt64LE()));
      for (const count of counts) expect(count).to.be.within(2 ** 20, 2 ** 20 + 3 * TICK);
    });

    it("counts on where the timer's 24 bits end", async () => {
      const count = Number((await ask('K', 8)).readBigUInt64LE());
      // A loop of 2^30 meets the end once or twice; the interrupt's own instructions count.
      expect(count).to.be.within(2 ** 30, 2 ** 30 + 4 * TICK);
    });

    it('knows how much of its stack was used', async () => {
      const before = await ask('s', 8);
      expect(before.readUInt32LE(0)).to.equal(BOARD.memory!.stackBytes);
      link.send(Buffer.from('\x1bd'));
      const after = await ask('s', 8);
      expect(after.readUInt32LE(4) - before.readUInt32LE(4)).to.be.within(300, 700);
    });

    it('has no serial number and no boot loader, and starts again', async () => {
      expect((await ask('n', 1))[0]).to.equal(0);
      expect((await ask('b', 1)).toString()).to.equal('-');
      expect((await ask('r', 1)).toString()).to.equal('!');
      expect((await ask('m', 1)).toString()).to.equal('y');
    });

    for (const [command, what] of [
      ['a', 'a store where no memory is'],
      ['l', 'a read where no memory is'],
      ['x', 'an undefined instruction'],
    ]) {
      it(`reports ${what}, and starts again`, async () => {
        const said = await ask(command, 30);
        expect(said.toString('latin1')).to.match(/^\r\nhard fault at 0x[0-9a-f]{8}\r\n\0!$/);
        expect((await ask('m', 1)).toString()).to.equal('y');
      });
    }

    it('reports a stack that overflows, and starts again', async () => {
      const said = await ask('o', 38);
      expect(said.toString('latin1')).to.equal('\r\nhard fault: the stack overflowed\r\n\0!');
      expect((await ask('m', 1)).toString()).to.equal('y');
    });

    it('uses no processor time while the program waits', async function () {
      if (!existsSync('/proc/self/stat')) this.skip();
      const [qemu] = childrenOf(running.pid);
      const used = (): number => processorSeconds(running.pid) + processorSeconds(qemu);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const before = used();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(used() - before).to.be.below(0.25);
    });

    it('takes QEMU with it when stdin closes, and when it is asked to end', async function () {
      if (!existsSync('/proc/self/stat')) this.skip();
      const args = [EMULATOR, BOARD.core, BOARD.machine!, program.programPath];
      for (const end of ['stdin', 'SIGTERM'] as const) {
        const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
        await new Promise((resolve) => child.stdout.once('data', resolve));
        const [qemu] = childrenOf(child.pid!);
        expect(readFileSync(`/proc/${qemu}/comm`, 'utf8')).to.match(/^qemu-system-arm?/);
        const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
        if (end === 'stdin') child.stdin.end();
        else child.kill(end);
        expect(await ended).to.equal(0);
        expect(existsSync(`/proc/${qemu}`), end).to.equal(false);
      }
    });
  });
}

describe('QEMU process, refusing', () => {
  before(() => requireQemu());

  it('no program', async () => {
    expect(await lastWords(EMULATOR, 'cortex-m4', 'mps2-an386')).to.contain(
      'usage: qemu-process CORE MACHINE PROGRAM.elf',
    );
  });

  it('a program that is not there', async () => {
    expect(await lastWords(EMULATOR, 'cortex-m4', 'mps2-an386', 'no-such.elf')).to.contain(
      'no-such.elf cannot be read',
    );
  });

  it('a machine that QEMU does not know', async () => {
    expect(await lastWords(EMULATOR, 'cortex-m4', 'no-such-machine', join(PACKAGE_ROOT, 'package.json'))).to.match(
      /exit code 1/,
    );
  });

  it('says what to install where QEMU is missing', () => {
    const path = process.env.PATH;
    process.env.PATH = '/nowhere';
    try {
      requireQemu();
      throw new Error('it was found');
    } catch (error) {
      expect(error).to.be.instanceOf(FsvaeError);
      expect((error as FsvaeError).kind).to.equal('toolchain');
      expect((error as Error).message).to.equal(
        'qemu-system-arm is not installed: install it (Debian: apt-get install qemu-system-arm)',
      );
    } finally {
      process.env.PATH = path;
    }
  });
});
