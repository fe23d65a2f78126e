/** How long an image takes on a board: what an emulator counted for its core, at the board's clock. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Board, BOARDS_FOLDER } from './board.js';

const schema = z.strictObject({
  /** What built the programs. */
  compiler: z.string(),
  /** Images of which each count is the mean. */
  seeds: z.int().positive(),
  images: z.array(
    z.strictObject({
      core: z.string(),
      model: z.string(),
      unit: z.enum(['cycles', 'instructions']),
      count: z.int().positive(),
      /** Which emulated board counted. */
      board: z.string(),
    }),
  ),
});

/** An image's count for a core. `unit`: cycles, or instructions, of which a core completes at most about one a cycle. */
export type ImageCount = z.infer<typeof schema>['images'][number];

let counts: readonly ImageCount[] | undefined;

/** What was counted (`npm run bench:boards`), a model and a core each. */
export function imageCounts(): readonly ImageCount[] {
  counts ??= schema.parse(JSON.parse(readFileSync(join(BOARDS_FOLDER, 'measured/images.json'), 'utf8'))).images;
  return counts;
}

export interface ImageTime {
  readonly model: string;
  /** Seconds an image, flash waits not counted. */
  readonly seconds: number;
  /** `emulated`: cycles that an emulator of this very chip counted. `predicted`: instructions of its core at one a cycle. */
  readonly basis: 'emulated' | 'predicted';
}

/** undefined where nothing was counted for the core or the board's clock is not known. */
export function imageTime(board: Board, model: string): ImageTime | undefined {
  const found = imageCounts().find((image) => image.core === board.core && image.model === model);
  if (found === undefined || board.clockHz === 0 || board.counter === 'instructions') return undefined;
  const { unit, count } = found;
  return {
    model,
    seconds: count / board.clockHz,
    basis: unit === 'cycles' && found.board === board.name ? 'emulated' : 'predicted',
  };
}
