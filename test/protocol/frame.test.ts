import { expect } from 'chai';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Decoded, encodeFrame, type Frame, FrameDecoder } from '../../harness/frame.js';
import { compileHost, hostCompilers, packageRoot, sanitizers, temporaryFolder, WARNINGS } from './host-compiler.js';

const VECTORS = join(packageRoot(), 'test/protocol/vectors.txt');

const fromHex = (hex: string) => Uint8Array.from(Buffer.from(hex === '-' ? '' : hex, 'hex'));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex') || '-';

/** A frame as vectors.txt and frame_test.c write it. */
const textOf = ({ type, status, id, body }: Frame) =>
  `${type.toString(16).padStart(2, '0')} ${status} ${id} ${toHex(body)}`;
const eventOf = (decoded: Decoded) => (decoded.kind === 'bad' ? 'bad' : textOf(decoded.frame));

const arbitraryFrame: fc.Arbitrary<Frame> = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  status: fc.integer({ min: -128, max: 127 }),
  id: fc.integer({ min: 0, max: 65535 }),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    // Long runs without a zero, around multiples of a full COBS block.
    fc
      .tuple(fc.integer({ min: 1, max: 255 }), fc.constantFrom(240, 246, 250, 254, 500, 508, 762), fc.nat(8))
      .map(([byte, length, more]) => new Uint8Array(length + more).fill(byte)),
  ),
});

/** Bytes as a bad line might deliver them: whole frames, damaged ones, noise. */
const arbitraryStream: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      arbitraryFrame.map(encodeFrame),
      fc.uint8Array({ maxLength: 60 }),
      fc.tuple(arbitraryFrame.map(encodeFrame), fc.nat(), fc.integer({ min: 1, max: 255 })).map(([wire, at, flip]) => {
        const damaged = wire.slice();
        damaged[at % wire.length] ^= flip;
        return damaged;
      }),
      fc.tuple(arbitraryFrame.map(encodeFrame), fc.nat()).map(([wire, at]) => wire.subarray(0, at % wire.length)),
    ),
    { maxLength: 20 },
  )
  .map((parts) => Uint8Array.from(Buffer.concat(parts)));

describe('frames in TypeScript', () => {
  const lines = readFileSync(VECTORS, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' '));

  it('has vectors of every kind', () => {
    for (const kind of ['frame', 'other', 'bad', 'none', 'query']) {
      expect(
        lines.some((line) => line[0] === kind),
        kind,
      ).to.be.true;
    }
  });

  for (const words of lines) {
    it(`${words[0]} ${words[1]}`, () => {
      const wire = fromHex(words.at(-1) ?? '');
      const events = new FrameDecoder().push(wire).map(eventOf);
      switch (words[0]) {
        case 'frame':
        case 'other': {
          const [type, status, id, body] = words.slice(2);
          expect(events).to.deep.equal([`${type} ${status} ${id} ${body}`]);
          if (words[0] === 'other') break;
          const frame = { type: parseInt(type, 16), status: Number(status), id: Number(id), body: fromHex(body) };
          expect(toHex(encodeFrame(frame))).to.equal(toHex(wire));
          break;
        }
        case 'bad':
          expect(events).to.deep.equal(['bad']);
          break;
        default:
          expect(events).to.deep.equal([]);
      }
    });
  }

  it('gives back every frame, however the bytes are cut and whatever noise lies between frames', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(arbitraryFrame, fc.uint8Array({ maxLength: 20 })), { maxLength: 6 }),
        fc.integer({ min: 1, max: 50 }),
        (parts, piece) => {
          const wire = Buffer.concat(parts.flatMap(([frame, noise]) => [noise, encodeFrame(frame)]));
          const decoder = new FrameDecoder();
          const events: string[] = [];
          for (let at = 0; at < wire.length; at += piece) {
            events.push(...decoder.push(wire.subarray(at, at + piece)).map(eventOf));
          }
          expect(events.filter((event) => event !== 'bad')).to.deep.equal(parts.map(([frame]) => textOf(frame)));
          expect(decoder.open).to.be.false;
        },
      ),
    );
  });

  it('has no zero but at both ends, and at most one byte in 254 more', () => {
    fc.assert(
      fc.property(arbitraryFrame, (frame) => {
        const wire = encodeFrame(frame);
        expect(wire.indexOf(0, 1)).to.equal(wire.length - 1);
        const plain = 8 + frame.body.length;
        expect(wire.length).to.be.at.most(plain + Math.ceil(plain / 254) + 2);
      }),
    );
  });

  it('takes a frame that fills the limit, and reports one that is a byte longer', () => {
    const frame = { type: 1, status: 0, id: 1, body: new Uint8Array(3000).fill(7) };
    expect(new FrameDecoder(3000).push(encodeFrame(frame)).map((decoded) => decoded.kind)).to.deep.equal(['frame']);
    const decoder = new FrameDecoder(2999);
    expect(decoder.push(encodeFrame(frame))).to.deep.equal([{ kind: 'bad', reason: 'too long' }]);
    const next = { ...frame, body: new Uint8Array(5) };
    expect(decoder.push(encodeFrame(next)).map(eventOf)).to.deep.equal([textOf(next)]);
  });
});

describe('frames in C', () => {
  for (const compiler of ['gcc', 'clang']) {
    const installed = hostCompilers.includes(compiler);
    (installed ? describe : describe.skip)(`built by ${compiler}${installed ? '' : ' (not installed)'}`, () => {
      const folder = temporaryFolder();
      const program = join(folder.path, 'frame_test');
      before(function () {
        this.timeout(60_000);
        compileHost(compiler, [
          ...WARNINGS,
          '-O2',
          '-Ifirmware-templates/app',
          '-c',
          'firmware-templates/app/frame.c',
          '-o',
          join(folder.path, 'frame.o'),
        ]);
        compileHost(compiler, [
          '-std=gnu99',
          ...sanitizers(compiler),
          '-Ifirmware-templates/app',
          'firmware-templates/app/frame.c',
          'test/protocol/frame_test.c',
          '-o',
          program,
        ]);
      });
      after(folder.remove);

      it('agree with vectors.txt', () => {
        const output = execFileSync(program, ['check', VECTORS], { encoding: 'utf8' });
        expect(output).to.match(/^[3-9]\d lines checked, 0 wrong\n$/);
      });

      it('are encoded to the same bytes as in TypeScript', () => {
        const frames = fc.sample(arbitraryFrame, { numRuns: 500, seed: 1 });
        const output = execFileSync(program, ['encode'], {
          input: frames.map((frame) => `${textOf(frame)}\n`).join(''),
          encoding: 'utf8',
        });
        expect(output.trimEnd().split('\n')).to.deep.equal(frames.map((frame) => toHex(encodeFrame(frame))));
      });

      it('make the same of any stream as in TypeScript, with room for any body or little', () => {
        fc.assert(
          fc.property(arbitraryStream, fc.constantFrom(0, 5, 200, 4096), (wire, maxBody) => {
            const output = execFileSync(program, ['decode', String(8 + maxBody)], { input: wire, encoding: 'utf8' });
            fc.pre(!output.includes('query'));
            const events = new FrameDecoder(maxBody).push(wire).map(eventOf);
            expect(output.split('\n').slice(0, -1)).to.deep.equal(events);
          }),
          { numRuns: 40 },
        );
      });

      it('answers a question at the start of a frame only, with either line end, and then decodes on', () => {
        const wire = Buffer.concat([
          Buffer.from('?\r\n?\r?\n\0x?\r\0'),
          encodeFrame({ type: 1, status: 0, id: 1, body: new Uint8Array(0) }),
        ]);
        const output = execFileSync(program, ['decode', '64'], { input: wire, encoding: 'utf8' });
        expect(output).to.equal('query\nquery\nquery\nbad\n01 0 1 -\n');
      });
    });
  }
});
