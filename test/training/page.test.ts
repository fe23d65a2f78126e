import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { parseConfig } from '../../training/config/config.js';
import { openImages } from '../../training/data/open.js';
import { binned } from '../../training/page/charts.js';
import { renderPage } from '../../training/page/page.js';
import { type LogEntry, shown } from '../../training/page/run.js';
import { train } from '../../training/train/trainer.js';
import { writeMadeImages } from './made-images.js';

const entry = (step: number, changes: Partial<LogEntry> = {}): LogEntry => ({
  step,
  epoch: 1,
  timeSteps: 4,
  loss: 2 * step,
  mse: step,
  distance: 0.001 * step,
  spikes: 1000 + step,
  imagesPerSecond: 50,
  ...changes,
});

/** Text between the tags of a table's cells. */
function tableOf(html: string): string[][] {
  const body = /<tbody>([\s\S]*?)<\/tbody>/.exec(html)![1];
  return [...body.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row]) =>
    [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) => cell),
  );
}

describe('page of a run', function () {
  this.timeout(60_000);

  describe('of a real run', () => {
    let folder: string;
    let html: string;
    let log: LogEntry[];

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'fsvae-page-'));
      writeMadeImages(join(folder, 'data'), 40, 1);
      const model = { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 5, choices: 3, timeSteps: 7 };
      const curriculum = [{ until: 1, timeSteps: 3 }];
      const config = parseConfig({ model, batchSize: 8, epochs: 3, seed: 3, curriculum }, 'tiny');
      const images = openImages(join(folder, 'data'), 'train', { channels: 1, size: 8 });
      const out = join(folder, 'run');
      const options = { config, images, out, stream: new PassThrough(), say: () => undefined };
      await train({ ...options, resume: false, steps: 8 });
      const text = (name: string): string => readFileSync(join(out, name), 'utf8');
      expect(text('run.html')).to.include('<title>run: epoch 1 of 3</title>');
      await train({ ...options, resume: true });
      html = text('run.html');
      log = text('log.jsonl')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as LogEntry);
    });
    after(() => rmSync(folder, { recursive: true }));

    it('is rewritten after each epoch; its table has the means of what the log says', () => {
      expect(html).to.include('<title>run: epoch 3 of 3</title>');
      const rows = [3, 2, 1].map((epoch) => {
        const of = log.filter((line) => line.epoch === epoch);
        const mean = (key: keyof LogEntry): string => shown(of.reduce((sum, line) => sum + line[key], 0) / of.length);
        const keys = ['loss', 'mse', 'distance', 'spikes', 'imagesPerSecond'] as const;
        return [String(epoch), '5', epoch === 1 ? '3' : '7', ...keys.map(mean)];
      });
      expect(tableOf(html)).to.deep.equal(rows);
    });

    it('has each step of the log in its curves', () => {
      for (const { step, loss, mse, distance, spikes, imagesPerSecond } of log) {
        expect(html).to.include(`<title>step ${step}: loss ${shown(loss)}, MSE ${shown(mse)}</title>`);
        expect(html).to.include(`<title>step ${step}: distance ${shown(distance)}</title>`);
        expect(html).to.include(`<title>step ${step}: spikes ${shown(spikes)}</title>`);
        expect(html).to.include(`<title>step ${step}: images/s ${shown(imagesPerSecond)}</title>`);
      }
      expect(html.match(/>T = 7</g)).to.have.length(4);
    });

    it('has the rate of each spiking layer at each time step, and all latent spikes as dots', () => {
      const layers = ['encoder.0', 'encoder.1', 'before_latent_layer'].concat(
        ['posterior', 'prior'].flatMap((chain) => [0, 1, 2].map((i) => `${chain}.layers.${i}`)),
        ['decoder_input', 'decoder.0', 'final_layer.0'],
      );
      for (const layer of layers) {
        for (let t = 1; t <= 7; t++) expect(html).to.include(`<title>${layer}, time step ${t}: `);
      }
      const rasters = [...html.matchAll(/<title>(\d+) of 35 spikes<\/title>[\s\S]*?class="fill-one" d="(.*?)"/g)];
      expect(rasters).to.have.length(4);
      for (const [, count, dots] of rasters) expect(dots.match(/M/g) ?? []).to.have.length(Number(count));
    });

    it('is one file: nothing in it is fetched, nothing runs', () => {
      expect(html).to.not.match(/<script|<link|https?:|@import|url\(/);
      const sources = [...html.matchAll(/src="(.{0,40})/g)].map(([, source]) => source);
      expect(sources).to.have.length(4 + 2);
      for (const source of sources) expect(source).to.match(/^data:image\/png;base64,iVBORw0KGgo/);
    });
  });

  it('joins steps so that their number stays bounded: means, and what they lie between', () => {
    const log = Array.from({ length: 10 }, (_, i) => entry(i + 1));
    expect(binned(log, ({ mse }) => mse, 4)).to.deep.equal([
      { first: 1, last: 3, mean: 2, low: 1, high: 3 },
      { first: 4, last: 6, mean: 5, low: 4, high: 6 },
      { first: 7, last: 9, mean: 8, low: 7, high: 9 },
      { first: 10, last: 10, mean: 10, low: 10, high: 10 },
    ]);
  });

  const render = (log: readonly LogEntry[], name = 'x'): string =>
    renderPage({
      name,
      epochs: 2,
      steps: 100,
      log,
      activity: {
        rates: [{ layer: 'a', rates: [0, 0.5, 0.25] }],
        rasters: [{ timeSteps: 2, channels: 3, spikes: [0, 1, 0, 0, 1, 1], picture: new Uint8Array(0) }],
      },
      pictures: [],
      config: {},
    });

  it('a rate is its share of the largest, with its number', () => {
    const html = render([entry(1)]);
    const cells = [...html.matchAll(/fill-opacity="([\d.]+)"><title>a, time step (\d): ([\d.]+) %/g)];
    expect(cells.map(([, ...cell]) => cell)).to.deep.equal([
      ['0.040', '1', '0.00'],
      ['1.000', '2', '50.00'],
      ['0.520', '3', '25.00'],
    ]);
    expect(html).to.include('3 of 6 spikes').and.include('>25.0 %<');
  });

  for (const [what, log] of [
    ['a single step', [entry(1)]],
    ['zeros everywhere', [1, 2, 3].map((step) => entry(step, { loss: 0, mse: 0, distance: 0, spikes: 0 }))],
    ['values far apart', [entry(1, { loss: 1e30 }), entry(2, { loss: 1e-30 })]],
    ['40,000 steps', Array.from({ length: 40_000 }, (_, i) => entry(i + 1))],
  ] as const) {
    it(`${what}: every coordinate is a number within the picture`, () => {
      const html = render(log);
      expect(html).to.not.match(/NaN|Infinity|undefined/);
      for (const [, path] of html.matchAll(/class="curve \w+" d="M(.*?)"/g)) {
        for (const pair of path.split('L')) {
          const [x, y] = pair.split(' ').map(Number);
          expect(x).to.be.within(46, 352);
          expect(y).to.be.within(9, 167);
        }
      }
      expect(html.length).to.be.below(300_000);
    });
  }

  it('a network without spikes has no rates, rasters or T; what else it counts has a curve', () => {
    const log = [1, 2].map((step) => ({ step, epoch: 1, loss: 1, mse: 1, divergence: 40 + step, imagesPerSecond: 9 }));
    const html = renderPage({ name: 'x', epochs: 1, steps: 2, log, activity: undefined, pictures: [], config: {} });
    expect(html).to.not.match(/Firing|spikes|T = /);
    expect(html).to.include('<title>step 2: divergence 42.00</title>');
    expect(tableOf(html)).to.deep.equal([['1', '2', '1.000', '1.000', '41.50', '9.000']]);
  });

  it('a folder of any name is text', () => {
    expect(render([entry(1)], '<b>&"')).to.include('<h1>&lt;b&gt;&amp;&quot;</h1>');
  });
});
