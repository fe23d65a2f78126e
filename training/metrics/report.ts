/** Results as tables: for a terminal, and as Markdown with the paper's rows above, so that published tables are made by commands. */

import type { AnnOperations, OperationCount, Operations } from './operations.js';
import { AUTHORS_BATCH } from './operations.js';
import type { Scores } from './score.js';

/** One model in one arithmetic. */
export interface ResultRow {
  /** For example `float network`. */
  readonly title: string;
  /** Mean squared error of the reconstructions, pixels in -1 .. 1; absent where the file has no encoder or no data were given. */
  readonly reconstruction?: number;
  readonly scores?: Scores;
  /** Of golden models: spikes of prior and decoder of a sample, z for the prior's last layer. */
  readonly spikesPerSample?: number;
  /** For a board: images compared byte by byte with the golden model, all of them equal. */
  readonly equal?: { readonly samples: number; readonly reconstructions: number };
}

export interface OperationsReport {
  /** T. */
  readonly timeSteps: number;
  /** Of the float network; absent without an encoder or data. */
  readonly reconstruction?: OperationCount;
  readonly generation: OperationCount;
  readonly ann: AnnOperations;
}

export interface EvaluationReport {
  /** The model's name. */
  readonly model: string;
  /** As `--data` named it, with its half. */
  readonly data?: string;
  /** Images that were reconstructed. */
  readonly images: number;
  readonly firstSeed: string;
  readonly rows: readonly ResultRow[];
  readonly operations?: OperationsReport;
}

interface PaperRow {
  readonly model: string;
  readonly reconstruction: string;
  readonly inceptionScore: string;
  readonly fid: string;
  readonly autoencoderDistance: string;
}

function paperRows(ann: readonly string[], fsvae: readonly string[]): PaperRow[] {
  return [
    ['ANN VAE (paper)', ...ann],
    ['FSVAE (paper)', ...fsvae],
  ].map(([model, reconstruction, inceptionScore, fid, autoencoderDistance]) => ({
    model,
    reconstruction,
    inceptionScore,
    fid,
    autoencoderDistance,
  }));
}

/** Table 1 of the paper, by the names of `--data`. */
const TABLE_1: ReadonlyMap<string, readonly PaperRow[]> = new Map([
  ['mnist', paperRows(['0.048', '5.947', '112.5', '17.09'], ['0.031', '6.209', '97.06', '35.54'])],
  ['fashion-mnist', paperRows(['0.050', '4.252', '123.7', '18.08'], ['0.031', '4.551', '90.12', '15.75'])],
  ['cifar10', paperRows(['0.105', '2.591', '229.6', '196.9'], ['0.066', '2.945', '175.5', '133.9'])],
  ['celeba', paperRows(['0.059', '3.231', '92.53', '156.9'], ['0.051', '3.697', '101.6', '112.9'])],
]);

/** Table 2 of the paper: MNIST, additions and multiplications. */
const TABLE_2 = { fsvae: ['5.0e10', '5.6e8'], ann: ['7.4e9', '7.4e9'] } as const;

type Table = readonly (readonly string[])[];

function resultTable({ data, rows }: EvaluationReport, published: boolean): Table {
  const paper = published ? (TABLE_1.get(data?.split(' ')[0] ?? '') ?? []) : [];
  return [
    ['model', 'reconstruction', 'inception score', 'FID', 'autoencoder FD', 'samples', 'spikes a sample'],
    ...paper.map((row) => [
      row.model,
      row.reconstruction,
      row.inceptionScore,
      row.fid,
      row.autoencoderDistance,
      '5,000',
      '',
    ]),
    ...rows.map(({ title, reconstruction, scores, spikesPerSample, equal }) => [
      equal === undefined ? title : `${title}: ${equalText(equal)}`,
      reconstruction?.toFixed(5) ?? '',
      scores?.inceptionScore === undefined
        ? ''
        : `${scores.inceptionScore.mean.toFixed(3)} +- ${scores.inceptionScore.deviation.toFixed(3)}`,
      scores?.fid?.toFixed(2) ?? '',
      scores?.autoencoderDistance?.toFixed(2) ?? '',
      scores?.samples.toLocaleString('en-US') ?? '',
      spikesPerSample === undefined ? '' : Math.round(spikesPerSample).toLocaleString('en-US'),
    ]),
  ];
}

function equalText({ samples, reconstructions }: { samples: number; reconstructions: number }): string {
  return `${samples} samples${reconstructions > 0 ? ` and ${reconstructions} reconstructions` : ''}, all bit-exact`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function operationsTable({ reconstruction, generation, ann }: OperationsReport, published: boolean): Table {
  const own = (title: string, { additions, multiplications }: Operations, authors?: Operations): string[] => [
    title,
    count(additions),
    count(multiplications),
    ...[authors?.additions, authors?.multiplications].flatMap((value) =>
      value === undefined ? ['', ''] : [count(value), (value * AUTHORS_BATCH).toExponential(1).replace('e+', 'e')],
    ),
  ];
  return [
    [
      'one image',
      'additions',
      'multiplications',
      'additions, their way',
      `times ${AUTHORS_BATCH}`,
      'multiplications, their way',
      `times ${AUTHORS_BATCH}`,
    ],
    ...(reconstruction === undefined ? [] : [own('FSVAE, reconstruction', reconstruction, reconstruction.authors)]),
    own('FSVAE, generation', generation),
    own('ANN VAE, reconstruction', ann.reconstruction, ann.authors),
    own('ANN VAE, generation', ann.generation),
    ...(published
      ? [
          ['FSVAE (paper, Table 2)', '', '', '', TABLE_2.fsvae[0], '', TABLE_2.fsvae[1]],
          ['ANN VAE (paper, Table 2)', '', '', '', TABLE_2.ann[0], '', TABLE_2.ann[1]],
        ]
      : []),
  ];
}

function layerTable(title: string, { layers }: OperationCount, steps: number): Table {
  return [
    [title, 'neurons', 'spikes in', 'spikes', 'firing rate', 'additions', 'multiplications'],
    ...layers.map((layer) => [
      layer.name,
      count(layer.neurons),
      count(layer.inputSpikes),
      count(layer.spikes),
      layer.spikes === 0 ? '' : (layer.spikes / (layer.neurons * steps)).toFixed(3),
      count(layer.additions),
      count(layer.multiplications),
    ]),
  ];
}

/** Columns side by side: the first to the left, numbers to the right. */
function plain(table: Table): string {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const used = widths.map((_, column) => column === 0 || table.slice(1).some((row) => row[column] !== ''));
  return table
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .filter((_, column) => used[column])
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function markdown(table: Table): string {
  const used = table[0].map((_, column) => column === 0 || table.slice(1).some((row) => row[column] !== ''));
  const line = (cells: readonly string[]): string => `| ${cells.filter((_, column) => used[column]).join(' | ')} |`;
  return [line(table[0]), line(table[0].map(() => '---')), ...table.slice(1).map(line)].join('\n');
}

/** @param form `markdown` has the paper's rows too, where it has the data set */
export function formatEvaluation(report: EvaluationReport, form: 'plain' | 'markdown'): string {
  const published = form === 'markdown';
  const tables = [resultTable(report, published)];
  const { operations } = report;
  if (operations !== undefined) {
    const { reconstruction, generation, timeSteps } = operations;
    tables.push(operationsTable(operations, published && report.data?.startsWith('mnist ') === true));
    if (reconstruction !== undefined) tables.push(layerTable('a reconstruction', reconstruction, timeSteps));
    tables.push(layerTable('a sample', generation, timeSteps));
  }
  return tables.map(form === 'plain' ? plain : markdown).join('\n\n');
}
