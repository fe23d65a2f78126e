/** `fsvae-codegen anomaly`: which images a model reconstructs worse than those that it was trained for. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { GENERATOR_VERSION } from '../../codegen/project.js';
import { pngGrid } from '../../harness/picture.js';
import { anomalyPage, type AnomalyReport, detect, detectionTable, type ScoredImages } from '../../report/anomaly.js';
import { calibrationImages } from '../../report/detection.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import type { ModelConfig } from '../../runtime-ts/model.js';
import { describeModel } from '../build.js';
import { showPicture } from '../draw.js';
import { imageOf, type ImageSet, loadEncoder, openHalf } from '../encoder.js';
import { type EncodingFlags, openEncodingTarget, withEncodingTarget } from '../encoding-target.js';
import { positiveInteger, type ReportFlags, withReport } from '../options.js';
import {
  collectErrors,
  type ErrorSource,
  FLOAT,
  integerSource,
  otherSources,
  redraw,
} from '../reconstruction-errors.js';
import { sideBySide } from '../side-by-side.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

interface AnomalyFlags extends EncodingFlags, ReportFlags {
  readonly calibrate: string;
  readonly calibrationImages: number;
  readonly calibrationSplit: 'train' | 'test';
  readonly falseAlarms: number;
  readonly anomalies?: string;
  readonly against?: readonly string[];
  readonly top: number;
  readonly png?: string;
}

/** Originals and reconstructions: columns of the picture, and of the terminal's. */
const COLUMNS = 8;
const TERMINAL_COLUMNS = 4;
/** Pixels a side that one pixel of a picture becomes. */
const SCALE = 2;

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value < 1)) {
    throw new InvalidArgumentError('It must be a number between 0 and 1, such as 0.05.');
  }
  return value;
}

interface Sets {
  readonly calibration: ImageSet;
  readonly images: ImageSet;
  readonly anomalies: ImageSet | undefined;
}

async function openSets(data: string, flags: AnomalyFlags, config: ModelConfig): Promise<Sets> {
  const { openImages } = await import('../../training/data/open.js');
  const { calibrate, calibrationImages: most, calibrationSplit, falseAlarms, anomalies } = flags;
  const { channels, imageSize: size } = config;
  const calibration = openImages(calibrate, calibrationSplit, { channels, size, limit: most });
  const least = calibrationImages(falseAlarms);
  if (calibration.count < least) {
    throw new FsvaeError(
      'usage',
      `--false-alarms ${falseAlarms} takes ${least} calibration images, here are ${calibration.count}: give more of them, or a ` +
        'higher rate',
    );
  }
  return {
    calibration,
    images: await openHalf(data, flags, config),
    anomalies: anomalies === undefined ? undefined : await openHalf(anomalies, flags, config),
  };
}

/** An image among all that are ranked. */
interface Ranked {
  readonly set: ImageSet;
  readonly data: string;
  readonly index: number;
  readonly error: number;
  readonly anomalous: boolean;
}

function nameOf({ set, data, index }: Ranked): string {
  return `${data} ${set.names?.[index] ?? index}`;
}

async function score(output: Output, source: ErrorSource, sets: Sets): Promise<ScoredImages> {
  const { calibration, images, anomalies } = sets;
  return {
    title: source.title,
    calibration: await collectErrors(output, source, calibration, 'calibration'),
    images: await collectErrors(output, source, images, 'images'),
    anomalies: anomalies === undefined ? undefined : await collectErrors(output, source, anomalies, 'anomalies'),
  };
}

/** Columns as wide as their widest cell; the first is text, numbers are to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function commandOf(data: string, flags: AnomalyFlags): string {
  const { model, calibrate, anomalies, against, images, falseAlarms, seed } = flags;
  return [
    `fsvae-codegen anomaly ${data} --model ${model} --calibrate ${calibrate}`,
    `--calibration-images ${flags.calibrationImages} --calibration-split ${flags.calibrationSplit}`,
    ...(anomalies === undefined ? [] : [`--anomalies ${anomalies}`]),
    ...(against ?? []).map((what) => `--against ${what}`),
    ...(images === undefined ? [] : [`--images ${images}`]),
    `--false-alarms ${falseAlarms} --seed ${seed}`,
    ...(flags.simulate === true ? [`--simulate --board ${flags.board}`] : []),
    ...(flags.port === undefined ? [] : [`--port ${flags.port}`]),
  ].join(' ');
}

async function anomaly(output: Output, data: string, flags: AnomalyFlags): Promise<void> {
  const { tau, threshold } = flags;
  const encoder = loadEncoder(flags);
  const { loaded } = encoder;
  const { channels, imageSize: size } = loaded.model.config;
  const shape = { channels, size };
  const golden = new GoldenModel(loaded.model);
  output.talker(flags)(describeModel(loaded));
  const sets = await openSets(data, flags, loaded.model.config);
  const others = await otherSources(flags.against ?? [], encoder, flags.seed, {
    ...(tau === undefined ? {} : { tau }),
    ...(threshold === undefined ? {} : { threshold }),
  });
  const scored: ScoredImages[] = [];
  const board = await openEncodingTarget(output, flags, encoder);
  try {
    for (const source of [integerSource(encoder, golden, flags.seed, board), ...others]) {
      scored.push(await score(output, source, sets));
    }
  } finally {
    await board?.target.close();
  }
  const detections = scored.map((scores) => detect(scores, flags.falseAlarms));

  const [own] = scored;
  const of = (set: ImageSet, name: string, errors: readonly number[]): Ranked[] =>
    errors.map((error, index) => ({ set, data: name, index, error, anomalous: error > detections[0].threshold }));
  const ranked = [
    ...of(sets.images, data, own.images),
    ...(sets.anomalies === undefined ? [] : of(sets.anomalies, flags.anomalies!, own.anomalies!)),
  ].sort((a, b) => b.error - a.error);
  const top = ranked.slice(0, flags.top);
  const originals = top.map(({ set, index }) => imageOf(set, index));
  const drawn = top.map(({ set, index }) => redraw(encoder, golden, set, index, flags.seed));
  const grid = (columns: number): readonly Uint8Array[] => sideBySide(originals, drawn, columns);

  const report: AnomalyReport = {
    command: commandOf(data, flags),
    generatorVersion: GENERATOR_VERSION,
    model: { name: loaded.name, hash: golden.hash, shape: describeModel(loaded) },
    falseAlarms: flags.falseAlarms,
    names: { calibration: `${flags.calibrate} ${flags.calibrationSplit}`, images: data, anomalies: flags.anomalies },
    scored,
    ranked: top.map((image) => ({ name: nameOf(image), error: image.error, anomalous: image.anomalous })),
    shown: {
      png: pngGrid(grid(COLUMNS), shape, { scale: SCALE, columns: COLUMNS }),
      text: `The ${top.length} images with the largest errors, and below each row what the ${own.title} made of them`,
    },
  };
  if (flags.png !== undefined) writeNew(flags.png, report.shown.png);
  if (flags.report !== undefined) writeNew(flags.report, new TextEncoder().encode(anomalyPage(report)));
  if (flags.json === true) {
    output.json({
      model: golden.hash,
      reconstructedBy: board?.target.name ?? 'golden model',
      bitExact: board === undefined ? null : true,
      falseAlarms: flags.falseAlarms,
      calibration: { data: flags.calibrate, split: flags.calibrationSplit, images: sets.calibration.count },
      networks: detections,
      images: ranked.map(({ set, data: from, index, error, anomalous }) => ({
        data: from,
        index,
        ...(set.names === undefined ? {} : { name: set.names[index] }),
        error,
        anomalous,
      })),
    });
    return;
  }
  showPicture(output, grid(TERMINAL_COLUMNS), shape);
  output.say(
    aligned([
      ['image', 'error', 'verdict'],
      ...top.map((image) => [nameOf(image), image.error.toFixed(5), image.anomalous ? 'anomalous' : 'normal']),
    ]),
  );
  const { columns, rows } = detectionTable(report);
  output.say(`\n${aligned([columns, ...rows])}`);
  if (board !== undefined) {
    const count = own.calibration.length + own.images.length + (own.anomalies?.length ?? 0);
    output.say(`${count} of ${count} images of ${board.target.name} bit-exact`);
  }
  if (flags.png !== undefined) output.say(`picture: ${flags.png}`);
  if (flags.report !== undefined) output.note(`report: ${flags.report}`);
}

const HELP = `
An image is anomalous where its reconstruction error is above a threshold, which is fitted on normal images: of such no more than
--false-alarms are above it. With --anomalies, known ones, there is an ROC curve; <data> is then taken for normal. docs/anomaly.md.

Examples:
  fsvae-codegen anomaly pictures/ -m mnist-small --calibrate mnist
  fsvae-codegen anomaly pictures/ -m mnist-small --calibrate mnist --calibration-images 100 --simulate
  fsvae-codegen anomaly mnist -n 1000 --calibrate mnist --anomalies fashion-mnist --against float --against vae-mnist \\
      --report anomalies.html
  fsvae-codegen anomaly mnist:not4 -m trained-without-4.safetensors --calibrate mnist:not4 --anomalies mnist:4
`;

export function anomalyCommand(program: Command, output: Output): void {
  const collect = (what: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), what];
  const command = program
    .command('anomaly')
    .argument('<data>', 'images to rank: mnist, fashion-mnist, or a folder of images')
    .description('Ranks images by reconstruction error, and says which are anomalous.')
    .requiredOption('--calibrate <data>', 'normal images, on which the threshold is fitted')
    .option('--calibration-images <count>', 'how many of them, from the first', positiveInteger, 500)
    .addOption(new Option('--calibration-split <half>', 'half of them').choices(['train', 'test']).default('train'))
    .addOption(
      new Option('--false-alarms <share>', 'share of normal images that may be flagged').argParser(share).default(0.05),
    )
    .option('--anomalies <data>', 'images known to be anomalous: ranked as well, and an ROC curve')
    .option('--against <network>', `compare with "${FLOAT}", or an ANN VAE's checkpoint; may be given again`, collect)
    .option('--top <count>', 'so many images of the largest errors are shown', positiveInteger, 16)
    .option('--png <file>', 'write a picture of them: originals, and below each row what became of them')
    .option('--json', 'one JSON object on stdout, with all images');
  withReport(withEncodingTarget(command))
    .addHelpText('after', HELP)
    .action((data: string, flags: AnomalyFlags) => anomaly(output, data, flags));
}
