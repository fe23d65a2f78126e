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
import { diagnose } from '../../harness/diagnosis/diagnose.js';
import type { CauseKind } from '../../harness/diagnosis/suspects.js';
import {
  formatVerifyResult,
  type Mismatch,
  verify,
  type VerifyOptions,
  type VerifyResult,
} from '../../harness/verify.js';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { skipWithoutCompiler } from '../emulator/bench-program.js';
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

  /** As the command line asks it. */
  function diagnoseOn(target: Target): NonNullable<VerifyOptions['diagnose']> {
    return (finding) => diagnose(target, golden, finding, { constants: expectedModel(plan).constants });
  }

  async function verifyBuild(build: Build): Promise<VerifyResult> {
    let target: Target | undefined;
    try {
      target = await startBuild(board, build, expectedModel(plan), () => undefined);
      return await verify(target, golden, { firstSeed: 0n, count: 40, diagnose: diagnoseOn(target) });
    } finally {
      await target?.close();
    }
  }

  const FAULTS: readonly {
    readonly what: string;
    readonly file: string;
    readonly from: string;
    readonly to: string;
    readonly kind: Mismatch['kind'];
    readonly cause: CauseKind;
    readonly text: RegExp;
  }[] = [
    {
      what: 'a threshold compared with >= instead of >',
      file: 'kernels/layer.h',
      from: 'if (u > cell->threshold)',
      to: 'if (u >= cell->threshold)',
      kind: 'spike',
      cause: 'wrong kernel',
      text: /fires at its threshold, not only above it/,
    },
    {
      what: 'a leak that rounds towards zero',
      file: 'kernels/layer.h',
      from: 'return v >> FSVAE_LEAK_SHIFT;',
      to: 'return v / (1 << FSVAE_LEAK_SHIFT);',
      kind: 'spike',
      cause: 'wrong rounding',
      text: /the leak rounds towards zero, not down \(rule L1\)/,
    },
    {
      what: 'a leak that rounds to the nearest',
      file: 'kernels/layer.h',
      from: 'return v >> FSVAE_LEAK_SHIFT;',
      to: 'return (v + (1 << (FSVAE_LEAK_SHIFT - 1))) >> FSVAE_LEAK_SHIFT;',
      kind: 'spike',
      cause: 'wrong rounding',
      text: /the leak rounds to the nearest/,
    },
    {
      what: 'no reset',
      file: 'kernels/layer.h',
      from: '        u = 0;\n',
      to: '',
      kind: 'spike',
      cause: 'wrong kernel',
      text: /the membrane is not reset after a spike \(rule L4\)/,
    },
    {
      what: 'no bias',
      file: 'kernels/layer.h',
      from: '(int32_t)(1u << fraction_bits) + cell->bias',
      to: '(int32_t)(1u << fraction_bits)',
      kind: 'spike',
      cause: 'wrong kernel',
      text: /the bias is not added \(rule L2\)/,
    },
    {
      what: 'a membrane in 8 bits',
      file: 'kernels/layer.h',
      from: 'return fsvae_leak(cell->carried) + sum * (int32_t)(1u << fraction_bits) + cell->bias;',
      to: 'return (int8_t)(fsvae_leak(cell->carried) + sum * (int32_t)(1u << fraction_bits) + cell->bias);',
      kind: 'spike',
      cause: 'overflow',
      text: /the membrane wraps around at 8 bits \(rule B2\)/,
    },
    {
      what: 'an event list that ends one early',
      file: 'kernels/prior.h',
      from: '    return count;\n',
      to: '    return count - (count != 0u);\n',
      kind: 'spike',
      cause: 'wrong kernel',
      text: /the last input that fires is left out/,
    },
    {
      what: 'a kernel that is wrong only where nothing looks into it',
      file: 'kernels/wide.h',
      from: '        fsvae_run_wide_kernel(layer, run);\n    }\n    for',
      to: '        fsvae_run_wide_kernel(layer, run);\n        run->cells->trains[0] ^= 1u;\n    }\n    for',
      kind: 'digest',
      cause: 'wrong kernel',
      text: /wrong the same way each time, and right when looked into/,
    },
    {
      what: 'another stream of the random generator',
      file: 'kernels/pcg32.h',
      from: '(54u << 1) | 1u',
      to: '(55u << 1) | 1u',
      kind: 'choice',
      cause: 'wrong random choice',
      text: /the generator runs on stream 55 \(rule G1\)/,
    },
    {
      what: 'choices modulo k',
      file: 'kernels/pcg32.h',
      from: 'return middle >> 16;',
      to: 'return (void)middle, x % bound;',
      kind: 'choice',
      cause: 'wrong random choice',
      text: /choices are taken modulo k, not by multiplication \(rule G2\)/,
    },
    {
      what: 'a readout that forgets the bias: equal spikes, another image',
      file: 'kernels/readout.h',
      from: 'part == 0u ? layer->bias[o] : 0',
      to: '0',
      kind: 'image',
      cause: 'wrong kernel',
      text: /of the readout: the bias is not added \(rule R3\)/,
    },
  ];

  for (const { what, file, from, to, kind, cause, text } of FAULTS) {
    it(`${what}: ${cause}`, async () => {
      const { likely, mismatches } = await verifyBuild(await buildWith(file, from, to));
      expect(mismatches[0].kind).to.equal(kind);
      expect(likely?.text).to.match(text);
      expect(likely?.cause).to.equal(cause);
    });
  }

  it('finds the first wrong neuron with three requests, and the cause with one more', async () => {
    const build = await buildWith('kernels/layer.h', 'if (u > cell->threshold)', 'if (u >= cell->threshold)');
    const target = await startBuild(board, build, expectedModel(plan), () => undefined);
    const asked: string[] = [];
    const counted = new Proxy(target, {
      get: (of, name) => {
        const member: unknown = Reflect.get(of, name);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          asked.push(String(name));
          return Reflect.apply(member, of, args);
        };
      },
    });
    try {
      const result = await verify(counted, golden, { firstSeed: 0n, count: 40, diagnose: diagnoseOn(counted) });
      const [mismatch] = result.mismatches;
      if (mismatch.kind !== 'spike') throw new Error(`a ${mismatch.kind} differs`);
      expect(mismatch.expected).to.deep.equal({ spike: 0, membrane: mismatch.threshold });
      expect(mismatch.actual).to.deep.equal({ spike: 1, membrane: mismatch.threshold });
      expect(formatVerifyResult(result)).to.include(`neuron ${mismatch.neuron}`);
      expect(asked.slice(result.checked - 1)).to.deep.equal(['trace', 'spikes', 'membranes', 'constants']);
    } finally {
      await target.close();
    }
  });

  for (const name of ['host', 'rp2040', 'netduinoplus2', 'riscv32-virt']) {
    it(`one flipped bit of the weights on ${name}: its address and what it was, before anything is drawn`, async function () {
      const damagedBoard = loadBoard(name);
      skipWithoutCompiler(this, name, 'auto');
      const project = writeProject(plan, damagedBoard, folder, { weights: 'incbin' });
      const path = join(folder, 'fsvae_weights.bin');
      const bytes = readFileSync(path);
      // Weight 21 of the prior's first layer, wherever the layout has put it.
      const { offset } = plan.weights.sections.find((section) => section.name === 'prior.layers.0.weight')!;
      bytes[4 * offset + 21] ^= 0x10;
      writeFileSync(path, bytes);
      const build = await buildProject(project);
      const error = await startBuild(damagedBoard, build, expectedModel(plan), () => undefined).then(
        async (target) => target.close(),
        (reason: unknown) => reason as Error,
      );
      const found =
        /word (\d+) of its constants, at 0x([0-9a-f]{8}), is 0x([0-9a-f]{8}) instead of 0x([0-9a-f]{8}) \(weight of prior\.layers\.0 from input \d+ to output \d+: -?\d+ instead of -?\d+\); its flash is damaged/.exec(
          error?.message ?? '',
        );
      expect(found, error?.message).to.not.equal(null);
      const [, word, address, actual, wanted] = found!;
      expect(Number(word)).to.equal(offset + 5);
      expect(parseInt(actual, 16) ^ parseInt(wanted, 16)).to.equal(0x1000);
      const flash = damagedBoard.memory?.flash;
      // Vectors and code come first; the image ends below 1 MiB.
      if (flash !== undefined)
        expect(parseInt(address, 16)).to.be.within(flash.origin + 0x100, flash.origin + 0x100000);
    });
  }

  it('stale firmware: the same model, quantized otherwise', async () => {
    const build = await buildProject(writeProject(plan, board, folder));
    const error = await startBuild(board, build, expectedModel(shipped('tiny-int4').plan), () => undefined).then(
      async (target) => target.close(),
      (reason: unknown) => reason as Error,
    );
    expect(error?.message).to.match(
      /runs model tiny \([0-9a-f]{16}\), you asked for tiny \([0-9a-f]{16}\): its firmware is stale, [^\n]*flash it/,
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
