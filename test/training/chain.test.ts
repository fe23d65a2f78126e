import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { imageBatch } from '../../training/data/image-set.js';
import { openImages } from '../../training/data/open.js';
import { writeMadeFaces } from './made-faces.js';
import { writeMadeImages } from './made-images.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

interface Chain {
  readonly name: string;
  readonly config: object;
  readonly steps: number;
  readonly testImages: number;
  /** Compared over so many images on the host, and so many on the emulated Pico. */
  readonly compared: { readonly host: number; readonly rp2040: number };
  /** Enough steps to know more than one grey for all. */
  readonly learns: boolean;
  writeData(folder: string): void;
}

const CHAINS: readonly Chain[] = [
  {
    name: 'grey, 8 x 8, two hidden layers, from MNIST’s format',
    config: {
      model: { imageSize: 8, hiddenChannels: [6, 8], latentChannels: 8, choices: 4, timeSteps: 6 },
      batchSize: 16,
      epochs: 40,
      seed: 1,
    },
    steps: 320,
    testImages: 16,
    compared: { host: 8, rp2040: 8 },
    learns: true,
    writeData: (folder) => writeMadeImages(folder, 128, 16),
  },
  {
    name: 'RGB, 64 x 64, five hidden layers, from CelebA’s format: the large model with narrow layers',
    config: {
      model: {
        channels: 3,
        imageSize: 64,
        hiddenChannels: [4, 4, 8, 8, 8],
        latentChannels: 8,
        choices: 4,
        timeSteps: 2,
      },
      batchSize: 4,
      epochs: 8,
      flips: true,
      // So few steps must move the prior's offsets past the threshold: at T = 2 nothing else makes it fire.
      optimizer: { learningRate: 0.05 },
      seed: 1,
    },
    steps: 16,
    testImages: 2,
    compared: { host: 4, rp2040: 2 },
    learns: false,
    writeData: (folder) => writeMadeFaces(folder, 8, 2),
  },
];

/** The chain of docs/training.md at the smallest sizes that draw something. */
describe('from pixels to the emulated Pico', function () {
  this.timeout(240_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-chain-'));
    writeMadeImages(join(folder, 'data'), 2, 1);
    writeFileSync(join(folder, 'config.json'), '{"model":{"imageSize":8,"hiddenChannels":[6,8]},"batchSize":2}');
    writeFileSync(join(folder, 'bad.json'), '{"batchSize":1}');
  });
  after(() => rmSync(folder, { recursive: true }));

  function runIn(cwd: string, args: readonly string[]): { code: number | null; out: string; err: string } {
    const child = spawnSync(process.execPath, [MAIN, ...args], { cwd, encoding: 'utf8' });
    return { code: child.status, out: child.stdout, err: child.stderr };
  }

  for (const [index, { name, config, steps, testImages, compared, learns, writeData }] of CHAINS.entries()) {
    it(`${name}: train, stop, resume, quantize, generate, build; host’s C and emulated Pico bit for bit`, () => {
      const at = join(folder, `chain-${index}`);
      mkdirSync(at);
      writeData(join(at, 'data'));
      writeFileSync(join(at, 'config.json'), JSON.stringify(config));
      const succeeds = (...args: string[]): string => {
        const { code, out, err } = runIn(at, args);
        expect(code, `${args.join(' ')}\n${out}\n${err}`).to.equal(0);
        return out;
      };

      const train = ['train', '-c', 'config.json', '-d', 'data', '-o', 'run'];
      const half = Math.floor(steps / 3);
      expect(succeeds(...train, '--steps', String(half))).to.match(new RegExp(`${half} steps done, .* images/s`));
      expect(succeeds(...train, '--resume')).to.match(new RegExp(`${steps} steps done`));
      succeeds('quantize', 'run/model.safetensors', '-o', 'int.safetensors');
      const board = (name: keyof typeof compared): string[] => [
        ...['--board', name, '-m', 'int.safetensors', '-n', String(compared[name])],
      ];
      const { bitExact, done } = JSON.parse(succeeds('simulate', ...board('host'), '--json')) as Record<
        string,
        unknown
      >;
      expect([bitExact, done]).to.deep.equal([true, compared.host]);
      expect(succeeds('verify', '--simulate', ...board('rp2040'))).to.match(/equal/);
      const scores = succeeds('eval', 'run/model.safetensors', '-d', 'data', '--json');
      const { images, rows } = JSON.parse(scores) as { images: number; rows: { reconstruction: number }[] };
      const [floatMse, integerMse] = rows.map(({ reconstruction }) => reconstruction);
      expect(images).to.equal(testImages);
      const { channels = 1, imageSize } = (config as { model: { channels?: number; imageSize: number } }).model;
      const test = openImages(join(at, 'data'), 'test', { channels, size: imageSize });
      const pixels = imageBatch(
        test,
        Array.from({ length: testImages }, (_, i) => i),
      );
      const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
      const variance = pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length;
      // Better than knowing nothing, one grey for all; without the steps for that, at least better than the worst.
      expect(floatMse)
        .to.be.below(learns ? variance : 4)
        .and.above(0);
      expect(integerMse).to.be.closeTo(floatMse, 0.05 * floatMse);
      // Not a network that has died: it spikes, and once it has learnt something its images differ from one another.
      const { activity } = JSON.parse(succeeds('inspect', 'int.safetensors', '--json')) as {
        activity: { spikes: number };
      };
      expect(activity.spikes).to.be.above(50);
      if (!learns) return;
      // Fine-tuned for four bits.
      const tuned = { ...config, epochs: 5, seed: 2, optimizer: { learningRate: 2e-4 }, quantization: { bits: 4 } };
      writeFileSync(join(at, 'tuned.json'), JSON.stringify(tuned));
      const tune = ['train', '-c', 'tuned.json', '-d', 'data', '-o', 'tuned', '--from', 'run/model.safetensors'];
      expect(succeeds(...tune)).to.match(/Next: fsvae-codegen quantize tuned\/model\.safetensors --bits 4\n/);
      const four = (network: string): number =>
        (
          JSON.parse(succeeds('eval', network, '-d', 'data', '--json', '--bits', '4')) as {
            rows: { reconstruction: number }[];
          }
        ).rows[1].reconstruction;
      expect(four('tuned/model.safetensors')).to.be.below(four('run/model.safetensors'));
      succeeds('sample', '-m', 'int.safetensors', '-n', '8', '--png', 'a.png');
      succeeds('sample', '-m', 'int.safetensors', '-n', '8', '--seed', '100', '--png', 'b.png');
      expect(readFileSync(join(at, 'a.png')).equals(readFileSync(join(at, 'b.png')))).to.equal(false);
    });
  }

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
      const { code: actual, err } = runIn(folder, args);
      const lines = err.trimEnd().split('\n');
      expect(lines[lines.length - 1])
        .to.match(message)
        .and.match(/^fsvae-codegen: /);
      expect(actual).to.equal(code);
    });
  }
});
