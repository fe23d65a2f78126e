/** One HTML file that needs nothing else: what a command found out, with figures. */

import type { QuantizationReport } from '../codegen/quantize/report.js';
import { formatActivity } from '../codegen/quantize/report.js';
import type { ImageWork } from '../runtime-ts/work.js';
import {
  arenaMap,
  barChart,
  budgetBar,
  CHART_STYLE,
  escapeHtml,
  PALETTE,
  percent,
  stackedBar,
  textTable,
  whole,
} from './charts.js';
import type { Summary } from './summary.js';

export interface ReportParts {
  /** The command that wrote it, as it was given. */
  readonly command: string;
  readonly generatorVersion: string;
  readonly model: { readonly name: string; readonly hash: string; readonly shape: string };
  readonly summary?: Summary;
  /** What the linker used of the board. */
  readonly linked?: { readonly flashUsed: number; readonly ramUsed: number };
  readonly quantization?: QuantizationReport;
  /** Mean of an image's work, counted by the golden model. */
  readonly activity?: ImageWork;
  /** Cycles by row of a trace, then the readout, as the board counted them for its last image. */
  readonly measured?: readonly number[];
  /** A picture of samples: a PNG file. */
  readonly samples?: { readonly png: Uint8Array; readonly text: string };
  /** What was compared, as the terminal says it; and whether every bit was right. */
  readonly verdict?: { readonly exact: boolean; readonly text: string };
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export function section(title: string, ...content: readonly string[]): string {
  return `<section><h2>${escapeHtml(title)}</h2>${content.join('\n')}</section>`;
}

/** @param png the file @param text says what it shows */
export function picture({ png, text }: { readonly png: Uint8Array; readonly text: string }): string {
  return `<img alt="${escapeHtml(text)}" src="data:image/png;base64,${base64(png)}"><p class="muted">${escapeHtml(text)}</p>`;
}

/** The core that cycles are predicted for: codegen/plan/cost.ts. */
export const PREDICTED_CORE = 'cortex-m0plus';

/**
 * Cycles by layer: bars are measured, and marks predicted where the board has the core that predictions are for; without
 * a measurement, bars are predicted.
 *
 * @param core the measured board's
 */
export function cycleChart(
  predicted: Summary['predicted'],
  measured: readonly number[] | undefined,
  core: string,
): string {
  const marks = measured !== undefined && core === PREDICTED_CORE;
  const shown = measured ?? predicted.map(({ cycles }) => cycles);
  const total = shown.reduce((sum, cycles) => sum + cycles, 0);
  const million = (cycles: number): string => `${(cycles / 1e6).toFixed(2)} M`;
  return barChart({
    caption:
      measured === undefined
        ? `Predicted for one Cortex-M0+ core that reads flash as the RP2040 does: ${whole(total)} cycles an image`
        : `Measured by the board: ${whole(total)} cycles for its last image` +
          (marks ? '; the mark is what is predicted for one core' : ''),
    columns: ['layer', 'cycles'],
    rows: predicted.map(({ name, cycles }, row) => ({
      label: name,
      value: shown[row],
      text: million(shown[row]),
      ...(marks ? { mark: cycles } : {}),
    })),
  });
}

/** Flash by layer, then the program. */
function flashBar(summary: Summary): string {
  const { budget } = summary;
  const constants = summary.layers.map(({ name, flashBytes }) => ({ name, bytes: flashBytes }));
  const program =
    budget === undefined ? [] : budget.flash.lines.slice(1).map(({ what, bytes }) => ({ name: what, bytes }));
  const all = [...constants, ...program];
  const used = all.reduce((sum, { bytes }) => sum + bytes, 0);
  return stackedBar('Flash', all, budget?.flash.available ?? used);
}

/** Flash and RAM, each as one bar with its parts. */
export function memoryBars(summary: Summary): string {
  const { budget } = summary;
  return flashBar(summary) + (budget === undefined ? '' : budgetBar('RAM', budget.ram));
}

export function quantizationSection(report: QuantizationReport): string {
  const largest = Math.max(...report.layers.map(({ mismatch }) => mismatch), 0.001);
  const image = (name: string, { meanAbsolute, largest: most, meanSquared }: QuantizationReport['readoutError']) => [
    name,
    meanAbsolute.toFixed(3),
    String(most),
    meanSquared.toExponential(2),
  ];
  return [
    barChart({
      caption: `Spikes that quantization changed, each layer given its float twin's input; ${report.samples} samples from seed ${report.firstSeed}`,
      columns: ['layer', 'spikes that differ', 'rate, float', 'rate, integer', 'bits'],
      full: largest,
      rows: report.layers.map((layer) => ({
        label: layer.name,
        value: layer.mismatch,
        text: percent(layer.mismatch, 2),
        more: [percent(layer.floatRate), percent(layer.integerRate), String(layer.weightBits)],
      })),
    }),
    textTable(
      'Error of the image in grey levels of 255; squared for images in -1 .. 1',
      ['given', 'mean', 'largest', 'mean squared'],
      [image("the float decoder's last spikes", report.readoutError), image('the same latent', report.decoderError)],
    ),
  ].join('\n');
}

function fitText(summary: Summary): string {
  const { budget, board } = summary;
  if (budget === undefined) return '';
  return budget.fits
    ? `<p class="good">Fits ${escapeHtml(board.title)}.</p>`
    : `<p class="bad">Does not fit ${escapeHtml(board.title)}: ${escapeHtml(budget.remedies.join(', or '))}.</p>`;
}

const STYLE = `
body{margin:0;background:var(--paper);color:var(--ink);font:400 1rem/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.6rem;font-weight:600;margin:0 0 .25rem;letter-spacing:-.01em}h2{font-size:1.1rem;font-weight:600;margin:0 0 .75rem}
h3{font-size:.95rem;font-weight:600;margin:1.25rem 0 .5rem}
section{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:1.1rem 1.25rem;margin:1rem 0}
p{margin:.3rem 0}.muted{color:var(--muted);font-size:.9375rem}code,pre{font:.8125rem/1.5 ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}
.good{color:var(--good)}.bad{color:var(--bad)}img{max-width:100%;image-rendering:pixelated;border:1px solid var(--line)}
`;

/** @returns the whole file; the same parts give the same bytes */
export function htmlReport(parts: ReportParts): string {
  const { model, summary, quantization, activity, measured, samples, verdict, linked } = parts;
  const title = `${model.name}${summary === undefined ? '' : ` on ${summary.board.title}`}`;
  const sections: string[] = [];
  if (samples !== undefined || verdict !== undefined) {
    const shown = samples === undefined ? '' : picture(samples);
    const said =
      verdict === undefined ? '' : `<pre class="${verdict.exact ? 'good' : 'bad'}">${escapeHtml(verdict.text)}</pre>`;
    sections.push(section('Samples', shown, said));
  }
  if (quantization !== undefined) sections.push(section('Quantization', quantizationSection(quantization)));
  if (summary !== undefined) {
    sections.push(section('Cycles', cycleChart(summary.predicted, measured, summary.board.core)));
    const link =
      linked === undefined
        ? ''
        : `<p class="muted">Linked: flash ${whole(linked.flashUsed)} bytes, RAM ${whole(linked.ramUsed)} bytes.</p>`;
    sections.push(
      section(
        'Memory',
        fitText(summary),
        memoryBars(summary),
        link,
        '<h3>The arena while an image is drawn</h3>',
        arenaMap(summary.arena, summary.phases),
      ),
    );
    sections.push(
      section(
        'Layers',
        textTable(
          'What each layer has',
          ['layer', 'weights', 'bits', 'flash, bytes', 'membrane, bits', 'dense operations'],
          summary.layers.map((layer) => [
            layer.name,
            whole(layer.weights),
            String(layer.weightBits),
            whole(layer.flashBytes),
            String(layer.membraneBits),
            whole(layer.denseOperations),
          ]),
        ),
        activity === undefined ? '' : `<p class="muted">${escapeHtml(formatActivity(activity))}</p>`,
      ),
    );
  }
  return htmlPage(title, parts, sections);
}

/**
 * A report's frame: what it is about, and how it was made.
 *
 * @param style of charts that only these sections have
 */
export function htmlPage(
  title: string,
  { model, command, generatorVersion }: Pick<ReportParts, 'model' | 'command' | 'generatorVersion'>,
  sections: readonly string[],
  style = '',
): string {
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)}</title>` +
    `<style>${PALETTE}${STYLE}${CHART_STYLE}${style}</style></head><body><main><h1>${escapeHtml(title)}</h1>` +
    `<p class="muted">${escapeHtml(model.shape)}</p><p><code>${escapeHtml(command)}</code></p>` +
    `<p class="muted">fsvae-codegen ${escapeHtml(generatorVersion)}, model <code>${escapeHtml(model.hash)}</code></p>` +
    `${sections.join('\n')}</main></body></html>\n`
  );
}
