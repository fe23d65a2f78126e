/**
 * The long run: `npm run fuzz -- --files 100000 --sessions 10000 --seed 1`. Prints a table; a finding ends it with the command
 * that shows it again. The suite runs a bounded slice of the same (fuzz.test.ts).
 */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startDevice } from '../harness/device.js';
import { compileHost, temporaryFolder } from '../protocol/host-compiler.js';
import { damaged } from './mutate.js';
import { outcomeOf, readers } from './readers.js';
import { session } from './sessions.js';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '100000' },
    sessions: { type: 'string', default: '10000' },
    executions: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: '1' },
    /** Of files or sessions, to see one again. */
    first: { type: 'string', default: '0' },
    /** Part of a reader's name, or `sessions`, or `frames in C`. */
    only: { type: 'string', default: '' },
  },
});
const seed = Number(values.seed);
const first = Number(values.first);
const wanted = (name: string): boolean => name.includes(values.only);

function line(...cells: (string | number)[]): void {
  const widths = [36, 12, 12, 12, 10];
  process.stdout.write(
    `${cells.map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('')}\n`,
  );
}

function findingAt(name: string, index: number, error: unknown): never {
  process.stdout.write(
    `${name}: ${error instanceof Error ? error.stack : String(error)}\n` +
      `replay: npm run fuzz -- --only '${name}' --seed ${seed} --first ${index} --files 1 --sessions 1\n`,
  );
  process.exit(1);
}

line('files', 'damaged', 'read', 'refused', 'seconds');
const all = readers();
const each = Math.ceil(Number(values.files) / all.filter(({ name }) => wanted(name)).length);
for (const reader of all.filter(({ name }) => wanted(name))) {
  const begun = performance.now();
  const count = { read: 0, refused: 0 };
  for (let i = first; i < first + each; i++) {
    try {
      count[outcomeOf(reader, damaged(reader.corpus, seed, i))]++;
    } catch (error) {
      findingAt(reader.name, i, error);
    }
  }
  line(reader.name, each, count.read, count.refused, ((performance.now() - begun) / 1000).toFixed(0));
}
process.stdout.write(`largest memory of this process: ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`);

if (wanted('frames in C')) {
  const begun = performance.now();
  const folder = temporaryFolder();
  try {
    const program = join(folder.path, 'frame_fuzz');
    compileHost('clang', [
      ...['-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all'],
      ...['-Ifirmware-templates/app', 'firmware-templates/app/frame.c', 'test/fuzz/frame_fuzz.c', '-o', program],
    ]);
    execFileSync(program, [`-runs=${values.executions}`, `-seed=${seed}`, '-max_len=4096', '-verbosity=0'], {
      cwd: folder.path,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    line('frames in C, coverage-guided', values.executions, '', '', ((performance.now() - begun) / 1000).toFixed(0));
  } finally {
    folder.remove();
  }
}

if (wanted('sessions')) {
  line('sessions', 'run', 'right', 'failed', 'seconds');
  const begun = performance.now();
  const total = { right: 0, failed: 0, faults: 0 };
  let next = first;
  const end = first + Number(values.sessions);
  const lane = async (): Promise<void> => {
    const device = await startDevice();
    try {
      while (next < end) {
        const index = next++;
        try {
          const { right, failed, faults } = await session(device.path, seed, index);
          total.right += right;
          total.failed += failed;
          total.faults += faults;
        } catch (error) {
          findingAt('sessions', index, error);
        }
        if ((index + 1) % 500 === 0) process.stderr.write(`${index + 1 - first} sessions\n`);
      }
    } finally {
      await device.close();
    }
    const lastWords = await device.ended;
    if (lastWords !== '') findingAt('sessions', next, new Error(`the device said: ${lastWords}`));
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  line(
    'requests over a bad line',
    end - first,
    total.right,
    total.failed,
    ((performance.now() - begun) / 1000).toFixed(0),
  );
  process.stdout.write(`${total.faults} faults injected\n`);
}
