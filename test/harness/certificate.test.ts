import { expect } from 'chai';
import {
  type CertifiedTarget,
  certify,
  checkCertifiable,
  differences,
  encodeCertificate,
  type Evidence,
  EvidenceCollector,
  parseCertificate,
} from '../../harness/certificate.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { sha256 } from '../../runtime-ts/sha256.js';
import { errorOf } from './errors.js';
import { FakeGolden, TIME_STEPS } from './fake-golden.js';

const golden = new FakeGolden();
const MODEL = { name: 'fake', hash: golden.hash, options: {} };

function evidenceOf(first: bigint, count: number): Evidence {
  const collector = new EvidenceCollector(golden);
  for (let i = 0; i < count; i++) collector.add(golden.trace(first + BigInt(i)));
  return collector.evidence(MODEL, first);
}

function target(changes: Partial<CertifiedTarget>): CertifiedTarget {
  return {
    kind: 'host',
    board: 'host',
    generator: '0.1.0',
    compiler: { kind: 'gcc', version: 'gcc 12' },
    emulator: null,
    firmware: sha256(Uint8Array.of(1)),
    constants: '0123abcd',
    serialNumber: null,
    ...changes,
  };
}

describe('a certificate', () => {
  it('hashes the digests of each row over seeds and steps, and the images', () => {
    const { layers, images, spikes, seeds } = evidenceOf(3n, 2);
    const traces = [golden.trace(3n), golden.trace(4n)];
    const bytes = new Uint8Array(4 * 2 * TIME_STEPS);
    traces.forEach((trace, s) =>
      trace.digests[2].forEach((digest, t) =>
        new DataView(bytes.buffer).setUint32(4 * (s * TIME_STEPS + t), digest, true),
      ),
    );
    expect(layers[2]).to.deep.equal({ name: 'z', neurons: 12, digest: sha256(bytes) });
    const both = new DataView(new ArrayBuffer(8));
    [3n, 4n].forEach((seed, i) => both.setUint32(4 * i, crc32(golden.sample(seed)), true));
    expect(images).to.equal(sha256(new Uint8Array(both.buffer)));
    expect(spikes).to.equal(traces.flatMap((trace) => [...trace.spikes]).reduce((a, b) => a + b));
    expect(seeds).to.deep.equal({ first: '3', count: 2 });
  });

  it('is the same text whatever the order of runs, and is read back as it was', () => {
    const evidence = evidenceOf(0n, 1);
    const [a, b, c] = [
      target({ kind: 'board', board: 'rp2040', compiler: null, serialNumber: 'E66' }),
      target({}),
      target({ kind: 'golden', board: null, compiler: null }),
    ];
    const one = certify(certify(undefined, evidence, [a], 'x'), evidence, [b, c], 'x');
    const other = certify(certify(certify(undefined, evidence, [c], 'x'), evidence, [b], 'x'), evidence, [a], 'x');
    expect(one.targets.map(({ kind }) => kind)).to.deep.equal(['golden', 'host', 'board']);
    expect(encodeCertificate(one)).to.equal(encodeCertificate(other));
    expect(parseCertificate(encodeCertificate(one), 'x')).to.deep.equal(one);
  });

  it('keeps the newer run of a target, and boards with other serial numbers apart', () => {
    const evidence = evidenceOf(0n, 1);
    const board = (serialNumber: string) => target({ kind: 'board', board: 'rp2040', compiler: null, serialNumber });
    const older = certify(undefined, evidence, [target({ firmware: sha256(Uint8Array.of(9)) }), board('A')], 'x');
    const newer = certify(older, evidence, [target({}), board('B')], 'x');
    expect(newer.targets).to.deep.equal([target({}), board('A'), board('B')]);
  });

  it('takes no target of other seeds or another model', async () => {
    const before = certify(undefined, evidenceOf(0n, 2), [target({})], 'x');
    for (const [other, what] of [
      [evidenceOf(1n, 2), /seeds, spikes of choices, /],
      [{ ...evidenceOf(0n, 2), model: { ...MODEL, hash: sha256(Uint8Array.of(0)) } }, /\(model differ\)/],
    ] as const) {
      const error = await errorOf(Promise.resolve().then(() => certify(before, other, [target({})], 'c.json')));
      expect(error.message).to.match(/^c\.json is a certificate of something else/);
      expect(error.message).to.match(what);
    }
    expect(differences(before, evidenceOf(0n, 2))).to.deep.equal([]);
    const run = { hash: golden.hash, first: 0n, count: 2 };
    checkCertifiable(before, run, 'c.json');
    for (const [other, what] of [
      [{ ...run, first: 1n }, 'seeds'],
      [{ ...run, count: 3 }, 'seeds'],
      [{ ...run, hash: sha256(Uint8Array.of(0)) }, 'model'],
    ] as const) {
      const error = await errorOf(Promise.resolve().then(() => checkCertifiable(before, other, 'c.json')));
      expect(error.message).to.include(`something else (${what} differ)`);
    }
  });

  for (const [title, change, message] of [
    ['no JSON', () => '{', /x is not JSON: /],
    ['another format', (text: string) => text.replace('certificate/1', 'certificate/2'), /1 error\(s\): format: /],
    ['a field too many', (text: string) => text.replace('"seeds"', '"date": 1, "seeds"'), /date/],
    [
      'a digest that is none',
      (text: string) => text.replace(/"digest": "./, '"digest": "x'),
      /layers\.0\.digest: must be/,
    ],
  ] as const) {
    it(`is refused with ${title}`, async () => {
      const content = encodeCertificate(certify(undefined, evidenceOf(0n, 1), [target({})], 'x'));
      const error = await errorOf(Promise.resolve().then(() => parseCertificate(change(content), 'x')));
      expect(error.message).to.match(message);
    });
  }
});
