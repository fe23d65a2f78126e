/** Deliberate faults in the generated project: each must be found, and named for what it is. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { run } from '../../cli/program.js';
import { expectedModel, startBuild } from '../../cli/targets.js';
import { type Build, buildProject, writeProject } from '../../codegen/project.js';
import { startBoardProcess } from '../../harness/process.js';
import type { Target } from '../../harness/target.js';
import { formatVerifyResult, verify, type VerifyResult } from '../../harness/verify.js';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { shipped } from '../support/shipped.js';

const board = loadBoard('host');

describe('deliberate faults are found and named', function () {
  this.timeout(120_000);
  const { plan, golden } = shipped('tiny');
  let folder: string;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'fsvae-faults-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Builds the tiny model with one text replaced in one file. */
  async function buildWith(file: string, from: string, to: string): Promise<Build> {
    const project = writeProject(plan, board, folder);
    const path = join(folder, file);
    const text = readFileSync(path, 'utf8');
    expect(text, file).to.include(from);
    writeFileSync(path, text.replace(from, to));
    return buildProject(project);
  }

  async function verifyBuild(build: Build): Promise<VerifyResult> {
    let target: Target | undefined;
    try {
      target = await startBuild(board, build, expectedModel(plan), () => undefined);
      return await verify(target, golden, { firstSeed: 0n, count: 40 });
    } finally {
      await target?.close();
    }
  }

  it('a threshold compared with >= instead of >: layer, step, neuron, and both membranes on the threshold', async () => {
    const result = await verifyBuild(
      await buildWith('kernels/layer.h', 'if (u > cell->threshold)', 'if (u >= cell->threshold)'),
    );
    expect(result.equal).to.equal(false);
    const [mismatch] = result.mismatches;
    expect(mismatch.kind).to.equal('spike');
    if (mismatch.kind !== 'spike') return;
    expect(mismatch.expected.spike).to.equal(0);
    expect(mismatch.actual.spike).to.equal(1);
    expect(mismatch.expected.membrane).to.equal(mismatch.threshold);
    expect(mismatch.actual.membrane).to.equal(mismatch.threshold);
    expect(formatVerifyResult(result)).to.include(mismatch.layer);
  });

  it('a leak that rounds towards zero: the first neuron whose membrane differs by one', async () => {
    const result = await verifyBuild(
      await buildWith('kernels/layer.h', 'return v >> FSVAE_LEAK_SHIFT;', 'return v / (1 << FSVAE_LEAK_SHIFT);'),
    );
    const [mismatch] = result.mismatches;
    expect(mismatch.kind).to.equal('spike');
    if (mismatch.kind === 'spike') expect(mismatch.actual.membrane - mismatch.expected.membrane).to.equal(1);
  });

  it('another random generator: the choices, before any spike', async () => {
    const result = await verifyBuild(await buildWith('kernels/pcg32.h', '(54u << 1) | 1u', '(55u << 1) | 1u'));
    expect(result.mismatches[0].kind).to.equal('choice');
  });

  it('a readout that forgets the bias: equal spikes, another image', async () => {
    const result = await verifyBuild(await buildWith('kernels/readout.h', 'part == 0u ? layer->bias[o] : 0', '0'));
    expect(result.mismatches[0].kind).to.equal('image');
  });

  it('one flipped bit of the weights: refused by its checksum before anything is drawn', async () => {
    const project = writeProject(plan, board, folder, { weights: 'incbin' });
    const path = join(folder, 'fsvae_weights.bin');
    const bytes = readFileSync(path);
    bytes[1234] ^= 0x10;
    writeFileSync(path, bytes);
    const build = await buildProject(project);
    let message = '';
    try {
      const target = await startBuild(board, build, expectedModel(plan), () => undefined);
      await target.close();
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).to.match(
      /reads its weights with CRC-32 0x[0-9a-f]{8}, but the build of model tiny wrote 0x[0-9a-f]{8}/,
    );
  });

  it('the command line: another model on the board is exit code 7, differing images are 1, each in one line', async () => {
    const lines: string[] = [];
    const sink = { write: (text: string) => lines.push(text) > 0 } as unknown as NodeJS.WriteStream;
    const terminal = { stdout: sink, stderr: sink, env: {} };
    const build = await buildWith('kernels/readout.h', 'part == 0u ? layer->bias[o] : 0', '0');
    const running = await startBoardProcess(build.programPath, []);
    try {
      expect(await run(['stream', '--port', running.path, '-m', 'mnist', '-n', '1'], terminal)).to.equal(
        EXIT_CODES['model-mismatch'],
      );
      expect(lines.pop()).to.match(
        /^fsvae-codegen: the board on \S+ runs model tiny \([0-9a-f]{16}\), you asked for mnist \([0-9a-f]{16}\): [^\n]+\n$/,
      );
      expect(await run(['stream', '--port', running.path, '-m', 'tiny', '-n', '2'], terminal)).to.equal(
        EXIT_CODES.mismatch,
      );
      expect(lines.pop()).to.match(/^fsvae-codegen: 2 of 2 images of [^\n]+ differ from the golden model; [^\n]+\n$/);
      expect(await run(['verify', '--port', running.path, '-m', 'tiny', '-n', '2'], terminal)).to.equal(
        EXIT_CODES.mismatch,
      );
    } finally {
      await running.close();
    }
  });
});
