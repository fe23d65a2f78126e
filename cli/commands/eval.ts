/** `fsvae-codegen eval`: how good a network's images are, in float, as integers, and as a board draws them. */

import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { loadBoard } from '../../boards/board.js';
import { type Checkpoint, parseCheckpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { startProgress, timeLeft } from '../../harness/progress.js';
import { stream } from '../../harness/stream.js';
import type { Target } from '../../harness/target.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import type { IntegerModel } from '../../runtime-ts/model.js';
import { packLatent } from '../../runtime-ts/spike-bits.js';
import { meanWork } from '../../runtime-ts/work.js';
import { buildFor } from '../build.js';
import { holdsIntegerModel, type LoadedModel, loadModel, readModelBytes } from '../load-model.js';
import { positiveInteger, realNumber, seedOption } from '../options.js';
import { expectedAnywhere, expectedModel, openPort, startBuild } from '../targets.js';
import type { Output } from '../terminal.js';
import { loadMetrics } from '../training.js';

interface EvaluateFlags {
  readonly data?: string;
  readonly split: 'train' | 'test';
  readonly images?: number;
  readonly bits?: readonly string[];
  readonly tau?: number;
  readonly threshold?: number;
  readonly thresholdScale?: string;
  readonly samples: number;
  readonly seed: bigint;
  readonly autoencoder?: string;
  readonly statistics?: string;
  readonly inception?: string;
  readonly inceptionRange: '255' | '1' | 'symmetric' | 'imagenet';
  readonly inceptionResize: 'bilinear' | 'bicubic';
  readonly inceptionStatistics?: string;
  readonly operations?: boolean;
  readonly port?: string;
  readonly baud: number;
  readonly simulate?: boolean;
  readonly board: string;
  readonly streamed: number;
  readonly json?: boolean;
  readonly markdown?: boolean;
}

/** Samples whose spikes are counted in a golden model. */
const COUNTED_SAMPLES = 16;

// Types by way of the loader: nothing here reaches into training/ before it is asked to.
type Toolbox = Awaited<ReturnType<typeof loadMetrics>>;
type EvaluationReport = Parameters<Toolbox['formatEvaluation']>[0];
type OperationsReport = NonNullable<EvaluationReport['operations']>;
type ResultRow = EvaluationReport['rows'][number];
type Scores = NonNullable<ResultRow['scores']>;
type Batches = Parameters<Toolbox['scoreImages']>[0];
type Metrics = Parameters<Toolbox['scoreImages']>[1];

/** An integer model under evaluation, and what its reconstructions came to. */
interface Golden {
  readonly loaded: LoadedModel;
  readonly title: string;
  readonly golden: GoldenModel;
  reconstruction: number | undefined;
}

/** A latent of the float posterior and the golden model's image of it, for a board to draw again. */
interface Reconstructed {
  readonly latent: Uint8Array;
  readonly image: Uint8Array;
}

function weightBits({ prior, decoderInput, decoder, readout }: IntegerModel): string {
  const bits = new Set([...prior, decoderInput, ...decoder, readout].map((layer) => layer.weightBits));
  return [...bits].sort().join(' and ');
}

function loadGoldens(path: string, flags: EvaluateFlags): Golden[] {
  const { tau, threshold, thresholdScale } = flags;
  return (flags.bits ?? [undefined]).map((bits) => {
    const loaded = loadModel({
      model: path,
      ...(bits === undefined ? {} : { bits }),
      ...(tau === undefined ? {} : { tau }),
      ...(threshold === undefined ? {} : { threshold }),
      ...(thresholdScale === undefined ? {} : { thresholdScale }),
    });
    const list = bits !== undefined && /\D/.test(bits) ? ` (${bits})` : '';
    const title = `int${weightBits(loaded.model)} golden model${list}`;
    return { loaded, title, golden: new GoldenModel(loaded.model), reconstruction: undefined };
  });
}

function checkFlags(flags: EvaluateFlags): void {
  const refuse = (why: string): never => {
    throw new FsvaeError('usage', why);
  };
  if (flags.statistics !== undefined && flags.autoencoder === undefined) {
    refuse('--statistics are those of an --autoencoder FILE');
  }
  if (flags.autoencoder !== undefined && flags.statistics === undefined && flags.data === undefined) {
    refuse('--autoencoder needs --statistics FILE, or --data to take them from');
  }
  if (flags.inceptionStatistics !== undefined && flags.inception === undefined) {
    refuse('--inception-statistics are those of an --inception FILE');
  }
  if (flags.port !== undefined && flags.simulate === true) refuse('--port and --simulate exclude each other');
  if (flags.json === true && flags.markdown === true) refuse('--json and --markdown exclude each other');
}

class Evaluation {
  /** undefined for an integer model. */
  private readonly checkpoint: Checkpoint | undefined;
  /** None of an ANN VAE. */
  private readonly goldens: readonly Golden[];
  private readonly config: Pick<IntegerModel['config'], 'channels' | 'imageSize'>;
  private readonly reconstructed: Reconstructed[] = [];
  private metrics: Metrics = {};

  constructor(
    private readonly output: Output,
    private readonly tools: Toolbox,
    model: string,
    private readonly flags: EvaluateFlags,
  ) {
    const { bytes, path } = readModelBytes(model);
    this.checkpoint = holdsIntegerModel(bytes) ? undefined : parseCheckpoint(bytes, path);
    if (this.checkpoint?.tensors.has('fc_mu.weight') === true) {
      if (flags.port !== undefined || flags.simulate === true || flags.bits !== undefined) {
        throw new FsvaeError('usage', `${path} is an ANN VAE: it has no golden model, and no board runs it`);
      }
      this.goldens = [];
      this.config = tools.readBaseline(this.checkpoint).config.model;
    } else {
      this.goldens = loadGoldens(model, flags);
      this.config = this.goldens[0].loaded.model.config;
    }
  }

  async run(): Promise<EvaluationReport> {
    const { flags, tools, goldens } = this;
    await tools.startEngine();
    this.metrics = await this.openMetrics();
    if (goldens.length === 0) return this.annVae(this.checkpoint!);
    const { loaded } = goldens[0];
    const float = this.openFloat();
    const rows: ResultRow[] = [];
    let images = 0;
    let operations: OperationsReport | undefined;

    if (float !== undefined) {
      const { config, parameters, whole } = float;
      const model = new tools.Fsvae(config, parameters);
      const reconstructing = new tools.OperationCounter(config.model, model);
      const sampling = new tools.OperationCounter(config.model, model);
      const counted = flags.operations === true;
      let reconstruction: number | undefined;
      if (whole && flags.data !== undefined) {
        const watch = counted ? reconstructing.watch.bind(reconstructing) : undefined;
        [reconstruction, images] = this.reconstruct(model, config.model, flags.data, watch);
      } else {
        const lacks = whole ? 'no --data' : `${loaded.path} has no encoder`;
        this.output.note(`no reconstructions: ${lacks}`);
      }
      const total = tools.wholeBatches(this.scored ? flags.samples : counted ? 1 : 0);
      const watch = counted ? sampling.watch.bind(sampling) : undefined;
      const batches = tools.floatSamples(model, config.model, flags.seed, total, watch);
      const scores = await this.score('float samples', batches, total);
      rows.push({ title: 'float network', ...(reconstruction === undefined ? {} : { reconstruction }), ...scores });
      if (counted) {
        operations = {
          timeSteps: config.model.timeSteps,
          ...(images === 0 ? {} : { reconstruction: reconstructing.reconstruction() }),
          generation: sampling.generation(),
          ann: tools.annOperations(config.model),
        };
      }
    } else {
      this.output.note(`${loaded.path} is an integer model: no float network, no reconstructions`);
    }

    for (const { title, golden, reconstruction } of goldens) {
      const total = this.scored ? tools.wholeBatches(flags.samples) : 0;
      const scores = await this.score(
        `${title}'s samples`,
        tools.byteBatches(this.goldenImages(golden, total), this.config),
        total,
      );
      const work = Array.from({ length: COUNTED_SAMPLES }, (_, i) =>
        golden.work(BigInt.asUintN(64, flags.seed + BigInt(i))),
      );
      rows.push({
        title,
        ...(reconstruction === undefined ? {} : { reconstruction }),
        ...scores,
        spikesPerSample: meanWork(work).spikes,
      });
    }
    if (flags.port !== undefined || flags.simulate === true) {
      rows.push(
        await this.board(
          goldens[0],
          rows.find(({ title }) => title === goldens[0].title)!,
        ),
      );
    }
    return this.report(loaded.name, images, rows, operations);
  }

  private report(
    model: string,
    images: number,
    rows: readonly ResultRow[],
    operations?: OperationsReport,
  ): EvaluationReport {
    const { data, split, seed } = this.flags;
    return {
      model,
      ...(data === undefined ? {} : { data: `${data} ${split}` }),
      images,
      firstSeed: String(seed),
      rows,
      ...(operations === undefined ? {} : { operations }),
    };
  }

  /** The baseline of Table 1; its seed is a number of the trainer's. */
  private async annVae(checkpoint: Checkpoint): Promise<EvaluationReport> {
    const { flags, tools } = this;
    const { config, parameters } = tools.readBaseline(checkpoint);
    const vae = new tools.Vae({ ...config, seed: Number(flags.seed) }, parameters, 0);
    const error = new tools.SquaredError();
    let images = 0;
    if (flags.data !== undefined) {
      images = await this.progress('reconstructions', this.openImages(flags.data), (set, done) => {
        let first = 0;
        for (const { count, images: wanted } of tools.setBatches(set)) {
          error.add(wanted, vae.reconstruct(wanted, count, first).images);
          done((first += count));
        }
        return first;
      });
    }
    const total = this.scored ? tools.wholeBatches(flags.samples) : 0;
    const scores = await this.score('samples', tools.networkSamples(vae, total), total);
    const row = { title: 'ANN VAE', ...(images === 0 ? {} : { reconstruction: error.mean }), ...scores };
    return this.report(basename(checkpoint.source), images, [row]);
  }

  private get scored(): boolean {
    return this.metrics.autoencoder !== undefined || this.metrics.inception !== undefined;
  }

  /** The checkpoint as a float network; of a shipped model prior and decoder, which is all it has. */
  private openFloat() {
    const { checkpoint } = this;
    if (checkpoint === undefined) return undefined;
    const { tau, threshold } = this.flags;
    const neuron = { ...(tau === undefined ? {} : { tau }), ...(threshold === undefined ? {} : { threshold }) };
    const whole = this.tools.hasEncoder(checkpoint);
    return { ...this.tools.readTrainedNetwork(checkpoint, neuron, whole ? 'whole' : 'generator'), whole };
  }

  private openImages(data: string) {
    const { channels, imageSize: size } = this.config;
    const { split, images } = this.flags;
    return this.tools.openImages(data, split, { channels, size, ...(images === undefined ? {} : { limit: images }) });
  }

  /** All of them, however few are reconstructed. */
  private referenceImages(data: string) {
    const { channels, imageSize: size } = this.config;
    const set = this.tools.openImages(data, this.flags.split, { channels, size });
    if (set.count < 2)
      throw new FsvaeError('input', `${data} has ${set.count} image to compare with; statistics need two`);
    return set;
  }

  private async openMetrics(): Promise<Metrics> {
    const { flags, tools, config } = this;
    const { data } = flags;
    const { channels, imageSize } = config;
    let autoencoder: Metrics['autoencoder'];
    if (flags.autoencoder !== undefined) {
      const encoder = tools.readAutoencoder(readCheckpoint(flags.autoencoder));
      if (encoder.shape.channels !== channels || encoder.shape.imageSize !== imageSize) {
        throw new FsvaeError(
          'usage',
          `${flags.autoencoder} takes images of ${encoder.shape.channels} x ${encoder.shape.imageSize} x ${encoder.shape.imageSize}, but the model ` +
            `draws ${channels} x ${imageSize} x ${imageSize}`,
        );
      }
      const reference =
        flags.statistics !== undefined
          ? tools.readStatistics(flags.statistics, encoder.features)
          : this.progress('images for statistics', this.referenceImages(data!), (set, done) =>
              tools.referenceLatents(encoder, tools.setBatches(set), done),
            );
      autoencoder = { encoder, reference: await reference };
    }
    let inception: Metrics['inception'];
    if (flags.inception !== undefined) {
      const network = await tools.InceptionNetwork.open(flags.inception, {
        range: flags.inceptionRange,
        filter: flags.inceptionResize,
      });
      let reference;
      if (network.hasFeatures) {
        if (flags.inceptionStatistics !== undefined) {
          reference = tools.readStatistics(flags.inceptionStatistics);
        } else if (data !== undefined) {
          reference = await this.progress('images for FID', this.referenceImages(data), (set, done) =>
            tools.referenceFeatures(network, tools.setBatches(set), config, done),
          );
        } else this.output.note('no FID: give --inception-statistics FILE, or --data to take them from');
      }
      inception = { network, reference };
    }
    return { ...(autoencoder === undefined ? {} : { autoencoder }), ...(inception === undefined ? {} : { inception }) };
  }

  /** Runs `work` over counted things with a bar. */
  private async progress<S extends { readonly count: number }, T>(
    label: string,
    set: S,
    work: (set: S, done: (count: number) => void) => T | Promise<T>,
  ): Promise<T> {
    const bar = startProgress({ stream: this.output.stderr, label, total: set.count });
    const started = performance.now();
    try {
      return await work(set, (done) => bar.update(done, timeLeft(started, done, set.count)));
    } finally {
      bar.stop();
    }
  }

  private async score(label: string, batches: Batches, total: number): Promise<{ scores?: Scores }> {
    if (total === 0) return {};
    const scores = await this.progress(label, { count: total }, (_, done) =>
      this.tools.scoreImages(batches, this.metrics, this.config, done),
    );
    return this.scored ? { scores } : {};
  }

  private *goldenImages(golden: GoldenModel, total: number): Generator<Uint8Array> {
    for (let i = 0; i < total; i++) yield golden.sample(BigInt.asUintN(64, this.flags.seed + BigInt(i)));
  }

  /** By the float network and, from its posterior's spikes, by every golden model's decoder. */
  private reconstruct(
    model: InstanceType<Toolbox['Fsvae']>,
    shape: Parameters<Toolbox['reconstructions']>[1],
    data: string,
    watch: (<T>(count: number, pass: () => T) => T) | undefined,
  ): [mse: number, images: number] {
    const { tools, goldens } = this;
    const set = this.openImages(data);
    const pixels = shape.channels * shape.imageSize ** 2;
    const float = new tools.SquaredError();
    const integer = goldens.map(() => new tools.SquaredError());
    const bar = startProgress({ stream: this.output.stderr, label: 'reconstructions', total: set.count });
    const started = performance.now();
    let done = 0;
    try {
      for (const batch of tools.reconstructions(model, shape, set, 0, watch)) {
        float.add(batch.inputs, batch.outputs);
        for (let n = 0; n < batch.count; n++) {
          const wanted = batch.inputs.subarray(n * pixels, (n + 1) * pixels);
          const z = batch.latent(n);
          goldens.forEach(({ golden, loaded }, i) => {
            const { timeSteps, latentChannels } = loaded.model.config;
            const latent = packLatent(z, timeSteps, latentChannels);
            const image = golden.decode(latent);
            integer[i].addBytes(wanted, image, shape.channels);
            if (i === 0 && this.reconstructed.length < this.flags.streamed) this.reconstructed.push({ latent, image });
          });
        }
        done += batch.count;
        bar.update(done, `mse ${float.mean.toFixed(4)}  ${timeLeft(started, done, set.count)}`);
      }
    } finally {
      bar.stop();
    }
    goldens.forEach((golden, i) => void (golden.reconstruction = integer[i].mean));
    return [float.mean, done];
  }

  private async openTarget(loaded: LoadedModel): Promise<Target> {
    const { flags, output } = this;
    const note = (line: string): void => output.note(line);
    if (flags.port !== undefined) return openPort(flags.port, flags.baud, expectedAnywhere(loaded), note);
    const board = loadBoard(flags.board);
    const { plan, build } = await buildFor(
      output,
      board,
      { model: loaded.path, board: flags.board, compiler: 'auto' },
      loaded,
      note,
    );
    return startBuild(board, build, expectedModel(plan), note);
  }

  /**
   * Samples and reconstructions of a board, each compared with the golden model's. Where fewer are streamed than scored,
   * those that were are equal to the golden model's first ones, and so the scores are its own.
   *
   * @param row the golden model's
   * @throws FsvaeError `mismatch` when a byte differs
   */
  private async board({ loaded, golden }: Golden, row: ResultRow): Promise<ResultRow> {
    const { flags, output, tools } = this;
    const target = await this.openTarget(loaded);
    try {
      const images: Uint8Array[] = [];
      const bar = startProgress({ stream: output.stderr, label: 'samples streamed', total: flags.streamed });
      const started = performance.now();
      try {
        const { mismatches } = await stream(target, {
          firstSeed: flags.seed,
          count: flags.streamed,
          golden,
          onImage: (image) => images.push(image),
          onProgress: ({ done }) => bar.update(done, timeLeft(started, done, flags.streamed)),
        });
        if (mismatches > 0) this.differs(target, `${mismatches} of ${images.length} samples`);
      } finally {
        bar.stop();
      }
      let wrong = 0;
      for (const { latent, image } of this.reconstructed) {
        const drawn = await target.decode(latent);
        if (drawn.image.some((byte, i) => byte !== image[i])) wrong++;
      }
      if (wrong > 0) this.differs(target, `${wrong} of ${this.reconstructed.length} reconstructions`);
      const all = this.scored && images.length >= tools.wholeBatches(flags.samples);
      const scores = all
        ? await this.score('streamed samples', tools.byteBatches(images, this.config), images.length)
        : row.scores === undefined
          ? {}
          : { scores: row.scores };
      return {
        title: `${row.title.replace(' golden model', '')} on ${flags.port === undefined ? flags.board : target.name}`,
        ...(row.reconstruction === undefined ? {} : { reconstruction: row.reconstruction }),
        ...scores,
        equal: { samples: images.length, reconstructions: this.reconstructed.length },
      };
    } finally {
      await target.close();
    }
  }

  private differs(target: Target, what: string): never {
    throw new FsvaeError(
      'mismatch',
      `${what} of ${target.name} differ from the golden model; find the first wrong neuron with fsvae-codegen verify`,
    );
  }
}

async function evaluate(output: Output, checkpoint: string, flags: EvaluateFlags): Promise<void> {
  checkFlags(flags);
  const tools = await loadMetrics();
  const report = await new Evaluation(output, tools, checkpoint, flags).run();
  if (flags.json === true) {
    output.json(report);
    return;
  }
  output.say(tools.formatEvaluation(report, flags.markdown === true ? 'markdown' : 'plain'));
}

const HELP = `
Reconstruction is the mean squared error of all pixels in -1 .. 1, as in Table 1 of the paper; the golden models decode the
float posterior's spikes. Samples come from consecutive seeds, the same for float, golden model and board.

The Inception network takes (N, 3, side, side), grey images thrice, resized to its side (299 where it does not say), and has an output
"features" (N, any) for the FID, "logits" (N, classes) for the inception score, or both. docs/evaluation.md has all of it.

Examples:
  fsvae-codegen eval runs/small/model.safetensors -d mnist
  fsvae-codegen eval my.pth -d mnist --autoencoder ae_mnist_64.pth --statistics ae_mnist_test_64.npz --bits 8 --bits 4 \\
      --simulate --operations --markdown
`;

export function evalCommand(program: Command, output: Output): void {
  const collect = (bits: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), bits];
  program
    .command('eval')
    .argument('<checkpoint>', 'a checkpoint (FSVAE or ANN VAE), a shipped model, or an integer model')
    .description('Measures reconstructions and samples: the float network, its golden models, and a board.')
    .option('-d, --data <name|folder>', 'mnist, fashion-mnist, or a folder of idx, CIFAR10 or PNG files')
    .addOption(new Option('--split <half>', 'which half of the data').choices(['train', 'test']).default('test'))
    .option('-n, --images <count>', 'reconstruct so many, from the first (default all)', positiveInteger)
    .option('--bits <list>', 'weight bits of a golden model (default 8); give it again for another one', collect)
    .option('--tau <number>', 'leak of the checkpoint, a multiple of 1/256 (default 0.25)', realNumber)
    .option('--threshold <number>', 'firing threshold of the checkpoint (default 0.2)', realNumber)
    .option('--threshold-scale <list>', "of the golden models, as in quantize's")
    .option('--samples <count>', 'samples to score, rounded up to whole batches of 256', positiveInteger, 5000)
    .addOption(seedOption())
    .option('--autoencoder <file>', 'metric autoencoder: Fréchet distance in its latent')
    .option(
      '--statistics <file>',
      'mu and sigma of the real images in that latent, .npz or safetensors (default: from --data)',
    )
    .option('--inception <file>', 'Inception network, ONNX: inception score and FID')
    .addOption(
      new Option(
        '--inception-range <range>',
        'its input values: 0 .. 255, 0 .. 1, -1 .. 1, or as torchvision normalises ImageNet',
      )
        .choices(['255', '1', 'symmetric', 'imagenet'])
        .default('255'),
    )
    .addOption(
      new Option(
        '--inception-resize <filter>',
        "how images are resized for it: bilinear as the authors' inception score, bicubic as clean-fid",
      )
        .choices(['bilinear', 'bicubic'])
        .default('bilinear'),
    )
    .option('--inception-statistics <file>', 'mu and sigma of its features of the real images (default: from --data)')
    .option('--operations', 'count additions, multiplications and spikes of an image, layer by layer')
    .option('-p, --port <path>', 'draw with the board on this serial port too, and compare')
    .option('--baud <rate>', 'bits a second', positiveInteger, 115_200)
    .option('--simulate', 'draw with the emulated --board too, and compare')
    .option('-b, --board <name|file>', 'board by name, or a board file', 'rp2040')
    .option('--streamed <count>', 'samples and reconstructions that the board draws', positiveInteger, 16)
    .option('--json', 'one JSON object on stdout')
    .option('--markdown', "tables in Markdown, the paper's rows above")
    .addHelpText('after', HELP)
    .action((checkpoint: string, flags: EvaluateFlags) => evaluate(output, checkpoint, flags));
}
