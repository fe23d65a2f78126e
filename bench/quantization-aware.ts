/**
 * The figures of docs/quantization-aware.md, drawn from what was measured there (quantization-aware.json beside this file).
 *
 *   npm run figures:quantization-aware
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../codegen/package-root.js';

interface Point {
  readonly label: string;
  readonly x: number;
  readonly error: number;
}

interface Chart {
  readonly file: string;
  readonly title: string;
  /** Below the horizontal axis; its numbers, from left to right, or none where each point has its own place and label. */
  readonly axis: { readonly name: string; readonly from: number; readonly to: number; readonly step: number } | null;
  readonly error: { readonly from: number; readonly to: number; readonly step: number };
  readonly series: readonly { readonly name: string; readonly points: readonly Point[] }[];
  /** A line across: what all are measured against. */
  readonly reference: { readonly name: string; readonly error: number };
}

const [WIDTH, HEIGHT] = [640, 360];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, WIDTH - 24, 48, HEIGHT - 56];
/** Told apart by people who see colours differently too. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73'];

function text(x: number, y: number, content: string, anchor = 'middle', colour = '#222'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${content}</text>`;
}

function steps({ from, to, step }: { from: number; to: number; step: number }): number[] {
  return Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step);
}

function svg({ title, axis, error, series, reference }: Chart): string {
  const most = axis?.to ?? series[0].points.length;
  const least = axis?.from ?? -1;
  const x = (value: number): number => LEFT + ((value - least) / (most - least)) * (RIGHT - LEFT);
  const y = (value: number): number => BOTTOM - ((value - error.from) / (error.to - error.from)) * (BOTTOM - TOP);
  const line = (x1: number, y1: number, x2: number, y2: number, style: string): string =>
    `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" fill="none" ${style}/>`;
  const names = series[0].points;
  const parts = [
    text(LEFT, 20, title, 'start'),
    ...steps(error).flatMap((value) => [
      line(LEFT, y(value), RIGHT, y(value), 'stroke="#ddd"'),
      text(LEFT - 8, y(value) + 4, value.toFixed(3), 'end'),
    ]),
    ...(axis === null
      ? names.map(({ label }, i) => text(x(i), BOTTOM + 20, label))
      : [
          ...steps(axis).map((value) => text(x(value), BOTTOM + 20, value.toLocaleString('en-US'))),
          text((LEFT + RIGHT) / 2, BOTTOM + 42, axis.name),
        ]),
    line(LEFT, y(reference.error), RIGHT, y(reference.error), 'stroke="#222" stroke-dasharray="6 4"'),
    text(LEFT + 6, y(reference.error) + 14, reference.name, 'start'),
    ...series.flatMap(({ name, points }, i) => {
      const colour = COLOURS[i];
      const path = points.map(
        (point, n) => `${n === 0 ? 'M' : 'L'}${x(point.x).toFixed(1)} ${y(point.error).toFixed(1)}`,
      );
      return [
        `<path d="${path.join('')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.flatMap((point) => [
          `<circle cx="${x(point.x).toFixed(1)}" cy="${y(point.error).toFixed(1)}" r="4" fill="${colour}"/>`,
          ...(axis === null ? [] : [text(x(point.x) + 8, y(point.error) - 8, point.label, 'start')]),
        ]),
        text(LEFT + 150 * i, 38, `● ${name}`, 'start', colour),
      ];
    }),
  ];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">\n` +
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`
  );
}

const measured = readFileSync(join(PACKAGE_ROOT, 'bench/quantization-aware.json'), 'utf8');
for (const chart of JSON.parse(measured) as Chart[]) {
  writeFileSync(join(PACKAGE_ROOT, 'docs/images', chart.file), svg(chart));
}
