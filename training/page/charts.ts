/** Curves, rasters and rates as SVG. One unit is a CSS pixel on a phone, so that text can be read there. */

import { type FiringRates, type LogEntry, type Raster, shown } from './run.js';

export interface Chart {
  readonly title: string;
  readonly note: string;
  readonly logarithmic: boolean;
  /** One or two. */
  readonly series: readonly { readonly name: string; readonly of: (entry: LogEntry) => number }[];
}

const WIDTH = 360;
const HEIGHT = 190;
/** Room for numbers and ticks around the curves. */
const PLOT = { left: 46, right: 352, top: 10, bottom: 166 };
/** Points of a curve: more than a phone can show. */
const MOST_BINS = 150;
const CLASSES = ['one', 'two'];

/** Steps in order, joined so that there are no more than `most`: means, and what they lie between. */
export interface Bin {
  readonly first: number;
  readonly last: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** @param log in order of steps */
export function binned(log: readonly LogEntry[], of: (entry: LogEntry) => number, most: number): Bin[] {
  const size = Math.ceil(log.length / most);
  return Array.from({ length: Math.ceil(log.length / size) }, (_, i) => {
    const entries = log.slice(i * size, (i + 1) * size);
    const values = entries.map(of);
    return {
      first: entries[0].step,
      last: entries[entries.length - 1].step,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      low: Math.min(...values),
      high: Math.max(...values),
    };
  });
}

function point(x: number, y: number): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}

/** 1, 2 or 5 times a power of ten: about so many from low to high. */
function roundTicks(low: number, high: number, about: number): number[] {
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw)!;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-9); i++) ticks.push(i * step);
  return ticks;
}

/** 1, 2 and 5 times the powers of ten between, thinned until they do not crowd. */
function logarithmicTicks(low: number, high: number): number[] {
  const between = (factors: readonly number[]): number[] => {
    const ticks: number[] = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  };
  return [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1]].map(between).find((ticks) => ticks.length <= 7) ?? between([1]);
}

function tickText(value: number): string {
  if (value >= 1000) return `${Number((value / 1000).toPrecision(3))}k`;
  return value !== 0 && value < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(3)));
}

/** Curves over steps; lines across where T changes. */
export function chartSvg({ title, series, logarithmic }: Chart, log: readonly LogEntry[]): string {
  const curves = series.map(({ name, of }) => ({ name, bins: binned(log, of, MOST_BINS) }));
  const all = curves.flatMap(({ bins }) => bins);
  const highest = Math.max(...all.map(({ high }) => high), 1e-12);
  // A value of zero has no place on a logarithmic scale: it is drawn at the lower end.
  const positive = Math.min(...all.flatMap(({ low, mean }) => [low, mean]).filter((value) => value > 0), highest);
  const low = logarithmic ? Math.max(positive, highest / 1e6) / 1.15 : 0;
  const high = logarithmic ? highest * 1.15 : highest * 1.05;
  const share = (value: number): number =>
    logarithmic ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low);
  const y = (value: number): number => PLOT.bottom - share(value) * (PLOT.bottom - PLOT.top);
  const end = log[log.length - 1].step;
  const x = (step: number): number => PLOT.left + (step / end) * (PLOT.right - PLOT.left);

  const ticksY = logarithmic ? logarithmicTicks(low, high) : roundTicks(low, high, 4);
  const rulers = ticksY.map(
    (tick) =>
      `<path class="ruler" d="M${point(PLOT.left, y(tick))}H${PLOT.right}"/>` +
      `<text x="${PLOT.left - 5}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${tickText(tick)}</text>`,
  );
  const ticksX = roundTicks(0, end, 4).map(
    (tick) => `<text x="${x(tick).toFixed(1)}" y="${PLOT.bottom + 16}" text-anchor="middle">${tickText(tick)}</text>`,
  );
  const stages = log.filter(({ timeSteps }, i) => i > 0 && timeSteps !== log[i - 1].timeSteps);
  const changes = stages.map(
    ({ step, timeSteps }) =>
      `<path class="axis" stroke-dasharray="3 3" d="M${point(x(step - 1), PLOT.top)}V${PLOT.bottom}"/>` +
      `<text x="${(x(step - 1) + 4).toFixed(1)}" y="${PLOT.top + 9}">T = ${timeSteps}</text>`,
  );
  const middle = ({ first, last }: Bin): number => x((first + last) / 2);
  const drawn = curves.map(({ bins }, i) => {
    const upper = bins.map((bin) => point(middle(bin), y(bin.high)));
    const lower = bins.map((bin) => point(middle(bin), y(bin.low))).reverse();
    const line = bins.map((bin) => point(middle(bin), y(bin.mean)));
    return (
      `<path class="band fill-${CLASSES[i]}" d="M${[...upper, ...lower].join('L')}Z"/>` +
      `<path class="curve ${CLASSES[i]}" d="M${line.join('L')}"/>`
    );
  });
  const hovers = curves[0].bins.map((bin, i) => {
    const left = x(bin.first - 1);
    const values = curves.map(({ name, bins }) => `${name} ${shown(bins[i].mean)}`).join(', ');
    const steps = bin.first === bin.last ? `step ${bin.first}` : `steps ${bin.first} to ${bin.last}`;
    return (
      `<rect class="hover" x="${left.toFixed(1)}" y="${PLOT.top}" width="${(x(bin.last) - left).toFixed(1)}" ` +
      `height="${PLOT.bottom - PLOT.top}"><title>${steps}: ${values}</title></rect>`
    );
  });
  const legend =
    series.length > 1
      ? `<div class="legend">${series.map(({ name }, i) => `<span><i class="${CLASSES[i]}"></i>${name}</span>`).join('')}</div>`
      : '';
  return `${legend}<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}, by step">
${rulers.join('')}<path class="axis" d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}"/>${ticksX.join('')}
${changes.join('')}${drawn.join('\n')}
${hovers.join('')}
<text x="${PLOT.right}" y="${HEIGHT - 1}" text-anchor="end">step</text></svg>`;
}

const RATE_ROW = 15;
const RATE_LABEL = 112;
const RATE_END = 310;

/** One row a layer, one cell a time step: the darker, the more of its neurons fire. */
export function firingRatesSvg(layers: readonly FiringRates[]): string {
  const steps = layers[0].rates.length;
  const highest = Math.max(...layers.flatMap(({ rates }) => rates), 1e-12);
  const width = (RATE_END - RATE_LABEL) / steps;
  const rows = layers.map(({ layer, rates }, row) => {
    const top = row * RATE_ROW;
    const cells = rates.map(
      (rate, t) =>
        `<rect class="fill-one" x="${(RATE_LABEL + t * width).toFixed(1)}" y="${top + 1}" width="${(width - 1).toFixed(1)}" ` +
        `height="${RATE_ROW - 2}" fill-opacity="${(0.04 + (0.96 * rate) / highest).toFixed(3)}">` +
        `<title>${layer}, time step ${t + 1}: ${(100 * rate).toFixed(2)} %</title></rect>`,
    );
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / steps;
    return (
      `<text x="${RATE_LABEL - 6}" y="${top + 11}" text-anchor="end">${layer}</text>${cells.join('')}` +
      `<text x="${RATE_END + 6}" y="${top + 11}">${(100 * mean).toFixed(1)} %</text>`
    );
  });
  const bottom = layers.length * RATE_ROW;
  return `<svg viewBox="0 0 ${WIDTH} ${bottom + 18}" role="img" aria-label="Firing rate of each layer at each time step">
${rows.join('\n')}
<text x="${RATE_LABEL}" y="${bottom + 13}">t = 1</text><text x="${RATE_END}" y="${bottom + 13}" text-anchor="end">${steps}</text>
<text x="${RATE_END + 6}" y="${bottom + 13}">mean</text></svg>`;
}

/** Spikes as dots: channels down, time to the right, as the paper's figure 9 has them. */
export function rasterSvg({ timeSteps, channels, spikes }: Raster, number: number): string {
  const left = 26;
  const width = (WIDTH - left - 2) / timeSteps;
  const height = Math.max(1.5, 120 / channels);
  const dots: string[] = [];
  for (let t = 0; t < timeSteps; t++) {
    for (let c = 0; c < channels; c++) {
      if (spikes[t * channels + c] === 0) continue;
      const [w, h] = [(width * 0.8).toFixed(1), (height * 0.8).toFixed(2)];
      dots.push(`M${(left + (t + 0.1) * width).toFixed(1)} ${((c + 0.1) * height).toFixed(2)}h${w}v${h}h-${w}z`);
    }
  }
  const bottom = channels * height;
  return `<svg viewBox="0 0 ${WIDTH} ${(bottom + 16).toFixed(0)}" role="img" aria-label="Latent spikes of image ${number}">
<title>${dots.length} of ${timeSteps * channels} spikes</title><rect class="frame" x="${left}" y="0.5" width="${WIDTH - left - 1}" height="${bottom.toFixed(1)}"/>
<path class="fill-one" d="${dots.join('')}"/>
<text x="${left - 4}" y="10" text-anchor="end">1</text><text x="${left - 4}" y="${bottom.toFixed(0)}" text-anchor="end">${channels}</text>
<text x="${left}" y="${(bottom + 13).toFixed(0)}">t = 1</text><text x="${WIDTH - 2}" y="${(bottom + 13).toFixed(0)}" text-anchor="end">${timeSteps}</text></svg>`;
}
