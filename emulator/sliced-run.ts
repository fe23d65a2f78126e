/** Runs an emulated chip beside other work: slice by slice, and not at all while it sleeps with nothing to do. */

/** What a chip must be able to do for it. */
export interface Sliceable {
  /** Runs about so many cycles. */
  run(cycles: number): void;
  readonly idle: boolean;
}

/** Between looks at the outside: 0.8 ms of an RP2040's time, a few ms of ours. */
export const SLICE_CYCLES = 100_000;

/**
 * @param later runs a step when whatever else waits has had its turn
 * @param afterSlice is called after every slice, also after one that threw
 * @returns wakes the chip: to be called once to start it, and whenever something has been given to it
 */
export function runInSlices(
  chip: Sliceable,
  later: (step: () => void) => void,
  afterSlice: () => void,
  sliceCycles = SLICE_CYCLES,
): () => void {
  let scheduled = false;
  const wake = (): void => {
    if (scheduled) return;
    scheduled = true;
    later(slice);
  };
  const slice = (): void => {
    scheduled = false;
    try {
      chip.run(sliceCycles);
    } finally {
      afterSlice();
    }
    // Asleep with nothing to do: the next byte from the host starts it again, and no core is burnt meanwhile.
    if (!chip.idle) wake();
  };
  return wake;
}
