/** What `fsvae-codegen boards` says without planning a model, against the plans. */

import { Writable } from 'node:stream';
import { expect } from 'chai';
import { listBoards } from '../../boards/board.js';
import { run } from '../../cli/program.js';
import { FORMATS } from '../../codegen/formats.js';
import { boardBudget, boardHolds, planFor } from '../../codegen/project.js';
import { shippedSizes } from '../../codegen/shipped-sizes.js';
import { shipped, type ShippedId } from '../support/shipped.js';

/** Seconds of processor time that the table may take; planning one full-size model takes more. */
const MOST_SECONDS = 1;

describe('table of boards', function () {
  this.timeout(120_000);

  it('plans no model', async () => {
    let said = '';
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        said += chunk.toString();
        done();
      },
    }) as NodeJS.WriteStream;
    const before = process.cpuUsage();
    expect(await run(['boards', '--json'], { stdout: stream, stderr: stream, env: {} })).to.equal(0);
    const { user, system } = process.cpuUsage(before);
    expect(JSON.parse(said)).to.have.length(listBoards().length);
    expect((user + system) / 1e6).to.be.below(MOST_SECONDS);
  });

  for (const [id, sizes] of Object.entries(shippedSizes())) {
    it(`knows which boards hold ${id}`, () => {
      const { model } = shipped(id as ShippedId).golden;
      for (const board of listBoards()) {
        const fits = boardBudget(planFor(model, id, board), board)?.fits ?? true;
        expect(boardHolds(sizes, board), board.name).to.equal(fits);
      }
    });
  }

  it('names formats that there are, each once and in their order: bare and plain for every board', () => {
    for (const { name, formats } of listBoards()) {
      expect(formats, name).to.include.members(['bare', 'plain']);
      expect(formats, name).to.deep.equal(['bare', ...FORMATS].filter((format) => formats.includes(format)));
    }
  });

  it('names formats by what their examples are for', () => {
    for (const { name, formats, port, core } of listBoards()) {
      // pico.c wants the pico-sdk, which is for these chips; without it, the example is a program of this machine.
      expect(formats.includes('cmake'), name).to.equal(['rp2040', 'rp2350', 'host'].includes(port));
      expect(formats.includes('esp-idf'), name).to.equal(port === 'esp32c3');
      if (['native', 'wasm32'].includes(core)) {
        expect(formats, name).to.not.include('arduino');
        expect(formats, name).to.not.include('zephyr');
      }
    }
  });
});
