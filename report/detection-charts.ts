/** Figures of how well a score tells anomalous images from normal ones, as HTML; coloured as report/charts.ts is. */

import { escapeHtml, percent } from './charts.js';
import { histogram, type RocPoint } from './detection.js';

/** Bins of a histogram: narrower ones would be noise for a thousand images. */
const BINS = 40;
/** One unit of a figure's drawing area is a hundredth of its side. */
const SIDE = 100;

function at(fraction: number): string {
  return (SIDE * fraction).toFixed(2);
}

function legend(entries: readonly { readonly tone: number; readonly text: string }[]): string {
  const items = entries.map(({ tone, text }) => `<li><i class="tone${tone}"></i>${escapeHtml(text)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

export interface RocSeries {
  readonly title: string;
  readonly area: number;
  readonly points: readonly RocPoint[];
  /** What the calibrated threshold comes to. */
  readonly chosen: RocPoint;
}

/** ROC curves, one for each way to score; a dot where the calibrated threshold is. Eight series at most. */
export function rocChart(series: readonly RocSeries[]): string {
  const grid = [0.25, 0.5, 0.75].map((line) => `M${at(line)} 0V${SIDE}M0 ${at(line)}H${SIDE}`).join('');
  const drawn = series.map(({ points, chosen }, i) => {
    const path = points.map(({ falseAlarms, detected }) => `${at(falseAlarms)},${at(1 - detected)}`).join(' ');
    return (
      `<polyline class="line${i}" points="${path}"/>` +
      `<circle class="line${i}" cx="${at(chosen.falseAlarms)}" cy="${at(1 - chosen.detected)}" r="1.6"/>`
    );
  });
  const entries = series.map(({ title, area, chosen }, tone) => ({
    tone,
    text: `${title}: area ${area.toFixed(4)}, at the threshold ${percent(chosen.detected)} found, ${percent(chosen.falseAlarms)} false alarms`,
  }));
  return (
    `<figure class="roc"><div class="axis x"><span>upwards: anomalous images found; to the right: false alarms; each 0 to 100 %</span></div>` +
    `<svg viewBox="-1 -1 ${SIDE + 2} ${SIDE + 2}" role="img" aria-label="ROC curves, described below">` +
    `<path class="grid" d="${grid}M0 ${SIDE}L${SIDE} 0"/>${drawn.join('')}</svg>${legend(entries)}</figure>`
  );
}

export interface ErrorSet {
  readonly title: string;
  readonly errors: readonly number[];
}

/** Largest of all: spreading thousands into Math.max can overflow the stack. */
function largest(sets: readonly ErrorSet[], threshold: number): number {
  return sets.reduce((most, { errors }) => errors.reduce((a, b) => Math.max(a, b), most), threshold);
}

/** Errors of several sets of images over one another, each as shares of its own images; a line where the threshold is. */
export function histogramChart(caption: string, sets: readonly ErrorSet[], threshold: number): string {
  const end = largest(sets, threshold);
  const shares = sets.map(({ errors }) => histogram(errors, end, BINS));
  const highest = shares.flat().reduce((a, b) => Math.max(a, b), Number.MIN_VALUE);
  const drawn = shares.map((list, i) => {
    const steps = list.map((share, bin) => `V${at(1 - share / highest)}H${at((bin + 1) / BINS)}`).join('');
    return `<path class="area${i}" d="M0 ${SIDE}${steps}V${SIDE}z"/>`;
  });
  const line = end > 0 ? threshold / end : 0;
  return (
    `<figure class="histogram"><figcaption>${escapeHtml(caption)}</figcaption>` +
    `<svg viewBox="0 0 ${SIDE} ${SIDE}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(caption)}">${drawn.join('')}` +
    `<path class="threshold" d="M${at(line)} 0V${SIDE}"/></svg>` +
    `<div class="axis x"><span>0</span><span>threshold ${threshold.toFixed(4)}: the line</span><span>${end.toFixed(4)}</span></div>` +
    `${legend(sets.map(({ title, errors }, tone) => ({ tone, text: `${title}, ${errors.length} images` })))}</figure>`
  );
}

const TONES = Array.from({ length: 8 }, (_, i) => i);

export const DETECTION_STYLE = `
figure.roc{max-width:32rem}figure.roc svg{display:block;width:100%;background:var(--well);border:1px solid var(--line)}
figure.roc .grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
figure.roc polyline{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
${TONES.map((i) => `polyline.line${i}{stroke:var(--tone${i})}circle.line${i}{fill:var(--tone${i})}`).join('')}
figure.histogram svg{display:block;width:100%;height:14rem;background:var(--well);border:1px solid var(--line)}
${TONES.map((i) => `path.area${i}{fill:var(--tone${i});fill-opacity:.45;stroke:var(--tone${i});vector-effect:non-scaling-stroke}`).join('')}
figure.histogram .threshold{stroke:var(--ink);stroke-width:2;stroke-dasharray:5 3;vector-effect:non-scaling-stroke}
figure.histogram+figure.histogram{margin-top:1.5rem}
ul.legend{list-style:none;padding:0;margin:.4rem 0 0;font-size:.8125rem;color:var(--muted)}
ul.legend i{display:inline-block;width:.65rem;height:.65rem;border-radius:2px;margin-right:.4rem}
`;
