/** A sweep's reconstruction errors as a picture: SVG that follows the reader's light or dark setting. */

import { shown } from './points.js';
import type { SweepRow } from './sweep.js';

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 64, right: 132, top: 40, bottom: 56 };
/** Told apart by people who see colours differently too; used in this order, then again. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
/** Between the labels at the lines' ends, at least. */
const LABEL_HEIGHT = 15;

interface Mark {
  /** Which of the first field's values. */
  readonly column: number;
  readonly error: number;
}

interface Series {
  readonly label: string;
  readonly marks: readonly Mark[];
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** Round numbers, about `count` of them, from at or below `low` to at or above `high`; both above 0. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = Math.max(high - low, 1e-6 * high) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * (1 - 1e-9))!;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: Math.max(1, last - first) + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** One line for each combination of the fields after the first. */
function seriesOf(fields: readonly string[], rows: readonly SweepRow[], columns: readonly string[]): Series[] {
  const marks = new Map<string, Mark[]>();
  for (const { values, mse } of rows) {
    if (mse === undefined) continue;
    const [first, ...rest] = values.map(shown);
    const label = rest.map((value, i) => `${fields[i + 1].split('.').at(-1)} = ${value}`).join(', ');
    marks.set(label, [...(marks.get(label) ?? []), { column: columns.indexOf(first), error: mse }]);
  }
  return [...marks].map(([label, found]) => ({ label, marks: found }));
}

/** Moves labels apart that would lie on each other, keeping their order. */
function spread(wanted: readonly number[]): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  order.forEach((index, i) => {
    if (i > 0) placed[index] = Math.max(placed[index], placed[order[i - 1]] + LABEL_HEIGHT);
  });
  return placed;
}

/**
 * Error over the first field, one line for each combination of the others; a field of words has dots without lines. Values
 * stand side by side at equal distances, in the order of the sweep.
 *
 * @param rows at least one of them with an error
 */
export function sweepPlot(fields: readonly string[], rows: readonly SweepRow[], title: string): string {
  const columns = [...new Set(rows.map(({ values }) => shown(values[0])))];
  const joined = rows.every(({ values }) => typeof values[0] === 'number');
  const series = seriesOf(fields, rows, columns);
  const errors = series.flatMap(({ marks }) => marks.map(({ error }) => error));
  const scale = ticks(Math.min(...errors), Math.max(...errors), 5);
  const [low, high] = [scale[0], scale[scale.length - 1]];
  const [left, right, top, bottom] = [MARGIN.left, WIDTH - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const x = (column: number): number => left + ((column + 0.5) / columns.length) * (right - left);
  const y = (error: number): number => bottom - ((error - low) / (high - low)) * (bottom - top);
  const at = (value: number): string => value.toFixed(1);
  const digits = Math.max(0, ...scale.map((value) => (String(value).split('.')[1] ?? '').length));

  const grid = scale.flatMap((value) => [
    `<line class="grid" x1="${left}" x2="${right}" y1="${at(y(value))}" y2="${at(y(value))}"/>`,
    `<text class="quiet" x="${left - 8}" y="${at(y(value) + 4)}" text-anchor="end">${value.toFixed(digits)}</text>`,
  ]);
  const axis = columns.map(
    (label, i) =>
      `<text class="quiet" x="${at(x(i))}" y="${bottom + 18}" text-anchor="middle">${escaped(label)}</text>`,
  );
  const ends = spread(series.map(({ marks }) => y(marks[marks.length - 1].error)));
  const lines = series.flatMap(({ label, marks }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = marks.map(({ column, error }) => `${at(x(column))},${at(y(error))}`).join(' ');
    const dots = marks.map(
      ({ column, error }) =>
        `<circle cx="${at(x(column))}" cy="${at(y(error))}" r="4" fill="${colour}"><title>` +
        `${escaped([`${fields[0]} = ${columns[column]}`, label].filter((text) => text !== '').join(', '))}: ` +
        `${error.toFixed(4)}</title></circle>`,
    );
    return [
      ...(joined && marks.length > 1 ? [`<polyline points="${path}" stroke="${colour}"/>`] : []),
      ...dots,
      ...(label === ''
        ? []
        : [`<text x="${right + 8}" y="${at(ends[i] + 4)}" fill="${colour}">${escaped(label)}</text>`]),
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    '<style>',
    '  text { font: 13px system-ui, sans-serif; }',
    '  .paper { fill: #ffffff; } .ink { fill: #1f2328; } .quiet { fill: #59636e; } .grid { stroke: #d1d9e0; }',
    '  polyline { fill: none; stroke-width: 2; }',
    '  @media (prefers-color-scheme: dark) {',
    '    .paper { fill: #0d1117; } .ink { fill: #f0f6fc; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }',
    '  }',
    '</style>',
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>`,
    `<text class="ink" x="${left}" y="24">${escaped(title)}</text>`,
    ...grid,
    ...axis,
    `<text class="quiet" x="${at((left + right) / 2)}" y="${HEIGHT - 12}" text-anchor="middle">${escaped(fields[0])}</text>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}
