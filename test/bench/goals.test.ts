import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { formatDifference, formatMarkdown, formatText } from '../../bench/format.js';
import { type Figures, GOALS, judge } from '../../bench/goals.js';
import { type Baseline, type BenchResult, spread } from '../../bench/result.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';

/** The committed baseline is a result of the real benchmark but for wall times. */
const baseline = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'bench/baseline.json'), 'utf8')) as Baseline;
const figures: Figures = {
  ...baseline,
  verify: { images: 16, seconds: 60 },
  golden: { imagesPerSecond: 49.9 },
  toolchain: { quantizeSeconds: 1, generateSeconds: 1, buildSeconds: 1 },
};
const result: BenchResult = { ...figures, goals: judge(figures) };

/** The value at a dotted key. */
function at(object: unknown, key: string): unknown {
  return key.split('.').reduce((value, part) => (value as Record<string, unknown> | null)?.[part], object);
}

describe('the benchmark', () => {
  it('takes minimum, median and maximum', () => {
    expect(spread([3, 1, 2])).to.deep.equal({ min: 1, median: 2, max: 3 });
    expect(spread([4, 10, 1, 2])).to.deep.equal({ min: 1, median: 3, max: 10 });
  });

  it('a goal is met at its limit and not beyond; what was not measured is neither', () => {
    const met = new Map(result.goals.map((goal) => [goal.key, goal.met]));
    expect(met.get('verify.seconds')).to.equal(true);
    expect(met.get('golden.imagesPerSecond')).to.equal(false);
    const nothing = judge({
      ...figures,
      verify: null,
      cortexM4: null,
    });
    for (const key of ['verify.seconds', 'cortexM4.instructionsPerImage.median']) {
      const goal = nothing.find((entry) => entry.key === key)!;
      expect([goal.measured, goal.met, goal.measuredText], key).to.deep.equal([null, null, 'not measured']);
    }
    const why = judge({ ...figures, verify: null }, new Map([['verify.seconds', 'no emulator here']]));
    expect(why.find(({ key }) => key === 'verify.seconds')!.measuredText).to.equal('no emulator here');
  });

  it('goals are named by where their figure stands in the JSON', () => {
    for (const { key, measured } of GOALS) expect(measured(figures), key).to.equal(at(figures, key));
  });

  it('prints every goal and layer, as text and as Markdown', () => {
    const text = formatText(result);
    const markdown = formatMarkdown(result);
    for (const { title } of GOALS) {
      expect(text).to.include(title);
      expect(markdown).to.include(`| ${title} |`);
    }
    for (const { name } of baseline.rp2040.layers) expect(markdown).to.include(`\n| ${name} |`);
    const columns = markdown
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.split('|').length);
    expect(new Set(columns).size).to.equal(2); // of two tables
  });

  it('the difference to a baseline names what changed, and compares nothing that cannot be', () => {
    expect(formatDifference(result, baseline)).to.equal('cycles: exactly the baseline');
    expect(formatDifference(result, undefined)).to.equal('no baseline');
    expect(formatDifference({ ...result, seeds: baseline.seeds + 1 }, baseline)).to.include(
      `${baseline.seeds} seeds: not compared`,
    );
    const layers = baseline.rp2040.layers.map((layer, i) =>
      i === 1 ? { ...layer, cycles: { ...layer.cycles, median: 1.5 * layer.cycles.median } } : layer,
    );
    const changed = formatDifference({ ...result, rp2040: { ...result.rp2040, layers } }, baseline);
    expect(changed).to.equal(`cycles against the baseline:\n  ${layers[1].name}: +50.00 %`);
  });
});
