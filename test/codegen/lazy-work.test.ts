import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { compilerExists, runDriver, writeLibrary } from '../support/host-library.js';
import { randomModel, SHAPES } from '../support/random-model.js';
import { shipped } from '../support/shipped.js';

const MODELS = [
  ...Object.entries(SHAPES).map(([name, shape]) => ({ name, golden: new GoldenModel(randomModel(6, shape)) })),
  { name: 'shipped model tiny', golden: shipped('tiny').golden },
  { name: 'shipped model mnist', golden: shipped('mnist').golden },
  { name: 'shipped model mnist, int4', golden: shipped('mnist-int4').golden },
];

/** The C's lazy layer, where it begins to add up the current of one neuron at step `from`. */
const LAZY_CURRENT = 'int32_t count = state->count[from];';

describe("the C's lazy layer evaluates what the golden model counts", function () {
  this.timeout(60_000);
  const compiler = compilerExists('gcc') ? 'gcc' : 'cc';
  let folder: string;
  afterEach(() => rmSync(folder, { recursive: true }));

  for (const { name, golden } of MODELS) {
    it(name, () => {
      folder = writeLibrary(makePlan(golden.model, name));
      const kernel = join(folder, 'kernels/prior.h');
      const text = readFileSync(kernel, 'utf8');
      expect(text.split(LAZY_CURRENT).length).to.equal(2);
      writeFileSync(
        kernel,
        `extern unsigned lazy_evaluations, lazy_operations;\n` +
          text.replace(LAZY_CURRENT, `${LAZY_CURRENT}\nlazy_evaluations++;\nlazy_operations += (unsigned)count;\n`),
      );
      const program = join(folder, 'count');
      const driver = join(PACKAGE_ROOT, 'test/codegen/lazy-work.c');
      const build = spawnSync(compiler, ['-O1', '-I.', '-o', program, driver, 'fsvae.c', 'fsvae_weights.c'], {
        cwd: folder,
        encoding: 'utf8',
      });
      expect(build.stderr).to.equal('');
      const seeds = 8;
      const lines = Buffer.from(runDriver(program, 40n, seeds, 'count'))
        .toString('utf8')
        .trim()
        .split('\n');
      const expected = Array.from({ length: seeds }, (_, i) => {
        const { lifUpdates, synapticOperations } = golden.work(BigInt(40 + i)).layers[golden.model.prior.length - 1];
        return `${lifUpdates} ${synapticOperations}`;
      });
      expect(lines).to.deep.equal(expected);
    });
  }
});
