/** What a run's page shows. */

/** One line of log.jsonl: these, and what else the network counts (docs/training.md), such as timeSteps and spikes. */
export type LogEntry = Readonly<Record<string, number>> & {
  /** Steps done, this one included. */
  readonly step: number;
  /** From 1. */
  readonly epoch: number;
  readonly loss: number;
  readonly mse: number;
  readonly imagesPerSecond: number;
};

/** Spikes of one layer for each time step, divided by its neurons and the images: 0 to 1. */
export interface FiringRates {
  readonly layer: string;
  readonly rates: readonly number[];
}

/** Latent spikes of one image, and the image with its reconstruction beside it. */
export interface Raster {
  readonly timeSteps: number;
  readonly channels: number;
  /** (T, C), 0 or 1. */
  readonly spikes: ArrayLike<number>;
  /** PNG file. */
  readonly picture: Uint8Array;
}

export interface Picture {
  readonly title: string;
  /** PNG file. */
  readonly png: Uint8Array;
}

export interface RunPage {
  readonly name: string;
  readonly epochs: number;
  readonly steps: number;
  readonly log: readonly LogEntry[];
  /** Absent where nothing spikes. */
  readonly activity: { readonly rates: readonly FiringRates[]; readonly rasters: readonly Raster[] } | undefined;
  readonly pictures: readonly Picture[];
  /** Shown as it is. */
  readonly config: object;
}

/** Whole numbers with thousands separated; else three significant digits or more. */
export function shown(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return value === 0 ? '0' : value < 0.001 ? value.toExponential(2) : value.toPrecision(4);
}
