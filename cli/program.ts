/** The command line. Text for people on stderr and stdout, JSON on stdout alone; one line for an error; exit codes. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { type Board, listBoards, loadBoard } from '../boards/board.js';
import { readCheckpoint } from '../codegen/checkpoint/checkpoint.js';
import { readNpz } from '../codegen/checkpoint/npz.js';
import { checkRecordedRun, formatCheckReport } from '../codegen/float/check.js';
import { denseOperations } from '../codegen/emit/view.js';
import { readFloatModel } from '../codegen/float/network.js';
import type { CompilerChoice } from '../codegen/image/toolchain.js';
import { formatBudget } from '../codegen/plan/budget.js';
import { predictCost } from '../codegen/plan/cost.js';
import type { Plan } from '../codegen/plan/plan.js';
import {
  boardBudget,
  type Build,
  buildProject,
  GENERATOR_VERSION,
  planFor,
  type Project,
  writeProject,
} from '../codegen/project.js';
import { formatActivity, formatQuantizationReport, quantizationReport } from '../codegen/quantize/report.js';
import { XIP_CACHE } from '../emulator/xip-cache.js';
import { pngGrid, terminalColor, terminalGrid } from '../harness/picture.js';
import { startProgress } from '../harness/progress.js';
import { boardsAt, listPorts } from '../harness/serial.js';
import { formatStreamResult, stream } from '../harness/stream.js';
import type { Target } from '../harness/target.js';
import { formatVerifyResult, verify, verifyResultJson } from '../harness/verify.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { GoldenModel } from '../runtime-ts/golden.js';
import { encodeModel, modelHash } from '../runtime-ts/model-file.js';
import { proveBounds, signedBits } from '../runtime-ts/bounds.js';
import { meanWork } from '../runtime-ts/work.js';
import { convertCheckpoint } from './convert.js';
import { evaluateCommand, type EvaluateFlags } from './evaluate.js';
import { EXIT_CODES } from './exit-codes.js';
import { DEFAULT_MODEL, type LoadedModel, loadModel, type ModelOptions } from './load-model.js';
import { expectedAnywhere, expectedModel, openPort, startBuild } from './targets.js';
import { trainCommand, type TrainFlags } from './train.js';

/** What the command line needs of its process; tests give their own. */
export interface Terminal {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1_000_000) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 1000000.');
  }
  return value;
}

/** A 64-bit seed, decimal or 0x hexadecimal. */
function seed(text: string): bigint {
  if (!/^(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text) || BigInt(text) >> 64n !== 0n) {
    throw new InvalidArgumentError('It must be a number from 0 to 2^64 - 1, decimal or 0x hexadecimal.');
  }
  return BigInt(text);
}

function realNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** Writes a file, and the folders that it needs. */
function writeNew(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

interface BuildFlags extends ModelOptions {
  readonly board: string;
  readonly out?: string;
  readonly compiler: CompilerChoice;
  readonly weights?: 'incbin' | 'array';
}

interface DrawFlags {
  readonly images: number;
  readonly seed: bigint;
  readonly png?: string;
  readonly json?: boolean;
}

/** Images whose spikes `inspect` counts. */
const INSPECTED_IMAGES = 8;

/** Everything that a command does, with its output. */
class Commands {
  constructor(private readonly terminal: Terminal) {}

  private say(text: string): void {
    this.terminal.stdout.write(`${text}\n`);
  }

  /** For people, also while stdout carries JSON. */
  private note(text: string): void {
    this.terminal.stderr.write(`${text}\n`);
  }

  private describe({ name, model }: LoadedModel): string {
    const { channels, imageSize, timeSteps, latentChannels, choices } = model.config;
    return (
      `model ${name}: ${channels} x ${imageSize} x ${imageSize} pixels, T = ${timeSteps}, C = ${latentChannels}, ` +
      `k = ${choices}, hash ${modelHash(model).slice(0, 16)}`
    );
  }

  private async build(
    board: Board,
    flags: BuildFlags,
    loaded: LoadedModel,
    talk: (line: string) => void,
  ): Promise<BuiltProject> {
    const plan = planFor(loaded.model, loaded.name, board);
    const budgeted = boardBudget(plan, board);
    if (budgeted !== undefined) talk(`fit on ${board.title}:\n${formatBudget(budgeted)}`);
    const folder = flags.out ?? join('build', `${board.name}-${loaded.name}`);
    const project = writeProject(plan, board, folder, flags.weights === undefined ? {} : { weights: flags.weights });
    talk(`wrote ${project.files.size} files to ${folder}`);
    const started = performance.now();
    const built = await buildProject(project, { compiler: flags.compiler });
    if (built.diagnostics !== '') this.note(built.diagnostics.trimEnd());
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

  async generate(flags: BuildFlags & { json?: boolean }): Promise<void> {
    const board = loadBoard(flags.board); // before the model is read: a wrong name costs no wait
    const loaded = loadModel(flags);
    const talk = (line: string): void => (flags.json === true ? this.note(line) : this.say(line));
    talk(this.describe(loaded));
    const { plan, project, build } = await this.build(board, flags, loaded, talk);
    if (flags.json === true) {
      this.say(
        JSON.stringify({
          board: board.name,
          model: { name: loaded.name, hash: plan.modelHash },
          folder: project.folder,
          program: build.programPath,
          uf2: build.image?.uf2Path ?? null,
          bin: build.image?.binPath ?? null,
          compiler: build.toolchain.version,
          budget: project.budget ?? null,
          flashUsed: build.image?.flashUsed ?? null,
          ramUsed: build.image?.ramUsed ?? null,
        }),
      );
      return;
    }
    this.say(build.image?.uf2Path ?? build.programPath);
    this.say(
      board.flashing.replaceAll('FILE.uf2', build.image?.uf2Path ?? '').replaceAll('FILE.elf', build.programPath),
    );
    if (board.emulator !== null)
      this.say(`Try it without a board: fsvae-codegen simulate --board ${board.name} --model ${flags.model}`);
    else if (board.memory === null)
      this.say(`Try it: fsvae-codegen simulate --board ${board.name} --model ${flags.model}`);
  }

  async quantize(flags: ModelOptions & { out?: string; samples: number; json?: boolean }): Promise<void> {
    const loaded = loadModel(flags);
    if (loaded.float === undefined) throw new FsvaeError('usage', `${loaded.path} is quantized already`);
    if (flags.json !== true) this.say(this.describe(loaded));
    const progress = startProgress({ stream: this.terminal.stderr, label: 'samples compared', total: flags.samples });
    let report;
    try {
      report = quantizationReport(loaded.float, loaded.model, flags.samples, 0n, (done) => progress.update(done));
    } finally {
      progress.stop();
    }
    if (flags.out !== undefined) {
      writeNew(flags.out, encodeModel(loaded.model, { name: loaded.name, generator: GENERATOR_VERSION }));
    }
    if (flags.json === true) {
      const json = { hash: modelHash(loaded.model), ...report, firstSeed: String(report.firstSeed) };
      this.say(JSON.stringify(json));
      return;
    }
    this.say(formatQuantizationReport(report));
    if (flags.out !== undefined) this.say(`wrote ${flags.out}, model ${modelHash(loaded.model)}`);
  }

  inspect(flags: ModelOptions & { json?: boolean }): void {
    const loaded = loadModel(flags);
    const { model } = loaded;
    const bounds = proveBounds(model);
    const plan = planFor(model, loaded.name, loadBoard('rp2040'));
    const golden = new GoldenModel(model);
    const activity = meanWork(Array.from({ length: INSPECTED_IMAGES }, (_, i) => golden.work(BigInt(i))));
    const { cycles, coreCycles, waitCycles } = predictCost(plan, activity, XIP_CACHE);
    const layers = [...model.prior, model.decoderInput, ...model.decoder].map((layer, i) => ({
      name: layer.name,
      weights: layer.weight.length,
      weightBits: layer.weightBits,
      fractionBits: layer.fractionBits,
      denseOperations: denseOperations(layer),
      sum: bounds.layers[i].sum,
      membrane: bounds.layers[i].membrane,
      membraneBits: signedBits(bounds.layers[i].membrane),
      threshold: bounds.layers[i].threshold,
    }));
    if (flags.json === true) {
      this.say(
        JSON.stringify({
          name: loaded.name,
          hash: modelHash(model),
          kind: loaded.float === undefined ? 'integer model' : 'checkpoint',
          config: model.config,
          leak: model.leak,
          layers,
          readout: bounds.readout,
          activity: { images: INSPECTED_IMAGES, ...activity },
          predicted: { core: 'cortex-m0plus', cycles, coreCycles, waitCycles },
        }),
      );
      return;
    }
    this.say(
      `${this.describe(loaded)} (${loaded.float === undefined ? 'integer model' : 'checkpoint, quantized here'})`,
    );
    this.say(`${''.padEnd(2)}${'layer'.padEnd(20)}${'weights'.padStart(10)}  bits  F  ${'membrane'.padEnd(20)} needs`);
    for (const layer of layers) {
      this.say(
        `  ${layer.name.padEnd(20)}${String(layer.weights).padStart(10)}  ${String(layer.weightBits).padStart(4)}  ` +
          `${layer.fractionBits}  ${`${layer.membrane.min} .. ${layer.membrane.max}`.padEnd(20)} ${layer.membraneBits} bits`,
      );
    }
    const { readout } = model;
    this.say(
      `  ${readout.name.padEnd(20)}${String(readout.weight.length).padStart(10)}  ${String(readout.weightBits).padStart(4)}  ` +
        `-  ${`${bounds.readout.membrane.min} .. ${bounds.readout.membrane.max}`.padEnd(20)} ${signedBits(bounds.readout.membrane)} bits`,
    );
    this.say(`${formatActivity(activity)} of seeds 0 .. ${INSPECTED_IMAGES - 1}`);
    this.say(
      `predicted for a Cortex-M0+ that reads flash as the RP2040 does: ${(cycles / 1e6).toFixed(1)} million cycles an image, ` +
        `${(waitCycles / 1e6).toFixed(1)} of them waits for flash`,
    );
    for (const board of listBoards()) {
      const budgeted = boardBudget(planFor(model, loaded.name, board), board);
      if (budgeted === undefined) continue;
      const { flash, ram, fits } = budgeted;
      this.say(
        `on ${board.name}: ${fits ? 'fits' : 'does NOT fit'}; flash ${flash.used} of ${flash.available}, RAM ${ram.used} of ${ram.available}` +
          (fits ? '' : `; ${budgeted.remedies.join(', or ')}`),
      );
    }
  }

  boards(flags: { json?: boolean }): void {
    const rows = listBoards().map((board) => ({
      name: board.name,
      title: board.title,
      core: board.core,
      clockHz: board.clockHz,
      flash: board.memory?.flash.bytes ?? null,
      ram: board.memory?.ram.bytes ?? null,
      link: board.link.text,
      emulator: board.emulator,
    }));
    if (flags.json === true) {
      this.say(JSON.stringify(rows));
      return;
    }
    const kib = (bytes: number | null): string => (bytes === null ? '-' : `${bytes / 1024} KiB`);
    this.say(
      `${'board'.padEnd(12)}${'core'.padEnd(16)}${'flash'.padEnd(10)}${'RAM'.padEnd(10)}${'emulator'.padEnd(10)}link`,
    );
    for (const row of rows) {
      this.say(
        row.name.padEnd(12) +
          row.core.padEnd(16) +
          kib(row.flash).padEnd(10) +
          kib(row.ram).padEnd(10) +
          (row.emulator ?? '-').padEnd(10) +
          row.link,
      );
    }
  }

  async ports(flags: { json?: boolean }): Promise<void> {
    const known = listBoards().flatMap(({ name, link }) => (link.usb === null ? [] : [{ name, ...link.usb }]));
    const ports = (await listPorts()).map((port) => ({ ...port, boards: boardsAt(port, known) }));
    if (flags.json === true) this.say(JSON.stringify(ports));
    else if (ports.length === 0) this.say('no serial ports');
    else
      for (const { boards, ...port } of ports) {
        const mark = boards.length === 0 ? [] : [`may be ${boards.join(' or ')}`];
        this.say([...Object.values(port).filter(Boolean), ...mark].join('  '));
      }
  }

  /** Draws and compares; the end of every road. */
  private async draw(target: Target, golden: GoldenModel | undefined, flags: DrawFlags): Promise<void> {
    const shape = { channels: target.shape.channels, size: target.shape.imageSize };
    const images: Uint8Array[] = [];
    const progress = startProgress({ stream: this.terminal.stderr, label: 'images', total: flags.images });
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
      this.say(
        JSON.stringify({
          target: target.name,
          compared: golden !== undefined,
          bitExact: golden === undefined ? null : result.mismatches === 0,
          ...numbers,
          differences: differences.map((at) => ({ ...at, seed: String(at.seed) })),
        }),
      );
    } else {
      this.picture(images, shape);
      this.say(formatStreamResult(result, golden !== undefined));
      if (flags.png !== undefined) this.say(`picture: ${flags.png}`);
      if (golden !== undefined) this.say(`${result.done - result.mismatches} of ${result.done} images bit-exact`);
    }
    if (result.mismatches > 0) {
      throw new FsvaeError(
        'mismatch',
        `${result.mismatches} of ${result.done} images of ${target.name} differ from the golden model; ` +
          'find the first wrong neuron with fsvae-codegen verify',
      );
    }
  }

  private picture(images: readonly Uint8Array[], shape: { channels: number; size: number }): void {
    const { stdout, env } = this.terminal;
    const columns = Math.min(stdout.columns ?? 80, 4 * (shape.size + 1) - 1);
    this.say(terminalGrid(images.slice(0, 16), shape, terminalColor(stdout, env), 4, columns));
  }

  async simulate(flags: BuildFlags & DrawFlags): Promise<void> {
    const board = loadBoard(flags.board);
    const loaded = loadModel(flags);
    const talk = (line: string): void => (flags.json === true ? this.note(line) : this.say(line));
    talk(this.describe(loaded));
    const { plan, build } = await this.build(board, flags, loaded, talk);
    talk(
      board.memory === null
        ? `starting ${build.programPath}`
        : `starting ${board.title} in the emulator, from ${build.image?.uf2Path ?? build.programPath}`,
    );
    const target = await startBuild(board, build, expectedModel(plan), (line) => this.note(line));
    try {
      talk(`${target.name}: hello, it runs model ${loaded.name} and its weights are whole`);
      await this.draw(target, new GoldenModel(loaded.model), flags);
    } finally {
      await target.close();
    }
  }

  async stream(flags: ModelOptions & DrawFlags & { port: string; baud: number; compare: boolean }): Promise<void> {
    const loaded = flags.compare ? loadModel(flags) : undefined;
    const expected = loaded === undefined ? undefined : expectedAnywhere(loaded);
    const target = await openPort(flags.port, flags.baud, expected, (line) => this.note(line));
    try {
      await this.draw(target, loaded === undefined ? undefined : new GoldenModel(loaded.model), flags);
    } finally {
      await target.close();
    }
  }

  async verify(
    flags: BuildFlags & DrawFlags & { port?: string; simulate?: boolean; baud: number; keepGoing?: boolean },
  ): Promise<void> {
    if ((flags.port === undefined) === (flags.simulate !== true)) {
      throw new FsvaeError('usage', 'verify needs either --port PATH, or --simulate with --board NAME');
    }
    const board = loadBoard(flags.board);
    const loaded = loadModel(flags);
    const golden = new GoldenModel(loaded.model);
    const talk = (line: string): void => (flags.json === true ? this.note(line) : this.say(line));
    let target: Target;
    if (flags.port !== undefined) {
      const expected = expectedAnywhere(loaded);
      target = await openPort(flags.port, flags.baud, expected, (line) => this.note(line));
    } else {
      const { plan, build } = await this.build(board, flags, loaded, talk);
      target = await startBuild(board, build, expectedModel(plan), (line) => this.note(line));
    }
    const progress = startProgress({ stream: this.terminal.stderr, label: 'seeds', total: flags.images });
    try {
      const result = await verify(target, golden, {
        firstSeed: flags.seed,
        count: flags.images,
        keepGoing: flags.keepGoing === true,
        onProgress: (done, mismatches) =>
          progress.update(done, mismatches === 0 ? 'equal' : `${mismatches} mismatches`),
      });
      progress.stop();
      this.say(flags.json === true ? verifyResultJson(result) : formatVerifyResult(result));
      if (!result.equal) throw new FsvaeError('mismatch', `${target.name} does not give the golden model's bits`);
    } finally {
      progress.stop();
      await target.close();
    }
  }

  sample(flags: ModelOptions & DrawFlags): void {
    const loaded = loadModel(flags);
    const golden = new GoldenModel(loaded.model);
    const shape = { channels: loaded.model.config.channels, size: loaded.model.config.imageSize };
    const images: Uint8Array[] = [];
    const progress = startProgress({ stream: this.terminal.stderr, label: 'images', total: flags.images });
    for (let i = 0; i < flags.images; i++) {
      images.push(golden.sample(BigInt.asUintN(64, flags.seed + BigInt(i))));
      progress.update(i + 1);
    }
    progress.stop();
    if (flags.png !== undefined) {
      writeNew(flags.png, pngGrid(images, shape, { scale: 4 }));
    }
    this.say(this.describe(loaded));
    this.picture(images, shape);
    if (flags.png !== undefined) this.say(`picture: ${flags.png}`);
  }

  check(checkpoint: string, vectors: string, flags: { tau?: number; threshold?: number; json?: boolean }): void {
    const float = readFloatModel(readCheckpoint(checkpoint), {
      ...(flags.tau === undefined ? {} : { tau: flags.tau }),
      ...(flags.threshold === undefined ? {} : { threshold: flags.threshold }),
    });
    const report = checkRecordedRun(float, readNpz(vectors));
    this.say(flags.json === true ? JSON.stringify(report) : formatCheckReport(report));
    if (!report.passed) {
      throw new FsvaeError('mismatch', `${checkpoint} does not reproduce the run recorded in ${vectors}`);
    }
  }

  convert(checkpoint: string, flags: { out: string }): void {
    const bytes = convertCheckpoint(readCheckpoint(checkpoint));
    writeNew(flags.out, bytes);
    this.say(`wrote ${flags.out}: what generation needs of ${checkpoint}, ${bytes.length} bytes`);
  }

  train(flags: TrainFlags): Promise<void> {
    return trainCommand(flags, { stderr: this.terminal.stderr, say: (line) => this.say(line) });
  }

  evaluate(checkpoint: string, flags: EvaluateFlags): Promise<void> {
    return evaluateCommand(checkpoint, flags, { stderr: this.terminal.stderr, say: (line) => this.say(line) });
  }
}

interface BuiltProject {
  readonly plan: Plan;
  readonly project: Project;
  readonly build: Build;
}

const EXAMPLES = `
Examples:
  fsvae-codegen --board rp2040                          generate C, build firmware for a Raspberry Pi Pico
  fsvae-codegen simulate --board rp2040 --images 16     draw with the emulated Pico, compare every bit
  fsvae-codegen stream --port /dev/ttyACM0              draw with a real one
  fsvae-codegen verify --port /dev/ttyACM0 --images 64  compare every spike; on a difference, name the neuron
  fsvae-codegen quantize my.pth --bits prior=4 -o my.int.safetensors
  fsvae-codegen inspect my.pth --threshold-scale 1.05   fewer spikes: how many, and what an image then costs

Exit codes: 0 ok, 1 bits differ, 2 usage, 3 bad input file, 4 does not fit, 5 toolchain, 6 serial link,
            7 another model on the board, 8 the training diverged, 70 a defect of this program
`;

function withModel(command: Command): Command {
  return command
    .option('-m, --model <name|file>', 'shipped model, checkpoint (.pth, .safetensors) or integer model', DEFAULT_MODEL)
    .option('--bits <list>', 'weight bits of a checkpoint: 8, 4, or a list such as 8,prior=4 (default 8)')
    .option('--tau <number>', 'leak of the checkpoint, a multiple of 1/256 (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold of the checkpoint (default 0.2)', realNumber)
    .option(
      '--threshold-scale <list>',
      'fewer spikes above 1: thresholds times 0.25 to 4, or a list such as 1,decoder=1.1',
    );
}

function withBuild(command: Command, board: 'required' | 'defaulted'): Command {
  const option = new Option('-b, --board <name|file>', 'board by name, or a board file');
  command.addOption(board === 'required' ? option.makeOptionMandatory() : option.default('rp2040'));
  return withModel(command)
    .option('-o, --out <folder>', 'where the project goes (default build/BOARD-MODEL)')
    .addOption(
      new Option('--compiler <kind>', 'which compiler').choices(['auto', 'gcc', 'clang', 'zig']).default('auto'),
    )
    .addOption(new Option('--weights <form>', 'how constants are written').choices(['incbin', 'array']));
}

function seedOption(): Option {
  return new Option('-s, --seed <number>', 'first seed, 64 bits; the others follow it')
    .argParser(seed)
    .default(0n, '0');
}

function withDraw(command: Command, images: number): Command {
  return command
    .option('-n, --images <count>', 'how many', positiveInteger, images)
    .addOption(seedOption())
    .option('--json', 'one JSON object on stdout');
}

/** @returns the program, without running it */
export function makeProgram(terminal: Terminal): Command {
  const commands = new Commands(terminal);
  const program = new Command('fsvae-codegen')
    .description('Puts a Fully Spiking VAE on a microcontroller, bit for bit like its golden model.')
    .version(GENERATOR_VERSION)
    .showHelpAfterError(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: () => undefined,
    })
    .addHelpText('after', EXAMPLES);

  const generate = withBuild(program.command('generate', { isDefault: true }), 'required')
    .summary('generate C and build firmware; this is what happens without a subcommand')
    .description('Generates the C project of a model for a board, and builds it.')
    .option('--json', 'one JSON object on stdout')
    .action((flags: BuildFlags & { json?: boolean }) => commands.generate(flags));
  generate.addHelpText('after', EXAMPLES);

  withDraw(withBuild(program.command('simulate'), 'defaulted'), 16)
    .description(
      'Builds, starts the board in its emulator, and streams images from it, each compared with the golden model.',
    )
    .option('--png <file>', 'write a picture of all images')
    .action((flags: BuildFlags & DrawFlags) => commands.simulate(flags));

  withDraw(withModel(program.command('stream')), 16)
    .description('Streams images from a board, each compared with the golden model.')
    .requiredOption('-p, --port <path>', 'serial port of the board')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--no-compare', 'only draw; whatever model the board runs')
    .option('--png <file>', 'write a picture of all images')
    .action((flags) =>
      commands.stream(flags as ModelOptions & DrawFlags & { port: string; baud: number; compare: boolean }),
    );

  withDraw(withBuild(program.command('verify'), 'defaulted'), 16)
    .description('Compares digests of every spike; on a difference, finds the first wrong layer, step and neuron.')
    .option('-p, --port <path>', 'serial port of the board')
    .option('--simulate', 'build for --board and use its emulator instead')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--keep-going', 'go on after the first difference')
    .action((flags: BuildFlags & DrawFlags & { port?: string; baud: number }) => commands.verify(flags));

  withModel(program.command('sample'))
    .description('Draws images with the golden model, here.')
    .option('-n, --images <count>', 'how many', positiveInteger, 16)
    .addOption(seedOption())
    .option('--png <file>', 'write a picture of all images')
    .action((flags: ModelOptions & DrawFlags) => commands.sample(flags));

  withModel(program.command('quantize').argument('[checkpoint]', 'instead of --model'))
    .description('Quantizes a checkpoint and reports what that changed, layer by layer.')
    .option('-o, --out <file>', 'write the integer model (safetensors)')
    .option('--samples <count>', 'samples to compare on', positiveInteger, 8)
    .option('--json', 'one JSON object on stdout')
    .action((checkpoint: string | undefined, flags: ModelOptions & { out?: string; samples: number; json?: boolean }) =>
      commands.quantize({ ...flags, model: checkpoint ?? flags.model }),
    );

  withModel(program.command('inspect').argument('[model]', 'instead of --model'))
    .description(
      'Shows what is in a checkpoint or an integer model: proven bounds, spikes an image, and which boards hold it.',
    )
    .option('--json', 'one JSON object on stdout')
    .action((model: string | undefined, flags: ModelOptions & { json?: boolean }) =>
      commands.inspect({ ...flags, model: model ?? flags.model }),
    );

  program
    .command('check')
    .argument('<checkpoint>', 'a checkpoint')
    .argument('<vectors>', 'an .npz file with a recorded run (docs/recording.md)')
    .description("Proves an import: reproduces a recorded PyTorch run's spikes and images.")
    .option('--tau <number>', 'leak (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold (default 0.2)', realNumber)
    .option('--json', 'one JSON object on stdout')
    .action((checkpoint: string, vectors: string, flags: { tau?: number; threshold?: number; json?: boolean }) =>
      commands.check(checkpoint, vectors, flags),
    );

  program
    .command('convert')
    .argument('<checkpoint>', 'a checkpoint')
    .description('Writes the tensors that generation needs as one safetensors file, bit for bit.')
    .requiredOption('-o, --out <file>', 'the file to write')
    .action((checkpoint: string, flags: { out: string }) => commands.convert(checkpoint, flags));

  program
    .command('train')
    .description('Trains a network; quantize, generate and the other commands take what it writes.')
    .requiredOption('-c, --config <file>', 'what to train and how, JSON (docs/training.md)')
    .requiredOption('-d, --data <name|folder>', 'mnist, fashion-mnist, or a folder of idx, CIFAR10 or PNG files')
    .requiredOption('-o, --out <folder>', 'where checkpoint, network, log and pictures go')
    .option('--resume', 'go on with the run in that folder')
    .option('--from <checkpoint>', 'begin with the weights of a checkpoint that has encoder and posterior: fine-tuning')
    .option('--limit <images>', 'use no more images than this', positiveInteger)
    .option('--steps <count>', 'stop once so many steps are done in all', positiveInteger)
    .action((flags: TrainFlags) => commands.train(flags));

  program
    .command('eval')
    .argument('<checkpoint>', 'a checkpoint with encoder and posterior')
    .description('Reconstructs test images with the float network and with its integer decoder.')
    .requiredOption('-d, --data <name|folder>', 'mnist, fashion-mnist, or a folder of idx, CIFAR10 or PNG files')
    .addOption(new Option('--split <half>', 'which half of the data').choices(['train', 'test']).default('test'))
    .option('-n, --images <count>', 'how many, from the first', positiveInteger, 1000)
    .option('--bits <list>', 'weight bits of the integer decoder (default 8)')
    .option('--tau <number>', 'leak of the checkpoint, a multiple of 1/256 (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold of the checkpoint (default 0.2)', realNumber)
    .option('--json', 'one JSON object on stdout')
    .action((checkpoint: string, flags: EvaluateFlags) => commands.evaluate(checkpoint, flags));

  program
    .command('boards')
    .description('Lists the boards.')
    .option('--json', 'an array of objects on stdout')
    .action((flags: { json?: boolean }) => commands.boards(flags));

  program
    .command('ports')
    .description('Lists the serial ports.')
    .option('--json', 'an array of objects on stdout')
    .action((flags: { json?: boolean }) => commands.ports(flags));

  for (const command of program.commands) {
    command.exitOverride().showHelpAfterError(false);
    command.configureOutput({ writeOut: (text) => void terminal.stdout.write(text), writeErr: () => undefined });
  }
  return program;
}

/** One line, whatever it was. */
function oneLine(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

/**
 * Runs a command line.
 *
 * @param args without node and program
 * @returns the exit code; every failure has written one line to stderr
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await makeProgram(terminal).parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      terminal.stderr.write(`fsvae-codegen: ${oneLine(error.message)}; see fsvae-codegen --help\n`);
      return EXIT_CODES.usage;
    }
    if (error instanceof FsvaeError) {
      terminal.stderr.write(`fsvae-codegen: ${oneLine(error.message)}\n`);
      return EXIT_CODES[error.kind];
    }
    const system = error as NodeJS.ErrnoException;
    if (typeof system.code === 'string' && system.syscall !== undefined) {
      terminal.stderr.write(`fsvae-codegen: cannot ${system.syscall} ${system.path ?? ''}: ${system.code}\n`);
      return EXIT_CODES.usage;
    }
    const text =
      error instanceof Error ? (terminal.env.FSVAE_DEBUG !== undefined ? error.stack : error.message) : error;
    terminal.stderr.write(
      `fsvae-codegen: a defect of this program: ${oneLine(String(text))}; set FSVAE_DEBUG=1 for where\n`,
    );
    return EXIT_CODES.internal;
  }
}
