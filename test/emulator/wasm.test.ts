/** The WebAssembly module as an engineer uses it, in Node and in a browser; and its process. The bits of all layers are compared by
 * the conformance suite. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { buildProject, writeProject } from '../../codegen/project.js';
import { WASM_LOADER, WASM_PROGRAM, type WasmLoader, type WasmModel } from '../../emulator/wasm.js';
import { decodeHello, encodeFrame, FrameDecoder, Request } from '../../harness/frame.js';
import { startBoardProcess } from '../../harness/process.js';
import { CHROMIUM } from '../playground/browser.js';
import { shipped, wholeTiny } from '../support/shipped.js';
import { lastWords } from './board-processes.js';
import { openWasmPage, type WasmPage } from './wasm-page.js';

const PROCESS = fileURLToPath(new URL('../../emulator/wasm-process.js', import.meta.url));
const SEEDS = [0n, 1n, 12_345n, 2n ** 63n, 2n ** 64n - 1n];

describe('WebAssembly module', function () {
  this.timeout(120_000);
  const { golden, plan } = shipped('mnist-small');
  let folder: string;
  let wasm: Uint8Array;
  let load: WasmLoader['load'];
  let model: WasmModel;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-wasm-'));
    const board = loadBoard('wasm');
    const build = await buildProject(writeProject(plan, board, folder), { extraFlags: ['-Werror'] });
    expect(build.diagnostics).to.equal('');
    expect(build.programPath).to.equal(join(folder, WASM_PROGRAM));
    wasm = readFileSync(build.programPath);
    ({ load } = (await import(pathToFileURL(join(folder, WASM_LOADER)).href)) as WasmLoader);
    model = await load(wasm);
  });

  after(() => rmSync(folder, { recursive: true }));

  it('asks for nothing but a place for bytes and the time', () => {
    const { WebAssembly } = globalThis as unknown as {
      WebAssembly: {
        Module: { new (bytes: Uint8Array): object; imports(module: object): { module: string; name: string }[] };
      };
    };
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(wasm));
    expect(imports.map(({ module, name }) => `${module}.${name}`).sort()).to.deep.equal([
      'port.nanoseconds',
      'port.write',
    ]);
  });

  it('knows the shape of its images', () => {
    const { channels, imageSize, timeSteps, latentChannels } = golden.model.config;
    expect({ ...model }).to.include({ channels, imageSize });
    expect(model.latentBytes).to.equal(timeSteps * Math.ceil(latentChannels / 8));
  });

  it("draws the golden model's images in Node, of seeds and of latents", () => {
    for (const seed of SEEDS) {
      const expected = golden.sample(seed);
      expect(model.sample(seed), `seed ${seed}`).to.deep.equal(expected);
      expect(model.decode(golden.latent(seed)), `latent of seed ${seed}`).to.deep.equal(expected);
    }
  });

  it('refuses a latent of another length', () => {
    expect(() => model.decode(new Uint8Array(3))).to.throw(RangeError, 'bytes, not 3');
  });

  it('gives images that later ones do not change, and instances that do not disturb each other', async () => {
    const other = await load(wasm);
    const first = model.sample(0n);
    other.sample(1n);
    model.sample(2n);
    expect(first).to.deep.equal(golden.sample(0n));
  });

  it('has an encoder only where the model has one, whose latents are the golden ones', async () => {
    expect(model.encode).to.equal(undefined);
    const whole = wholeTiny();
    const project = join(folder, 'whole');
    const build = await buildProject(writeProject(whole.plan, loadBoard('wasm'), project), { extraFlags: ['-Werror'] });
    expect(build.diagnostics).to.equal('');
    const encoding = await load(readFileSync(build.programPath));
    for (const seed of SEEDS) {
      const image = whole.golden.sample(seed);
      expect(encoding.encode!(image, seed), `seed ${seed}`).to.deep.equal(whole.encoder.encode(image, seed));
    }
    expect(() => encoding.encode!(new Uint8Array(5), 0n)).to.throw(RangeError, 'bytes, not 5');
  });

  for (const [how, cut] of [
    ['byte by byte', 1],
    ['two at once', 1 << 20],
  ] as const) {
    it(`answers requests that come ${how}`, async () => {
      const frames = new FrameDecoder(1 << 16);
      const ids: number[] = [];
      const instance = await load(wasm, (bytes) => {
        for (const decoded of frames.push(bytes)) {
          if (decoded.kind !== 'frame') throw new Error(decoded.kind);
          ids.push(decoded.frame.id);
          expect(decodeHello(decoded.frame.body)?.board).to.equal('wasm');
        }
      });
      const request = (id: number): Uint8Array =>
        encodeFrame({ type: Request.hello, status: 0, id, body: new Uint8Array() });
      const bytes = Uint8Array.from([...request(7), ...request(8)]);
      for (let at = 0; at < bytes.length; at += cut) instance.receive(bytes.subarray(at, at + cut));
      expect(ids).to.deep.equal([7, 8]);
    });
  }

  describe('in Chromium', () => {
    let page: WasmPage;

    before(async function () {
      if (CHROMIUM === undefined) {
        console.log('      skipped: no Chromium here; name one in CHROMIUM');
        this.skip();
      }
      page = await openWasmPage(folder);
    });

    after(() => page?.close());

    it("draws the golden model's images, of seeds and of latents", async () => {
      for (const seed of SEEDS) {
        const expected = golden.sample(seed);
        expect(await page.sample(seed), `seed ${seed}`).to.deep.equal(expected);
        expect(await page.decode(golden.latent(seed)), `latent of seed ${seed}`).to.deep.equal(expected);
      }
    });
  });

  describe('its process', () => {
    it('ends when it is closed, without a word', async () => {
      const running = await startBoardProcess(process.execPath, [PROCESS, folder]);
      await running.close();
      expect(await running.ended).to.equal('');
    });

    for (const [what, args, said] of [
      ['no project', [], 'usage: wasm-process PROJECT'],
      ['a folder that is none', ['no-such-folder'], 'no-such-folder'],
    ] as const) {
      it(`says in one line what is wrong: ${what}`, async () => {
        expect(await lastWords(PROCESS, ...args)).to.contain(said);
      });
    }

    it('says in one line what is wrong: a damaged module', async () => {
      const path = join(folder, WASM_PROGRAM);
      writeFileSync(path, wasm.subarray(0, wasm.length / 2));
      try {
        expect(await lastWords(PROCESS, folder)).to.match(/WebAssembly/);
      } finally {
        writeFileSync(path, wasm);
      }
    });
  });
});
