/**
 * The conformance suite: ONE set of tests, run against everything that claims to compute the network.
 *
 * A real board takes part when FSVAE_TEST_PORT names its serial port; FSVAE_TEST_MODEL says which model it runs
 * (tiny, tiny-int4, mnist, mnist-int4; mnist unless told).
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Board, loadBoard } from '../../boards/board.js';
import { expectedModel, openPort, startBuild } from '../../cli/targets.js';
import { type CompilerChoice, findToolchain } from '../../codegen/image/toolchain.js';
import { type Build, buildProject, writeProject } from '../../codegen/project.js';
import { BoardClient } from '../../harness/client.js';
import { GoldenTarget } from '../../harness/golden-target.js';
import { SerialTarget } from '../../harness/serial-target.js';
import type { Target } from '../../harness/target.js';
import { verify } from '../../harness/verify.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { squaredError } from '../../runtime-ts/golden-encoder.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { openWasmPage } from '../emulator/wasm-page.js';
import { CHROMIUM } from '../playground/browser.js';
import { parseGoldenText } from '../support/golden-text.js';
import { readGolden } from '../support/goldens.js';
import { type Shipped, shipped, type ShippedId, type WholeModel, wholeTiny } from '../support/shipped.js';

interface TargetKind {
  readonly name: string;
  /** Models it is tested with. */
  readonly models: readonly ShippedId[];
  /** undefined: it can be had. Else why not, in a few words. */
  readonly missing: () => string | undefined;
  readonly open: (model: Shipped) => Promise<Target>;
  /** Ticks of its clock are longer than a row of a small model takes. */
  readonly coarseClock?: true;
}

type Start = (board: Board, build: Build, folder: string, model: Shipped) => Promise<Target>;

const startHere: Start = (board, build, _folder, { plan }) =>
  startBuild(board, build, expectedModel(plan), () => undefined);

const startInChromium: Start = async (_board, _build, folder) => {
  const { transport } = await openWasmPage(folder);
  return SerialTarget.of(new BoardClient(transport));
};

async function openBuild(
  board: Board,
  compiler: CompilerChoice,
  model: Shipped,
  flags: readonly string[] = [],
  start = startHere,
): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-conformance-'));
  try {
    const project = writeProject(model.plan, board, folder);
    const build = await buildProject(project, { compiler, extraFlags: ['-Werror', ...flags] });
    expect(build.diagnostics).to.equal('');
    if (build.image !== undefined) {
      expect(build.image.flashUsed).to.be.at.most(project.budget!.flash.used);
      expect(build.image.ramUsed).to.be.at.most(project.budget!.ram.used);
    }
    const target = await start(board, build, folder, model);
    const close = target.close.bind(target);
    target.close = async () => {
      await close();
      rmSync(folder, { recursive: true });
    };
    return target;
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
}

function built(
  name: string,
  compiler: 'gcc' | 'clang' | 'zig',
  models: readonly ShippedId[],
  link?: 'uart' | 'usb',
): TargetKind {
  const board = loadBoard(name);
  const where = board.emulator === 'qemu' ? ' (QEMU)' : link === undefined ? '' : ` over ${link.toUpperCase()}`;
  return {
    name: `${name}${where}, built with ${compiler}`,
    models,
    missing: () => {
      try {
        findToolchain(board, compiler);
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    },
    open: (model) =>
      openBuild(link === undefined ? board : { ...board, link: { ...board.link, kind: link } }, compiler, model),
  };
}

const port = process.env.FSVAE_TEST_PORT;

const KINDS: readonly TargetKind[] = [
  {
    name: 'golden model',
    models: ['tiny', 'tiny-int4', 'mnist-small', 'fashion-small', 'mnist', 'mnist-int4', 'fashion-mnist'],
    missing: () => undefined,
    open: ({ golden, encoder }) => Promise.resolve(new GoldenTarget(golden, golden.model.config, encoder)),
  },
  built('host', 'gcc', ['tiny', 'tiny-int4', 'mnist-small', 'fashion-small', 'mnist', 'mnist-int4', 'fashion-mnist']),
  built('host', 'clang', ['tiny', 'mnist']),
  built('host', 'zig', ['tiny', 'mnist', 'mnist-int4']),
  built('rp2040', 'gcc', ['tiny', 'tiny-int4', 'mnist-small', 'mnist', 'mnist-int4'], 'usb'),
  built('rp2040', 'gcc', ['tiny', 'mnist'], 'uart'),
  built('rp2040', 'zig', ['tiny', 'tiny-int4', 'mnist'], 'usb'),
  built('rp2040', 'zig', ['tiny'], 'uart'),
  {
    // The C twins of the assembly, on the processor that the assembly is for.
    name: 'rp2040, plain C',
    models: ['tiny', 'mnist'],
    missing: () => undefined,
    open: (model) => openBuild(loadBoard('rp2040'), 'zig', model, ['-DFSVAE_PLAIN_C']),
  },
  {
    name: 'rp2040, one core',
    models: ['tiny', 'mnist', 'mnist-int4'],
    missing: () => undefined,
    open: (model) => openBuild(loadBoard('rp2040'), 'zig', model, ['-DFSVAE_ONE_CORE']),
  },
  // Without QEMU these fail, with how to install it.
  built('mps2-an386', 'gcc', ['tiny', 'tiny-int4', 'mnist', 'mnist-int4']),
  built('mps2-an386', 'zig', ['tiny', 'mnist']),
  built('mps2-an500', 'gcc', ['tiny', 'tiny-int4', 'mnist']),
  built('mps2-an500', 'zig', ['tiny']),
  built('mps2-an505', 'gcc', ['tiny', 'tiny-int4', 'mnist']),
  built('mps2-an505', 'zig', ['tiny']),
  // Flash of 1 MB: the full-size model does not fit.
  built('netduinoplus2', 'gcc', ['tiny', 'tiny-int4', 'mnist-small']),
  built('netduinoplus2', 'zig', ['tiny']),
  built('riscv32-virt', 'gcc', ['tiny', 'tiny-int4', 'mnist']),
  built('riscv32-virt', 'zig', ['tiny', 'tiny-int4']),
  built('wasm', 'zig', ['tiny', 'tiny-int4', 'mnist-small', 'mnist', 'mnist-int4']),
  {
    // The same module as above, loaded by a page.
    name: 'wasm, in Chromium',
    models: ['tiny', 'tiny-int4', 'mnist'],
    missing: () => (CHROMIUM === undefined ? 'no Chromium here; name one in CHROMIUM' : undefined),
    open: (model) => openBuild(loadBoard('wasm'), 'zig', model, [], startInChromium),
    // A page is told the time to 0.1 ms.
    coarseClock: true,
  },
  {
    name: 'board',
    models: [(process.env.FSVAE_TEST_MODEL ?? 'mnist') as ShippedId],
    missing: () => (port === undefined ? 'set FSVAE_TEST_PORT to its serial port' : undefined),
    open: ({ plan }) =>
      openPort(port!, Number(process.env.FSVAE_TEST_BAUD ?? 115200), expectedModel(plan), () => undefined),
  },
];

function conformance(kind: TargetKind, id: ShippedId): void {
  describe(`${kind.name}: ${id}`, function () {
    this.timeout(240_000);
    let model: Shipped;
    let target: Target;

    before(async () => {
      model = shipped(id);
      target = await kind.open(model);
    });

    after(() => target?.close());

    it('says what it is', () => {
      expect(target.shape.layerNames).to.deep.equal(model.golden.layerNames);
      expect(Array.from(target.shape.layerNeurons)).to.deep.equal(model.golden.layerNeurons);
      expect(target.shape.timeSteps).to.equal(model.golden.model.config.timeSteps);
    });

    it('gives the images and all digests of the golden file', async () => {
      for (const [seed, { digests, imageCrc }] of parseGoldenText(readGolden(`${id}.txt`))) {
        const trace = await target.trace(seed);
        expect(
          trace.digests.map((steps) => Array.from(steps)),
          `digests of seed ${seed}`,
        ).to.deep.equal(digests);
        expect(trace.imageCrc, `image of seed ${seed}`).to.equal(imageCrc);
        expect(crc32((await target.sample(seed)).image)).to.equal(imageCrc);
      }
    });

    it('counts the same spikes', async () => {
      const seed = model.seeds[0];
      expect(Array.from((await target.trace(seed)).spikes)).to.deep.equal(Array.from(model.golden.trace(seed).spikes));
    });

    it('decodes a latent to the image that its seed gives', async () => {
      const seed = model.seeds[0];
      const { image } = await target.decode(model.golden.latent(seed));
      expect(crc32(image)).to.equal(crc32(model.golden.sample(seed)));
    });

    it('shows the same spikes and membranes of a row at a step', async () => {
      const seed = model.seeds[0];
      const step = model.golden.model.config.timeSteps - 1;
      const rows = [1, model.golden.layerNames.indexOf('z'), model.golden.layerNames.length - 1];
      for (const row of rows) {
        const count = Math.min(64, model.golden.layerNeurons[row]);
        expect(crc32(await target.spikes(seed, row, step))).to.equal(crc32(model.golden.spikes(seed, row, step)));
        const membranes = await target.membranes(seed, row, step, 0, count);
        const expected = Array.from({ length: count }, (_, n) => model.golden.membrane(seed, row, step, n).membrane);
        expect(Array.from(membranes)).to.deep.equal(expected);
      }
    });

    it('stands verification', async () => {
      const result = await verify(target, model.golden, { firstSeed: 1000n, count: 2 });
      expect(
        result.equal,
        JSON.stringify(result.mismatches, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)),
      ).to.equal(true);
    });
  });
}

/** Noise, and what the model itself draws. */
function imagesFor({ golden }: WholeModel): Uint8Array[] {
  const { channels, imageSize } = golden.model.config;
  const random = new Pcg32(17n);
  return [
    golden.sample(3n),
    Uint8Array.from({ length: channels * imageSize ** 2 }, () => random.below(256)),
    golden.sample(4n),
  ];
}

function encoderConformance(kind: TargetKind, whole: () => WholeModel): void {
  describe(`${kind.name}: encoder and posterior`, function () {
    this.timeout(240_000);
    let model: WholeModel;
    let target: Target;
    let images: Uint8Array[];

    before(async () => {
      model = whole();
      images = imagesFor(model);
      target = await kind.open(model);
    });

    after(() => target?.close());

    it('says what they are', () => {
      expect(target.encoder!.hash).to.equal(model.encoder.hash.slice(0, 16));
      expect(target.encoder!.rows.map(({ name, neurons }) => ({ name, neurons }))).to.deep.equal(
        model.encoder.rows.map(({ name, neurons }) => ({ name, neurons })),
      );
    });

    it('fires as the golden encoder does, and finds its latents', async () => {
      for (const [i, image] of images.entries()) {
        const expected = model.encoder.trace(image, BigInt(i));
        const { digests, spikes, latentCrc } = await target.encoder!.trace(image, BigInt(i));
        expect(digests.map((steps) => [...steps])).to.deep.equal(expected.digests.map((steps) => [...steps]));
        expect([...Array.from(spikes)]).to.deep.equal([...expected.spikes]);
        expect(latentCrc).to.equal(crc32(expected.latent));
        expect([...(await target.encoder!.encode(image, BigInt(i))).latent]).to.deep.equal([...expected.latent]);
      }
    });

    it('reconstructs to the same pixels, with the same error', async () => {
      for (const [i, image] of images.entries()) {
        const expected = model.golden.decode(model.encoder.encode(image, BigInt(i)));
        const drawn = await target.encoder!.reconstruct(image, BigInt(i));
        expect(crc32(drawn.image)).to.equal(crc32(expected));
        expect(drawn.squaredError).to.equal(squaredError(image, expected));
      }
    });

    it('draws images and decodes latents as without them', async () => {
      const [seed] = model.seeds;
      expect(crc32((await target.sample(seed)).image)).to.equal(crc32(model.golden.sample(seed)));
      const { image } = await target.decode(model.golden.latent(seed));
      expect(crc32(image)).to.equal(crc32(model.golden.sample(seed)));
    });

    it('counts what each row costs, where it has a clock', async function () {
      if (kind.coarseClock) this.skip();
      const { cycles } = await target.encoder!.encode(images[0], 0n);
      const rows = await target.encoder!.cycles?.();
      expect(rows === undefined).to.equal(cycles === undefined);
      if (rows === undefined) return;
      expect(rows).to.have.length(model.encoder.rows.length);
      const sum = rows.reduce((total, row) => total + row, 0);
      expect(sum).to.be.within(0.5 * Number(cycles), Number(cycles));
    });
  });
}

describe('conformance', () => {
  for (const kind of KINDS) {
    const missing = kind.missing();
    if (missing === undefined) {
      for (const id of kind.models) conformance(kind, id);
      // A board runs what it was flashed with.
      if (kind.name !== 'board') encoderConformance(kind, wholeTiny);
    } else it(`${kind.name}: ${missing}`);
  }
});
