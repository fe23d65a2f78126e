/** The fit answer: does a board hold this plan, how much is left, and what to change when it does not. */

import type { Plan } from './plan.js';

/** What a board offers. Bytes. */
export interface BoardMemory {
  readonly name: string;
  readonly flashBytes: number;
  readonly ramBytes: number;
  readonly stackBytes: number;
  /**
   * Flash of everything but the constants: library, serial application, port, start-up. An upper bound over all
   * compilers at -O2; the tests hold it against what the linker says.
   */
  readonly programFlashBytes: number;
  /**
   * RAM of the serial application and the port beside arena, image and frame buffer, code that runs in RAM and a second
   * core's stack included; held against the linker likewise.
   */
  readonly programRamBytes: number;
}

/** Upper bound of the program's flash on any board, for projects that know no board. */
export const PROGRAM_FLASH_BYTES = 56 * 1024;

/** What the encoder's kernels and requests add to the program: an upper bound over all compilers at -O2. */
const ENCODER_PROGRAM_FLASH_BYTES = 14 * 1024;

/** What a plan takes of any board: all that the fit answer asks of it. Bytes. */
export interface PlanSizes {
  readonly constantBytes: number;
  readonly arenaBytes: number;
  readonly imageBytes: number;
  readonly latentBytes: number;
  /** Constants of encoder and posterior; undefined: the plan has none. */
  readonly encoderBytes?: number;
}

export function planSizes({ weights, arenaBytes, imageBytes, latentBytes, encoder }: Plan): PlanSizes {
  const sizes = { constantBytes: 4 * weights.words.length, arenaBytes, imageBytes, latentBytes };
  return encoder === undefined ? sizes : { ...sizes, encoderBytes: 4 * encoder.weights.words.length };
}

/** Bytes of the application's frame buffer, as app.c sizes it. */
function frameBytes({ imageBytes, latentBytes }: PlanSizes): number {
  return Math.max(imageBytes + 16, latentBytes, 4096 + 16);
}

export interface BudgetLine {
  readonly what: string;
  readonly bytes: number;
}

export interface MemoryBudget {
  readonly lines: readonly BudgetLine[];
  readonly used: number;
  readonly available: number;
  /** available - used: negative when it does not fit. */
  readonly left: number;
}

/** What of a board's memory is used, and for what. */
export interface MemoryUse {
  readonly flash: MemoryBudget;
  readonly ram: MemoryBudget;
  readonly fits: boolean;
}

export interface Budget extends MemoryUse {
  readonly board: string;
  /** What would make it fit, most useful first; empty when it fits. */
  readonly remedies: readonly string[];
}

function memoryBudget(lines: readonly BudgetLine[], available: number): MemoryBudget {
  const used = lines.reduce((sum, line) => sum + line.bytes, 0);
  return { lines, used, available, left: available - used };
}

/** Bytes that 4-bit weights would save in the named layers. */
function savedByInt4(plan: Plan, matches: (name: string) => boolean): number {
  const { model } = plan;
  const layers = [...model.prior, model.decoderInput, ...model.decoder, model.readout];
  return layers
    .filter((layer) => layer.weightBits === 8 && matches(layer.name))
    .reduce((sum, layer) => sum + Math.floor(layer.weight.length / 2), 0);
}

/** Bytes that 4-bit weights would save in all layers of encoder and posterior. */
function savedInEncoder(plan: Plan): number {
  const { encoder } = plan;
  if (encoder === undefined) return 0;
  // The first layer has a byte a weight whatever its bits.
  return [...encoder.convolutions, encoder.latentInput, ...encoder.hidden, encoder.lazy]
    .filter(({ layer }) => layer.weightBits === 8)
    .reduce((sum, { layer }) => sum + Math.floor(layer.weight.length / 2), 0);
}

function encoderRemedies(plan: Plan, missing: number): string[] {
  const inEncoder = savedInEncoder(plan);
  const everywhere = inEncoder + savedByInt4(plan, () => true);
  const without = 4 * plan.encoder!.weights.words.length + ENCODER_PROGRAM_FLASH_BYTES;
  return [
    ...(inEncoder >= missing ? [`--encoder-bits 4 saves ${inEncoder} bytes`] : []),
    ...(inEncoder < missing && everywhere >= missing ? [`--bits 4 --encoder-bits 4 saves ${everywhere} bytes`] : []),
    ...(without >= missing ? [`--parts generate, without the encoder, saves ${without} bytes`] : []),
  ];
}

function flashRemedies(plan: Plan, missing: number): string[] {
  if (plan.encoder !== undefined) {
    const remedies = encoderRemedies(plan, missing);
    if (remedies.length > 0) return [...remedies, 'take a smaller model or a board with more flash'];
  }
  const last = plan.model.prior[plan.model.prior.length - 1].name;
  const choices: [string, (name: string) => boolean][] = [
    [`--bits ${last}=4`, (name) => name === last],
    ['--bits prior=4', (name) => name.startsWith('prior.')],
    ['--bits 4', () => true],
  ];
  const remedies = choices
    .map(([flag, matches]) => ({ flag, saved: savedByInt4(plan, matches) }))
    .filter(({ saved }) => saved >= missing)
    .map(({ flag, saved }) => `${flag} saves ${saved} bytes`);
  if (remedies.length > 0) return remedies;
  const most = savedByInt4(plan, () => true);
  return [
    (most > 0 ? `4-bit weights everywhere save only ${most} bytes; ` : '') +
      'train a narrower network (smaller hidden dims, C or k) or take a board with more flash',
  ];
}

function ramRemedies(plan: Plan): string[] {
  // Row caches only take what nothing else needs.
  const needed = plan.arena.buffers.filter(({ name }) => !/^hidden_\d+_rows$/.test(name));
  const largest = needed.sort((a, b) => b.bytes - a.bytes)[0];
  return [
    `the arena's largest buffer is ${largest.name} with ${largest.bytes} bytes; ` +
      'train with fewer time steps or narrower layers, or take a board with more RAM',
  ];
}

/** Adds up what a plan takes, for a board. */
export function memoryUse(sizes: PlanSizes, board: BoardMemory): MemoryUse {
  const { encoderBytes } = sizes;
  const flash = memoryBudget(
    [
      { what: 'weights and constants', bytes: sizes.constantBytes },
      ...(encoderBytes === undefined ? [] : [{ what: 'encoder and posterior', bytes: encoderBytes }]),
      {
        what: 'program (upper bound)',
        bytes: board.programFlashBytes + (encoderBytes === undefined ? 0 : ENCODER_PROGRAM_FLASH_BYTES),
      },
    ],
    board.flashBytes,
  );
  const ram = memoryBudget(
    [
      { what: 'arena', bytes: sizes.arenaBytes },
      { what: 'image', bytes: sizes.imageBytes },
      { what: 'serial frame', bytes: frameBytes(sizes) },
      ...(encoderBytes === undefined ? [] : [{ what: 'latent', bytes: sizes.latentBytes }]),
      { what: 'stack', bytes: board.stackBytes },
      { what: 'program (upper bound)', bytes: board.programRamBytes },
    ],
    board.ramBytes,
  );
  return { flash, ram, fits: flash.left >= 0 && ram.left >= 0 };
}

/** The fit answer for a plan and a board, before anything is compiled. */
export function budget(plan: Plan, board: BoardMemory): Budget {
  const { flash, ram, fits } = memoryUse(planSizes(plan), board);
  const remedies = [
    ...(flash.left < 0 ? flashRemedies(plan, -flash.left) : []),
    ...(ram.left < 0 ? ramRemedies(plan) : []),
  ];
  return { board: board.name, flash, ram, fits, remedies };
}

/** One line for an error: what does not fit, by how much, what to do. */
export function refusal(budgeted: Budget): string {
  const parts = (['flash', 'ram'] as const)
    .filter((kind) => budgeted[kind].left < 0)
    .map((kind) => {
      const { used, available, left } = budgeted[kind];
      return `${kind} needs ${used} of ${available} bytes, ${-left} too many`;
    });
  return `the model does not fit ${budgeted.board}: ${parts.join('; ')}; ${budgeted.remedies.join(', or ')}`;
}

/** The fit answer as text: a line for each part, and what is left. */
export function formatBudget(budgeted: Budget): string {
  const rows: string[] = [];
  for (const kind of ['flash', 'ram'] as const) {
    const { lines, used, available, left } = budgeted[kind];
    for (const line of lines) rows.push(`  ${kind.padEnd(6)}${line.what.padEnd(26)}${String(line.bytes).padStart(10)}`);
    const percent = ((100 * used) / available).toFixed(1);
    rows.push(
      `  ${kind.padEnd(6)}${'used'.padEnd(26)}${String(used).padStart(10)} of ${available} (${percent} %), ` +
        (left >= 0 ? `${left} left` : `${-left} TOO MANY`),
    );
  }
  return rows.join('\n');
}
