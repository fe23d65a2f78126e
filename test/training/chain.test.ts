import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { imageBatch } from '../../training/data/image-set.js';
import { openImages } from '../../training/data/open.js';
import { writeMadeImages } from './made-images.js';

const upTo16 = Uint8Array.from({ length: 16 }, (_, i) => i);
const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** The chain of docs/training.md at the smallest size that draws something. */
describe('from pixels to generated C', function () {
  this.timeout(120_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-chain-'));
    writeMadeImages(join(folder, 'data'), 128, 16);
    const model = { imageSize: 8, hiddenChannels: [6, 8], latentChannels: 8, choices: 4, timeSteps: 6 };
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ model, batchSize: 16, epochs: 40, seed: 1 }));
    const optimizer = { learningRate: 2e-4 };
    writeFileSync(
      join(folder, 'tuned.json'),
      JSON.stringify({ model, batchSize: 16, epochs: 5, seed: 2, optimizer, quantization: { bits: 4 } }),
    );
    writeFileSync(join(folder, 'bad.json'), '{"batchSize":1}');
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(...args: string[]): { code: number | null; out: string; err: string } {
    const child = spawnSync(process.execPath, [MAIN, ...args], { cwd: folder, encoding: 'utf8' });
    return { code: child.status, out: child.stdout, err: child.stderr };
  }

  function succeeds(...args: string[]): string {
    const { code, out, err } = run(...args);
    expect(code, `${args.join(' ')}\n${out}\n${err}`).to.equal(0);
    return out;
  }

  it('train, stop, resume, quantize, generate, build: every spike and image of the C is the golden model’s', () => {
    const train = ['train', '-c', 'config.json', '-d', 'data', '-o', 'run'];
    expect(succeeds(...train, '--steps', '100')).to.match(/100 steps done, .* images\/s/);
    expect(succeeds(...train, '--resume')).to.match(/320 steps done/);
    succeeds('quantize', 'run/model.safetensors', '-o', 'int.safetensors');
    expect(succeeds('verify', '--simulate', '--board', 'host', '-m', 'int.safetensors', '-n', '8')).to.match(/equal/);
    const drawn = succeeds('simulate', '--board', 'host', '-m', 'int.safetensors', '-n', '8', '--json');
    const { bitExact, done } = JSON.parse(drawn) as { bitExact: boolean; done: number };
    expect([bitExact, done]).to.deep.equal([true, 8]);
    const scores = succeeds('eval', 'run/model.safetensors', '-d', 'data', '--json');
    const { images, rows } = JSON.parse(scores) as { images: number; rows: { reconstruction: number }[] };
    const [floatMse, integerMse] = rows.map(({ reconstruction }) => reconstruction);
    expect(images).to.equal(upTo16.length);
    // Better than knowing nothing: one grey for all.
    const pixels = imageBatch(openImages(join(folder, 'data'), 'test', { channels: 1, size: 8 }), upTo16);
    const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
    const variance = pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length;
    expect(floatMse).to.be.below(variance).and.above(0);
    expect(integerMse).to.be.closeTo(floatMse, 0.05 * floatMse);
    // Fine-tuned for four bits.
    const tune = ['train', '-c', 'tuned.json', '-d', 'data', '-o', 'tuned', '--from', 'run/model.safetensors'];
    expect(succeeds(...tune)).to.match(/Next: fsvae-codegen quantize tuned\/model\.safetensors --bits 4\n/);
    const four = (network: string): number => {
      const found = succeeds('eval', network, '-d', 'data', '--json', '--bits', '4');
      return (JSON.parse(found) as { rows: { reconstruction: number }[] }).rows[1].reconstruction;
    };
    expect(four('tuned/model.safetensors')).to.be.below(four('run/model.safetensors'));
    // Not a network that has died: its images differ from one another.
    succeeds('sample', '-m', 'int.safetensors', '-n', '8', '--png', 'a.png');
    succeeds('sample', '-m', 'int.safetensors', '-n', '8', '--seed', '100', '--png', 'b.png');
    expect(readFileSync(join(folder, 'a.png')).equals(readFileSync(join(folder, 'b.png')))).to.equal(false);
  });

  for (const [args, code, message] of [
    [['train'], EXIT_CODES.usage, /required option '-c, --config <file>' not specified/],
    [['train', '-c', 'no.json', '-d', 'data', '-o', 'x'], EXIT_CODES.usage, /no\.json: cannot be read \(ENOENT\)/],
    [
      ['train', '-c', 'bad.json', '-d', 'data', '-o', 'x'],
      EXIT_CODES.input,
      /batchSize: must be a whole number from 2 to 4096/,
    ],
    [['train', '-c', 'config.json', '-d', 'none', '-o', 'x'], EXIT_CODES.usage, /--data "none" is no folder/],
    [['train', '-c', 'config.json', '-d', 'data', '-o', 'x', '--resume'], EXIT_CODES.usage, /to resume from/],
  ] as const) {
    it(`fsvae-codegen ${args.join(' ')}: one line, exit code ${code}`, () => {
      const { code: actual, err } = run(...args);
      const lines = err.trimEnd().split('\n');
      expect(lines[lines.length - 1])
        .to.match(message)
        .and.match(/^fsvae-codegen: /);
      expect(actual).to.equal(code);
    });
  }
});
