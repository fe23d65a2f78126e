/** Opens what images are drawn by: a port, the emulator, or the host program; and makes sure it runs the right model. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Build } from '../codegen/project.js';
import { GENERATOR_VERSION } from '../codegen/project.js';
import { describeConstant } from '../codegen/plan/constants.js';
import type { EncoderPlan } from '../codegen/plan/encoder.js';
import { makePlan, type Plan } from '../codegen/plan/plan.js';
import { type Board, listBoards } from '../boards/board.js';
import { qemuFor, requireQemu } from '../emulator/qemu.js';
import type { BoardClient } from '../harness/client.js';
import { type ExpectedConstants, findDamage, formatDamage } from '../harness/constants.js';
import type { Hello } from '../harness/frame.js';
import { checkIdentity, generatorNote } from '../harness/identity.js';
import { type BoardProcess, startBoardProcess } from '../harness/process.js';
import { connectBoard, findBoardPort } from '../harness/serial.js';
import { SerialTarget } from '../harness/serial-target.js';
import type { Target } from '../harness/target.js';
import { crc32 } from '../runtime-ts/crc32.js';
import { wordBytes } from '../runtime-ts/words.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { LoadedModel } from './load-model.js';

function script(name: string): string {
  return fileURLToPath(new URL(`../emulator/${name}.js`, import.meta.url));
}

/**
 * The process that emulates a board, with its arguments.
 *
 * @throws FsvaeError `usage` for a board without an emulator; `toolchain` when the emulator is not installed
 */
function emulatorCommand(board: Board, build: Build, waits: boolean): string[] {
  if (board.emulator === 'qemu') {
    requireQemu(qemuFor(board.core));
    return [script('qemu-process'), board.core, board.machine!, build.programPath];
  }
  const link = board.link.kind === 'usb' ? ['--usb'] : [];
  if (board.emulator === 'rp2040js' && build.image?.uf2Path !== undefined) {
    return [
      script('rp2040-process'),
      build.image.uf2Path,
      String(board.memory!.flash.bytes),
      ...link,
      ...(waits ? ['--xip'] : []),
    ];
  }
  throw new FsvaeError('usage', `${board.name} has no emulator here: flash a real one and use stream --port`);
}

/** An emulated board reads all of its weights for the hello, many times slower than a real one. */
const HELLO_MS = 60_000;
/** No image takes longer, even emulated on a busy machine. */
const DRAW_MS = 300_000;

/** What a board must say of its encoder, if it has one. */
export interface ExpectedEncoder {
  readonly hash: string;
  readonly words: Uint32Array;
}

export interface ExpectedModel {
  readonly name: string;
  readonly hash: string;
  /** undefined: whatever encoder the board has, it is not used. */
  readonly encoder: ExpectedEncoder | undefined;
  /** As they may lie in the board's flash: their order is the plan's. */
  readonly constants: readonly ExpectedConstants[];
}

/** What a board must say that runs one of these plans of a model. */
export function expectedModel(...plans: [Plan, ...Plan[]]): ExpectedModel {
  const [{ modelName, modelHash, encoder }] = plans;
  const constants = plans.map((plan) => ({
    words: plan.weights.words,
    describe: (word: number, actual: number) => describeConstant(plan, word, actual),
  }));
  return {
    name: modelName,
    hash: modelHash,
    encoder: encoder && { hash: encoder.hash, words: encoder.weights.words },
    constants,
  };
}

/** What a board must say that runs this model, whatever board it is. @param encoder that it may have besides */
export function expectedAnywhere({ model, name }: LoadedModel, encoder?: EncoderPlan): ExpectedModel {
  return expectedModel(makePlan(model, name, { encoder }), makePlan(model, name, { arenaRoomBytes: 0, encoder }));
}

/** Boards with a USB device of their own, by which their ports are known. */
export function usbBoards(): { name: string; vendorId: number; productId: number }[] {
  return listBoards().flatMap(({ name, link }) => (link.usb === null ? [] : [{ name, ...link.usb }]));
}

/**
 * @param path of a port; `auto` looks for the one board that is there
 * @param note takes one line where something is worth a word but no error
 * @throws FsvaeError `link` when `auto` finds no board, or several
 */
export async function portPath(path: string, note: (line: string) => void): Promise<string> {
  if (path !== 'auto') return path;
  const found = await findBoardPort(usbBoards());
  note(`board found on ${found}`);
  return found;
}

/** A board or its emulator, with what it said of itself. */
export interface BoardTarget extends Target {
  readonly hello: Hello;
}

/**
 * @param note takes one line where something is worth a word but no error
 * @throws FsvaeError `link` when nothing answers, `model-mismatch` when another model does
 */
export async function openPort(
  path: string,
  baudRate: number,
  expected: ExpectedModel | undefined,
  note: (line: string) => void,
  helloMs?: number,
): Promise<BoardTarget> {
  const { client, hello } = await connectBoard(path, {
    baudRate,
    drawMs: DRAW_MS,
    ...(helloMs === undefined ? {} : { helloMs }),
  });
  try {
    if (expected !== undefined) {
      const weightChecksums = expected.constants.map(({ words }) => crc32(wordBytes(words)));
      const damage =
        hello.modelHash === expected.hash.slice(0, 16) && !weightChecksums.includes(hello.weightChecksum)
          ? await damageOf(client, expected.constants)
          : undefined;
      checkIdentity(
        hello,
        {
          model: expected.name,
          modelHash: expected.hash,
          weightChecksums,
          ...(damage === undefined ? {} : { damage }),
          flashCommand: `fsvae-codegen --board ${hello.board} --model ${expected.name}`,
        },
        path,
      );
    }
    const differs = generatorNote(hello, GENERATOR_VERSION);
    if (differs !== undefined) note(differs);
    const target = await SerialTarget.of(client);
    if (expected?.encoder !== undefined) requireEncoder(target, expected.encoder, expected.name, path);
    return target;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** @throws FsvaeError `model-mismatch` when a board has another encoder than the one expected, or a damaged one */
function requireEncoder(
  { encoder, hello }: SerialTarget,
  expected: ExpectedEncoder,
  model: string,
  path: string,
): void {
  if (encoder === undefined) return;
  const refuse = (why: string): never => {
    throw new FsvaeError('model-mismatch', `the board on ${path} ${why}`);
  };
  const mine = expected.hash.slice(0, 16);
  if (encoder.hash !== mine) {
    refuse(
      `has the encoder ${encoder.hash}, not ${mine}: give the --encoder-bits that it was built with, or flash it with ` +
        `fsvae-codegen flash --board ${hello.board} --model ${model} --parts full`,
    );
  }
  if (encoder.weightChecksum !== crc32(wordBytes(expected.words))) {
    refuse('has constants of its encoder that differ from those generated: its flash is damaged, flash it again');
  }
}

/** What is wrong with a board's constants, in words; undefined where the board is too old to be asked. */
async function damageOf(client: BoardClient, constants: readonly ExpectedConstants[]): Promise<string | undefined> {
  try {
    const damage = await findDamage((request) => client.constants(request), constants);
    return damage === undefined ? undefined : formatDamage(damage);
  } catch (error) {
    if (error instanceof FsvaeError && error.kind === 'model-mismatch') return undefined;
    throw error;
  }
}

/**
 * Starts a build that needs no hardware: in its emulator, in Node, or as a program of this machine.
 *
 * @param waits an emulated RP2040 counts waits for flash too
 */
export function startBoard(board: Board, build: Build, waits = false): Promise<BoardProcess> {
  if (board.core.startsWith('wasm')) {
    return startBoardProcess(process.execPath, [script('wasm-process'), dirname(dirname(build.programPath))]);
  }
  return board.memory === null
    ? startBoardProcess(build.programPath, [])
    : startBoardProcess(process.execPath, emulatorCommand(board, build, waits));
}

/** The same, opened and asked who it is. Closing ends it. */
export async function startBuild(
  board: Board,
  build: Build,
  expected: ExpectedModel,
  note: (line: string) => void,
  waits = false,
): Promise<BoardTarget> {
  const running = await startBoard(board, build, waits);
  try {
    const target = await openPort(running.path, board.link.baud, expected, note, HELLO_MS);
    return closingBoth(target, () => running.close());
  } catch (error) {
    await running.close();
    throw error;
  }
}

/** The target, with a close() that also ends what it runs on. */
function closingBoth(target: BoardTarget, end: () => Promise<void>): BoardTarget {
  return {
    hello: target.hello,
    name: target.name,
    shape: target.shape,
    cyclesPerSecond: target.cyclesPerSecond,
    sample: (seed) => target.sample(seed),
    decode: (latent) => target.decode(latent),
    trace: (seed) => target.trace(seed),
    spikes: (seed, layer, step) => target.spikes(seed, layer, step),
    membranes: (seed, layer, step, first, count) => target.membranes(seed, layer, step, first, count),
    ...(target.layerCycles === undefined ? {} : { layerCycles: () => target.layerCycles!() }),
    encoder: target.encoder,
    ...(target.constants === undefined ? {} : { constants: (request) => target.constants!(request) }),
    close: async () => {
      await target.close();
      await end();
    },
  };
}
