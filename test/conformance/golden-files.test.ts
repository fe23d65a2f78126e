import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { SIZES_PATH } from '../../codegen/shipped-sizes.js';
import { expectedGoldens, expectedSizes, readGolden } from '../support/goldens.js';

describe('golden files', () => {
  let expected: Map<string, string>;

  before(function () {
    this.timeout(120_000);
    expected = expectedGoldens();
  });

  it('are what the golden model and the templates give today; renew with npm run golden:update and review', () => {
    expect(expected.size).to.be.above(4);
    for (const [path, text] of expected) {
      const stored = readGolden(path).split('\n');
      const today = text.split('\n');
      const at = today.findIndex((line, i) => line !== stored[i]);
      expect(
        at < 0 ? '' : `${path}:${at + 1} is ${JSON.stringify(stored[at])}, today ${JSON.stringify(today[at])}`,
      ).to.equal('');
      expect(stored.length, `${path} has more lines than today's text`).to.equal(today.length);
    }
  });

  it('and so are the sizes of the models, models/sizes.json', function () {
    this.timeout(120_000);
    expect(readFileSync(SIZES_PATH, 'utf8')).to.equal(expectedSizes());
  });
});
