/**
 * Figures as HTML: tables with bars, a spike raster, a memory map. Strings, so that the same ones stand in a report's file
 * and on the page; sizes in percent, so that they fit a phone. CHART_STYLE colours them by custom properties.
 */

import type { Arena } from '../codegen/plan/arena.js';
import type { MemoryBudget } from '../codegen/plan/budget.js';

/** Colours of parts, --tone0 and so on. Neighbours differ; a legend tells which is which. */
const TONES = 8;

/** Text in HTML: names of layers and models come from files of others. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character]);
}

/** A whole number in groups of three digits. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function percent(fraction: number, digits = 1): string {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** Four digits of a CSS percentage: the same string on every machine. */
function share(fraction: number): string {
  return `${(100 * Math.min(1, Math.max(0, fraction))).toFixed(2)}%`;
}

export interface BarRow {
  readonly label: string;
  /** In the chart's unit; what the bar shows. */
  readonly value: number;
  /** As text beside the bar. */
  readonly text: string;
  /** A mark on the bar's scale, such as a prediction; in the same unit. */
  readonly mark?: number;
  /** Further cells. */
  readonly more?: readonly string[];
}

export interface BarChart {
  /** What the table is, for those who hear it. */
  readonly caption: string;
  /** Head of each column: the label, the bar, then the further ones. */
  readonly columns: readonly string[];
  readonly rows: readonly BarRow[];
  /** The value of a full bar; default the largest. */
  readonly full?: number;
}

/** A table whose second column has bars. */
export function barChart({ caption, columns, rows, full }: BarChart): string {
  const largest = full ?? Math.max(...rows.flatMap(({ value, mark }) => [value, mark ?? 0]), Number.MIN_VALUE);
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const body = rows.map(({ label, value, text, mark, more }) => {
    const marked = mark === undefined ? '' : `<i class="mark" style="left:${share(mark / largest)}"></i>`;
    return (
      `<tr><th scope="row">${escapeHtml(label)}</th>` +
      `<td class="bar"><span class="track"><i class="fill" style="width:${share(value / largest)}"></i>${marked}</span>` +
      `<span class="value">${escapeHtml(text)}</span></td>` +
      `${(more ?? []).map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
    );
  });
  const table =
    `<table class="bars"><caption>${escapeHtml(caption)}</caption>` +
    `<thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table>`;
  // With further columns it may be wider than a phone.
  return columns.length > 2 ? scrolled(caption, table) : table;
}

/** What is wider than its place scrolls by itself, by keyboard too. */
function scrolled(label: string, table: string): string {
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(label)}">${table}</div>`;
}

/** A plain table of text; the first column heads its rows. */
export function textTable(caption: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const body = rows.map(
    ([first, ...cells]) =>
      `<tr><th scope="row">${escapeHtml(first)}</th>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`,
  );
  return scrolled(
    caption,
    `<table class="plain"><caption>${escapeHtml(caption)}</caption>` +
      `<thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table>`,
  );
}

/**
 * Spikes of one row of neurons over time, as the paper's figure 9. Channels go to the right and steps downwards, because
 * there are many more channels than steps.
 *
 * @param spikes T * channels, time-major, 0 or 1
 */
export function rasterChart(spikes: Uint8Array, timeSteps: number, channels: number): string {
  let path = '';
  let fired = 0;
  for (let t = 0; t < timeSteps; t++) {
    for (let c = 0; c < channels; c++) {
      if (spikes[t * channels + c] === 0) continue;
      path += `M${c} ${t}h1v1h-1z`;
      fired++;
    }
  }
  const label = `${fired} spikes of ${channels} channels in ${timeSteps} steps`;
  return (
    `<figure class="raster"><div class="axis x"><span>steps downwards, channels to the right</span><span>${label}</span></div>` +
    `<svg viewBox="0 0 ${channels} ${timeSteps}" preserveAspectRatio="none" role="img" aria-label="${label}">` +
    `<path class="grid" d="${Array.from({ length: timeSteps - 1 }, (_, i) => `M0 ${i + 1}h${channels}`).join('')}"/>` +
    `<path class="spikes" d="${path}"/></svg></figure>`
  );
}

/** Firing rates of a layer step by step, as a small line. */
export function sparkline(rates: readonly number[], full: number): string {
  const last = Math.max(1, rates.length - 1);
  const points = rates.map((rate, t) => `${((100 * t) / last).toFixed(1)},${(20 - (20 * rate) / full).toFixed(2)}`);
  return (
    `<svg class="spark" viewBox="0 -1 100 22" preserveAspectRatio="none" aria-hidden="true">` +
    `<polyline points="${points.join(' ')}"/></svg>`
  );
}

/**
 * Mean firing rate of each layer, as the paper's figure 10, with its course over the steps.
 *
 * @param layers spikes by step, and neurons
 */
export function rateChart(layers: readonly { name: string; neurons: number; counts: ArrayLike<number> }[]): string {
  const rates = layers.map(({ neurons, counts }) => Array.from(counts, (count) => count / neurons));
  const full = Math.max(...rates.flat(), Number.MIN_VALUE);
  const body = layers.map(({ name }, row) => {
    const mean = rates[row].reduce((sum, rate) => sum + rate, 0) / rates[row].length;
    return (
      `<tr><th scope="row">${escapeHtml(name)}</th>` +
      `<td class="bar"><span class="track"><i class="fill" style="width:${share(mean / full)}"></i></span>` +
      `<span class="value">${percent(mean)}</span></td><td>${sparkline(rates[row], full)}</td></tr>`
    );
  });
  return (
    `<table class="bars rates"><caption>Share of a layer's neurons that fire in a step</caption><thead><tr>` +
    `<th scope="col">layer</th><th scope="col">mean</th><th scope="col">by step</th></tr></thead>` +
    `<tbody>${body.join('')}</tbody></table>`
  );
}

/** Buffers of the arena: phases to the right, addresses downwards. */
export function arenaMap({ bytes, buffers }: Arena, phases: readonly string[]): string {
  const boxes = buffers.map(({ name, bytes: size, offset, first, last }, i) => {
    const place =
      `left:${share(first / phases.length)};width:${share((last + 1 - first) / phases.length)};` +
      `top:${share(offset / bytes)};height:${share(size / bytes)}`;
    const what = `${name}: ${whole(size)} bytes at ${whole(offset)}, ${phases[first]} to ${phases[last]}`;
    return `<span class="buffer tone${i % TONES}" style="${place}" title="${escapeHtml(what)}">${size > bytes / 24 ? escapeHtml(name) : ''}</span>`;
  });
  const heads = phases.map((phase) => `<span>${escapeHtml(phase)}</span>`).join('');
  const list = buffers.map(({ name, bytes: size, offset, first, last }) => [
    name,
    whole(size),
    whole(offset),
    first === last ? phases[first] : `${phases[first]} to ${phases[last]}`,
  ]);
  return (
    `<figure class="arena"><div class="phases" style="--phases:${phases.length}">${heads}</div>` +
    `<div class="map" role="img" aria-label="Arena of ${whole(bytes)} bytes: ${buffers.length} buffers over ${phases.length} phases; listed below">${boxes.join('')}</div>` +
    `<figcaption>${whole(bytes)} bytes. To the right: what runs. Downwards: addresses. Buffers that never live together share memory.</figcaption>` +
    `<details><summary>All ${buffers.length} buffers</summary>` +
    `${textTable('Buffers of the arena', ['buffer', 'bytes', 'offset', 'alive'], list)}</details></figure>`
  );
}

/** One bar of parts, and a legend; what is left of `available` stays empty. */
export function stackedBar(
  title: string,
  parts: readonly { readonly name: string; readonly bytes: number }[],
  available: number,
): string {
  const used = parts.reduce((sum, part) => sum + part.bytes, 0);
  const full = Math.max(available, used);
  const segments = parts.map(
    ({ name, bytes }, i) =>
      `<i class="tone${i % TONES}" style="width:${share(bytes / full)}" title="${escapeHtml(`${name}: ${whole(bytes)} bytes`)}"></i>`,
  );
  const legend = parts.map(
    ({ name, bytes }, i) =>
      `<li><i class="tone${i % TONES}"></i><span>${escapeHtml(name)}</span> <b>${whole(bytes)}</b></li>`,
  );
  const left = available - used;
  return (
    `<figure class="stack"><figcaption><b>${escapeHtml(title)}</b> ${whole(used)} of ${whole(available)} bytes, ` +
    `${percent(used / Math.max(1, available))}${left < 0 ? `: ${whole(-left)} too many` : ''}</figcaption>` +
    `<div class="bar" aria-hidden="true">${segments.join('')}</div><ul>${legend.join('')}</ul></figure>`
  );
}

/** The lines of the fit answer as one bar. */
export function budgetBar(title: string, { lines, available }: MemoryBudget): string {
  return stackedBar(
    title,
    lines.map(({ what, bytes }) => ({ name: what, bytes })),
    available,
  );
}

/** Colours are custom properties of whoever includes it: --ink, --muted, --line, --accent, --tone0 to --tone7. */
export const CHART_STYLE = `
table.bars,table.plain{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.875rem}
table.bars caption,table.plain caption{text-align:left;color:var(--muted);padding-bottom:.4rem;font-size:.8125rem}
table.bars th,table.plain th{text-align:left;font-weight:400;padding:.22rem .75rem .22rem 0;white-space:nowrap}
table.bars thead th,table.plain thead th{color:var(--muted);font-size:.75rem;border-bottom:1px solid var(--line)}
table.bars td,table.plain td{padding:.22rem 0 .22rem .75rem;white-space:nowrap}
table.bars td.bar{width:60%;min-width:11rem;padding-left:0}
.scroll+.scroll{margin-top:1.25rem}
table.plain td,table.plain thead th+th{text-align:right}
td.bar{position:relative}
td.bar .track{display:inline-block;position:relative;width:calc(100% - 6.2rem);height:.62rem;vertical-align:baseline;background:var(--track);border-radius:2px}
td.bar .fill{position:absolute;inset:0 auto 0 0;background:var(--accent);border-radius:2px;transition:width .3s}
td.bar .mark{position:absolute;top:-.2rem;bottom:-.2rem;width:2px;margin-left:-1px;background:var(--ink)}
td.bar .value{display:inline-block;width:5.6rem;text-align:right}
table.rates td.bar{width:50%}
table.rates td.bar .track{width:calc(100% - 4rem)}table.rates td.bar .value{width:3.6rem}
svg.spark{display:block;width:100%;min-width:3rem;height:1.1rem}
svg.spark polyline{fill:none;stroke:var(--accent);stroke-width:1.5;vector-effect:non-scaling-stroke}
figure{margin:0}figcaption{color:var(--muted);font-size:.8125rem;margin:.4rem 0}
figure.raster svg{display:block;width:100%;height:14rem;background:var(--well);border:1px solid var(--line)}
figure.raster .grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
figure.raster .spikes{fill:var(--accent)}
.axis{color:var(--muted);font-size:.75rem}.axis.x{display:flex;justify-content:space-between;flex-wrap:wrap;gap:0 1rem;margin-bottom:.3rem}
figure.arena .phases{display:grid;grid-template-columns:repeat(var(--phases),1fr);font-size:.6875rem;color:var(--muted)}
figure.arena .phases span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;padding:0 .25rem .25rem}
figure.arena .map{position:relative;height:20rem;background:var(--well);border:1px solid var(--line)}
figure.arena .buffer{position:absolute;overflow:hidden;font-size:.6875rem;line-height:1.1;padding:.15rem .3rem;box-sizing:border-box;border:1px solid var(--panel);color:var(--on-tone);text-overflow:ellipsis;white-space:nowrap}
${Array.from({ length: TONES }, (_, i) => `.tone${i}{background:var(--tone${i})}`).join('')}
figure.stack{margin:.5rem 0 1rem}
figure.stack figcaption b{color:var(--ink)}
figure.stack .bar{display:flex;height:1.1rem;background:var(--track);border-radius:2px;overflow:hidden}
figure.stack .bar i{min-width:1px}
figure.stack ul{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;padding:0;margin:.4rem 0 0;font-size:.8125rem;color:var(--muted)}
figure.stack li b{font-weight:500;color:var(--ink);font-variant-numeric:tabular-nums}
figure.stack li i{display:inline-block;width:.65rem;height:.65rem;border-radius:2px;margin-right:.4rem}
.scroll{overflow-x:auto}
details summary{cursor:pointer;color:var(--muted);font-size:.8125rem;padding:.3rem 0}
`;

/** Light and dark, for the report and the page. */
export const PALETTE = `
:root{color-scheme:light dark;--paper:#fbfbf9;--panel:#fff;--well:#f5f5f1;--ink:#1b2023;--muted:#5a646b;--line:#e0e1dc;--track:#ecece7;--control:#8b9499;--accent:#0a6b68;--good:#14713f;--bad:#b3261e;--tone0:#0a6b68;--tone1:#3f6296;--tone2:#8a4f7d;--tone3:#7a6420;--tone4:#5b7f3a;--tone5:#a2543c;--tone6:#5d5aa8;--tone7:#6b7177;--on-tone:#fff}
@media (prefers-color-scheme:dark){:root{--paper:#101415;--panel:#161b1d;--well:#0c1011;--ink:#e7ebec;--muted:#9daab0;--line:#2a3235;--track:#232b2e;--control:#6b777d;--accent:#55c7bf;--good:#63d18f;--bad:#ff8f86;--tone0:#55c7bf;--tone1:#86aee8;--tone2:#d79bcb;--tone3:#d3bb62;--tone4:#a3cc7d;--tone5:#eb9c82;--tone6:#aeaaf0;--tone7:#a9b2b8;--on-tone:#101415}}
`;
