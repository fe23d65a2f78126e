import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Board, loadBoard } from '../../boards/board.js';
import { boot2IsSealed } from '../../codegen/image/boot2.js';
import { readElf } from '../../codegen/image/elf.js';
import { compile, findToolchain } from '../../codegen/image/toolchain.js';
import { decodeUf2 } from '../../codegen/image/uf2.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { buildBenchImage, buildBenchProgram, skipWithoutCompiler } from '../emulator/bench-program.js';

async function refusal(action: () => unknown): Promise<FsvaeError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof FsvaeError) {
      expect(error.message, 'one line').not.to.match(/\n/);
      return error;
    }
    throw error;
  }
  throw new Error('it was not refused');
}

function withoutGcc(board: Board): Board {
  return { ...board, compilers: { ...board.compilers, gcc: { program: 'no-such-gcc', flags: [] } } };
}

describe('finding a compiler', () => {
  it('says how to install the one asked for', async () => {
    const error = await refusal(() => findToolchain(withoutGcc(loadBoard('rp2040')), 'gcc'));
    expect(error.kind).to.equal('toolchain');
    expect(error.message).to.contain('no-such-gcc is not installed: install it');
    expect(error.message).to.contain('--compiler auto');
  });

  it('falls back to the next', function () {
    skipWithoutCompiler(this, 'rp2040', 'zig');
    expect(findToolchain(withoutGcc(loadBoard('rp2040')), 'auto').kind).to.equal('zig');
  });

  it('refuses one that cannot build for the board', async () => {
    const error = await refusal(() => findToolchain(loadBoard('rp2040'), 'clang'));
    expect(error.kind).to.equal('usage');
    expect(error.message).to.equal('rp2040 cannot be built with clang: its description names gcc and zig');
  });

  it('lists every one that is missing', async () => {
    const board = withoutGcc(loadBoard('rp2040'));
    const error = await refusal(() =>
      findToolchain({ ...board, compilers: { ...board.compilers, zig: null } }, 'auto'),
    );
    expect(error.message).to.contain('no compiler for rp2040: no-such-gcc is not installed');
  });
});

for (const compiler of ['gcc', 'zig'] as const) {
  describe(`building an image with ${compiler}`, () => {
    before(function () {
      skipWithoutCompiler(this, 'rp2040', compiler);
    });

    it('makes the same bytes in another folder', async () => {
      const [first, second] = [await buildBenchImage(compiler), await buildBenchImage(compiler)];
      expect(first.folder).not.to.equal(second.folder);
      expect(Buffer.from(first.image.bytes).equals(second.image.bytes)).to.equal(true);
    });

    it('makes ELF, flat image and UF2 that hold the same, sealed', async () => {
      const { image, programPath } = await buildBenchImage(compiler);
      expect(Buffer.from(readFileSync(image.binPath)).equals(image.bytes)).to.equal(true);
      const uf2 = decodeUf2(readFileSync(image.uf2Path!), 'bench.uf2');
      expect(uf2.address).to.equal(0x10000000);
      expect(Buffer.from(uf2.bytes.subarray(0, image.bytes.length)).equals(image.bytes)).to.equal(true);
      const elf = readElf(readFileSync(programPath), programPath);
      const boot2 = elf.segments.find((segment) => segment.loadAddress === 0x10000000)!;
      expect(boot2IsSealed(boot2.bytes)).to.equal(true);
      expect(boot2.bytes.length).to.be.at.least(256);
      expect(elf.symbols.get('__stack_bottom'), 'the stack is at the bottom of RAM').to.equal(0x20000000);
      expect(elf.symbols.get('__stack_top')).to.equal(0x20001000);
      expect(image.flashUsed).to.equal(image.bytes.length);
      expect(image.ramUsed).to.be.within(4096 + 2048, 16384);
    });

    it('refuses a program that does not fit the memory of the board', async () => {
      const board = loadBoard('rp2040');
      const memory = { ...board.memory!, ram: { ...board.memory!.ram, bytes: 5000 } };
      const error = await refusal(() => buildBenchProgram({ ...board, memory }, compiler));
      expect(error.kind).to.equal('toolchain');
      expect(error.message).to.match(/RAM/);
    });

    it('refuses a clock that the port does not set up', async () => {
      const error = await refusal(() => buildBenchProgram({ ...loadBoard('rp2040'), clockHz: 48_000_000 }, compiler));
      expect(error.kind).to.equal('toolchain');
      expect(error.message).to.contain('clockHz of the board must be 125000000');
    });
  });
}

describe('compiling', () => {
  it('reports the first error, and where all of them are', async function () {
    skipWithoutCompiler(this, 'host', 'auto');
    const board = loadBoard('host');
    const folder = mkdtempSync(join(tmpdir(), 'fsvae-compile-'));
    writeFileSync(join(folder, 'wrong.c'), 'int main(void) { return missing; }\n');
    writeFileSync(join(folder, 'out'), 'from an earlier build');
    const toolchain = findToolchain(board, 'auto');
    const error = await refusal(() =>
      compile({ board, toolchain, folder, sources: ['wrong.c'], output: 'out', linkerScript: undefined }),
    );
    expect(error.kind).to.equal('toolchain');
    expect(error.message).to.match(/wrong\.c:1:\d+: error: .*missing/);
    const log = error.message.split('all it said is in ')[1];
    expect(log).to.equal(join(folder, 'compile.log'));
    expect(readFileSync(log, 'utf8')).to.contain('missing');
    rmSync(folder, { recursive: true });
  });
});
