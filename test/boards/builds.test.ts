/** Every board that comes with the package is built by every compiler that its description names, without a word. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Board, listBoards } from '../../boards/board.js';
import { decodeUf2 } from '../../codegen/image/uf2.js';
import { buildProject, planFor, writeProject } from '../../codegen/project.js';
import { skipWithoutCompiler } from '../emulator/bench-program.js';
import { shipped } from '../support/shipped.js';

/** The words of a flat image at `offset`. */
function words(image: Uint8Array, offset: number, count: number): number[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  return Array.from({ length: count }, (_, i) => view.getUint32(offset + 4 * i, true));
}

/** Where a word first lies in an image, in bytes; -1 where it does not. */
function find(image: Uint8Array, word: number): number {
  for (let at = 0; at + 4 <= image.length; at += 4) if (words(image, at, 1)[0] === word) return at;
  return -1;
}

/** What the chip's boot ROM, or the core, wants to find in an image. */
function checkStart(board: Board, image: Uint8Array): void {
  const { flash, ram, stackBytes } = board.memory!;
  const stackTop = ram.origin + stackBytes;
  if (board.port === 'esp32c3') {
    expect(words(image, 0, 2)).to.deep.equal([0xaedb041d, 0xaedb041d]);
  } else if (board.core.startsWith('cortex-m') && board.boot2 === null) {
    const [stack, reset] = words(image, 0, 2);
    expect(stack).to.equal(stackTop);
    expect(reset & 1, 'Thumb').to.equal(1);
    expect(reset).to.be.within(flash.origin, flash.origin + image.length);
  }
  if (board.port === 'rp2350') {
    const at = find(image, 0xffffded3);
    expect(at, 'the block lies in the first 4 KB').to.be.within(0, 4096 - 32);
    if (board.core === 'cortex-m33') {
      expect(words(image, at, 5)).to.deep.equal([0xffffded3, 0x10210142, 0x1ff, 0, 0xab123579]);
    } else {
      const block = words(image, at, 8);
      expect(block.slice(0, 3)).to.deep.equal([0xffffded3, 0x11010142, 0x344]);
      // The image begins with Reset_Handler.
      expect(block.slice(3)).to.deep.equal([flash.origin, stackTop, 0x4ff, 0, 0xab123579]);
    }
  }
}

for (const board of listBoards().filter(({ memory }) => memory !== null)) {
  describe(`${board.name}, built`, function () {
    this.timeout(120_000);

    for (const compiler of ['gcc', 'zig'] as const) {
      it(`by ${compiler}: no warning, within the bounds of the fit answer, and begins as the chip wants it`, async function () {
        skipWithoutCompiler(this, board.name, compiler);
        const folder = mkdtempSync(join(tmpdir(), 'fsvae-build-'));
        try {
          const project = writeProject(planFor(shipped('tiny').golden.model, 'tiny', board), board, folder);
          const { image, diagnostics } = await buildProject(project, { compiler, extraFlags: ['-Werror'] });
          expect(diagnostics).to.equal('');
          const { flash, ram } = project.budget!;
          expect(image!.flashUsed).to.be.at.most(flash.used);
          expect(image!.ramUsed).to.be.at.most(ram.used);
          checkStart(board, image!.bytes);
          expect(image!.uf2Path === undefined).to.equal(board.uf2 === null);
          if (image!.uf2Path !== undefined) {
            const uf2 = decodeUf2(readFileSync(image!.uf2Path), 'fsvae.uf2');
            expect(uf2.address).to.equal(board.memory!.flash.origin);
            expect(uf2.familyId).to.equal(board.uf2!.familyId);
          }
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
    }
  });
}
