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
  for (const entry of log) epochs.set(entry.epoch, [...(epochs.get(entry.epoch) ?? []), entry]);
  return [...epochs.values()];
}

/** Mean of each epoch, newest first. */
function table(log: readonly LogEntry[]): string {
  const rows = byEpoch(log)
    .reverse()
    .map((entries) => {
      const { epoch, timeSteps } = entries[0];
      const cells = [
        entries.length,
        timeSteps,
        ...(['loss', 'mse', 'distance', 'spikes', 'imagesPerSecond'] as const).map((key) =>
          mean(entries, (e) => e[key]),
        ),
      ];
      const text = cells.map((cell, i) => `<td>${i < 2 ? cell : shown(cell)}</td>`).join('');
      return `<tr><th scope="row">${epoch}</th>${text}</tr>`;
    });
  const head = ['epoch', 'steps', 'T', 'loss', 'MSE', 'distance', 'spikes', 'images/s'];
  return `<table><thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table>`;
}

function charts(distance: string): Chart[] {
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
    {
      title: 'Distance of posterior and prior',
      note: `${distance}, before its weight; logarithmic`,
      logarithmic: true,
      series: [{ name: distance, of: (entry) => entry.distance }],
    },
    {
      title: 'Spikes an image',
      note: 'of prior and decoder',
      logarithmic: false,
      series: [{ name: 'spikes', of: ({ spikes }) => spikes }],
    },
    {
      title: 'Images a second',
      note: 'of training, pictures and files not counted',
      logarithmic: false,
      series: [{ name: 'images/s', of: ({ imagesPerSecond }) => imagesPerSecond }],
    },
  ];
}

function figure(title: string, note: string, body: string): string {
  return `<figure><figcaption><h2>${escape(title)}</h2><p>${escape(note)}</p></figcaption>\n${body}\n</figure>`;
}

/** @param page with at least one step in its log @returns the whole file */
export function renderPage(page: RunPage): string {
  const { name, epochs, steps, log, rates, rasters, pictures, config } = page;
  const last = log[log.length - 1];
  const recent = log.filter(({ epoch }) => epoch === last.epoch);
  const tiles = [
    ['epoch', `${last.epoch} of ${epochs}`],
    ['step', `${last.step.toLocaleString('en-US')} of ${steps.toLocaleString('en-US')}`],
    ['MSE, last epoch', shown(mean(recent, ({ mse }) => mse))],
    ['spikes an image', shown(mean(recent, ({ spikes }) => spikes))],
    ['images a second', shown(mean(recent, ({ imagesPerSecond }) => imagesPerSecond))],
  ];
  const latent = rasters.map(
    (raster, i) =>
      `<div class="latent"><img src="${pngUrl(raster.picture)}" alt="image ${i + 1} and its reconstruction">` +
      `${rasterSvg(raster, i + 1)}</div>`,
  );
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
${charts(page.distance)
  .map((chart) => figure(chart.title, chart.note, chartSvg(chart, log)))
  .join('\n')}
</section>
<section class="wide">
${figure('Firing rates', 'of each layer at each time step: spikes by neurons, mean over the images below', firingRatesSvg(rates))}
${figure('Latent spike trains', 'of the posterior: an image, its reconstruction, and z, one row for each channel', latent.join('\n'))}
</section>
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
