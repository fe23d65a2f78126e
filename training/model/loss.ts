/** The distance between posterior and prior, and its gradients. Arrays are (T, rest), time first. */

export interface Distance {
  readonly value: number;
  /** Gradient by q; that by p is its negative for the MMDs only. */
  readonly dq: Float32Array;
  readonly dp: Float32Array;
}

export type DistanceKind = 'mmd-psp' | 'mmd' | 'kld';

/** Time constant of the postsynaptic potential: PSP[t] = PSP[t-1] + (z[t] - PSP[t-1]) / 2. */
const TAU_SYNAPSE = 2;
/** Table 3's KLD: added inside the logarithms, and its weight in the loss. */
const KLD_EPSILON = 0.01;
const KLD_WEIGHT = 1e-4;

/**
 * Mean over everything of the squared difference, as the authors' code has it (the paper sums over time).
 *
 * @param q, p probabilities, timeSteps * n values each
 * @param psp smooth both over time first
 */
function mmd(q: Float32Array, p: Float32Array, timeSteps: number, psp: boolean): Distance {
  const n = q.length / timeSteps;
  const decay = psp ? 1 - 1 / TAU_SYNAPSE : 0;
  const take = psp ? 1 / TAU_SYNAPSE : 1;
  const potential = new Float64Array(q.length);
  let sum = 0;
  for (let i = 0; i < q.length; i++) {
    potential[i] = (i < n ? 0 : decay * potential[i - n]) + take * (q[i] - p[i]);
    sum += potential[i] * potential[i];
  }
  const dq = new Float32Array(q.length);
  const later = new Float64Array(n);
  for (let i = q.length - 1; i >= 0; i--) {
    later[i % n] = (2 * potential[i]) / q.length + decay * later[i % n];
    dq[i] = take * later[i % n];
  }
  return { value: sum / q.length, dq, dp: dq.map((value) => -value) };
}

/** Sum over time and channels, mean over the batch. The value is without its weight, the gradients are with it. */
function kld(q: Float32Array, p: Float32Array, batch: number): Distance {
  const e = KLD_EPSILON;
  const dq = new Float32Array(q.length);
  const dp = new Float32Array(q.length);
  const weight = KLD_WEIGHT / batch;
  let sum = 0;
  for (let i = 0; i < q.length; i++) {
    const fires = Math.log((q[i] + e) / (p[i] + e));
    const silent = Math.log((1 - q[i] + e) / (1 - p[i] + e));
    sum += q[i] * fires + (1 - q[i]) * silent;
    dq[i] = weight * (fires + q[i] / (q[i] + e) - silent - (1 - q[i]) / (1 - q[i] + e));
    dp[i] = weight * (-q[i] / (p[i] + e) + (1 - q[i]) / (1 - p[i] + e));
  }
  return { value: sum / batch, dq, dp };
}

/**
 * @param q, p mean of the k outputs of posterior and prior, (T, batch, C)
 * @returns the distance as the authors' code reports it, and the gradients of what it adds to the loss
 */
export function distance(
  kind: DistanceKind,
  q: Float32Array,
  p: Float32Array,
  timeSteps: number,
  batch: number,
): Distance {
  return kind === 'kld' ? kld(q, p, batch) : mmd(q, p, timeSteps, kind === 'mmd-psp');
}

/** What a distance counts in the loss. */
export function distanceWeight(kind: DistanceKind): number {
  return kind === 'kld' ? KLD_WEIGHT : 1;
}
