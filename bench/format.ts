/** A run's figures for people: text, the README's tables, and what has changed since the baseline. */

import type { Baseline, BenchResult, GoalResult, LayerResult, Spread } from './result.js';

const COLUMNS = [
  'cycles: min',
  'median',
  'max',
  'both cores',
  'predicted',
  'off',
  'waits for flash',
  'synops',
  'cycles each',
  'LIF updates',
] as const;

function millions(value: number): string {
  return (value / 1e6).toFixed(3);
}

/** How far a prediction is off, in percent. */
function off(predicted: number, measured: number): string {
  const percent = 100 * (predicted / measured - 1);
  return `${percent >= 0 ? '+' : ''}${percent.toFixed(1)} %`;
}

/** One row of the table of layers: its name, then a cell for each of COLUMNS. Cycles, operations and updates in millions. */
function cells(row: Omit<LayerResult, 'kernel'>): string[] {
  const { cycles, bothCoresCycles, waitCycles, predictedCycles, synapticOperations, lifUpdates } = row;
  return [
    row.name,
    millions(cycles.min),
    millions(cycles.median),
    millions(cycles.max),
    millions(bothCoresCycles.median),
    millions(predictedCycles.median),
    off(predictedCycles.median, cycles.median),
    millions(waitCycles.median),
    synapticOperations === null ? '' : millions(synapticOperations.median),
    synapticOperations === null ? '' : (cycles.median / synapticOperations.median).toFixed(2),
    lifUpdates === null ? '' : millions(lifUpdates.median),
  ];
}

function difference(a: Spread, b: Spread): Spread {
  return { min: a.min - b.min, median: a.median - b.median, max: a.max - b.max };
}

function layerRows({ rp2040 }: BenchResult): string[][] {
  return [
    ...rp2040.layers.map(cells),
    cells({
      name: 'image',
      cycles: rp2040.cyclesPerImage,
      bothCoresCycles: rp2040.bothCoresCyclesPerImage,
      predictedCycles: rp2040.predictedCyclesPerImage,
      waitCycles: difference(rp2040.cyclesPerImage, rp2040.coreCyclesPerImage),
      synapticOperations: rp2040.synapticOperationsPerImage,
      lifUpdates: rp2040.lifUpdatesPerImage,
    }),
  ];
}

function verdict(goal: GoalResult): string {
  return goal.met === null ? '' : goal.met ? 'yes' : 'no';
}

/** Both ways to count: what the firmware does, and what it would do without the lazy prior. */
function operationsText({ rp2040 }: BenchResult): string {
  const { cyclesPerImage, synapticOperationsPerImage, eagerSynapticOperationsPerImage } = rp2040;
  return (
    `${rp2040.cyclesPerSynapticOperation.toFixed(2)} cycles a synaptic operation, everything included, by the ` +
    `${millions(synapticOperationsPerImage.median)} million that the firmware does; an eager prior would make them ` +
    `${millions(eagerSynapticOperationsPerImage.median)} million, at ` +
    `${(cyclesPerImage.median / eagerSynapticOperationsPerImage.median).toFixed(2)} each`
  );
}

/** Columns padded to their widest cell: the first one to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column] + 2)))
      .join('')
      .trimEnd(),
  );
}

export function formatText(result: BenchResult): string {
  const { rp2040, golden, toolchain, cortexM4, int4 } = result;
  const seconds = (cycles: number): string => `${(cycles / 125e6).toFixed(3)} s`;
  return [
    `emulated RP2040, ${result.compiler}, seeds 0 .. ${result.seeds - 1}; medians unless told, in millions`,
    ...aligned([['', ...COLUMNS], ...layerRows(result)]),
    `an image takes ${seconds(rp2040.cyclesPerImage.median)} at 125 MHz on one core, ` +
      `${seconds(rp2040.bothCoresCyclesPerImage.median)} on both; predicted ${seconds(rp2040.predictedCyclesPerImage.median)}; ` +
      `without waits for flash ${millions(rp2040.coreCyclesPerImage.median)} million cycles`,
    `${Math.round(rp2040.xipMissesPerImage.median)} misses of the XIP cache an image, ${rp2040.xipMissCycles} cycles each; ` +
      `${rp2040.spikesPerImage.median} spikes an image`,
    operationsText(result),
    `flash ${rp2040.flashBytes}, RAM ${rp2040.ramBytes}, stack high-water ${rp2040.stackBytes} bytes; ` +
      `int4: flash ${int4.flashBytes}, RAM ${int4.ramBytes} bytes`,
    ...(cortexM4 === null
      ? []
      : [
          `Cortex-M4: ${millions(cortexM4.instructionsPerImage.min)} .. ${millions(cortexM4.instructionsPerImage.max)} ` +
            `million instructions, seeds 0 .. ${cortexM4.seeds - 1}`,
        ]),
    `golden model ${golden.imagesPerSecond.toFixed(1)} images/s; quantize ${toolchain.quantizeSeconds.toFixed(2)} s, ` +
      `generate ${toolchain.generateSeconds.toFixed(2)} s, build ${toolchain.buildSeconds.toFixed(2)} s`,
    '',
    ...aligned([
      ['goal', 'wanted', 'measured', 'met?'],
      ...result.goals.map((goal) => [goal.title, `${goal.wanted} ${goal.limitText}`, goal.measuredText, verdict(goal)]),
    ]),
  ].join('\n');
}

/** A table as Markdown; the first row is its head. */
export function markdownTable(rows: readonly (readonly string[])[]): string[] {
  const [head, ...body] = rows.map((row) => `| ${row.join(' | ')} |`);
  return [head, `|${rows[0].map(() => ' --- |').join('')}`, ...body];
}

/** The README's tables: goals, then layers. */
export function formatMarkdown(result: BenchResult): string {
  return [
    ...markdownTable([
      ['goal', 'wanted', 'measured', 'met?'],
      ...result.goals.map((goal) => [
        goal.title,
        `${goal.wanted} ${goal.limitText}`,
        goal.measuredText,
        verdict(goal) || '-',
      ]),
    ]),
    '',
    `${operationsText(result)}.`,
    '',
    `Layer by layer on the emulated RP2040, ${result.compiler}, medians of ${result.seeds} seeds, in millions:`,
    '',
    ...markdownTable([['layer', ...COLUMNS], ...layerRows(result)]),
  ].join('\n');
}

/** Cycles and instructions against the baseline, where compiler and seeds are the same. */
export function formatDifference(result: BenchResult, baseline: Baseline | undefined): string {
  if (baseline === undefined) return 'no baseline';
  if (baseline.compiler !== result.compiler || baseline.seeds !== result.seeds) {
    return `the baseline is of ${baseline.compiler} and ${baseline.seeds} seeds: not compared`;
  }
  const changes: string[] = [];
  const compare = (what: string, before: number | undefined, now: number | undefined): void => {
    if (before === undefined || now === undefined || before === now) return;
    const percent = (100 * (now - before)) / before;
    changes.push(`  ${what}: ${percent > 0 ? '+' : ''}${percent.toFixed(2)} %`);
  };
  for (const row of result.rp2040.layers) {
    compare(row.name, baseline.rp2040.layers.find(({ name }) => name === row.name)?.cycles.median, row.cycles.median);
  }
  compare('image', baseline.rp2040.cyclesPerImage.median, result.rp2040.cyclesPerImage.median);
  // QEMU's count is exact to a tick of 40 instructions a reading, which is no change.
  const rounded = (value: number | undefined): number | undefined =>
    value === undefined ? undefined : Math.round(value / 1000);
  compare(
    'Cortex-M4 instructions',
    rounded(baseline.cortexM4?.instructionsPerImage.median),
    rounded(result.cortexM4?.instructionsPerImage.median),
  );
  return changes.length === 0 ? 'cycles: exactly the baseline' : `cycles against the baseline:\n${changes.join('\n')}`;
}
