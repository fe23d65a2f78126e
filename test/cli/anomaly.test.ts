/** Anomalies by a whole network a few kilobytes large: the errors, the verdicts and the files, computed here once more. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readFloatEncoder, runEncoder } from '../../codegen/float/encoder.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { runDecoder } from '../../codegen/float/run.js';
import { quantizeEncoder } from '../../codegen/quantize/encoder.js';
import { quantize } from '../../codegen/quantize/quantize.js';
import { pngGrid } from '../../harness/picture.js';
import { areaUnderRoc } from '../../report/detection.js';
import { EncoderNetwork } from '../../runtime-ts/encoder.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { drawChoices, Pcg32 } from '../../runtime-ts/pcg32.js';
import { packLatent } from '../../runtime-ts/spike-bits.js';
import { createBaselineTensors } from '../../training/baselines/tensors.js';
import { Vae } from '../../training/baselines/vae.js';
import { type BaselineConfig, parseNetworkConfig } from '../../training/config/config.js';
import { imageBatch } from '../../training/data/image-set.js';
import { startEngine } from '../../training/engine/wasm.js';
import { encodeNetwork } from '../../training/train/checkpoint.js';
import { livelyNetwork } from '../training/lively-network.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const lively = livelyNetwork();
const bytes = encodeNetwork(lively.config, lively.parameters, 0);
const checkpoint = parseCheckpoint(bytes, 'whole');
const float = readFloatModel(checkpoint);
const floatEncoder = readFloatEncoder(checkpoint, float);
const golden = new GoldenModel(quantize(float));
const network = new EncoderNetwork(quantizeEncoder(float, floatEncoder));
const { timeSteps, latentChannels, choices: k, channels, imageSize: size } = float.config;
const PIXELS = channels * size ** 2;
const SEED = 40n;

/** Sets of pictures, bright and dark: the network draws everything bright. */
const SETS = { normal: 24, ranked: 5, odd: 4 } as const;
type SetName = keyof typeof SETS;

function picture(set: SetName, index: number): Uint8Array {
  const random = new Pcg32(BigInt(index), BigInt(SETS[set]));
  return Uint8Array.from({ length: PIXELS }, () => (set === 'odd' ? 0 : 160) + (random.next() % 96));
}

function meanSquared(image: Uint8Array, value: (i: number) => number): number {
  return image.reduce((sum, byte, i) => sum + ((2 * byte) / 255 - 1 - value(i)) ** 2 / PIXELS, 0);
}

function drawn(index: number): Uint8Array {
  return drawChoices(SEED + BigInt(index), timeSteps, latentChannels, k);
}

function integerError(image: Uint8Array, index: number): number {
  const made = golden.decode(packLatent(network.encode(image, drawn(index)), timeSteps, latentChannels));
  return meanSquared(image, (i) => (2 * made[i]) / 255 - 1);
}

function floatError(image: Uint8Array, index: number): number {
  const seen = Float64Array.from(image, (byte) => (2 * byte) / 255 - 1);
  const { image: made } = runDecoder(float, runEncoder(float, floatEncoder, seen, drawn(index)).z);
  return meanSquared(image, (i) => made[i]);
}

function errorsOf(set: SetName, error: (image: Uint8Array, index: number) => number): number[] {
  return Array.from({ length: SETS[set] }, (_, i) => error(picture(set, i), i));
}

interface Answer {
  readonly model: string;
  readonly calibration: { readonly images: number };
  readonly networks: readonly {
    readonly title: string;
    readonly threshold: number;
    readonly flagged: number;
    readonly detected: number;
    readonly area: number;
  }[];
  readonly images: readonly { data: string; index: number; name: string; error: number; anomalous: boolean }[];
}

describe('anomaly', function () {
  this.timeout(120_000);
  let folder: string;
  let vae: Vae;

  before(async () => {
    await startEngine();
    folder = mkdtempSync(join(tmpdir(), 'fsvae-anomaly-'));
    writeFileSync(join(folder, 'whole.safetensors'), bytes);
    for (const [name, imageSize] of [
      ['vae', size],
      ['larger', 2 * size],
    ] as const) {
      const value = { kind: 'vae', model: { imageSize, hiddenChannels: [4, 6], latentChannels: 5 } };
      const config = parseNetworkConfig(value, name) as BaselineConfig;
      const parameters = createBaselineTensors('vae', config.model, 3);
      writeFileSync(join(folder, `${name}.safetensors`), encodeNetwork(config, parameters, 0));
      if (name === 'vae') vae = new Vae({ ...config, seed: Number(SEED) }, parameters, 0);
    }
    for (const set of Object.keys(SETS) as SetName[]) {
      mkdirSync(join(folder, set));
      for (let i = 0; i < SETS[set]; i++) {
        const png = pngGrid([picture(set, i)], { channels, size }, { scale: 1, gap: 0 });
        writeFileSync(join(folder, set, `${String(i).padStart(2, '0')}.png`), png);
      }
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(...args: string[]): { code: number | null; out: string; err: string } {
    const all = ['anomaly', 'ranked', '-m', 'whole.safetensors', '--calibrate', 'normal', '-s', String(SEED), ...args];
    const child = spawnSync(process.execPath, [MAIN, ...all], { cwd: folder, encoding: 'utf8' });
    return { code: child.status, out: child.stdout, err: child.stderr };
  }

  it('ranks images by the integer model’s error, with a threshold that the calibration set gives', () => {
    const { code, out, err } = run('--json', '--false-alarms', '0.1', '--png', 'top.png', '--top', '3');
    expect(code, err).to.equal(0);
    const answer = JSON.parse(out) as Answer;
    expect([answer.model, answer.calibration.images]).to.deep.equal([golden.hash, SETS.normal]);
    // 25 images with the new one, of which 0.1 are 2: the second largest error.
    const threshold = errorsOf('normal', integerError).sort((a, b) => b - a)[1];
    expect(answer.networks.length).to.equal(1);
    expect(answer.networks[0].threshold).to.be.closeTo(threshold, 1e-12);
    const errors = errorsOf('ranked', integerError);
    expect(answer.images.map(({ index }) => index)).to.deep.equal(
      [0, 1, 2, 3, 4].sort((a, b) => errors[b] - errors[a]),
    );
    for (const { data, index, name, error, anomalous } of answer.images) {
      expect([data, name]).to.deep.equal(['ranked', `0${index}.png`]);
      expect(error).to.be.closeTo(errors[index], 1e-12);
      expect(anomalous).to.equal(error > threshold);
    }
    const top = answer.images.slice(0, 3).map(({ index }) => index);
    const made = top.map((index) =>
      golden.decode(packLatent(network.encode(picture('ranked', index), drawn(index)), timeSteps, latentChannels)),
    );
    const black = Array.from({ length: 5 }, () => new Uint8Array(PIXELS));
    const rows = [...top.map((index) => picture('ranked', index)), ...black, ...made, ...black];
    const expected = pngGrid(rows, { channels, size }, { scale: 2, columns: 8 });
    expect(readFileSync(join(folder, 'top.png')).equals(expected)).to.equal(true);
  });

  it('compares integer model, float network and ANN VAE on known anomalies', () => {
    const against = ['--against', 'float', '--against', 'vae.safetensors'];
    const { code, out, err } = run('--json', '--anomalies', 'odd', ...against, '--report', 'report.html');
    expect(code, err).to.equal(0);
    const answer = JSON.parse(out) as Answer;
    const vaeError = (set: SetName): number[] => {
      const count = SETS[set];
      const pixels = Uint8Array.from(Array.from({ length: count }, (_, i) => [...picture(set, i)]).flat());
      const images = imageBatch(
        { count, channels, size, pixels },
        Uint32Array.from({ length: count }, (_, i) => i),
      );
      const made = vae.reconstruct(images, count, 0).images;
      return Array.from({ length: count }, (_, n) => meanSquared(picture(set, n), (i) => made[n * PIXELS + i]));
    };
    const sources: [string, (set: SetName) => number[]][] = [
      ['integer model', (set) => errorsOf(set, integerError)],
      ['float network', (set) => errorsOf(set, floatError)],
      ['ANN VAE', vaeError],
    ];
    expect(answer.networks.map(({ title }) => title)).to.deep.equal(sources.map(([title]) => title));
    sources.forEach(([title, errors], i) => {
      const { threshold, flagged, detected, area } = answer.networks[i];
      // 25 times the 0.05 of the default is 1: the largest.
      expect(threshold, title).to.be.closeTo(Math.max(...errors('normal')), 1e-5);
      const [normal, odd] = [errors('ranked'), errors('odd')];
      expect(flagged, title).to.equal(normal.filter((error) => error > threshold).length / normal.length);
      expect(detected, title).to.equal(odd.filter((error) => error > threshold).length / odd.length);
      expect(area, title).to.equal(areaUnderRoc(normal, odd));
    });
    expect(answer.images.length).to.equal(SETS.ranked + SETS.odd);
    expect(new Set(answer.images.map(({ anomalous }) => anomalous)).size, 'both verdicts').to.equal(2);

    const html = readFileSync(join(folder, 'report.html'), 'utf8');
    for (const { title, area } of answer.networks) expect(html).to.contain(`${title}: area ${area.toFixed(4)}`);
    expect(html).to.contain('--anomalies odd --against float --against vae.safetensors');
    expect(html.match(/<polyline/g)?.length).to.equal(3);
    expect(html.match(/figure class="histogram"/g)?.length).to.equal(3);
  });

  it('by the emulated Pico: the same errors, every image compared with the golden model', () => {
    const answers = [[], ['--simulate']].map((how) => {
      const { code, out, err } = run('--json', '--anomalies', 'odd', ...how);
      expect(code, err).to.equal(0);
      return JSON.parse(out) as Answer & { readonly reconstructedBy: string; readonly bitExact: boolean | null };
    });
    const [here, there] = answers;
    expect([here.reconstructedBy, here.bitExact]).to.deep.equal(['golden model', null]);
    expect(there.reconstructedBy).to.match(/^rp2040 on /);
    expect(there).to.deep.equal({ ...here, reconstructedBy: there.reconstructedBy, bitExact: true });
  });

  it('says the same to people', () => {
    const { images, networks } = JSON.parse(run('--anomalies', 'odd', '--json').out) as Answer;
    const { code, out, err } = run('--anomalies', 'odd', '--top', '2');
    expect(code, err).to.equal(0);
    const lines = out.trimEnd().split('\n');
    const table = lines.slice(lines.findIndex((line) => line.startsWith('image'))).map((line) => line.split(/ {2,}/));
    const [{ threshold, flagged, detected, area }] = networks;
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    expect(table).to.deep.equal([
      ['image', 'error', 'verdict'],
      ...images
        .slice(0, 2)
        .map(({ data, name, error, anomalous }) => [
          `${data} ${name}`,
          error.toFixed(5),
          anomalous ? 'anomalous' : 'normal',
        ]),
      [''],
      ['network', 'threshold', 'flagged of ranked', 'flagged of odd', 'area under ROC'],
      ['integer model', threshold.toFixed(5), percent(flagged), percent(detected), area.toFixed(4)],
    ]);
  });

  for (const [what, args, kind, message] of [
    [
      'too small a calibration set',
      ['--false-alarms', '0.03'],
      'usage',
      /--false-alarms 0\.03 takes 33 calibration images, here are 24: give more of them, or a higher rate/,
    ],
    ['a share that is none', ['--false-alarms', '1'], 'usage', /a number between 0 and 1, such as 0\.05/],
    ['a share that is no number', ['--false-alarms', ' '], 'usage', /a number between 0 and 1/],
    [
      'an FSVAE as an ANN',
      ['--against', 'whole.safetensors'],
      'input',
      /whole\.safetensors: holds no encoder\.0\.0\.weight/,
    ],
    [
      'a VAE of another size',
      ['--against', 'larger.safetensors'],
      'usage',
      /larger\.safetensors takes images of 1 x 16 x 16, the model of 1 x 8 x 8/,
    ],
    ['a checkpoint without encoder', ['-m', 'tiny'], 'input', /holds only what generation needs/],
    [
      'an ANN VAE to rank by',
      ['-m', 'vae.safetensors'],
      'input',
      /is a network without spikes.*anomaly --against take it/,
    ],
    ['data that is not there', ['--anomalies', 'nowhere'], 'usage', /"nowhere" is no folder/],
    ['classes of pictures', ['--anomalies', 'odd:1'], 'usage', /odd has no labels to choose classes by/],
    ['a half that is none', ['--split', 'both'], 'usage', /--split must be train or test/],
  ] as const) {
    it(`refuses ${what}`, () => {
      const { code, err } = run(...args);
      expect(code, err).to.equal(EXIT_CODES[kind]);
      expect(err.trimEnd().split('\n').at(-1))
        .to.match(/^fsvae-codegen: /)
        .and.match(message);
    });
  }
});
