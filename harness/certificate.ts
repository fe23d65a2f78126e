/**
 * A certificate: what bits a model gives for which seeds, and which targets were seen to give them. No dates, no machine
 * names: the same runs give the same bytes, and anybody can replay it.
 */

import { z } from 'zod';
import { FsvaeError } from '../runtime-ts/errors.js';
import { parseJson, schemaProblems } from '../runtime-ts/json-file.js';
import { sha256 } from '../runtime-ts/sha256.js';
import { wordBytes } from '../runtime-ts/words.js';
import type { GoldenModel } from './golden.js';

const FORMAT = 'fsvae-certificate/1';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex');
const seed = z.string().regex(/^\d{1,20}$/, 'must be a 64-bit number');
const text = z.string().min(1).max(200);

/** The golden model; C compiled for and run on this machine; an emulated board; silicon on a port. In a file's order. */
const KINDS = ['golden', 'host', 'emulator', 'board'] as const;

const target = z.strictObject({
  kind: z.enum(KINDS),
  board: text.nullable(),
  /** Of the generator whose C it ran, or whose golden model it is. */
  generator: text,
  /** Which one, to build it again, and what it called itself. */
  compiler: z.strictObject({ kind: z.enum(['gcc', 'clang', 'zig']), version: text }).nullable(),
  emulator: text.nullable(),
  /** SHA-256 of the image or program that ran; null where it was not built here. */
  firmware: hash.nullable(),
  /** CRC-32 of the constants as the target read them. */
  constants: z
    .string()
    .regex(/^[0-9a-f]{8}$/)
    .nullable(),
  /** What the board says of itself. */
  serialNumber: z.string().max(63).nullable(),
});

const schema = z.strictObject({
  format: z.literal(FORMAT),
  model: z.strictObject({
    name: text,
    hash,
    /** As they were given to quantize a checkpoint. */
    options: z.strictObject({
      bits: text.optional(),
      tau: z.number().optional(),
      threshold: z.number().optional(),
      thresholdScale: text.optional(),
    }),
  }),
  seeds: z.strictObject({ first: seed, count: z.number().int().min(1).max(1_000_000) }),
  /** Spikes fired over all seeds. */
  spikes: z.number().int().min(0),
  /** SHA-256 over the CRC-32s of all seeds and steps of a row (rule T3), little-endian, seed-major. */
  layers: z.array(z.strictObject({ name: text, neurons: z.number().int().min(1), digest: hash })).min(1),
  /** The same over the images' CRC-32s. */
  images: hash,
  targets: z.array(target).min(1).max(1000),
});

export type Certificate = z.infer<typeof schema>;
export type CertifiedTarget = Certificate['targets'][number];
/** What all targets of a certificate agree on. */
export type Evidence = Omit<Certificate, 'format' | 'targets'>;

/** Takes the golden traces of consecutive seeds, in order. */
export class EvidenceCollector {
  private readonly rows: number[][];
  private readonly images: number[] = [];
  private spikes = 0;

  constructor(private readonly golden: Pick<GoldenModel, 'layerNames' | 'layerNeurons'>) {
    this.rows = golden.layerNames.map(() => []);
  }

  add(trace: ReturnType<GoldenModel['trace']>): void {
    trace.digests.forEach((steps, row) => this.rows[row].push(...steps));
    this.images.push(trace.imageCrc);
    for (let row = 0; row < trace.spikes.length; row++) this.spikes += trace.spikes[row];
  }

  evidence(model: Certificate['model'], first: bigint): Evidence {
    return {
      model,
      seeds: { first: String(BigInt.asUintN(64, first)), count: this.images.length },
      spikes: this.spikes,
      layers: this.rows.map((words, row) => ({
        name: this.golden.layerNames[row],
        neurons: this.golden.layerNeurons[row],
        digest: sha256(wordBytes(words)),
      })),
      images: sha256(wordBytes(this.images)),
    };
  }
}

/** Targets that are the same but for what they are made of are one: the newer run takes the older one's place. */
function place({ kind, board, compiler, serialNumber }: CertifiedTarget): string {
  return JSON.stringify([KINDS.indexOf(kind), board, compiler?.kind ?? null, serialNumber]);
}

/**
 * A certificate with one target more.
 *
 * @throws FsvaeError `usage` when the certificate is of another model, or of other seeds
 */
export function certify(
  before: Certificate | undefined,
  evidence: Evidence,
  added: readonly CertifiedTarget[],
  path: string,
): Certificate {
  if (before !== undefined) refuseIf(differences(before, evidence), path);
  const targets = new Map([...(before?.targets ?? []), ...added].map((entry) => [place(entry), entry]));
  const sorted = [...targets].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  return { format: FORMAT, ...evidence, targets: sorted };
}

function refuseIf(differing: readonly string[], path: string): void {
  if (differing.length === 0) return;
  throw new FsvaeError(
    'usage',
    `${path} is a certificate of something else (${differing.join(', ')} differ): name another file, or remove it`,
  );
}

/**
 * Before a long run: would its evidence go into this certificate?
 *
 * @throws FsvaeError `usage` when model or seeds are others
 */
export function checkCertifiable(before: Certificate, { hash: model, first, count }: Run, path: string): void {
  const other = [
    ...(before.model.hash === model ? [] : ['model']),
    ...(before.seeds.first === String(first) && before.seeds.count === count ? [] : ['seeds']),
  ];
  refuseIf(other, path);
}

/** What is about to be verified. */
interface Run {
  readonly hash: string;
  readonly first: bigint;
  readonly count: number;
}

/** What two pieces of evidence do not agree on, in words. */
export function differences(a: Evidence, b: Evidence): string[] {
  const parts: [string, unknown, unknown][] = [
    ['model', a.model.hash, b.model.hash],
    ['seeds', a.seeds, b.seeds],
    ...b.layers.map((layer, row): [string, unknown, unknown] => [`spikes of ${layer.name}`, a.layers[row], layer]),
    ['layers', a.layers.length, b.layers.length],
    ['spikes', a.spikes, b.spikes],
    ['images', a.images, b.images],
  ];
  return parts.filter(([, x, y]) => JSON.stringify(x) !== JSON.stringify(y)).map(([name]) => name);
}

/** The file: keys in a fixed order, two spaces, a line end. */
export function encodeCertificate(certificate: Certificate): string {
  // Parsing puts the keys into the schema's order.
  return `${JSON.stringify(schema.parse(certificate), null, 2)}\n`;
}

/**
 * @param where named in errors
 * @throws FsvaeError `input` with all errors, each with its path in the file
 */
export function parseCertificate(content: string, where: string): Certificate {
  const parsed = schema.safeParse(parseJson(content, where));
  if (parsed.success) return parsed.data;
  throw new FsvaeError('input', schemaProblems(where, parsed.error.issues));
}
