/** What a run of the benchmark finds, as `--json` prints it. Keys are stable. */

/** Over all seeds. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted[sorted.length - 1] };
}

export interface LayerResult {
  readonly name: string;
  /** By the plan's reckoning; null for the choices. */
  readonly kernel: string | null;
  /** Waits for flash included. */
  readonly cycles: Spread;
  /** The same where both cores share the work. */
  readonly bothCoresCycles: Spread;
  /** Of these, waits for flash. */
  readonly waitCycles: Spread;
  /** Predicted from plan and spikes for the same seeds (codegen/plan/cost.ts); waits included. */
  readonly predictedCycles: Spread;
  /** null where there are none: choices, readout. Of the prior's last layer what the firmware evaluates. */
  readonly synapticOperations: Spread | null;
  readonly lifUpdates: Spread | null;
}

/** On one core, unless a name says otherwise; flash, RAM and stack are those of the program for both. */
export interface Rp2040Result {
  readonly cyclesPerImage: Spread;
  /** Without waits for flash. */
  readonly coreCyclesPerImage: Spread;
  /** Of the XIP cache, by its model. */
  readonly xipMissesPerImage: Spread;
  readonly xipMissCycles: number;
  readonly predictedCyclesPerImage: Spread;
  readonly spikesPerImage: Spread;
  readonly synapticOperationsPerImage: Spread;
  /** If all neurons of the prior's last layer were evaluated at all steps. */
  readonly eagerSynapticOperationsPerImage: Spread;
  readonly lifUpdatesPerImage: Spread;
  /** Median of the cycles over median of the operations, everything included. */
  readonly cyclesPerSynapticOperation: number;
  readonly bothCoresCyclesPerImage: Spread;
  /** Median of the cycles of one core over that of both. */
  readonly dualCoreSpeedup: number;
  readonly layers: readonly LayerResult[];
  readonly flashBytes: number;
  readonly ramBytes: number;
  readonly stackBytes: number;
}

export interface GoalResult {
  readonly key: string;
  readonly title: string;
  readonly limit: number;
  readonly wanted: 'at most' | 'at least';
  readonly measured: number | null;
  /** null: not measured. */
  readonly met: boolean | null;
  /** The limit and the figure with their units; why there is no figure. */
  readonly limitText: string;
  readonly measuredText: string;
}

export interface BenchResult {
  readonly compiler: string;
  readonly seeds: number;
  readonly rp2040: Rp2040Result;
  /** null: not measured, as all that is null below. */
  readonly cortexM4: { readonly instructionsPerImage: Spread; readonly seeds: number } | null;
  /** The same model with 4-bit weights, built for the RP2040. */
  readonly int4: { readonly flashBytes: number; readonly ramBytes: number };
  /** The command `verify --simulate --board rp2040`, from start to verdict. */
  readonly verify: { readonly images: number; readonly seconds: number } | null;
  readonly golden: { readonly imagesPerSecond: number };
  readonly toolchain: {
    readonly quantizeSeconds: number;
    readonly generateSeconds: number;
    readonly buildSeconds: number;
  };
  readonly goals: readonly GoalResult[];
}

/** What does not depend on the machine that runs the benchmark. */
export type Baseline = Pick<BenchResult, 'compiler' | 'seeds' | 'rp2040' | 'cortexM4' | 'int4'>;
