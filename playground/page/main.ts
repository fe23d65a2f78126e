/** The page: what its controls do, and who draws what. The work is done in workers. */

import type { Board } from '../../boards/description.js';
import { decodeUf2 } from '../../codegen/image/uf2.js';
import { BoardClient } from '../../harness/client.js';
import { checkIdentity } from '../../harness/identity.js';
import { SerialTarget } from '../../harness/serial-target.js';
import { arenaMap, CHART_STYLE, PALETTE, rasterChart, rateChart, whole } from '../../report/charts.js';
import { cycleChart, memoryBars } from '../../report/html.js';
import { ABOUT, FIRMWARE, MODEL, MODULE, type PageAbout } from '../../harness/page-data.js';
import type { Summary } from '../../report/summary.js';
import type { GoldenMethods, LoadedGolden, Observation } from '../workers/golden.js';
import type { ModelMethods } from '../workers/models.js';
import { EmulatedBoard, type Link, ModuleBoard, SerialBoard, ServedBoard, webSerial } from './boards.js';
import { compare, type Verdict } from './comparison.js';
import { paint } from './pictures.js';
import { parseSeed, seedAfter } from './seed.js';
import { WorkerLink } from './worker-link.js';

/** Images kept in the row below the pictures. */
const GALLERY = 24;
/** Between two steps of the image that builds up, in milliseconds. */
const STEP_MS = 280;
/** An emulated board reads all of its weights for the hello: seconds, on a phone many. */
const HELLO_MS = 60_000;
/** Without a board to wait for, between two images of `Keep drawing`. */
const GOLDEN_MS = 700;

function at<E extends HTMLElement>(id: string): E {
  return document.getElementById(id) as E;
}

const ui = {
  seed: at<HTMLInputElement>('seed'),
  seedError: at('seed-error'),
  run: at<HTMLButtonElement>('run'),
  target: at<HTMLSelectElement>('target'),
  golden: at<HTMLCanvasElement>('golden'),
  goldenNote: at('golden-note'),
  board: at<HTMLCanvasElement>('board'),
  boardTitle: at('board-title'),
  boardNote: at('board-note'),
  progress: at<HTMLProgressElement>('progress'),
  verdict: at('verdict'),
  gallery: at('gallery'),
  stepPicture: at<HTMLCanvasElement>('step-picture'),
  step: at<HTMLInputElement>('step'),
  stepValue: at('step-value'),
  play: at<HTMLButtonElement>('play'),
  rates: at('rates'),
  raster: at('raster'),
  cycles: at('cycles'),
  memory: at('memory'),
  arena: at('arena'),
  file: at<HTMLInputElement>('file'),
  drop: at('drop'),
  bits: at<HTMLSelectElement>('bits'),
  projectBoard: at<HTMLSelectElement>('project-board'),
  download: at<HTMLButtonElement>('download'),
  shipped: at<HTMLButtonElement>('shipped'),
  ownNote: at('own-note'),
  quality: at('quality'),
  about: at('about'),
};

const goldenWorker = new WorkerLink<GoldenMethods, never>(
  new Worker(new URL('../workers/golden.ts', import.meta.url), { type: 'module' }),
);
const modelWorker = new WorkerLink<ModelMethods, never>(
  new Worker(new URL('../workers/models.ts', import.meta.url), { type: 'module' }),
);

/** A board that answers. */
interface Connected {
  readonly client: BoardClient;
  readonly target: SerialTarget;
  readonly title: string;
  readonly core: string;
  /** What it counts is time, not cycles. */
  readonly countsNanoseconds: boolean;
}

let about: PageAbout;
let golden: LoadedGolden;
let modelName = '';
let modelFile: Uint8Array;
let firmware: Uint8Array | undefined;
let summary: Summary | undefined;
let connected: Connected | undefined;
/** Counts connections, so that what a former one still says is not heard. */
let connection = 0;
let observed: { seed: bigint; observation: Promise<Observation> } | undefined;
let shown: Observation | undefined;
let seed = 0n;
/** What the board is to draw next; undefined: nothing. */
let wanted: bigint | undefined;
let boardBusy = false;
let running = false;
/** Cycles of the emulated board when the image under way began, and of the last whole image. */
let imageBegan = 0;
let imageCycles = 0;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function shape(): { channels: number; size: number } {
  return { channels: golden.config.channels, size: golden.config.imageSize };
}

function showVerdict(kind: Verdict['kind'] | 'waiting', title: string, lines: readonly string[]): void {
  ui.verdict.className = `verdict ${kind}`;
  ui.verdict.querySelector('strong')!.textContent = title;
  ui.verdict
    .querySelector('ul')!
    .replaceChildren(...lines.map((line) => Object.assign(document.createElement('li'), { textContent: line })));
}

// Samples.

function show(next: bigint): void {
  seed = next;
  ui.seed.value = String(seed);
  ui.seedError.hidden = true;
  history.replaceState(null, '', `#${seed}`);
}

/** Everything of a seed by the golden model; kept for the seed that was asked for last. */
function observe(of: bigint): Promise<Observation> {
  if (observed?.seed !== of) {
    const observation = goldenWorker.call('observe', of);
    observation.catch(() => (observed = undefined));
    observed = { seed: of, observation };
  }
  return observed.observation;
}

async function drawGolden(of: bigint): Promise<void> {
  ui.golden.classList.add('drawing');
  const started = performance.now();
  const image = await goldenWorker.call('sample', of);
  if (of !== seed) return;
  paint(ui.golden, image, shape(), `Golden model, seed ${of}`);
  ui.golden.classList.remove('drawing');
  ui.goldenNote.textContent = `seed ${of}, ${Math.round(performance.now() - started)} ms in this browser`;
  const observation = await observe(of);
  if (of !== seed) return;
  shown = observation;
  const { config, layerNames, layerNeurons } = golden;
  ui.raster.innerHTML = rasterChart(observation.latent, config.timeSteps, config.latentChannels);
  const rows = layerNames.map((name, row) => ({ name, neurons: layerNeurons[row], counts: observation.counts[row] }));
  ui.rates.innerHTML = rateChart(rows.slice(1));
  showStep();
}

async function draw(of: bigint): Promise<void> {
  show(of);
  const byGolden = drawGolden(of);
  if (connected !== undefined) {
    wanted = of;
    void drawOnBoard();
  }
  try {
    await byGolden;
  } catch (error) {
    ui.goldenNote.textContent = messageOf(error);
  }
}

/** Draws what is wanted until nothing is. One image at a time: a board does not stop in the middle. */
async function drawOnBoard(): Promise<void> {
  if (boardBusy) return;
  boardBusy = true;
  try {
    while (wanted !== undefined && connected !== undefined) {
      const of = wanted;
      wanted = undefined;
      await drawAndCompare(connected, of);
      if (running && wanted === undefined) void draw(seedAfter(of, 1n));
    }
  } finally {
    boardBusy = false;
  }
}

async function drawAndCompare(board: Connected, of: bigint): Promise<void> {
  ui.board.classList.add('drawing');
  ui.boardNote.textContent = `drawing seed ${of}`;
  showVerdict('waiting', 'Drawing', [`seed ${of} on ${board.title}`]);
  imageBegan = 0;
  try {
    const { image, cycles } = await board.target.sample(of);
    ui.progress.hidden = true;
    if (board !== connected) return;
    paint(ui.board, image, shape(), `${board.title}, seed ${of}`);
    ui.board.classList.remove('drawing');
    imageCycles = Number(cycles);
    ui.boardNote.textContent = timeText(of, imageCycles, board);
    const expected = await observe(of);
    const judge = (trace?: Awaited<ReturnType<SerialTarget['trace']>>): Verdict => {
      const verdict = compare(of, expected, image, golden.config.imageSize, trace, golden.layerNames);
      const more = trace === undefined && verdict.kind === 'exact' && !running ? ['comparing every spike'] : [];
      showVerdict(verdict.kind, verdict.title, [`seed ${of}`, ...verdict.lines, ...more]);
      return verdict;
    };
    let verdict = judge();
    const thumbnail = keepInGallery(of, image, verdict);
    const { cycles: byLayer } = await board.client.statistics();
    measured = board.countsNanoseconds ? undefined : Array.from(byLayer, Number);
    showCycles();
    // Tracing draws the image once more: not while the next one waits.
    if (running || wanted !== undefined) return;
    const trace = await board.target.trace(of);
    ui.progress.hidden = true;
    if (board !== connected || wanted !== undefined) return;
    verdict = judge(trace);
    thumbnail.className = verdict.kind;
  } catch (error) {
    ui.progress.hidden = true;
    if (board !== connected) return;
    setRunning(false);
    showVerdict('differs', 'No answer', [messageOf(error)]);
    ui.boardNote.textContent = 'gone';
  }
}

/** Cycles by layer of the board's last image. */
let measured: number[] | undefined;

function showCycles(): void {
  if (summary !== undefined) ui.cycles.innerHTML = cycleChart(summary.predicted, measured, connected?.core ?? '');
}

function timeText(of: bigint, cycles: number, { countsNanoseconds, target: { cyclesPerSecond } }: Connected): string {
  if (countsNanoseconds) return `seed ${of}, ${(cycles / 1e6).toFixed(1)} ms`;
  const time = cyclesPerSecond === undefined ? '' : `, ${(cycles / cyclesPerSecond).toFixed(3)} s by its own clock`;
  return `seed ${of}, ${whole(cycles)} cycles${time}`;
}

function keepInGallery(of: bigint, image: Uint8Array, verdict: Verdict): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = verdict.kind;
  button.title = `seed ${of}: ${verdict.title}`;
  button.setAttribute('aria-label', `Seed ${of}, ${verdict.title}; draw it again`);
  const canvas = document.createElement('canvas');
  paint(canvas, image, shape(), '');
  canvas.setAttribute('aria-hidden', 'true');
  button.append(canvas);
  button.addEventListener('click', () => {
    setRunning(false);
    void draw(of);
  });
  ui.gallery.prepend(button);
  while (ui.gallery.childElementCount > GALLERY) ui.gallery.lastElementChild!.remove();
  return button;
}

/** A few times a second while the emulated board runs. */
function onCycles(cycles: number): void {
  if (!ui.board.classList.contains('drawing') || connected === undefined) return;
  if (imageBegan === 0) imageBegan = cycles;
  const since = cycles - imageBegan;
  const expected = imageCycles > 0 ? imageCycles : (summary?.predicted.reduce((sum, row) => sum + row.cycles, 0) ?? 0);
  ui.boardNote.textContent = `${(since / 1e6).toFixed(1)} million cycles`;
  ui.progress.hidden = expected === 0;
  if (expected > 0) ui.progress.value = Math.min(1, since / expected);
}

function setRunning(on: boolean): void {
  running = on;
  ui.run.setAttribute('aria-pressed', String(on));
  ui.run.textContent = on ? 'Stop' : 'Keep drawing';
}

/** `Keep drawing` where no board sets the pace. */
async function runGolden(): Promise<void> {
  while (running && connected === undefined) {
    await draw(seedAfter(seed, 1n));
    await new Promise((resolve) => setTimeout(resolve, GOLDEN_MS));
  }
}

// The image step by step.

function showStep(): void {
  if (shown === undefined) return;
  const step = Number(ui.step.value);
  ui.stepValue.textContent = `${step} of ${shown.steps.length}`;
  ui.step.setAttribute('aria-valuetext', `step ${step} of ${shown.steps.length}`);
  paint(
    ui.stepPicture,
    shown.steps[step - 1],
    shape(),
    `Image after step ${step} of ${shown.steps.length}, seed ${seed}`,
  );
}

let playing: ReturnType<typeof setInterval> | undefined;

function stopPlaying(): void {
  clearInterval(playing);
  playing = undefined;
  ui.play.textContent = 'Play';
  ui.play.setAttribute('aria-pressed', 'false');
}

function togglePlaying(): void {
  if (playing !== undefined) {
    stopPlaying();
    return;
  }
  ui.play.textContent = 'Stop';
  ui.play.setAttribute('aria-pressed', 'true');
  ui.step.value = '1';
  showStep();
  playing = setInterval(() => {
    if (ui.step.value === ui.step.max) {
      stopPlaying();
      return;
    }
    ui.step.value = String(Number(ui.step.value) + 1);
    showStep();
  }, STEP_MS);
}

// Boards.

async function disconnect(): Promise<void> {
  connection++;
  const client = connected?.client;
  connected = undefined;
  wanted = undefined;
  measured = undefined;
  ui.progress.hidden = true;
  await client?.close();
}

/** @param open gives the link, or undefined when the user chose none */
async function connect(title: string, open: () => Promise<Link | undefined>, answerMs?: number): Promise<void> {
  setRunning(false);
  await disconnect();
  const mine = connection;
  ui.boardTitle.textContent = title;
  ui.boardNote.textContent = 'starting';
  ui.board.classList.add('drawing');
  showVerdict('waiting', 'Starting', ['the board reads its weights and says who it is']);
  let client: BoardClient | undefined;
  try {
    const transport = await open();
    if (mine !== connection) return;
    if (transport === undefined) {
      ui.boardNote.textContent = 'no port chosen';
      showVerdict('waiting', 'No board', ['choose another under Board']);
      return;
    }
    client = new BoardClient(transport, answerMs === undefined ? {} : { answerMs });
    const hello = await client.hello();
    if (mine !== connection) return;
    const ours = modelName === about.modelName && modelFile === shippedFile;
    const expected = {
      model: modelName,
      modelHash: golden.hash,
      ...(ours ? { weightChecksums: about.weightChecksums } : {}),
    };
    checkIdentity(hello, expected, client.name);
    const target = await SerialTarget.of(client);
    if (mine !== connection) return;
    const known = about.boards.find(({ name }) => name === hello.board);
    connected = { client, target, title, core: known?.core ?? '', countsNanoseconds: known?.clockHz === 0 };
    void transport.gone.then(() => {
      if (mine !== connection) return;
      connected = undefined;
      setRunning(false);
      ui.progress.hidden = true;
      ui.boardNote.textContent = 'gone';
      showVerdict('differs', 'Board gone', ['it was unplugged or reset, or the program behind this page ended']);
    });
    await draw(seed);
  } catch (error) {
    if (mine !== connection) return;
    await client?.close();
    ui.boardNote.textContent = 'not compared';
    showVerdict('differs', 'No comparison', [messageOf(error)]);
  }
}

function connectEmulated(): Promise<void> {
  const board = about.boards.find(({ name }) => name === (about.firmware?.board ?? 'rp2040'));
  if (firmware === undefined || board === undefined || board.memory === null) return Promise.resolve();
  const image = firmware;
  const flashBytes = board.memory.flash.bytes;
  return connect(
    'Emulated Pico',
    async () => {
      const emulated = new EmulatedBoard(onCycles, (what) => {
        ui.boardNote.textContent = what;
      });
      await emulated.start(image, flashBytes);
      return emulated;
    },
    HELLO_MS,
  );
}

function connectModule(): Promise<void> {
  return connect('Generated C in this browser', async () => {
    const board = new ModuleBoard();
    await board.start(await fetchBytes(MODULE));
    return board;
  });
}

function connectChosen(): Promise<void> {
  switch (ui.target.value) {
    case 'module':
      return connectModule();
    case 'live': {
      const { port, title } = about.live!;
      return connect(title, () => ServedBoard.open(port), HELLO_MS);
    }
    case 'serial':
      return connect('Board at the serial port', () => SerialBoard.choose(webSerial()!, 115_200));
    default:
      return connectEmulated();
  }
}

function listTargets(): void {
  const serial = webSerial() !== undefined;
  const options: [value: string, text: string, enabled: boolean][] = [
    ...(about.live === null ? [] : ([['live', about.live.title, true]] as [string, string, boolean][])),
    ...(firmware === undefined ? [] : ([['emulated', 'Emulated Pico', true]] as [string, string, boolean][])),
    ...(about.module ? ([['module', 'Generated C in this browser', true]] as [string, string, boolean][]) : []),
    ['serial', serial ? 'A board at a serial port…' : 'Serial port (needs Web Serial)', serial],
  ];
  ui.target.replaceChildren(
    ...options.map(([value, text, enabled]) => {
      const option = new Option(text, value);
      option.disabled = !enabled;
      return option;
    }),
  );
}

// Models.

let shippedFile: Uint8Array;

async function useModel(name: string, file: Uint8Array): Promise<void> {
  modelName = name;
  modelFile = file;
  golden = await goldenWorker.call('load', file);
  observed = undefined;
  shown = undefined;
  measured = undefined;
  summary = undefined;
  imageCycles = 0;
  const { timeSteps, latentChannels, choices, channels, imageSize } = golden.config;
  ui.gallery.replaceChildren();
  ui.step.max = String(timeSteps);
  ui.step.value = String(timeSteps);
  ui.about.textContent =
    `Model ${name}: ${channels} x ${imageSize} x ${imageSize} pixels, T = ${timeSteps}, C = ${latentChannels}, ` +
    `k = ${choices}, SHA-256 ${golden.hash}. fsvae-codegen ${about.generatorVersion}.`;
}

async function summarizeFor(board: Board): Promise<void> {
  const name = modelName;
  const found = await modelWorker.call('summary', { board });
  if (name !== modelName) return;
  summary = found;
  showCycles();
  ui.memory.innerHTML = memoryBars(found);
  ui.arena.innerHTML = arenaMap(found.arena, found.phases);
}

function projectBoard(): Board {
  return about.boards.find(({ name }) => name === ui.projectBoard.value)!;
}

async function summarizeChosen(): Promise<void> {
  try {
    await summarizeFor(projectBoard());
  } catch (error) {
    ui.memory.textContent = messageOf(error);
  }
}

/** The file dropped last, for another choice of bits. */
let own: { bytes: Uint8Array; name: string } | undefined;

async function readFile(file: File): Promise<void> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (/\.uf2$/i.test(file.name)) {
    try {
      firmware = decodeUf2(bytes, file.name).bytes;
    } catch (error) {
      ui.ownNote.textContent = messageOf(error);
      return;
    }
    listTargets();
    ui.target.value = 'emulated';
    ui.ownNote.textContent = `The emulated Pico runs ${file.name}.`;
    await connectEmulated();
    return;
  }
  own = { bytes, name: file.name };
  await readOwn();
}

async function readOwn(): Promise<void> {
  if (own === undefined) return;
  setRunning(false);
  ui.ownNote.className = '';
  ui.ownNote.textContent = `Reading and quantizing ${own.name}`;
  ui.download.disabled = true;
  try {
    const read = await modelWorker.call('read', { bytes: own.bytes, fileName: own.name, bits: ui.bits.value });
    await useModel(read.name, read.file);
    ui.quality.innerHTML = read.quality;
    ui.shipped.hidden = false;
    ui.ownNote.textContent =
      `The golden model now draws with ${read.name}. For the emulated Pico, build its firmware with ` +
      `fsvae-codegen --board rp2040 --model ${own.name} and drop the .uf2 file on this page.`;
    void summarizeChosen();
    await connectChosen();
    if (connected === undefined) await draw(seed);
  } catch (error) {
    ui.ownNote.className = 'bad';
    ui.ownNote.textContent = messageOf(error);
    // The worker keeps the model that it had.
  } finally {
    ui.download.disabled = false;
  }
}

async function useShipped(): Promise<void> {
  own = undefined;
  firmware = shippedFirmware;
  ui.quality.replaceChildren();
  ui.ownNote.textContent = '';
  ui.shipped.hidden = true;
  ui.file.value = '';
  await modelWorker.call('use', { name: about.modelName, file: shippedFile });
  await useModel(about.modelName, shippedFile);
  void summarizeChosen();
  await connectChosen();
}

let shippedFirmware: Uint8Array | undefined;

async function download(): Promise<void> {
  const board = projectBoard();
  ui.download.disabled = true;
  ui.ownNote.className = '';
  ui.ownNote.textContent = `Generating C for ${board.title}`;
  try {
    const zip = await modelWorker.call('project', { board, generatorVersion: about.generatorVersion });
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([zip as Uint8Array<ArrayBuffer>], { type: 'application/zip' }));
    link.download = `${board.name}-${modelName}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    ui.ownNote.textContent = `${link.download}: ${whole(zip.length)} bytes`;
  } catch (error) {
    ui.ownNote.className = 'bad';
    ui.ownNote.textContent = messageOf(error);
  } finally {
    ui.download.disabled = false;
  }
}

// Start.

async function fetchBytes(path: string): Promise<Uint8Array> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} does not load: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

function listen(): void {
  at('controls').addEventListener('submit', (event) => {
    event.preventDefault();
    const parsed = parseSeed(ui.seed.value);
    ui.seedError.hidden = parsed !== undefined;
    ui.seed.setAttribute('aria-invalid', String(parsed === undefined));
    if (parsed === undefined) {
      ui.seedError.textContent = 'A seed is a number from 0 to 2^64 - 1, decimal or 0x hexadecimal.';
      return;
    }
    void draw(parsed);
  });
  const step = (by: bigint): void => void draw(seedAfter(seed, by));
  at('previous').addEventListener('click', () => step(-1n));
  at('next').addEventListener('click', () => step(1n));
  ui.seed.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    event.preventDefault();
    step(event.key === 'ArrowUp' ? 1n : -1n);
  });
  ui.run.addEventListener('click', () => {
    setRunning(!running);
    if (!running) return;
    if (connected === undefined) void runGolden();
    else step(1n);
  });
  ui.step.addEventListener('input', () => {
    stopPlaying();
    showStep();
  });
  ui.play.addEventListener('click', togglePlaying);
  ui.target.addEventListener('change', () => void connectChosen());
  ui.file.addEventListener('change', () => {
    const file = ui.file.files?.[0];
    if (file !== undefined) void readFile(file);
  });
  ui.bits.addEventListener('change', () => void readOwn());
  ui.projectBoard.addEventListener('change', () => void summarizeChosen());
  ui.shipped.addEventListener('click', () => void useShipped());
  at('own').addEventListener('submit', (event) => {
    event.preventDefault();
    void download();
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('over');
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) document.body.classList.remove('over');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('over');
    const file = event.dataTransfer?.files[0];
    if (file !== undefined) void readFile(file);
  });
}

async function start(): Promise<void> {
  document.head.append(Object.assign(document.createElement('style'), { textContent: PALETTE + CHART_STYLE }));
  listen();
  about = (await (await fetch(ABOUT)).json()) as PageAbout;
  shippedFile = await fetchBytes(MODEL);
  const named = parseSeed(location.hash.slice(1));
  if (named !== undefined) seed = named;
  await modelWorker.call('use', { name: about.modelName, file: shippedFile });
  await useModel(about.modelName, shippedFile);
  ui.projectBoard.replaceChildren(...about.boards.map(({ name, title }) => new Option(title, name)));
  ui.projectBoard.value = about.boards.some(({ name }) => name === 'rp2040') ? 'rp2040' : about.boards[0].name;
  void draw(seed);
  if (about.firmware !== null) shippedFirmware = await fetchBytes(FIRMWARE);
  firmware = shippedFirmware;
  listTargets();
  void summarizeChosen();
  if (about.live !== null || firmware !== undefined) await connectChosen();
  else showVerdict('waiting', 'No board', ['no firmware came with this page; choose a board, or drop a .uf2 file']);
}

start().catch((error: unknown) => {
  showVerdict('differs', 'The page did not start', [messageOf(error)]);
});
