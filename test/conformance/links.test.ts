/** The RP2040's firmware on both of its links, at once and under load. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { buildProject, writeProject } from '../../codegen/project.js';
import { EmulatedRp2040 } from '../../emulator/rp2040.js';
import {
  decodeImage,
  encodeFrame,
  encodeSeed,
  encodeTensorRequest,
  type Frame,
  FrameDecoder,
  Request,
  RESPONSE,
  Status,
  TensorKind,
} from '../../harness/frame.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';
import { shipped } from '../support/shipped.js';

type Link = 'uart' | 'usb';
const LINKS: readonly Link[] = ['uart', 'usb'];

describe('the RP2040 on USB and UART', function () {
  this.timeout(240_000);
  const { plan, golden } = shipped('tiny');
  let image: Uint8Array;

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fsvae-links-'));
    try {
      const build = await buildProject(writeProject(plan, loadBoard('rp2040'), folder));
      image = new Uint8Array(readFileSync(build.programPath.replace(/\.elf$/, '.bin')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  /** A running board; what has come over its links, by link. */
  function start() {
    const decoders = { uart: new FrameDecoder(), usb: new FrameDecoder() };
    const frames: Record<Link, Frame[]> = { uart: [], usb: [] };
    const take = (link: Link, bytes: Uint8Array): void => {
      for (const decoded of decoders[link].push(bytes)) if (decoded.kind === 'frame') frames[link].push(decoded.frame);
    };
    const faults: string[] = [];
    const chip = new EmulatedRp2040(image, {
      onUartByte: (byte) => take('uart', Uint8Array.of(byte)),
      usb: { onBytes: (bytes) => take('usb', bytes) },
      onFault: (what) => faults.push(what),
    });
    const send = (link: Link, bytes: Uint8Array): void =>
      link === 'uart' ? chip.receive(bytes) : chip.usb!.send(bytes);
    const untilIdle = (): void => {
      const end = chip.cycles + 20e9;
      do chip.run(1e6);
      while (!chip.idle && chip.cycles < end);
      expect(faults).to.deep.equal([]);
      expect(chip.idle, 'an end').to.equal(true);
    };
    return { chip, send, untilIdle, frames };
  }

  const request = (type: number, id: number, body: Uint8Array): Uint8Array =>
    encodeFrame({ type, status: 0, id, body });

  it('answers requests that come over both at once, each on its own link', () => {
    const { send, untilIdle, frames } = start();
    for (let id = 1; id <= 12; id++) {
      for (const link of LINKS) {
        frames[link] = [];
        send(link, request(Request.sample, id, encodeSeed(BigInt(id + (link === 'usb' ? 100 : 0)))));
      }
      untilIdle();
      for (const link of LINKS) {
        expect(frames[link].map((frame) => [frame.type, frame.id, frame.status])).to.deep.equal([
          [Request.sample | RESPONSE, id, Status.ok],
        ]);
        const expected = golden.sample(BigInt(id + (link === 'usb' ? 100 : 0)));
        const drawn = decodeImage(frames[link][0].body, expected.length)!;
        expect(Buffer.from(drawn.image).equals(Buffer.from(expected)), `${link}, request ${id}`).to.equal(true);
      }
    }
  });

  it('serves a long row of requests sent without waiting for their answers, large answers among them', () => {
    const { send, untilIdle, frames, chip } = start();
    const neurons = Math.max(...golden.layerNeurons);
    const layer = golden.layerNeurons.indexOf(neurons);
    const count = Math.min(neurons, 1024);
    const tensor = encodeTensorRequest({ seed: 1n, layer, step: 0, kind: TensorKind.membranes, first: 0, count });
    const bytes = Array.from({ length: 60 }, (_, id) =>
      id % 3 === 0 ? request(Request.tensor, id, tensor) : request(Request.statistics, id, new Uint8Array()),
    );
    chip.run(5e6);
    chip.usb!.listen(false);
    for (const each of bytes) send('usb', each);
    chip.run(50e6);
    chip.usb!.listen(true);
    untilIdle();
    expect(frames.usb.map(({ id, status }) => [id, status])).to.deep.equal(bytes.map((_, id) => [id, 0]));
    for (const { id, body } of frames.usb) if (id % 3 === 0) expect(body.length).to.equal(4 * count);
  });

  it('answers after any garbage, and after the line was opened and closed in the middle of it', () => {
    for (let seed = 1n; seed <= 20n; seed++) {
      const random = new Pcg32(seed);
      const { send, untilIdle, frames, chip } = start();
      for (let round = 0; round < 6; round++) {
        const link = LINKS[random.below(2)];
        send(
          link,
          Uint8Array.from({ length: random.below(700) }, () => random.below(256)),
        );
        if (random.below(2) === 0) {
          chip.run(random.below(60_000));
          chip.usb!.setLine({ open: false });
          chip.usb!.setLine({ open: true });
        }
      }
      untilIdle();
      for (const link of LINKS) {
        frames[link] = [];
        send(link, request(Request.hello, 77, new Uint8Array()));
        untilIdle();
        const answers = frames[link].filter(({ status }) => status !== Status.badFrame);
        expect(
          answers.map(({ type, id }) => [type, id]),
          `${link}, seed ${seed}`,
        ).to.deep.equal([[Request.hello | RESPONSE, 77]]);
      }
    }
  });
});
