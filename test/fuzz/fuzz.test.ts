/** A bounded slice of `npm run fuzz`: the same files and sessions each time. */

import { expect } from 'chai';
import type { BoardProcess } from '../../harness/process.js';
import { describeWithCompiler, startDevice } from '../harness/device.js';
import { damaged } from './mutate.js';
import { outcomeOf, readers } from './readers.js';
import { session } from './sessions.js';

const FILES = 300;
const SESSIONS = 24;
const SEED = 2026;

describe('damaged files', function () {
  this.timeout(120_000);

  for (const reader of readers()) {
    it(`${reader.name}: read, or refused in one line`, () => {
      for (const [i, sound] of reader.corpus.entries()) {
        // Fixtures of other checkpoints than this network's are refused; nothing else may happen.
        expect(outcomeOf(reader, sound), `file ${i} of the corpus`).to.be.oneOf(
          i === 0 ? ['read'] : ['read', 'refused'],
        );
      }
      let refused = 0;
      for (let i = 0; i < FILES; i++) {
        try {
          if (outcomeOf(reader, damaged(reader.corpus, SEED, i)) === 'refused') refused++;
        } catch (error) {
          throw new Error(
            `npm run fuzz -- --only '${reader.name}' --seed ${SEED} --first ${i} --files 1 --sessions 0`,
            {
              cause: error,
            },
          );
        }
      }
      if (reader.name !== 'frames from a board') expect(refused).to.be.above(FILES / 20);
    });
  }
});

describeWithCompiler('sessions over a bad line', function () {
  this.timeout(300_000);
  let device: BoardProcess;

  before(async () => (device = await startDevice()));
  after(async () => {
    await device.close();
    expect(await device.ended, 'the sanitizers found nothing').to.equal('');
  });

  it('end in right bits or one clear error, each within its bound', async () => {
    const total = { right: 0, failed: 0, faults: 0 };
    for (let i = 0; i < SESSIONS; i++) {
      const { right, failed, faults } = await session(device.path, SEED, i);
      total.right += right;
      total.failed += failed;
      total.faults += faults;
    }
    expect(total.right + total.failed).to.equal(6 * SESSIONS);
    expect(total.right).to.be.above(0);
    expect(total.faults).to.be.above(SESSIONS);
  });
});
