/** Draws images on a target, compares and shows them; the end of every road. */

import { pngGrid, terminalColor, terminalGrid } from '../harness/picture.js';
import { startProgress } from '../harness/progress.js';
import { formatStreamResult, stream } from '../harness/stream.js';
import type { Target } from '../harness/target.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { GoldenModel } from '../runtime-ts/golden.js';
import type { DrawFlags } from './options.js';
import type { Output } from './terminal.js';
import { writeNew } from './write-new.js';

/** What came of drawing, for a report. */
export interface Drawn {
  readonly images: readonly Uint8Array[];
  /** Undefined where nothing was compared. */
  readonly exact: boolean | undefined;
  /** As the terminal says it. */
  readonly text: string;
}

/**
 * @param golden what each image is compared with; undefined: nothing
 * @param onDrawn is told what came of it, also where an image differs
 * @throws FsvaeError `mismatch` when an image differs
 */
export async function draw(
  output: Output,
  target: Target,
  golden: GoldenModel | undefined,
  flags: DrawFlags,
  onDrawn?: (drawn: Drawn) => Promise<void>,
): Promise<void> {
  const shape = { channels: target.shape.channels, size: target.shape.imageSize };
  const images: Uint8Array[] = [];
  const progress = startProgress({ stream: output.stderr, label: 'images', total: flags.images });
  let result;
  try {
    result = await stream(target, {
      firstSeed: flags.seed,
      count: flags.images,
      ...(golden === undefined ? {} : { golden }),
      onImage: (image) => images.push(image),
      onProgress: ({ done, mismatches, imagesPerSecond }) =>
        progress.update(
          done,
          `${imagesPerSecond.toFixed(2)} a second` +
            (golden === undefined ? '' : mismatches === 0 ? ', all bit-exact' : `, ${mismatches} DIFFER`),
        ),
    });
  } finally {
    progress.stop();
  }
  if (flags.png !== undefined) {
    writeNew(flags.png, pngGrid(images, shape, { scale: 4 }));
  }
  if (flags.json === true) {
    const { differences, ...numbers } = result;
    output.json({
      target: target.name,
      compared: golden !== undefined,
      bitExact: golden === undefined ? null : result.mismatches === 0,
      ...numbers,
      differences: differences.map((at) => ({ ...at, seed: String(at.seed) })),
    });
  } else {
    showPicture(output, images, shape);
    output.say(formatStreamResult(result, golden !== undefined));
    if (flags.png !== undefined) output.say(`picture: ${flags.png}`);
    if (golden !== undefined) output.say(`${result.done - result.mismatches} of ${result.done} images bit-exact`);
  }
  await onDrawn?.({
    images,
    exact: golden === undefined ? undefined : result.mismatches === 0,
    text: formatStreamResult(result, golden !== undefined),
  });
  if (result.mismatches > 0) {
    throw new FsvaeError(
      'mismatch',
      `${result.mismatches} of ${result.done} images of ${target.name} differ from the golden model; ` +
        'find the first wrong neuron with fsvae-codegen verify',
    );
  }
}

/** The first 16 images, as the terminal can show them. */
export function showPicture(
  output: Output,
  images: readonly Uint8Array[],
  shape: { channels: number; size: number },
): void {
  const { stdout, env } = output.terminal;
  const columns = Math.min(stdout.columns ?? 80, 4 * (shape.size + 1) - 1);
  output.say(terminalGrid(images.slice(0, 16), shape, terminalColor(stdout, env), 4, columns));
}
