/** Enlarges images of any values for a network that wants a fixed size: Pillow's filters without rounding to bytes. */

export type Filter = 'bilinear' | 'bicubic';

const FILTERS: Readonly<Record<Filter, { readonly support: number; readonly weight: (x: number) => number }>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    // Keys's cubic with a = -0.5.
    weight: (x) => {
      const d = Math.abs(x);
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
    },
  },
};

interface Tap {
  readonly first: number;
  readonly weights: readonly number[];
}

/** For each output the inputs that make it. Shrinking widens the filter, as Pillow does; weights add up to 1 at borders too. */
function taps(from: number, to: number, filter: Filter): Tap[] {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const { support, weight } = FILTERS[filter];
  return Array.from({ length: to }, (_, o) => {
    const centre = (o + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const end = Math.min(from, Math.trunc(centre + support * stretch + 0.5));
    const weights = Array.from({ length: end - first }, (__, i) => weight((first + i + 0.5 - centre) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((value) => value / sum) };
  });
}

/** A square of `from` pixels a side to one of `to`. */
export class FloatResize {
  private readonly taps: readonly Tap[];

  constructor(
    private readonly from: number,
    private readonly to: number,
    filter: Filter,
  ) {
    this.taps = taps(from, to, filter);
  }

  /** @param plane from * from values @param into to * to values, written */
  apply(plane: ArrayLike<number>, into: Float32Array): void {
    const { from, to } = this;
    const rows = new Float64Array(from * to);
    for (let y = 0; y < from; y++) {
      this.taps.forEach(({ first, weights }, x) => {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * plane[y * from + first + i];
        rows[y * to + x] = sum;
      });
    }
    this.taps.forEach(({ first, weights }, y) => {
      for (let x = 0; x < to; x++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * rows[(first + i) * to + x];
        into[y * to + x] = sum;
      }
    });
  }
}
