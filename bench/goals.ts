/** What the project wants to reach with the full-size model, and whether it does. One table: change goals here. */

import type { BenchResult, GoalResult } from './result.js';

/** What a goal is held against: a run's figures before they are judged. */
export type Figures = Omit<BenchResult, 'goals'>;

interface Goal {
  /** In the JSON. */
  readonly key: string;
  readonly title: string;
  readonly limit: number;
  readonly wanted: 'at most' | 'at least';
  /** null: not measured. */
  readonly measured: (figures: Figures) => number | null;
  /** A figure and its unit, for people. */
  readonly show: (value: number) => string;
}

const MIB = 1024 * 1024;

const millions = (value: number): string => `${(value / 1e6).toFixed(1)} million`;
const bytes = (value: number): string => `${Math.floor(value).toLocaleString('en-US')} bytes`;

export const GOALS: readonly Goal[] = [
  {
    key: 'rp2040.cyclesPerImage.median',
    title: 'Cortex-M0+ cycles an image, one core, waits for flash included',
    limit: 35.7e6,
    wanted: 'at most',
    measured: ({ rp2040 }) => rp2040.cyclesPerImage.median,
    show: millions,
  },
  {
    key: 'rp2040.cyclesPerSynapticOperation',
    title: 'cycles a synaptic operation, everything included',
    limit: 2.5,
    wanted: 'at most',
    measured: ({ rp2040 }) => rp2040.cyclesPerSynapticOperation,
    show: (value) => value.toFixed(2),
  },
  {
    key: 'rp2040.dualCoreSpeedup',
    title: 'both cores against one',
    limit: 1.8,
    wanted: 'at least',
    measured: ({ rp2040 }) => rp2040.dualCoreSpeedup,
    show: (value) => `${value.toFixed(2)} times`,
  },
  {
    key: 'cortexM4.instructionsPerImage.median',
    title: 'Cortex-M4 instructions an image (QEMU)',
    limit: 13.3e6,
    wanted: 'at most',
    measured: ({ cortexM4 }) => cortexM4?.instructionsPerImage.median ?? null,
    show: millions,
  },
  {
    key: 'rp2040.ramBytes',
    title: 'RAM, stack included',
    limit: 128 * 1024,
    wanted: 'at most',
    measured: ({ rp2040 }) => rp2040.ramBytes,
    show: bytes,
  },
  {
    key: 'rp2040.flashBytes',
    title: 'flash with int8 weights',
    limit: 2 * MIB,
    wanted: 'at most',
    measured: ({ rp2040 }) => rp2040.flashBytes,
    show: bytes,
  },
  {
    key: 'int4.flashBytes',
    title: 'flash with int4 weights',
    limit: 1.1 * MIB,
    wanted: 'at most',
    measured: ({ int4 }) => int4.flashBytes,
    show: bytes,
  },
  {
    key: 'golden.imagesPerSecond',
    title: 'golden model, one core of this machine',
    limit: 50,
    wanted: 'at least',
    measured: ({ golden }) => golden.imagesPerSecond,
    show: (value) => `${value.toFixed(0)} images/s`,
  },
  {
    key: 'verify.seconds',
    title: '16 images verified on the emulated Pico, build included',
    limit: 60,
    wanted: 'at most',
    measured: ({ verify }) => verify?.seconds ?? null,
    show: (value) => `${value.toFixed(0)} s`,
  },
];

/**
 * Holds a run's figures against the goals, in the table's order.
 *
 * @param missing why a figure was not measured, by the goal's key
 */
export function judge(figures: Figures, missing: ReadonlyMap<string, string> = new Map()): GoalResult[] {
  return GOALS.map(({ key, title, limit, wanted, measured, show }) => {
    const value = measured(figures);
    const met = value === null ? null : wanted === 'at most' ? value <= limit : value >= limit;
    return {
      key,
      title,
      limit,
      wanted,
      measured: value,
      met,
      limitText: show(limit),
      measuredText: value === null ? (missing.get(key) ?? 'not measured') : show(value),
    };
  });
}
