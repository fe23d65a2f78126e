/**
 * A run as one HTML file: curves, latent spike trains (the paper's figure 9), firing rates (figure 10), pictures. It needs no
 * network and no script; values stand in tooltips and in a table.
 */

import { type Chart, chartSvg, firingRatesSvg, rasterSvg } from './charts.js';
import { type LogEntry, type RunPage, shown } from './run.js';
import { pageStyle } from './style.js';

const NAMED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => NAMED[character]);
}

function pngUrl(png: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
}

function mean(entries: readonly LogEntry[], of: (entry: LogEntry) => number): number {
  return entries.reduce((sum, entry) => sum + of(entry), 0) / entries.length;
}

function byEpoch(log: readonly LogEntry[]): LogEntry[][] {
  const epochs = new Map<number, LogEntry[]>();
  for (const entry of log) {
    const entries = epochs.get(entry.epoch);
    if (entries === undefined) epochs.set(entry.epoch, [entry]);
    else entries.push(entry);
  }
  return [...epochs.values()];
}

/** What the log counts at each step, in its order, besides where it is. */
function quantities(log: readonly LogEntry[]): string[] {
  return Object.keys(log[0]).filter((key) => !['step', 'epoch', 'timeSteps'].includes(key));
}

/** Mean of each epoch, newest first. */
function table(log: readonly LogEntry[]): string {
  const keys = quantities(log);
  const hasTime = 'timeSteps' in log[0];
  const rows = byEpoch(log)
    .reverse()
    .map((entries) => {
      const whole = [entries.length, ...(hasTime ? [entries[0]['timeSteps']] : [])].map(String);
      const means = keys.map((key) => shown(mean(entries, (entry) => entry[key])));
      const cells = [...whole, ...means].map((cell) => `<td>${cell}</td>`).join('');
      return `<tr><th scope="row">${entries[0].epoch}</th>${cells}</tr>`;
    });
  const head = ['epoch', 'steps', ...(hasTime ? ['T'] : []), ...keys.map((key) => SHORT[key] ?? key)];
  return `<table><thead><tr>${head.map((name) => `<th scope="col">${escape(name)}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table>`;
}

const SHORT: Readonly<Record<string, string>> = { mse: 'MSE', imagesPerSecond: 'images/s' };

const NOTES: Readonly<Record<string, Pick<Chart, 'title' | 'note' | 'logarithmic'>>> = {
  distance: { title: 'Distance of posterior and prior', note: 'before its weight; logarithmic', logarithmic: true },
  spikes: { title: 'Spikes an image', note: 'of prior and decoder', logarithmic: false },
  imagesPerSecond: {
    title: 'Images a second',
    note: 'of training, pictures and files not counted',
    logarithmic: false,
  },
};

function charts(log: readonly LogEntry[]): Chart[] {
  const others = quantities(log).filter((key) => key !== 'loss' && key !== 'mse');
  return [
    {
      title: 'Loss',
      note: 'whole loss, and its reconstruction error (MSE, images in -1 .. 1); logarithmic',
      logarithmic: true,
      series: [
        { name: 'loss', of: ({ loss }) => loss },
        { name: 'MSE', of: ({ mse }) => mse },
      ],
    },
    ...others.map((key) => ({
      ...(NOTES[key] ?? { title: key, note: 'logarithmic', logarithmic: true }),
      series: [{ name: SHORT[key] ?? key, of: (entry: LogEntry) => entry[key] }],
    })),
  ];
}

function figure(title: string, note: string, body: string): string {
  return `<figure><figcaption><h2>${escape(title)}</h2><p>${escape(note)}</p></figcaption>\n${body}\n</figure>`;
}

/** @param page with at least one step in its log @returns the whole file */
export function renderPage(page: RunPage): string {
  const { name, epochs, steps, log, activity, pictures, config } = page;
  const last = log[log.length - 1];
  const recent = log.filter(({ epoch }) => epoch === last.epoch);
  const tiles = [
    ['epoch', `${last.epoch} of ${epochs}`],
    ['step', `${last.step.toLocaleString('en-US')} of ${steps.toLocaleString('en-US')}`],
    ['MSE, last epoch', shown(mean(recent, ({ mse }) => mse))],
    ...('spikes' in last ? [['spikes an image', shown(mean(recent, ({ spikes }) => spikes))]] : []),
    ['images a second', shown(mean(recent, ({ imagesPerSecond }) => imagesPerSecond))],
  ];
  const latent = (activity?.rasters ?? []).map(
    (raster, i) =>
      `<div class="latent"><img src="${pngUrl(raster.picture)}" alt="image ${i + 1} and its reconstruction">` +
      `${rasterSvg(raster, i + 1)}</div>`,
  );
  const spiking =
    activity === undefined
      ? ''
      : `<section class="wide">
${figure('Firing rates', 'of each layer at each time step: spikes by neurons, mean over the images below', firingRatesSvg(activity.rates))}
${figure('Latent spike trains', 'of the posterior: an image, its reconstruction, and z, one row for each channel', latent.join('\n'))}
</section>`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(name)}: epoch ${last.epoch} of ${epochs}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${escape(name)}</h1>
<dl class="tiles">${tiles.map(([term, value]) => `<div><dt>${term}</dt><dd>${value}</dd></div>`).join('')}</dl>
<section class="charts">
${charts(log)
  .map((chart) => figure(chart.title, chart.note, chartSvg(chart, log)))
  .join('\n')}
</section>
${spiking}
<section class="charts">
${pictures.map(({ title, png }) => figure(title, '', `<img class="grid" src="${pngUrl(png)}" alt="${escape(title)}">`)).join('\n')}
</section>
<details><summary>Epochs as numbers (means)</summary><div class="scroll">${table(log)}</div></details>
<details><summary>Config</summary><pre>${escape(JSON.stringify(config, null, 2))}</pre></details>
</main>
</body>
</html>
`;
}
