/** How well a score tells anomalous images from normal ones: the higher, the more anomalous. Numbers alone. */

/**
 * The score above which an image is called anomalous, such that of normal images no more than a share are: in the mean over
 * calibration sets, whatever the scores' distribution (split conformal prediction: Vovk, Gammerman, Shafer 2005, chapter 4).
 *
 * @param scores of normal images, in any order
 * @param falseAlarms that share, above 0 and below 1
 * @returns undefined for fewer images than can tell: (n + 1) * falseAlarms must be 1 or more
 */
export function calibratedThreshold(scores: readonly number[], falseAlarms: number): number | undefined {
  // Of n + 1 normal images, the new one is among the highest so many with just that chance. Rounding must not take one away.
  const highest = Math.floor((scores.length + 1) * falseAlarms * (1 + 1e-12));
  if (highest < 1) return undefined;
  return [...scores].sort((a, b) => b - a)[highest - 1];
}

/** The least calibration images for a share of false alarms. */
export function calibrationImages(falseAlarms: number): number {
  return Math.ceil(1 / falseAlarms / (1 + 1e-12)) - 1;
}

/** Share of scores above the threshold. */
export function shareAbove(scores: readonly number[], threshold: number): number {
  return scores.filter((score) => score > threshold).length / scores.length;
}

/**
 * Area under the ROC curve: the chance that a random anomalous image scores higher than a random normal one, where a tie counts
 * half (Mann and Whitney's statistic).
 *
 * @throws RangeError without a score of either kind
 */
export function areaUnderRoc(normal: readonly number[], anomalous: readonly number[]): number {
  if (normal.length === 0 || anomalous.length === 0) throw new RangeError('an ROC curve needs images of both kinds');
  const ascending = [...normal].sort((a, b) => a - b);
  /** How many normal scores are below it, or not above it. */
  const count = (score: number, tied: boolean): number => {
    let [low, high] = [0, ascending.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ascending[middle] < score || (tied && ascending[middle] === score)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  let halves = 0;
  for (const score of anomalous) halves += count(score, false) + count(score, true);
  return halves / (2 * normal.length * anomalous.length);
}

export interface RocPoint {
  /** Share of normal images above a threshold. */
  readonly falseAlarms: number;
  /** Share of anomalous images above it. */
  readonly detected: number;
}

/** From (0, 0) to (1, 1), a point for each score that is a threshold; straight lines between them have areaUnderRoc() below. */
export function rocCurve(normal: readonly number[], anomalous: readonly number[]): RocPoint[] {
  const all = [
    ...normal.map((score) => ({ score, anomalous: false })),
    ...anomalous.map((score) => ({ score, anomalous: true })),
  ].sort((a, b) => b.score - a.score);
  const points: RocPoint[] = [{ falseAlarms: 0, detected: 0 }];
  let [alarms, hits] = [0, 0];
  all.forEach((at, i) => {
    if (at.anomalous) hits++;
    else alarms++;
    if (all[i + 1]?.score === at.score) return;
    points.push({ falseAlarms: alarms / normal.length, detected: hits / anomalous.length });
  });
  return points;
}

/** Shares of scores in bins of equal width from 0 to `end`; what lies beyond is in the last one. */
export function histogram(scores: readonly number[], end: number, bins: number): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const score of scores) counts[end > 0 ? Math.min(bins - 1, Math.floor((score / end) * bins)) : 0]++;
  return counts.map((count) => count / scores.length);
}
