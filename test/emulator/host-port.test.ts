import { spawn } from 'node:child_process';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { type BoardProcess, startBoardProcess } from '../../harness/process.js';
import { type BenchProgram, buildBenchProgram, skipWithoutCompiler } from './bench-program.js';
import { SerialLink } from './serial-link.js';

const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

for (const [compiler, flags] of [
  ['gcc', SANITIZERS],
  ['clang', []],
  ['zig', []],
] as const) {
  describe(`host port, built with ${compiler}`, function () {
    let program: BenchProgram;
    let running: BoardProcess;
    let link: SerialLink;

    before(async function () {
      if (process.platform === 'win32') this.skip();
      skipWithoutCompiler(this, 'host', compiler);
      program = await buildBenchProgram(loadBoard('host'), compiler, 'echo.c', flags);
      running = await startBoardProcess(program.programPath, []);
      link = await SerialLink.open(running.path);
    });

    after(async () => {
      await link?.close();
      await running?.close();
    });

    it('compiles without a word', () => {
      expect(program.diagnostics).to.equal('');
    });

    it('passes every byte value both ways, unchanged', async () => {
      const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => (i * 13) & 0xff).filter((byte) => byte !== 0x1b);
      link.send(bytes);
      expect((await link.read(bytes.length)).equals(bytes)).to.equal(true);
    });

    it('survives the port being closed and opened again', async () => {
      await link.close();
      link = await SerialLink.open(running.path);
      link.send(Buffer.from('again'));
      expect((await link.read(5)).toString()).to.equal('again');
    });

    it('ends when stdin closes, even while nobody reads what it sends', async () => {
      const child = spawn(program.programPath, [], { stdio: ['pipe', 'pipe', 'inherit'] });
      const line = await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve));
      const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
      const { pty } = JSON.parse(line.toString()) as { pty: string };
      const flooded = await SerialLink.open(pty);
      flooded.send(Buffer.from('\x1bz'));
      await flooded.read(1000);
      await flooded.close();
      child.stdin.end();
      expect(await ended).to.equal(0);
    });
  });
}
