/** The page in a real browser: the golden model and the emulated Pico that it runs, checkpoints dropped, the live view. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { unzipSync } from 'fflate';
import type { Browser, Page } from 'playwright-core';
import { loadBoard } from '../../boards/board.js';
import { loadModel } from '../../cli/load-model.js';
import { pageData } from '../../cli/page-data.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { buildProject, planFor, writeProject } from '../../codegen/project.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { CHROMIUM, dropFile, launch, open, type Opened, pixels, type StaticHost, staticHost } from './browser.js';

const CLI = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const CHECKPOINT = join(PACKAGE_ROOT, 'models', 'tiny', 'tiny.safetensors');

/** Waits until the verdict says this; its lines. */
async function verdict(page: Page, title: string, ...lines: readonly RegExp[]): Promise<void> {
  const box = page.getByRole('status').filter({ has: page.locator('strong') });
  await box.locator('strong', { hasText: title }).waitFor();
  for (const line of lines) await box.locator('li', { hasText: line }).waitFor();
}

describe('playground', function () {
  // A browser on a busy machine is slow to start.
  this.timeout(180_000);
  let browser: Browser;
  let host: StaticHost;
  let folder: string;
  const golden = new GoldenModel(loadModel({ model: 'tiny' }).model);
  const board = loadBoard('rp2040');
  const count = golden.sample(0n).length;
  const ALL_PIXELS = new RegExp(`^${count} of ${count} pixels equal`);
  let opened: Opened[] = [];

  async function openPage(url: string, look = {}): Promise<Page> {
    const one = await open(browser, url, look);
    opened.push(one);
    return one.page;
  }

  before(async function () {
    if (CHROMIUM === undefined) {
      console.log('      skipped: no Chromium here; name one in CHROMIUM');
      this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'fsvae-page-'));
    const vite = join(PACKAGE_ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
    execFileSync(process.execPath, [vite, 'build', 'playground', '--logLevel', 'error'], { cwd: PACKAGE_ROOT });
    const loaded = loadModel({ model: 'tiny' });
    const project = writeProject(planFor(loaded.model, loaded.name, board), board, join(folder, 'firmware'));
    const { image } = await buildProject(project);
    const wasm = loadBoard('wasm');
    const module = await buildProject(
      writeProject(planFor(loaded.model, loaded.name, wasm), wasm, join(folder, 'module')),
    );
    const data = pageData({
      loaded,
      firmware: { board: board.name, image: image! },
      module: readFileSync(module.programPath),
    });
    host = await staticHost(join(PACKAGE_ROOT, 'dist-playground'), data);
    browser = await launch();
  });

  afterEach(async () => {
    const faults = opened.flatMap((one) => one.faults);
    for (const { context } of opened) await context.close();
    opened = [];
    expect(faults).to.deep.equal([]);
  });

  after(async () => {
    await browser?.close();
    await host?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('draws with the golden model and the emulated Pico, and compares every bit', async () => {
    const page = await openPage(`${host.url}#5`);
    await verdict(page, 'Bit-exact', ALL_PIXELS, /digests over [\d,]+ spikes equal/);
    // The page's word is not taken for it.
    const expected = Array.from(golden.sample(5n));
    expect(await pixels(page, 'golden')).to.deep.equal(expected);
    expect(await pixels(page, 'board')).to.deep.equal(expected);
    expect(await pixels(page, 'step-picture')).to.deep.equal(expected);
    await page.getByText(/Measured by the board: [\d,]+ cycles/).waitFor();
    await page.getByRole('img', { name: /spikes of 8 channels in 6 steps/ }).waitFor();
    await page.getByRole('img', { name: /Arena of [\d,]+ bytes/ }).waitFor();
    for (const name of golden.layerNames.slice(1)) {
      await page.locator('#rates').getByRole('rowheader', { name, exact: true }).waitFor();
    }
  });

  it('draws with the generated C in the browser itself, and compares every bit', async () => {
    const page = await openPage(`${host.url}#6`);
    await verdict(page, 'Bit-exact', /seed 6/);
    await page.locator('#target').selectOption('Generated C in this browser');
    await page.getByText(/^seed 6, \d+\.\d ms$/).waitFor();
    await verdict(page, 'Bit-exact', ALL_PIXELS, /digests over [\d,]+ spikes equal/);
    expect(await pixels(page, 'board')).to.deep.equal(Array.from(golden.sample(6n)));
    await page.getByRole('button', { name: 'Next seed' }).click();
    await verdict(page, 'Bit-exact', /seed 7/, /digests over/);
    expect(await pixels(page, 'board')).to.deep.equal(Array.from(golden.sample(7n)));
  });

  it('works by keyboard alone: seed, drawing, steps', async () => {
    const page = await openPage(host.url);
    await verdict(page, 'Bit-exact', /seed 0/);
    for (let presses = 0; presses < 10; presses++) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate('document.activeElement.id')) === 'seed') break;
    }
    await page.keyboard.press('Control+A');
    await page.keyboard.type('0x11');
    await page.keyboard.press('Enter');
    await verdict(page, 'Bit-exact', /seed 17/);
    await page.keyboard.press('ArrowUp');
    await verdict(page, 'Bit-exact', /seed 18/);
    await page.keyboard.press('Control+A');
    await page.keyboard.type('18446744073709551616');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'from 0 to 2^64 - 1' }).waitFor();
    await page.getByRole('slider').focus();
    await page.keyboard.press('Home');
    await page.getByText('1 of 6').waitFor();
    expect(await pixels(page, 'step-picture')).not.to.deep.equal(Array.from(golden.sample(18n)));
    await page.keyboard.press('End');
    expect(await pixels(page, 'step-picture')).to.deep.equal(Array.from(golden.sample(18n)));
  });

  it('quantizes a dropped checkpoint, and gives the files that the command line writes', async () => {
    const page = await openPage(host.url);
    await verdict(page, 'Bit-exact');
    await page.getByLabel('Weight bits').selectOption('4');
    await dropFile(page, 'mine.safetensors', readFileSync(CHECKPOINT));
    // Other bits are another model: the Pico of the page runs the one in 8 bits, and says so.
    await verdict(page, 'No comparison', /runs model tiny/);
    const { model } = loadModel({ model: 'tiny', bits: '4' });
    await page.getByText('0 of 6').waitFor({ state: 'detached' });
    await page.waitForFunction('document.querySelector("#golden-note").textContent.startsWith("seed 0")');
    expect(await pixels(page, 'golden')).to.deep.equal(Array.from(new GoldenModel(model).sample(0n)));
    await page.getByText(/Spikes that quantization changed/).waitFor();

    const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('Download C project').click()]);
    expect(download.suggestedFilename()).to.equal('rp2040-mine.zip');
    const entries = unzipSync(readFileSync((await download.path())!));
    const written = join(folder, 'mine');
    const { files } = writeProject(planFor(model, 'mine', board), board, written);
    expect(Object.keys(entries).sort()).to.deep.equal([...files.keys()].map((path) => `rp2040-mine/${path}`).sort());
    for (const path of files.keys()) {
      expect(Buffer.from(entries[`rp2040-mine/${path}`]).equals(readFileSync(join(written, path))), path).to.equal(
        true,
      );
    }

    // In 8 bits it is the model that the Pico runs.
    await page.getByLabel('Weight bits').selectOption('8');
    await verdict(page, 'Bit-exact', /digests over/);
    // Its firmware can be dropped as well.
    await dropFile(page, 'fsvae.uf2', readFileSync(join(folder, 'firmware', 'build', 'fsvae.uf2')));
    await page.getByText('The emulated Pico runs fsvae.uf2').waitFor();
    await verdict(page, 'Bit-exact', /digests over/);
  });

  it('says in one line what is wrong with a file, and goes on', async () => {
    const page = await openPage(host.url);
    await verdict(page, 'Bit-exact');
    await dropFile(page, 'holiday.pth', new TextEncoder().encode('not a network'));
    await page.getByText(/holiday\.pth: is neither a PyTorch checkpoint \(zip\) nor a safetensors file/).waitFor();
    await page.getByRole('button', { name: 'Next seed' }).click();
    await verdict(page, 'Bit-exact', /seed 1/);
  });

  it('fits a phone, light and dark', async () => {
    const page = await openPage(host.url, { width: 375, height: 720 });
    await page.getByRole('img', { name: /Arena of/ }).waitFor();
    await page.getByRole('rowheader', { name: 'readout' }).waitFor();
    const papers = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(375);
      papers.push(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    }
    expect(papers[0]).not.to.equal(papers[1]);
  });

  describe('fsvae-codegen view', () => {
    let process_: ChildProcess;

    afterEach(() => process_?.kill('SIGKILL'));

    it('shows an emulated board of the command line, and ends with it', async () => {
      const args = [
        'view',
        '--simulate',
        '--board',
        'rp2040',
        '--model',
        'tiny',
        '--no-open',
        '-o',
        join(folder, 'view'),
      ];
      const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      process_ = child;
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      const url = await new Promise<string>((resolve, reject) => {
        let said = '';
        const take = (data: Buffer): void => {
          said += data.toString();
          const found = /http:\/\/127\.0\.0\.1:\d+\/[\w-]{24}\//.exec(said);
          if (found !== null) resolve(found[0]);
        };
        child.stdout.on('data', take);
        child.stderr.on('data', take);
        void ended.then(() => reject(new Error(said)));
      });
      const page = await openPage(url);
      await verdict(page, 'Bit-exact', ALL_PIXELS, /digests over/);
      expect(await pixels(page, 'board')).to.deep.equal(Array.from(golden.sample(0n)));
      // Loaded anew, the page takes the board over.
      await page.reload();
      await verdict(page, 'Bit-exact', /digests over/);
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByText('Download C project').click(),
      ]);
      expect(download.suggestedFilename()).to.equal('rp2040-tiny.zip');
      child.kill('SIGTERM');
      expect(await ended).to.equal(0);
      await verdict(page, 'Board gone');
    });
  });
});
