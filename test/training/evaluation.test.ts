import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { encodeSafetensors, parseSafetensors } from '../../runtime-ts/safetensors.js';
import { createBaselineTensors } from '../../training/baselines/tensors.js';
import { parseNetworkConfig } from '../../training/config/config.js';
import { encodeNetwork } from '../../training/train/checkpoint.js';
import { meansNetwork } from '../support/onnx.js';
import { livelyNetwork } from './lively-network.js';
import { writeMadeImages } from './made-images.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

interface Row {
  readonly title: string;
  readonly reconstruction?: number;
  readonly scores?: {
    readonly samples: number;
    readonly autoencoderDistance?: number;
    readonly inceptionScore?: { readonly mean: number };
    readonly fid?: number;
  };
  readonly equal?: { readonly samples: number; readonly reconstructions: number };
}

interface Report {
  readonly images: number;
  readonly rows: readonly Row[];
  readonly operations?: {
    readonly reconstruction: { readonly additions: number; readonly layers: readonly { readonly name: string }[] };
  };
}

/** The command as its users have it, on a network with random weights. */
describe('fsvae-codegen eval', function () {
  this.timeout(300_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-eval-'));
    writeMadeImages(join(folder, 'data'), 8, 40);
    const { config, parameters } = livelyNetwork();
    const whole = encodeNetwork(config, parameters, 0);
    writeFileSync(join(folder, 'net.safetensors'), whole);
    const { tensors: all, metadata } = parseSafetensors(whole);
    const generator = [...all].filter(([name]) => !/^(encoder|before_latent_layer|posterior)\./.test(name));
    writeFileSync(join(folder, 'generator.safetensors'), encodeSafetensors(new Map(generator), metadata));
    for (const [kind, imageSize] of [
      ['autoencoder', 8],
      ['vae', 8],
      ['autoencoder', 16],
    ] as const) {
      const baseline = parseNetworkConfig(
        { kind, model: { imageSize, hiddenChannels: [4, 6], latentChannels: 5 } },
        'made',
      );
      if (baseline.kind === 'fsvae') throw new Error('no baseline');
      const tensors = createBaselineTensors(kind, baseline.model, 1);
      writeFileSync(join(folder, `${kind}${imageSize}.safetensors`), encodeNetwork(baseline, tensors, 0));
    }
    const matrix = Float32Array.from([1, -2, 3, 0, -1, 2, 0.5, 1, -3, 4, 2, 1]);
    writeFileSync(join(folder, 'inception.onnx'), meansNetwork({ size: 12, matrix }));
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(...args: string[]): { code: number | null; out: string; err: string } {
    const child = spawnSync(process.execPath, [MAIN, 'eval', ...args], { cwd: folder, encoding: 'utf8' });
    return { code: child.status, out: child.stdout, err: child.stderr };
  }

  function report(...args: string[]): Report {
    const { code, out, err } = run(...args, '--json');
    expect(code, `${args.join(' ')}\n${err}`).to.equal(0);
    return JSON.parse(out) as Report;
  }

  it('float network, two golden models, and the generated C: the last has the scores of its golden model, from its own images', () => {
    const metrics = [
      '--autoencoder',
      'autoencoder8.safetensors',
      '--inception',
      'inception.onnx',
      '--inception-range',
      '1',
    ];
    const board = ['--simulate', '--board', 'host', '--streamed', '256'];
    const args = ['net.safetensors', '-d', 'data', '--samples', '200', '--bits', '8', '--bits', '4', '--operations'];
    const { images, rows, operations } = report(...args, ...metrics, ...board);
    expect(images).to.equal(40);
    expect(rows.map(({ title }) => title)).to.deep.equal([
      'float network',
      'int8 golden model',
      'int4 golden model',
      'int8 on host',
    ]);
    const [float, int8, int4, host] = rows;
    for (const { reconstruction, scores } of rows) {
      expect(scores!.samples).to.equal(256);
      expect(reconstruction).to.be.above(0);
      expect(scores!.autoencoderDistance).to.be.above(0);
      expect(scores!.fid).to.be.above(0);
      expect(scores!.inceptionScore!.mean).to.be.above(1).and.below(4);
    }
    expect(host.equal).to.deep.equal({ samples: 256, reconstructions: 40 });
    expect(host.scores).to.deep.equal(int8.scores);
    expect(host.reconstruction).to.equal(int8.reconstruction);
    // Two arithmetics of one network, not the same numbers twice.
    expect(int8.scores!.autoencoderDistance).to.not.equal(float.scores!.autoencoderDistance);
    expect(int8.reconstruction).to.be.closeTo(float.reconstruction!, 0.05 * float.reconstruction!);
    expect(int4.reconstruction).to.not.equal(int8.reconstruction);
    expect(operations!.reconstruction.layers.map(({ name }) => name)).to.include.members([
      'encoder.0',
      'posterior.layers.2',
    ]);
    expect(operations!.reconstruction.additions).to.be.above(0);
  });

  it('statistics of a file, other seeds, no data: other figures, and a word on what is missing', () => {
    const args = ['--autoencoder', 'autoencoder8.safetensors', '--samples', '1'];
    const before = report('net.safetensors', ...args, '-d', 'data').rows[0].scores!.autoencoderDistance;
    const after = report('net.safetensors', ...args, '-d', 'data', '--seed', '1000').rows[0].scores!
      .autoencoderDistance;
    expect(after).to.not.equal(before);
    const { code, out, err } = run('net.safetensors', '--operations');
    expect(code, err).to.equal(0);
    expect(err).to.contain('no reconstructions: no --data');
    expect(out)
      .to.match(/^FSVAE, generation +[\d,]+ +[\d,]+$/m)
      .and.not.match(/FSVAE, reconstruction/);
  });

  it('an ANN VAE has one row', () => {
    const { rows } = report(
      'vae8.safetensors',
      '-d',
      'data',
      '--autoencoder',
      'autoencoder8.safetensors',
      '--samples',
      '1',
    );
    expect(rows.map(({ title }) => title)).to.deep.equal(['ANN VAE']);
    expect(rows[0].reconstruction).to.be.above(0);
    expect(rows[0].scores!.autoencoderDistance).to.be.above(0);
  });

  it('a model without encoder has no reconstructions', () => {
    const { code, out, err } = run('generator.safetensors', '-d', 'data', '-n', '1', '--markdown');
    expect(code, err).to.equal(0);
    expect(err).to.contain('has no encoder');
    expect(out).to.contain('| int8 golden model |');
  });

  for (const [args, code, message] of [
    [['net.safetensors', '--statistics', 'x.npz'], EXIT_CODES.usage, /--statistics are those of an --autoencoder/],
    [
      ['net.safetensors', '--autoencoder', 'autoencoder8.safetensors'],
      EXIT_CODES.usage,
      /needs --statistics FILE, or --data/,
    ],
    [['net.safetensors', '--json', '--markdown'], EXIT_CODES.usage, /--json and --markdown exclude each other/],
    [['net.safetensors', '--simulate', '--port', 'x'], EXIT_CODES.usage, /--port and --simulate exclude each other/],
    [['vae8.safetensors', '--simulate'], EXIT_CODES.usage, /is an ANN VAE: it has no golden model/],
    [
      ['net.safetensors', '-d', 'data', '--autoencoder', 'autoencoder16.safetensors'],
      EXIT_CODES.usage,
      /takes images of 1 x 16 x 16, but the model draws 1 x 8 x 8/,
    ],
    [
      ['net.safetensors', '-d', 'data', '--autoencoder', 'net.safetensors'],
      EXIT_CODES.input,
      /neither the ANN VAE nor the metric/,
    ],
    [['net.safetensors', '--inception', 'net.safetensors'], EXIT_CODES.input, /ONNX Runtime does not take it/],
  ] as const) {
    it(`eval ${args.join(' ')}: one line, exit code ${code}`, () => {
      const { code: actual, err } = run(...args);
      const lines = err.trimEnd().split('\n');
      expect(lines[lines.length - 1]).to.match(message);
      expect(actual).to.equal(code);
    });
  }
});
