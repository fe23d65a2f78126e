/**
 * The full-size model on this machine, at every optimisation level of both compilers and under sanitizers: 1,000 images
 * and 64 full traces, each byte equal to the golden model's.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { buildDriver, compilerExists, writeLibrary } from '../support/host-library.js';
import { shipped } from '../support/shipped.js';

const IMAGES = 1000;
const TRACES = 64;
const FIRST = 0n;
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Digest of everything that a program prints. */
function digestOf(program: string, first: bigint, count: number, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    const child = execFile(
      program,
      [String(first), String(count), what],
      { encoding: 'buffer', maxBuffer: 2 ** 30 },
      (error, stdout) => {
        if (error !== null) reject(error);
        else resolve(hash.update(stdout).digest('hex'));
      },
    );
    child.stdin?.end();
  });
}

describe(`${IMAGES} images and ${TRACES} full traces of the full-size model`, function () {
  this.timeout(900_000);
  let folder: string;
  let images: string;
  let traces: string;

  before(() => {
    const { golden, plan } = shipped('mnist');
    folder = writeLibrary(plan, process.platform === 'linux' ? 'incbin' : 'array');
    const imageHash = createHash('sha256');
    const traceHash = createHash('sha256');
    for (let i = 0; i < IMAGES; i++) {
      const seed = FIRST + BigInt(i);
      if (i < TRACES) {
        const trace = golden.trace(seed);
        imageHash.update(trace.image);
        traceHash.update(trace.image);
        for (const steps of trace.digests) traceHash.update(new Uint8Array(steps.buffer));
        traceHash.update(new Uint8Array(trace.spikes.buffer));
      } else imageHash.update(golden.sample(seed));
    }
    images = imageHash.digest('hex');
    traces = traceHash.digest('hex');
  });
  after(() => rmSync(folder, { recursive: true }));

  const levels: [string, string[]][] = [
    ...['-O0', '-O1', '-O2', '-O3'].map((level): [string, string[]] => [level, [level]]),
    ['-O1 with address and undefined-behaviour sanitizers', ['-O1', ...SANITIZERS]],
  ];
  for (const compiler of ['gcc', 'clang']) {
    for (const [name, flags] of levels) {
      it(`${compiler} ${name}`, async function () {
        if (!compilerExists(compiler)) this.skip();
        const program = buildDriver(folder, compiler, flags);
        const [drawn, traced] = await Promise.all([
          digestOf(program, FIRST, IMAGES, 'image'),
          digestOf(program, FIRST, TRACES, 'trace'),
        ]);
        expect(drawn, 'images').to.equal(images);
        expect(traced, 'traces').to.equal(traces);
      });
    }
  }
});
