/**
 * Project formats: the library as each build system's users expect to find it. A format is where the library's files go,
 * how constants are written, and the folder of firmware-templates/formats/ whose templates are laid over it.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Board } from '../boards/board.js';
import { crc32 } from '../runtime-ts/crc32.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { GoldenModel } from '../runtime-ts/golden.js';
import { emitLibrary, type Files } from './emit/emit.js';
import { renderTemplate, type Templates } from './emit/render.js';
import { libraryView, printableName } from './emit/view.js';
import { type Budget, refusal } from './plan/budget.js';
import type { Plan } from './plan/plan.js';
import { boardBudget, GENERATOR_VERSION } from './project.js';
import { packageTemplates } from './templates.js';

/** `bare` is not here: it has a board's port and is built at once (project.ts). */
export const FORMATS = ['plain', 'cmake', 'arduino', 'platformio', 'zephyr', 'esp-idf'] as const;

export type Format = (typeof FORMATS)[number];

/** Flash that the library takes beside its constants, on any core, with room for a build system's own start-up. */
const PROGRAM_FLASH_BYTES = 56 * 1024;

type Weights = 'incbin' | 'array';

interface Layout {
  /** Folder of fsvae.h and all that it needs; '' for the project's own. */
  readonly library: string;
  /** How constants may be written, the first unless told otherwise. */
  readonly weights: readonly [Weights, ...Weights[]];
  /** The kernels' assembler files are for Arm; they are empty elsewhere, and left out where no core is Arm's. */
  readonly assembler: boolean;
  /** Templates of formats/shared/ that are not the library's, by destination. */
  readonly shared: Readonly<Record<string, string>>;
}

const LAYOUTS: Readonly<Record<Format, Layout>> = {
  plain: { library: '', weights: ['array', 'incbin'], assembler: true, shared: { 'example.c': 'main.c' } },
  cmake: {
    library: 'fsvae/',
    weights: ['incbin', 'array'],
    assembler: true,
    shared: { 'example/main.c': 'main.c' },
  },
  // Arduino and PlatformIO compile on three operating systems, with whatever path the library has: no binary is looked for.
  arduino: {
    library: 'src/',
    weights: ['array'],
    assembler: true,
    shared: { 'examples/Draw/Draw.ino': 'sketch.cpp' },
  },
  platformio: {
    library: 'src/',
    weights: ['array'],
    assembler: true,
    shared: { 'examples/draw/src/main.cpp': 'sketch.cpp', 'examples/draw/src/main.c': 'main.c' },
  },
  zephyr: {
    library: 'src/',
    weights: ['incbin', 'array'],
    assembler: true,
    shared: { 'samples/draw/src/main.c': 'main.c' },
  },
  'esp-idf': {
    library: '',
    weights: ['incbin', 'array'],
    assembler: false,
    shared: { 'examples/draw/main/main.c': 'main.c' },
  },
};

/** Seeds whose images' hashes are generated into the project, for its example to compare with. */
export const GOLDEN_SEEDS: readonly bigint[] = [0n, 1n, 2n, 3n];

/** What a thread or task that draws is given; the deepest use measured is 1,488 bytes, and printing comes on top. */
const STACK_BYTES = 8192;

/** Names of Arduino's cores with 32-bit int and memory to speak of, as the boards' packages call them. */
const ARDUINO_ARCHITECTURES = [
  ...['mbed_giga', 'mbed_nano', 'mbed_nicla', 'mbed_portenta', 'mbed_rp2040', 'rp2040', 'renesas_portenta'],
  ...['renesas_uno', 'sam', 'samd', 'stm32', 'STM32F1', 'STM32F4', 'teensy', 'nrf52', 'esp32', 'esp8266'],
];

/** Of an ESP-IDF application: IDF itself, upper bound. */
const IDF_PROGRAM_BYTES = 512 * 1024;
const IDF_APP_OFFSET = 0x10000;
const IDF_APP_ALIGNMENT = 0x10000;

function idfMemory(weightBytes: number): { espAppBytes: string; espFlash: string } {
  const bytes = Math.ceil((weightBytes + IDF_PROGRAM_BYTES) / IDF_APP_ALIGNMENT) * IDF_APP_ALIGNMENT;
  const megabytes = [2, 4, 8, 16, 32].find((size) => IDF_APP_OFFSET + bytes <= size << 20) ?? 64;
  return { espAppBytes: `0x${bytes.toString(16)}`, espFlash: `${megabytes}MB` };
}

/**
 * A model's name as each format can carry it, whatever it was: `fsvae-my-model` (`slug`), `fsvae_my_model` (`identifier`,
 * of C and CMake), and `FSVAE my model` (`title`, letters, digits, blank, dot, dash, underscore).
 */
export function formatNames(modelName: string): { slug: string; identifier: string; title: string } {
  const clean = printableName(modelName);
  const word =
    clean
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'model';
  return {
    slug: `fsvae-${word}`,
    identifier: `fsvae_${word.replaceAll('-', '_')}`,
    title: `FSVAE ${clean.trim() || 'model'}`,
  };
}

/** Templates below a folder of firmware-templates/, by path in it, sorted. */
function templatesBelow(templates: Templates, folder: string): string[] {
  return [...templates.keys()]
    .filter((path) => path.startsWith(`${folder}/`))
    .map((path) => path.slice(folder.length + 1))
    .sort();
}

export interface FormatOptions {
  /** undefined: as the format does it. */
  readonly weights?: Weights;
}

/**
 * All files of a project in a format, by path in its folder. Same plan, same bytes.
 *
 * @throws FsvaeError `usage` when the format does not take constants in the form asked for
 */
export function formatFiles(plan: Plan, format: Format, options: FormatOptions = {}): Files {
  const layout = LAYOUTS[format];
  const weights = options.weights ?? layout.weights[0];
  if (!layout.weights.includes(weights)) {
    throw new FsvaeError(
      'usage',
      `${format} projects take constants as ${layout.weights.join(' or ')}, not as ${weights}`,
    );
  }
  const libraryOptions = { generatorVersion: GENERATOR_VERSION, weights };
  const templates = packageTemplates();
  const library = emitLibrary(plan, templates, libraryOptions);
  const golden = new GoldenModel(plan.model);
  const sources = [...library.keys(), 'fsvae_golden.c'].filter(
    (path) => path.endsWith('.c') || (path.endsWith('.S') && (layout.assembler || !path.startsWith('kernels/'))),
  );
  const base = libraryView(plan, libraryOptions);
  const constantBytes = base.weightBytes + (base.encoder?.weightBytes ?? 0);
  const view = {
    ...base,
    ...formatNames(plan.modelName),
    incbin: weights === 'incbin',
    constants: plan.encoder === undefined ? ['fsvae_weights'] : ['fsvae_weights', 'fsvae_encoder_weights'],
    constantBytes,
    sources: sources.sort(),
    goldenCount: GOLDEN_SEEDS.length,
    golden: GOLDEN_SEEDS.map((seed) => ({
      seed: String(seed),
      crc: `0x${crc32(golden.sample(seed)).toString(16).padStart(8, '0')}u`,
    })),
    // ESP-IDF's entry returns nothing; everywhere else the exit code counts the images that differ.
    entry: format === 'esp-idf' ? 'void app_main(void)' : 'int main(void)',
    returns: format !== 'esp-idf',
    stackBytes: STACK_BYTES,
    architectures: ARDUINO_ARCHITECTURES.join(','),
    minRamKib: Math.ceil((base.arenaBytes + base.imageBytes + STACK_BYTES) / 1024) + 16,
    minFlashKib: Math.ceil((constantBytes + PROGRAM_FLASH_BYTES) / 1024),
    ...idfMemory(constantBytes),
  };

  const files: Files = new Map();
  for (const [path, content] of library) files.set(layout.library + path, content);
  for (const name of ['fsvae_golden.h', 'fsvae_golden.c']) {
    files.set(layout.library + name, renderTemplate(templates, `formats/shared/${name}.hbs`, view));
  }
  for (const [path, name] of Object.entries(layout.shared)) {
    files.set(path, renderTemplate(templates, `formats/shared/${name}.hbs`, view));
  }
  for (const path of templatesBelow(templates, `formats/${format}`)) {
    files.set(path.replace(/\.hbs$/, ''), renderTemplate(templates, `formats/${format}/${path}`, view));
  }
  return files;
}

export interface FormatProject {
  readonly folder: string;
  readonly files: Files;
  /** undefined where no board was named, or it has no memory to fill. */
  readonly budget: Budget | undefined;
}

/**
 * Writes a project in a format.
 *
 * @param board for the fit answer; undefined: none is given
 * @throws FsvaeError `fit` when the board cannot hold the model, before anything is written; `usage` as formatFiles() does
 */
export function writeFormat(
  plan: Plan,
  board: Board | undefined,
  format: Format,
  folder: string,
  options: FormatOptions = {},
): FormatProject {
  const budgeted = board === undefined ? undefined : boardBudget(plan, board);
  if (budgeted?.fits === false) throw new FsvaeError('fit', refusal(budgeted));
  const files = formatFiles(plan, format, options);
  for (const [path, content] of files) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
  return { folder, files, budget: budgeted };
}
