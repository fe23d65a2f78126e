/**
 * `npm run bench:encoder`: what it costs to encode an image, row by row, on emulated boards; against bench/encoder.json.
 *
 *   npm run bench:encoder                 the table, and the difference to the baseline
 *   npm run bench:encoder -- --baseline   write the baseline anew
 *
 * Images are the model's own first samples, so that no data set takes part; every latent is compared with the golden one.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { loadBoard } from '../boards/board.js';
import { integerEncoder } from '../cli/encoder.js';
import { loadModel } from '../cli/load-model.js';
import { expectedModel, startBuild } from '../cli/targets.js';
import { PACKAGE_ROOT } from '../codegen/package-root.js';
import { planEncoder } from '../codegen/plan/encoder.js';
import { buildProject, planFor, writeProject } from '../codegen/project.js';
import { GoldenModel } from '../runtime-ts/golden.js';
import { GoldenEncoder } from '../runtime-ts/golden-encoder.js';

const IMAGES = 8;
const MODEL = 'mnist-small';
const BOARDS = ['rp2040', 'mps2-an386', 'mps2-an500', 'mps2-an505', 'riscv32-virt'];
const BASELINE = join(PACKAGE_ROOT, 'bench/encoder.json');

interface Measured {
  readonly board: string;
  /** What its clock counts. */
  readonly unit: string;
  /** Mean of an image. */
  readonly encode: number;
  /** Mean of an image, encoded and drawn again. */
  readonly reconstruct: number;
  /** Mean of an image, by row of the encoder's trace. */
  readonly rows: Readonly<Record<string, number>>;
}

async function measure(name: string, folder: string): Promise<Measured> {
  const board = loadBoard(name);
  const loaded = loadModel({ model: MODEL });
  const golden = new GoldenModel(loaded.model);
  const encoder = new GoldenEncoder(integerEncoder(loaded, '8'));
  const plan = planFor(loaded.model, loaded.name, board, planEncoder(encoder.encoder));
  const build = await buildProject(writeProject(plan, board, join(folder, name)), { compiler: 'gcc' });
  const target = await startBuild(board, build, expectedModel(plan), () => undefined);
  const rows = new Map<string, number>();
  let [encode, reconstruct] = [0, 0];
  try {
    for (let seed = 0n; seed < IMAGES; seed++) {
      const image = golden.sample(seed);
      const { latent, cycles } = await target.encoder!.encode(image, seed);
      if (Buffer.compare(latent, encoder.encode(image, seed)) !== 0) {
        throw new Error(`the latent of seed ${seed} differs on ${name}: the figures would mean nothing`);
      }
      encode += Number(cycles) / IMAGES;
      (await target.encoder!.cycles!()).forEach((count, row) => {
        const { name: key } = encoder.rows[row];
        rows.set(key, (rows.get(key) ?? 0) + count / IMAGES);
      });
      reconstruct += Number((await target.encoder!.reconstruct(image, seed)).cycles) / IMAGES;
    }
  } finally {
    await target.close();
  }
  const whole = Object.fromEntries([...rows].map(([key, count]) => [key, Math.round(count)]));
  return {
    board: name,
    unit: board.counter,
    encode: Math.round(encode),
    reconstruct: Math.round(reconstruct),
    rows: whole,
  };
}

function table(measured: readonly Measured[]): string {
  const names = Object.keys(measured[0].rows);
  const line = (title: string, value: (of: Measured) => string): string =>
    `| ${[title, ...measured.map(value)].join(' | ')} |`;
  const count = (value: number): string => value.toLocaleString('en-US');
  return [
    line(`${MODEL}, an image`, ({ board, unit }) => `${board}, ${unit}`),
    `|${' --- |'.repeat(1 + measured.length)}`,
    ...names.map((name) => line(name, ({ rows }) => count(rows[name]))),
    line('encode', ({ encode }) => count(encode)),
    line('reconstruct', ({ reconstruct }) => count(reconstruct)),
  ].join('\n');
}

const program = new Command('bench:encoder').option('--baseline', 'write the baseline anew').parse();
const folder = mkdtempSync(join(tmpdir(), 'fsvae-bench-encoder-'));
try {
  const measured: Measured[] = [];
  for (const name of BOARDS) measured.push(await measure(name, folder));
  process.stdout.write(`${table(measured)}\n`);
  if (program.opts<{ baseline?: boolean }>().baseline === true) {
    const baseline = { model: MODEL, compiler: 'gcc', images: IMAGES, measured };
    writeFileSync(BASELINE, `${JSON.stringify(baseline, undefined, 2)}\n`);
  } else {
    const before = (JSON.parse(readFileSync(BASELINE, 'utf8')) as { measured: Measured[] }).measured;
    for (const { board, encode } of measured) {
      const old = before.find((entry) => entry.board === board)?.encode;
      const change = old === undefined ? 'new' : `${((100 * (encode - old)) / old).toFixed(2)} %`;
      process.stdout.write(`${board}: encode against the baseline ${change}\n`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
