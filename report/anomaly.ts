/** What `anomaly` found out: numbers of each way to score, and the report's page. */

import { percent, textTable } from './charts.js';
import { areaUnderRoc, calibratedThreshold, rocCurve, shareAbove } from './detection.js';
import { DETECTION_STYLE, histogramChart, rocChart } from './detection-charts.js';
import { htmlPage, picture, type ReportParts, section } from './html.js';

/** Reconstruction errors by one network: mean squared over an image's pixels in -1 .. 1. */
export interface ScoredImages {
  readonly title: string;
  readonly calibration: readonly number[];
  readonly images: readonly number[];
  /** Of images that are known to be anomalous, where there are any: then `images` are taken for normal. */
  readonly anomalies: readonly number[] | undefined;
}

export interface Detection {
  readonly title: string;
  /** An error above it is called anomalous. */
  readonly threshold: number;
  /** Share of `images` above the threshold; and of `anomalies`. */
  readonly flagged: number;
  readonly detected?: number;
  /** Area under the ROC curve. */
  readonly area?: number;
}

/** @throws RangeError where the calibration set is too small for the share */
export function detect({ title, calibration, images, anomalies }: ScoredImages, falseAlarms: number): Detection {
  const threshold = calibratedThreshold(calibration, falseAlarms);
  if (threshold === undefined) throw new RangeError(`${calibration.length} images cannot tell ${falseAlarms}`);
  const flagged = shareAbove(images, threshold);
  if (anomalies === undefined) return { title, threshold, flagged };
  return {
    title,
    threshold,
    flagged,
    detected: shareAbove(anomalies, threshold),
    area: areaUnderRoc(images, anomalies),
  };
}

export interface AnomalyReport extends Pick<ReportParts, 'command' | 'generatorVersion' | 'model'> {
  readonly falseAlarms: number;
  /** What the sets are called. */
  readonly names: { readonly calibration: string; readonly images: string; readonly anomalies: string | undefined };
  /** The first is the one that ranks. */
  readonly scored: readonly ScoredImages[];
  readonly ranked: readonly { readonly name: string; readonly error: number; readonly anomalous: boolean }[];
  /** Of the first ranked images and their reconstructions. */
  readonly shown: { readonly png: Uint8Array; readonly text: string };
}

/** Heads and rows of the table that compares the ways to score. */
export function detectionTable({
  names,
  scored,
  falseAlarms,
}: Pick<AnomalyReport, 'names' | 'scored' | 'falseAlarms'>): { columns: string[]; rows: string[][] } {
  const known = names.anomalies === undefined ? [] : [`flagged of ${names.anomalies}`, 'area under ROC'];
  return {
    columns: ['network', 'threshold', `flagged of ${names.images}`, ...known],
    rows: scored.map((scores) => {
      const { title, threshold, flagged, detected, area } = detect(scores, falseAlarms);
      const found = detected === undefined ? [] : [percent(detected), area!.toFixed(4)];
      return [title, threshold.toFixed(5), percent(flagged), ...found];
    }),
  };
}

/** @returns the whole file; the same parts give the same bytes */
export function anomalyPage(report: AnomalyReport): string {
  const { model, names, scored, falseAlarms, ranked, shown } = report;
  const { columns, rows } = detectionTable(report);
  const fitted =
    `Thresholds by ${scored[0].calibration.length} images of ${names.calibration}: of normal images at most ` +
    `${percent(falseAlarms)} are above, in the mean. Errors are mean squared, of pixels in -1 .. 1.`;
  const sections = [section('Most anomalous', picture(shown)), section('Detection', textTable(fitted, columns, rows))];
  if (names.anomalies !== undefined) {
    const series = scored.map((scores) => {
      const { title, flagged, detected, area } = detect(scores, falseAlarms);
      const points = rocCurve(scores.images, scores.anomalies!);
      return { title, area: area!, points, chosen: { falseAlarms: flagged, detected: detected! } };
    });
    const text = `ROC: ${names.images} is normal, ${names.anomalies} anomalous`;
    sections.push(section(text, rocChart(series)));
  }
  const charts = scored.map((scores) => {
    const sets = [
      { title: names.images, errors: scores.images },
      ...(scores.anomalies === undefined ? [] : [{ title: names.anomalies!, errors: scores.anomalies }]),
    ];
    return histogramChart(scores.title, sets, detect(scores, falseAlarms).threshold);
  });
  sections.push(section('Reconstruction errors', ...charts));
  sections.push(
    section(
      'Ranking',
      textTable(
        `By ${scored[0].title}: the ${ranked.length} largest errors`,
        ['image', 'error', 'verdict'],
        ranked.map(({ name, error, anomalous }) => [name, error.toFixed(5), anomalous ? 'anomalous' : 'normal']),
      ),
    ),
  );
  return htmlPage(`Anomalies by ${model.name}`, report, sections, DETECTION_STYLE);
}
