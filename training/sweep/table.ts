/** A sweep's results as text, for people and for documents. */

import { shown } from './points.js';
import type { SweepRow } from './sweep.js';

/** Column heads and cells, all text. */
export interface Table {
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** @param fields varied, one column for each; then the scores that any point has */
export function sweepTable(fields: readonly string[], rows: readonly SweepRow[]): Table {
  const measures = [...new Set(rows.flatMap((row) => Object.keys(row.measures)))];
  const spiking = rows.some(({ spikes }) => spikes !== undefined);
  const number = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? '-';
  return {
    heads: [...fields, 'reconstruction error', ...(spiking ? ['spikes an image'] : []), ...measures],
    rows: rows.map(({ values, mse, spikes, measures: found, diverged }) => [
      ...values.map(shown),
      diverged === undefined ? number(mse, 4) : 'diverged',
      ...(spiking ? [number(spikes, 0)] : []),
      ...measures.map((name) => number(found[name], 2)),
    ]),
  };
}

/** Columns as wide as their widest cell, two spaces between. */
export function plainTable({ heads, rows }: Table): string[] {
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i].length)));
  return [heads, ...rows].map((row) => row.map((cell, i) => cell.padStart(widths[i])).join('  '));
}

export function markdownTable({ heads, rows }: Table): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)];
}
