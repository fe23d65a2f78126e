/** Images to latents and back on the command line, with a whole network a few kilobytes large. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { EXIT_CODES } from '../../cli/exit-codes.js';
import { startBoard } from '../../cli/targets.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { readFloatEncoder } from '../../codegen/float/encoder.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { planEncoder } from '../../codegen/plan/encoder.js';
import { makePlan, type Plan } from '../../codegen/plan/plan.js';
import { buildProject, writeProject } from '../../codegen/project.js';
import { quantizeEncoder } from '../../codegen/quantize/encoder.js';
import { quantize } from '../../codegen/quantize/quantize.js';
import { decodeLatents, encodeLatents } from '../../harness/latent-file.js';
import type { BoardProcess } from '../../harness/process.js';
import { pngGrid } from '../../harness/picture.js';
import { EncoderNetwork } from '../../runtime-ts/encoder.js';
import { GoldenModel } from '../../runtime-ts/golden.js';
import { drawChoices, Pcg32 } from '../../runtime-ts/pcg32.js';
import { encodeSafetensors } from '../../runtime-ts/safetensors.js';
import { packLatent } from '../../runtime-ts/spike-bits.js';
import { refusal } from '../checkpoint/refusal.js';
import { tinyWithEncoder } from '../support/tiny-encoder.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const checkpoint = tinyWithEncoder();
const float = readFloatModel(checkpoint);
const golden = new GoldenModel(quantize(float));
const network = new EncoderNetwork(quantizeEncoder(float, readFloatEncoder(checkpoint, float)));
const { timeSteps, latentChannels, choices: k, channels, imageSize } = float.config;
const PICTURES = 3;
const SEED = 40n;

function picture(index: number): Uint8Array {
  const random = new Pcg32(BigInt(index));
  return Uint8Array.from({ length: channels * imageSize ** 2 }, () => random.next() % 256);
}

function latentOf(index: number): Uint8Array {
  const drawn = drawChoices(SEED + BigInt(index), timeSteps, latentChannels, k);
  return packLatent(network.encode(picture(index), drawn), timeSteps, latentChannels);
}

describe('images to latents and back', function () {
  this.timeout(120_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fsvae-encode-'));
    const tensors = [...checkpoint.tensors].map(([name, { shape, data }]) => {
      const bytes = new Uint8Array(Float32Array.from(data).buffer);
      return [name, { dtype: 'F32', shape: [...shape], data: bytes }] as const;
    });
    writeFileSync(join(folder, 'whole.safetensors'), encodeSafetensors(new Map(tensors), {}));
    mkdirSync(join(folder, 'pictures'));
    for (let i = 0; i < PICTURES; i++) {
      const png = pngGrid([picture(i)], { channels, size: imageSize }, { scale: 1, gap: 0 });
      writeFileSync(join(folder, `pictures/${i}.png`), png);
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(...args: string[]): { code: number | null; out: string; err: string } {
    const child = spawnSync(process.execPath, [MAIN, ...args], { cwd: folder, encoding: 'utf8' });
    return { code: child.status, out: child.stdout, err: child.stderr };
  }

  it("encode writes the golden encoder's latents, decode draws them", () => {
    const encoded = run(
      'encode',
      'pictures',
      '-m',
      'whole.safetensors',
      '-s',
      String(SEED),
      '-o',
      'latents.safetensors',
    );
    expect(encoded.err).to.not.match(/fsvae-codegen:/);
    expect(encoded.out).to.match(/wrote latents\.safetensors: 3 latents of 6 bytes, from 64 bytes an image\n$/);
    const file = decodeLatents(new Uint8Array(readFileSync(join(folder, 'latents.safetensors'))), 'latents');
    expect(file.latents).to.deep.equal([0, 1, 2].map(latentOf));
    expect(file.modelHash).to.equal(golden.hash);

    expect(run('decode', 'latents.safetensors', '-m', 'whole.safetensors', '--png', 'drawn.png').code).to.equal(0);
    const drawn = file.latents.map((latent) => golden.decode(latent));
    const expected = pngGrid(drawn, { channels, size: imageSize }, { scale: 4 });
    expect(readFileSync(join(folder, 'drawn.png')).equals(expected)).to.equal(true);
  });

  it('reconstruct draws with the emulated Pico, bit for bit, and says how far it is from the originals', () => {
    const args = ['reconstruct', 'pictures', '-m', 'whole.safetensors', '-s', String(SEED), '--json'];
    const here = run(...args);
    expect(here.code, here.err).to.equal(0);
    const { mse, images, bitExact } = JSON.parse(here.out) as { mse: number; images: number; bitExact: null };
    expect({ images, bitExact }).to.deep.equal({ images: PICTURES, bitExact: null });
    let sum = 0;
    for (let i = 0; i < PICTURES; i++) {
      const drawn = golden.decode(latentOf(i));
      picture(i).forEach((byte, at) => (sum += ((2 / 255) * (byte - drawn[at])) ** 2));
    }
    expect(mse).to.be.closeTo(sum / (PICTURES * imageSize ** 2 * channels), 1e-12);

    const there = run(...args, '--simulate', '--board', 'rp2040');
    expect(there.code, there.err).to.equal(0);
    expect(JSON.parse(there.out)).to.include({ mse, bitExact: true });
  });

  it('encode finds the same latents on the emulated Pico', () => {
    const args = ['encode', 'pictures', '-m', 'whole.safetensors', '-s', String(SEED)];
    const there = run(...args, '-o', 'there.safetensors', '--simulate');
    expect(there.code, there.err).to.equal(0);
    expect(there.out).to.match(/\n3 of 3 latents of rp2040 on \S+ bit-exact\n$/);
    const file = decodeLatents(new Uint8Array(readFileSync(join(folder, 'there.safetensors'))), 'there');
    expect(file.latents).to.deep.equal([0, 1, 2].map(latentOf));
  });

  it('reconstruct leaves the encoder here where it is told to, or where it does not fit', () => {
    const args = ['reconstruct', 'pictures', '-m', 'whole.safetensors', '--simulate', '--json'];
    const told = run(...args, '--parts', 'generate');
    expect(JSON.parse(told.out)).to.include({ encodedBy: 'golden model', bitExact: true, cycles: null });
    const rp2040 = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'boards/rp2040.json'), 'utf8')) as {
      memory: { flash: { bytes: number } };
    };
    const { flash } = rp2040.memory;
    const cramped = { ...rp2040, name: 'cramped', memory: { ...rp2040.memory, flash: { ...flash, bytes: 61_600 } } };
    writeFileSync(join(folder, 'cramped.json'), JSON.stringify(cramped));
    const fitted = run(...args, '--board', './cramped.json');
    expect(JSON.parse(fitted.out)).to.include({ encodedBy: 'golden model', bitExact: true });
    expect(fitted.err).to.match(/encoder and posterior do not fit cramped beside the rest, so images are encoded here/);
    const asked = run(...args, '--board', './cramped.json', '--parts', 'full');
    expect(asked.code).to.equal(EXIT_CODES.fit);
    expect(asked.err.trimEnd().split('\n').at(-1)).to.match(
      /does not fit cramped: .*--parts generate, without the encoder/,
    );
  });

  describe('on a port', () => {
    const processes: BoardProcess[] = [];
    let [whole, alone] = ['', ''];

    before(async () => {
      const model = quantize(float);
      const encoder = planEncoder(quantizeEncoder(float, readFloatEncoder(checkpoint, float)));
      const start = async (name: string, plan: Plan): Promise<string> => {
        const board = loadBoard('host');
        const build = await buildProject(writeProject(plan, board, join(folder, name)));
        const running = await startBoard(board, build);
        processes.push(running);
        return running.path;
      };
      whole = await start('host-whole', makePlan(model, 'whole', { encoder }));
      alone = await start('host-alone', makePlan(model, 'whole'));
    });
    after(() => Promise.all(processes.map((running) => running.close())));

    const args = ['-m', 'whole.safetensors', '-s', String(SEED)];
    const lastLine = (err: string): string => err.trimEnd().split('\n').at(-1)!;

    it('reconstruct asks the board what it has, and takes what there is', () => {
      for (const [port, parts, there] of [
        [whole, [], true],
        [whole, ['--parts', 'generate'], false],
        [alone, [], false],
      ] as const) {
        const { code, out, err } = run('reconstruct', 'pictures', ...args, '--port', port, ...parts, '--json');
        expect(code, err).to.equal(0);
        const { encodedBy, bitExact } = JSON.parse(out) as { encodedBy: string; bitExact: boolean };
        expect([encodedBy === 'golden model', bitExact]).to.deep.equal([!there, true]);
      }
    });

    it('a board without an encoder, or with another, is refused where it is to encode', () => {
      const missing = run('encode', 'pictures', ...args, '--port', alone, '-o', 'none.out');
      expect(missing.code).to.equal(EXIT_CODES['model-mismatch']);
      expect(lastLine(missing.err)).to.match(
        /has no encoder: fsvae-codegen flash --board host --model whole\.safetensors --parts full puts it there$/,
      );
      const other = run('reconstruct', 'pictures', ...args, '--port', whole, '--encoder-bits', '4');
      expect(other.code).to.equal(EXIT_CODES['model-mismatch']);
      expect(lastLine(other.err)).to.match(/has the encoder [0-9a-f]{16}, not [0-9a-f]{16}: give the --encoder-bits/);
    });

    it('stream and verify need not know that an encoder is there', () => {
      for (const command of ['stream', 'verify']) {
        const { code, err } = run(command, '-m', 'whole.safetensors', '--port', whole, '-n', '2');
        expect(code, err).to.equal(0);
      }
    });
  });

  it('convert keeps encoder and posterior where it is told to, in 16 bits to half their size', () => {
    const size = (form: string): number => {
      const { code, err } = run('convert', 'whole.safetensors', '-o', `${form}.safetensors`, '--encoder', form);
      expect(code, err).to.equal(0);
      return readFileSync(join(folder, `${form}.safetensors`)).length;
    };
    const [none, f32, f16] = ['none', 'f32', 'f16'].map(size);
    expect([none < f16, f16 < f32]).to.deep.equal([true, true]);
    const mse = (model: string): number => {
      const { code, out, err } = run('reconstruct', 'pictures', '-m', model, '--json');
      expect(code, err).to.equal(0);
      return (JSON.parse(out) as { mse: number }).mse;
    };
    expect(mse('f32.safetensors')).to.equal(mse('whole.safetensors'));
    expect(mse('f16.safetensors')).to.be.within(0, 4);
    const { code, err } = run('convert', 'none.safetensors', '-o', 'x', '--encoder', 'f32');
    expect([code, err]).to.deep.equal([
      EXIT_CODES.input,
      'fsvae-codegen: none.safetensors holds no encoder: it holds only what generation needs\n',
    ]);
  });

  it('refuses latents of another model, files that hold none, and checkpoints without an encoder', () => {
    const last = (...args: string[]): [number | null, string] => {
      const { code, err } = run(...args);
      return [code, err.trimEnd().split('\n').at(-1)!];
    };
    const [code, message] = last('decode', 'latents.safetensors', '-m', 'tiny', '--bits', '4');
    expect(code).to.equal(EXIT_CODES['model-mismatch']);
    expect(message).to.match(/holds latents of model [0-9a-f]{16}, \S+ is [0-9a-f]{16}: decode them with/);
    expect(last('decode', 'whole.safetensors', '-m', 'tiny')[1]).to.match(
      /holds no latents: its metadata does not say/,
    );
    expect(last('encode', 'pictures', '-m', 'tiny', '-o', 'x')[1]).to.match(/it holds only what generation needs/);
    expect(last('encode', 'nowhere', '-m', 'whole.safetensors', '-o', 'x')[1]).to.match(/nowhere/);
    const sound = { modelHash: golden.hash, timeSteps, latentChannels, latents: [latentOf(0)] };
    expect(decodeLatents(encodeLatents(sound), 'x')).to.deep.equal(sound);
    expect(refusal(() => decodeLatents(encodeLatents({ ...sound, timeSteps: 33 }), 'x'))).to.match(/timeSteps must be/);
  });
});
