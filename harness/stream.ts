/** Streams images of consecutive seeds from a target, each compared with the golden model byte by byte. */

import type { GoldenModel } from './golden.js';
import type { Target } from './target.js';

export interface StreamOptions {
  readonly firstSeed: bigint;
  /** Images, 1 or more: seeds firstSeed .. firstSeed + count - 1, modulo 2^64. */
  readonly count: number;
  /** What every image is compared with; without it images are only drawn. */
  readonly golden?: GoldenModel;
  readonly onImage?: (image: Uint8Array, seed: bigint) => void;
  readonly onProgress?: (progress: StreamProgress) => void;
}

/** Sums since the stream began. Time spent by the golden model is in none of them. */
export interface StreamProgress {
  readonly done: number;
  readonly count: number;
  readonly mismatches: number;
  /** Wall-clock seconds until answers began: the target drawing. */
  readonly drawSeconds: number;
  /** Wall-clock seconds while answers came in: the link. */
  readonly transferSeconds: number;
  /** Images in a second of drawing and transfer together. */
  readonly imagesPerSecond: number;
}

/** A pixel that differs. */
export interface PixelDifference {
  readonly seed: bigint;
  /** Byte of the image. */
  readonly index: number;
  readonly channel: number;
  readonly y: number;
  readonly x: number;
  readonly expected: number;
  readonly actual: number;
  /** How many bytes of the image differ. */
  readonly differing: number;
}

export interface StreamResult extends StreamProgress {
  /** Seconds that drawing took by the target's own clock; undefined where it has none. On an emulator this is the time
   * that the emulated board would take. */
  readonly targetSeconds: number | undefined;
  /** Mean cycles of an image by the target's clock. */
  readonly cyclesPerImage: number | undefined;
  /** The first differing pixel of each of the first 16 images that differ. */
  readonly differences: readonly PixelDifference[];
}

const KEPT_DIFFERENCES = 16;

/** The first byte that differs, or undefined. Both images have the same length. */
export function firstPixelDifference(
  seed: bigint,
  expected: Uint8Array,
  actual: Uint8Array,
  imageSize: number,
): PixelDifference | undefined {
  let index = -1;
  let differing = 0;
  for (let i = 0; i < expected.length; i++) {
    if (expected[i] === actual[i]) continue;
    if (index < 0) index = i;
    differing++;
  }
  if (index < 0) return undefined;
  const plane = imageSize * imageSize;
  return {
    seed,
    index,
    channel: Math.floor(index / plane),
    y: Math.floor((index % plane) / imageSize),
    x: index % imageSize,
    expected: expected[index],
    actual: actual[index],
    differing,
  };
}

/**
 * Draws `count` images one after the other. An image that differs from the golden model is counted and kept as a
 * difference; the stream goes on.
 *
 * @throws FsvaeError as the target does
 */
export async function stream(target: Target, options: StreamOptions): Promise<StreamResult> {
  const { golden, count } = options;
  const differences: PixelDifference[] = [];
  let mismatches = 0;
  let waitMs = 0;
  let transferMs = 0;
  let cycles: bigint | undefined;
  let progress = progressOf(0, count, 0, 0, 0);
  for (let done = 1; done <= count; done++) {
    const seed = BigInt.asUintN(64, options.firstSeed + BigInt(done - 1));
    const drawn = await target.sample(seed);
    waitMs += drawn.waitMs;
    transferMs += drawn.transferMs;
    if (drawn.cycles !== undefined) cycles = (cycles ?? 0n) + drawn.cycles;
    if (golden !== undefined) {
      const difference = firstPixelDifference(seed, golden.sample(seed), drawn.image, target.shape.imageSize);
      if (difference !== undefined) {
        mismatches++;
        if (differences.length < KEPT_DIFFERENCES) differences.push(difference);
      }
    }
    options.onImage?.(drawn.image, seed);
    progress = progressOf(done, count, mismatches, waitMs, transferMs);
    options.onProgress?.(progress);
  }
  const { cyclesPerSecond } = target;
  return {
    ...progress,
    targetSeconds: cycles === undefined || cyclesPerSecond === undefined ? undefined : Number(cycles) / cyclesPerSecond,
    cyclesPerImage: cycles === undefined ? undefined : Number(cycles) / count,
    differences,
  };
}

function progressOf(
  done: number,
  count: number,
  mismatches: number,
  waitMs: number,
  transferMs: number,
): StreamProgress {
  const seconds = (waitMs + transferMs) / 1000;
  return {
    done,
    count,
    mismatches,
    drawSeconds: waitMs / 1000,
    transferSeconds: transferMs / 1000,
    imagesPerSecond: seconds > 0 ? done / seconds : 0,
  };
}

/** Two or three lines for people. */
export function formatStreamResult(result: StreamResult, compared: boolean): string {
  const lines = [
    `${result.done} images, ${result.imagesPerSecond.toFixed(2)} a second: ` +
      `${result.drawSeconds.toFixed(2)} s drawing, ${result.transferSeconds.toFixed(2)} s on the link`,
  ];
  if (result.targetSeconds !== undefined && result.cyclesPerImage !== undefined) {
    lines.push(
      `by the target's own clock ${Math.round(result.cyclesPerImage).toLocaleString('en-US')} cycles an image, ` +
        `${(result.targetSeconds / result.done).toFixed(3)} s each`,
    );
  }
  if (compared) {
    lines.push(
      result.mismatches === 0
        ? 'every byte equals the golden model'
        : `${result.mismatches} images differ from the golden model`,
    );
    for (const at of result.differences) lines.push(`  seed ${at.seed}: ${formatPixel(at)}`);
  }
  return lines.join('\n');
}

/** Place and both values of a differing pixel. */
export function formatPixel(at: PixelDifference): string {
  return (
    `pixel channel ${at.channel}, y ${at.y}, x ${at.x}: expected ${at.expected}, actual ${at.actual} ` +
    `(${at.differing} bytes of the image differ)`
  );
}
