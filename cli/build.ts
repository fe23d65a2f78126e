/** From a model and a board to a built project, and what is told about them on the way. */

import { join } from 'node:path';
import type { Board } from '../boards/board.js';
import { formatBudget } from '../codegen/plan/budget.js';
import type { Plan } from '../codegen/plan/plan.js';
import { boardBudget, type Build, buildProject, planFor, type Project, writeProject } from '../codegen/project.js';
import { modelHash } from '../runtime-ts/model-file.js';
import { encoderPlanFor } from './encoder.js';
import type { LoadedModel } from './load-model.js';
import type { BuildFlags } from './options.js';
import type { Output } from './terminal.js';

export interface BuiltProject {
  readonly plan: Plan;
  readonly project: Project;
  readonly build: Build;
}

/** One line: shape of a model, and its hash. */
export function describeModel({ name, model }: LoadedModel): string {
  const { channels, imageSize, timeSteps, latentChannels, choices } = model.config;
  return (
    `model ${name}: ${channels} x ${imageSize} x ${imageSize} pixels, T = ${timeSteps}, C = ${latentChannels}, ` +
    `k = ${choices}, hash ${modelHash(model).slice(0, 16)}`
  );
}

/**
 * Plans, generates and builds a model for a board in the folder that the flags name.
 *
 * @param flags whose `parts` is `full` where encoder and posterior go on the board too
 * @param talk takes a line for each step: fit, files, compiler, sizes
 * @param encoder what the flags' `parts` say, where it is planned already
 * @throws FsvaeError `fit` when it does not go on the board, `toolchain` when it does not build
 */
export async function buildFor(
  output: Output,
  board: Board,
  flags: BuildFlags,
  loaded: LoadedModel,
  talk: (line: string) => void,
  encoder = encoderPlanFor(loaded, flags),
): Promise<BuiltProject> {
  const plan = planFor(loaded.model, loaded.name, board, encoder);
  const budgeted = boardBudget(plan, board);
  if (budgeted !== undefined) talk(`fit on ${board.title}:\n${formatBudget(budgeted)}`);
  const folder = flags.out ?? join('build', `${board.name}-${loaded.name}`);
  const project = writeProject(plan, board, folder, flags.weights === undefined ? {} : { weights: flags.weights });
  talk(`wrote ${project.files.size} files to ${folder}`);
  const started = performance.now();
  const built = await buildProject(project, { compiler: flags.compiler });
  if (built.diagnostics !== '') output.note(built.diagnostics.trimEnd());
  talk(`built with ${built.toolchain.version} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  if (built.image !== undefined && board.memory !== null) {
    const { flashUsed, ramUsed } = built.image;
    const { flash, ram } = board.memory;
    talk(
      `linked: flash ${flashUsed} of ${flash.bytes} bytes, ${flash.bytes - flashUsed} left; ` +
        `RAM ${ramUsed} of ${ram.bytes}, ${ram.bytes - ramUsed} left`,
    );
  }
  return { plan, project, build: built };
}
