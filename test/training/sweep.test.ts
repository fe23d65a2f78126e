import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import fc from 'fast-check';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { Autoencoder } from '../../training/baselines/autoencoder.js';
import { latentStatistics } from '../../training/baselines/statistics.js';
import { createBaselineTensors } from '../../training/baselines/tensors.js';
import { Vae } from '../../training/baselines/vae.js';
import { imageBatch, type ImageSet } from '../../training/data/image-set.js';
import { openImages } from '../../training/data/open.js';
import { upTo } from '../../training/engine/synapses.js';
import { frechetDistance } from '../../training/metrics/frechet.js';
import { reconstructions, SquaredError } from '../../training/metrics/reconstruct.js';
import { Fsvae } from '../../training/model/fsvae.js';
import { autoencoderDistance } from '../../training/sweep/autoencoder-distance.js';
import { sweepPlot, ticks } from '../../training/sweep/plot.js';
import { parseVariation, sweepPoints } from '../../training/sweep/points.js';
import { type Measure, type Sweep, sweep, type SweepRow } from '../../training/sweep/sweep.js';
import { markdownTable, plainTable, sweepTable } from '../../training/sweep/table.js';
import { readBaseline } from '../../training/train/networks.js';
import { readTrainedNetwork } from '../../training/train/trained-network.js';
import { writeMadeImages } from './made-images.js';
import { refused } from './refused.js';

const TINY = {
  model: { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4, choices: 3, timeSteps: 6 },
  batchSize: 8,
  epochs: 1,
};
const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

describe('sweeps', function () {
  this.timeout(60_000);

  describe('points', () => {
    for (const [text, field, values] of [
      ['model.timeSteps=4,8,16', 'model.timeSteps', [4, 8, 16]],
      ['loss.distance=kld,mmd,mmd-psp', 'loss.distance', ['kld', 'mmd', 'mmd-psp']],
      ['model.hiddenChannels=[8,16],[16,32]', 'model.hiddenChannels', [[8, 16], [16, 32]]], // prettier-ignore
      ['scheduledSampling=null,{"to":0.5}', 'scheduledSampling', [null, { to: 0.5 }]],
      ['flips=true,false', 'flips', [true, false]],
      ['seed=7', 'seed', [7]],
    ] as const) {
      it(`reads ${text}`, () => expect(parseVariation(text)).to.deep.equal({ field, values }));
    }

    for (const text of ['model.timeSteps', '=4', 'model.=4', 'a.__proto__.b=1', 'seed=']) {
      it(`refuses ${text}`, () => refused(() => parseVariation(text), 'usage', /must be FIELD=VALUE/));
    }

    it('are all combinations, each a whole config, the last field running fastest', () => {
      const variations = ['model.timeSteps=4,8', 'model.choices=5,10,20'].map(parseVariation);
      const points = sweepPoints(TINY, 'base.json', variations);
      expect(points.map(({ values }) => values)).to.deep.equal([[4, 5], [4, 10], [4, 20], [8, 5], [8, 10], [8, 20]]); // prettier-ignore
      expect(points[4].name).to.equal('model.timeSteps=8_model.choices=10');
      for (const { values, config } of points) {
        expect(config.model).to.deep.equal({ ...TINY.model, channels: 1, timeSteps: values[0], choices: values[1] });
        expect(config.batchSize).to.equal(8);
      }
    });

    it('may be networks of several kinds, and fields that the base has not', () => {
      const base = { ...TINY, model: { imageSize: 8, hiddenChannels: [4, 6] } };
      const points = sweepPoints(
        base,
        'base.json',
        ['kind=fsvae,vae', 'optimizer.learningRate=0.01'].map(parseVariation),
      );
      expect(points.map(({ config }) => [config.kind, config.optimizer.learningRate])).to.deep.equal([
        ['fsvae', 0.01],
        ['vae', 0.01],
      ]);
    });

    for (const [name, texts, kind, message] of [
      ['a value out of range, by its point', ['seed=1', 'model.choices=3,0'], 'input', /^base\.json with seed=1, model\.choices=0: model\.choices: must be .* 1 to 256/], // prettier-ignore
      ['a field that there is not', ['model.width=3'], 'input', /width/],
      ['what every object has', ['constructor.name=3'], 'input', /constructor/],
      ['a value twice', ['seed=1,1'], 'usage', /two points of the sweep are seed=1/],
      ['a field twice', ['seed=1', 'seed=2'], 'usage', /--vary seed is given twice/],
      [
        'more than anybody trains',
        [`seed=${Array.from({ length: 1001 }, (_, i) => i).join()}`],
        'usage',
        /1001 points/,
      ],
    ] as const) {
      it(`refuse ${name}`, () =>
        refused(() => sweepPoints(TINY, 'base.json', texts.map(parseVariation)), kind, message));
    }
  });

  describe('trained', () => {
    let folder: string;
    let images: Record<'train' | 'test', ImageSet>;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'fsvae-sweep-'));
      writeMadeImages(join(folder, 'data'), 32, 70);
      const open = (split: 'train' | 'test'): ImageSet =>
        openImages(join(folder, 'data'), split, { channels: 1, size: 8 });
      images = { train: open('train'), test: open('test') };
    });
    after(() => rmSync(folder, { recursive: true }));

    const said: string[] = [];
    function run(
      out: string,
      texts: readonly string[],
      options: { base?: object; stopped?: () => boolean; test?: ImageSet; measures?: readonly Measure[] } = {},
    ): Promise<Sweep> {
      said.length = 0;
      return sweep({
        points: sweepPoints({ ...TINY, ...options.base }, 'tiny', texts.map(parseVariation)),
        out: join(folder, out),
        measures: options.measures ?? [],
        images: (split) => (split === 'test' ? (options.test ?? images.test) : images.train),
        stream: new PassThrough(),
        say: (line) => void said.push(line),
        ...(options.stopped === undefined ? {} : { stopped: options.stopped }),
      });
    }
    const skipped = (): number => said.filter((line) => line.endsWith('done already')).length;

    it('goes on after an interrupt, trains nothing twice, and gives the same scores', async () => {
      const texts = ['model.timeSteps=3,6', 'model.choices=2,3'];
      const whole = await run('whole', texts);
      expect(whole.finished).to.equal(true);
      expect(whole.rows.map(({ values }) => values)).to.deep.equal([[3, 2], [3, 3], [6, 2], [6, 3]]); // prettier-ignore
      expect(new Set(whole.rows.map(({ mse }) => mse)).size).to.equal(4);

      let asked = 0;
      // Four steps a point: in the third one.
      const part = await run('parts', texts, { stopped: () => ++asked > 10 });
      expect([part.finished, part.rows.length]).to.deep.equal([false, 2]);
      expect(existsSync(join(folder, 'parts', 'model.timeSteps=6_model.choices=2', 'result.json'))).to.equal(false);
      const rest = await run('parts', texts);
      expect(skipped()).to.equal(2);
      expect(rest).to.deep.equal(whole);
      const path = join(folder, 'parts', 'model.timeSteps=6_model.choices=3', 'checkpoint.safetensors');
      const trained = statSync(path).mtimeMs;
      expect(await run('parts', texts)).to.deep.equal(whole);
      expect(skipped()).to.equal(4);
      expect(statSync(path).mtimeMs).to.equal(trained);
    });

    it('scores a network as eval does', async () => {
      const { rows } = await run('score', ['seed=0']);
      const network = readTrainedNetwork(readCheckpoint(join(folder, 'score', 'seed=0', 'model.safetensors')), {});
      const error = new SquaredError();
      let spikes = 0;
      const model = new Fsvae(network.config, network.parameters);
      for (const batch of reconstructions(model, network.config.model, images.test, 0)) {
        error.add(batch.inputs, batch.outputs);
        spikes += batch.spikes * batch.count;
      }
      expect(rows[0].mse).to.equal(error.mean);
      expect(rows[0].spikes).to.be.closeTo(spikes / 70, 1e-9);
    });

    it('scores anew what was scored under other conditions, without training', async () => {
      const [before] = (await run('anew', ['seed=0'])).rows;
      const fewer = openImages(join(folder, 'data'), 'test', { channels: 1, size: 8, limit: 20 });
      const [after] = (await run('anew', ['seed=0'], { test: fewer })).rows;
      expect(skipped()).to.equal(0);
      expect(after.mse).to.not.equal(before.mse);
      const measure = { name: 'tensors', source: '1', of: ({ tensors }: { tensors: { trained: readonly unknown[] } }) => tensors.trained.length }; // prettier-ignore
      const [measured] = (await run('anew', ['seed=0'], { measures: [measure] })).rows;
      expect(measured).to.deep.equal({ ...before, measures: { tensors: measured.measures['tensors'] } });
      expect(measured.measures['tensors']).to.be.above(20);
      const log = readFileSync(join(folder, 'anew', 'seed=0', 'log.jsonl'), 'utf8')
        .trimEnd()
        .split('\n');
      expect(log.length).to.equal(4);
      await refused(
        () => run('anew', ['seed=0'], { base: { epochs: 2 } }),
        'usage',
        /another config, it differs in epochs/,
      );
    });

    it('a point that diverges is a result; networks without spikes have none', async () => {
      const base = { kind: 'vae', model: { imageSize: 8, hiddenChannels: [4, 64], latentChannels: 4 }, epochs: 5 };
      const { rows, finished } = await run('diverges', ['optimizer.learningRate=1,0.001'], { base });
      expect(finished).to.equal(true);
      expect(rows[0].diverged).to.match(/not finite at step \d+/);
      expect(rows[0].mse).to.equal(undefined);
      expect(rows[1].mse).to.be.within(0.01, 2);
      expect('spikes' in rows[1]).to.equal(false);
      expect((await run('diverges', ['optimizer.learningRate=1,0.001'], { base })).rows).to.deep.equal(rows);
      expect(skipped()).to.equal(2);
    });

    it("measures samples by their distance from the test images in an autoencoder's latent", async () => {
      const shape = { channels: 1, imageSize: 8, hiddenChannels: [4, 6], latentChannels: 3 };
      const autoencoder = new Autoencoder(shape, createBaselineTensors('autoencoder', shape, 5));
      const measures = [autoencoderDistance(autoencoder, undefined, 300, 'random')];
      const base = { model: { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4 } };
      const { rows } = await run('distance', ['kind=vae,autoencoder'], { base, measures });
      expect(rows[1].measures).to.deep.equal({});
      const { config, parameters } = readBaseline(
        readCheckpoint(join(folder, 'distance', 'kind=vae', 'model.safetensors')),
      );
      const vae = new Vae(config, parameters, 0);
      const latents = [0, 256].map((first) => autoencoder.encode(vae.sample(256, first), 256, 'batch'));
      const all = imageBatch(images.test, upTo(70));
      const real = latentStatistics([autoencoder.encode(all, 70, 'batch')], 3);
      expect(rows[0].measures).to.deep.equal({
        'autoencoder distance': frechetDistance(latentStatistics(latents, 3), real),
      });
      const larger = { model: { ...base.model, imageSize: 16 } };
      await refused(
        () => run('larger', ['kind=vae'], { base: larger, measures }),
        'usage',
        /takes images of 1 x 8 x 8, but a point of the sweep draws 1 x 16 x 16/,
      );
      expect(existsSync(join(folder, 'larger'))).to.equal(false);
    });

    it('as a command: a table, JSON of the same numbers, a picture', () => {
      writeFileSync(join(folder, 'base.json'), JSON.stringify(TINY));
      const command = (...more: string[]): { code: number | null; out: string; err: string } => {
        const args = [MAIN, 'sweep', '-c', 'base.json', '-d', 'data', '-o', 'command', '-n', '20', ...more];
        const child = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
        return { code: child.status, out: child.stdout, err: child.stderr };
      };
      const plain = command('--vary', 'model.timeSteps=3,6');
      expect(plain.code, plain.err).to.equal(0);
      expect(plain.out.split('\n')[0]).to.equal('model.timeSteps  reconstruction error  spikes an image');
      const json = command('--vary', 'model.timeSteps=3,6', '--json');
      const { fields, finished, points } = JSON.parse(json.out) as {
        fields: string[];
        finished: boolean;
        points: SweepRow[];
      };
      expect([fields, finished]).to.deep.equal([['model.timeSteps'], true]);
      expect(plainTable(sweepTable(fields, points)).join('\n')).to.equal(plain.out.trimEnd());
      expect(readFileSync(join(folder, 'command', 'sweep.svg'), 'utf8')).to.match(/^<svg [\s\S]*<\/svg>\n$/);
      const none = command();
      expect([none.code, none.err.trimEnd().split('\n').length]).to.deep.equal([2, 1]);
      expect(none.err).to.match(/--vary/);
    });
  });

  describe('shown', () => {
    const fields = ['model.timeSteps', 'loss.distance'];
    const rows: SweepRow[] = [
      { name: 'a', values: [4, 'kld'], mse: 0.25, spikes: 900.4, measures: { FD: 40.126 } },
      { name: 'b', values: [4, 'mmd|psp'], mse: 0.2, spikes: 1000, measures: {} },
      { name: 'c', values: [8, 'kld'], measures: {}, diverged: 'at step 3' },
      { name: 'd', values: [8, 'mmd|psp'], mse: 0.1, spikes: 12, measures: { FD: 7 } },
    ];

    it('as tables', () => {
      expect(plainTable(sweepTable(fields, rows))).to.deep.equal([
        'model.timeSteps  loss.distance  reconstruction error  spikes an image     FD',
        '              4            kld                0.2500              900  40.13',
        '              4        mmd|psp                0.2000             1000      -',
        '              8            kld              diverged                -      -',
        '              8        mmd|psp                0.1000               12   7.00',
      ]);
      expect(markdownTable(sweepTable(fields, rows)).slice(0, 4)).to.deep.equal([
        '| model.timeSteps | loss.distance | reconstruction error | spikes an image | FD |',
        '| --- | --- | --- | --- | --- |',
        '| 4 | kld | 0.2500 | 900 | 40.13 |',
        '| 4 | mmd\\|psp | 0.2000 | 1000 | - |',
      ]);
    });

    /** Centres of the dots, in the order of the file. */
    const dots = (svg: string): { x: number; y: number; title: string }[] =>
      [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"[^>]*><title>([^<]*)</g)].map(([, x, y, title]) => ({
        x: Number(x),
        y: Number(y),
        title,
      }));

    it('as a picture: a dot for each error, higher for a larger one, a line for each combination of the other fields', () => {
      const svg = sweepPlot(fields, rows, 'Errors <&>');
      const found = dots(svg);
      expect(found.map(({ title }) => title)).to.deep.equal([
        'model.timeSteps = 4, distance = kld: 0.2500',
        'model.timeSteps = 4, distance = mmd|psp: 0.2000',
        'model.timeSteps = 8, distance = mmd|psp: 0.1000',
      ]);
      const [kld, mmd, later] = found;
      expect(kld.x).to.equal(mmd.x);
      expect(later.x).to.be.above(mmd.x);
      // 0.25 to 0.2 is half as far as 0.2 to 0.1.
      expect(2 * (mmd.y - kld.y)).to.be.closeTo(later.y - mmd.y, 0.3);
      expect([...svg.matchAll(/<polyline /g)].length).to.equal(1);
      expect(svg).to.include('Errors &lt;&amp;&gt;').and.not.include('<&>');
      expect([...svg.matchAll(/<(text|svg|title|style)\b/g)].length).to.equal([...svg.matchAll(/<\/(text|svg|title|style)>/g)].length); // prettier-ignore
    });

    it('words are joined by no line', () => {
      const words = rows.map((row) => ({ ...row, values: [row.values[1], row.values[0]] }));
      const svg = sweepPlot(['loss.distance', 'model.timeSteps'], words, '');
      expect(svg).to.not.include('<polyline');
      expect(dots(svg).length).to.equal(3);
    });

    it('ticks are round, evenly spaced, and hold every value', () => {
      const value = fc.double({ min: 1e-4, max: 1e3, noNaN: true });
      fc.assert(
        fc.property(value, value, (a, b) => {
          const [low, high] = [Math.min(a, b), Math.max(a, b)];
          const marks = ticks(low, high, 5);
          const step = marks[1] - marks[0];
          expect(marks.length).to.be.within(2, 8);
          expect(marks[0]).to.be.at.most(low + 1e-3 * step);
          expect(marks[marks.length - 1]).to.be.at.least(high - 1e-3 * step);
          marks.forEach((mark, i) => expect(mark).to.be.closeTo(marks[0] + i * step, 1e-3 * step));
        }),
        { numRuns: 500 },
      );
    });
  });
});
