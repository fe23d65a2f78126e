/**
 * Frames and bodies of the serial link: types, encoder and decoder together. docs/protocol.md is the contract; section
 * numbers below are its. Pure: no Node API, so that a browser's serial port can use it too.
 */

import { crc32 } from '../runtime-ts/crc32.js';

/** Section 1. A host talks to any board of the same major version. */
export const PROTOCOL_MAJOR = 1;
export const PROTOCOL_MINOR = 2;

/** Section 4. */
export const Request = {
  hello: 0x01,
  sample: 0x02,
  decode: 0x03,
  trace: 0x04,
  tensor: 0x05,
  statistics: 0x06,
  reset: 0x07,
  layers: 0x08,
  constants: 0x09,
  encoder: 0x0b,
  encode: 0x0c,
  reconstruct: 0x0e,
  'encoder trace': 0x0f,
} as const;
export type RequestType = (typeof Request)[keyof typeof Request];

/** The bit that makes a request's type its answer's. */
export const RESPONSE = 0x80;

/** Section 3. */
export const Status = {
  ok: 0,
  badFrame: -1,
  unknownRequest: -2,
  badLength: -3,
  badArgument: -4,
  unsupported: -5,
  internal: -6,
} as const;

const STATUS_NAMES: Readonly<Record<number, string>> = {
  [Status.ok]: 'ok',
  [Status.badFrame]: 'bad frame',
  [Status.unknownRequest]: 'unknown request',
  [Status.badLength]: 'bad length',
  [Status.badArgument]: 'bad argument',
  [Status.unsupported]: 'unsupported',
  [Status.internal]: 'internal',
};

/** A status in words; an unknown one as its number. */
export function statusName(status: number): string {
  return STATUS_NAMES[status] ?? `status ${status}`;
}

/** Section 2: one message in either direction. */
export interface Frame {
  /** 0 to 255. */
  readonly type: number;
  /** -128 to 127; 0 in requests. */
  readonly status: number;
  /** 0 to 65535; 0 only where no request is known. */
  readonly id: number;
  readonly body: Uint8Array;
}

const HEADER_BYTES = 4;
const CRC_BYTES = 4;

/** Consistent overhead byte stuffing: at most one byte in 254 more, and no zero in it. */
function stuff(plain: Uint8Array, out: Uint8Array, at: number): number {
  let codeAt = at++;
  let open = true;
  for (let i = 0; i < plain.length; i++) {
    if (!open) {
      codeAt = at++;
      open = true;
    }
    if (plain[i] === 0) {
      out[codeAt] = at - codeAt;
      codeAt = at++;
    } else {
      out[at++] = plain[i];
      if (at - codeAt === 255) {
        out[codeAt] = 255;
        open = false;
      }
    }
  }
  if (open) out[codeAt] = at - codeAt;
  return at;
}

/** The bytes on the wire of one frame, with the 0x00 before and after it (section 2). */
export function encodeFrame(frame: Frame): Uint8Array {
  const plain = new Uint8Array(HEADER_BYTES + frame.body.length + CRC_BYTES);
  const view = new DataView(plain.buffer);
  view.setUint8(0, frame.type);
  view.setInt8(1, frame.status);
  view.setUint16(2, frame.id, true);
  plain.set(frame.body, HEADER_BYTES);
  const end = HEADER_BYTES + frame.body.length;
  view.setUint32(end, crc32(plain.subarray(0, end)), true);
  const wire = new Uint8Array(plain.length + Math.ceil(plain.length / 254) + 3);
  const length = stuff(plain, wire, 1);
  return wire.slice(0, length + 1);
}

/** What a decoder makes of the bytes between two 0x00. */
export type Decoded =
  | { readonly kind: 'frame'; readonly frame: Frame }
  | { readonly kind: 'bad'; readonly reason: 'too long' | 'too short' | 'cut off' | 'CRC' };

/** Largest body that a host takes: a 1024 x 1024 RGB image is 3 MiB. */
export const MAX_BODY_BYTES = 4 << 20;

/** Streaming decoder: bytes in, frames out, whatever lies between them. Never throws; memory is bounded by `maxBody`. */
export class FrameDecoder {
  private bytes = new Uint8Array(1024);
  private length = 0;
  private code = 0;
  private left = 0;
  private overflow = false;
  private readonly capacity: number;

  /** @param maxBody longest body taken, in bytes; a longer frame is swallowed and reported as bad */
  constructor(maxBody = MAX_BODY_BYTES) {
    this.capacity = HEADER_BYTES + maxBody + CRC_BYTES;
  }

  /** True while a frame has begun and not ended. */
  get open(): boolean {
    return this.code !== 0;
  }

  /** Takes bytes from the wire, cut anywhere. Bodies are copies. */
  push(wire: Uint8Array): Decoded[] {
    const decoded: Decoded[] = [];
    for (const byte of wire) {
      if (byte === 0) {
        if (this.code !== 0) decoded.push(this.finish());
      } else if (this.left > 0) {
        this.left--;
        this.append(byte);
      } else {
        // A block's end stands for a zero, except at the end of the frame and after a full block.
        if (this.code !== 0 && this.code !== 255) this.append(0);
        this.code = byte;
        this.left = byte - 1;
      }
    }
    return decoded;
  }

  private append(byte: number): void {
    if (this.length === this.capacity) {
      this.overflow = true;
      return;
    }
    if (this.length === this.bytes.length) {
      const larger = new Uint8Array(Math.min(2 * this.bytes.length, this.capacity));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes[this.length++] = byte;
  }

  private finish(): Decoded {
    const { length, left, overflow } = this;
    this.length = 0;
    this.code = 0;
    this.left = 0;
    this.overflow = false;
    if (overflow) return { kind: 'bad', reason: 'too long' };
    if (left > 0) return { kind: 'bad', reason: 'cut off' };
    if (length < HEADER_BYTES + CRC_BYTES) return { kind: 'bad', reason: 'too short' };
    const view = new DataView(this.bytes.buffer, 0, length);
    const end = length - CRC_BYTES;
    if (crc32(this.bytes.subarray(0, end)) !== view.getUint32(end, true)) return { kind: 'bad', reason: 'CRC' };
    return {
      kind: 'frame',
      frame: {
        type: view.getUint8(0),
        status: view.getInt8(1),
        id: view.getUint16(2, true),
        body: this.bytes.slice(HEADER_BYTES, end),
      },
    };
  }
}

/** Body of `sample` and `trace` requests (section 4): a seed of 64 bits; a larger or negative one is taken modulo 2^64. */
export function encodeSeed(seed: bigint): Uint8Array {
  const body = new Uint8Array(8);
  new DataView(body.buffer).setBigUint64(0, BigInt.asUintN(64, seed), true);
  return body;
}

/** What `tensor` can fetch. */
export const TensorKind = { spikes: 0, membranes: 1 } as const;
export type TensorKind = (typeof TensorKind)[keyof typeof TensorKind];

/** Most bytes of spikes or membranes in one answer (section 4.5). */
export const TENSOR_BYTES = 4096;

/** Most neurons of one `tensor` request of a kind. */
export function tensorLimit(kind: TensorKind): number {
  return kind === TensorKind.spikes ? TENSOR_BYTES * 8 : TENSOR_BYTES / 4;
}

export interface TensorRequest {
  readonly seed: bigint;
  /** Row of the trace, 0 to 255. */
  readonly layer: number;
  /** Time step, 0 to T - 1. */
  readonly step: number;
  readonly kind: TensorKind;
  /** First neuron. */
  readonly first: number;
  /** Neurons, 1 to tensorLimit(kind). */
  readonly count: number;
}

/** Body of a `tensor` request (section 4.5). */
export function encodeTensorRequest(request: TensorRequest): Uint8Array {
  const body = new Uint8Array(19);
  body.set(encodeSeed(request.seed));
  const view = new DataView(body.buffer);
  view.setUint8(8, request.layer);
  view.setUint8(9, request.step);
  view.setUint8(10, request.kind);
  view.setUint32(11, request.first, true);
  view.setUint32(15, request.count, true);
  return body;
}

/** Reads a body front to back. Reading past its end throws a RangeError, which readBody() turns into undefined. */
class BodyReader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly body: Uint8Array) {
    this.view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }

  bytes(count: number): Uint8Array {
    const at = this.advance(count);
    return this.body.subarray(at, at + count);
  }

  /** The first 8 bytes of a SHA-256, as 16 hex digits. */
  hash(): string {
    return Array.from(this.bytes(8), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** Length byte and text; what is not printable ASCII becomes '?', since it may end up on a terminal. */
  text(): string {
    return printable(this.bytes(this.u8()));
  }

  private advance(count: number): number {
    const at = this.at;
    this.at += count;
    if (this.at > this.body.length) throw new RangeError('past the end of the body');
    return at;
  }
}

/** Bytes as text; what is not printable ASCII becomes '?'. */
export function printable(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
  return text;
}

/** undefined when `read` runs past the end of the body. */
function readBody<T>(body: Uint8Array, read: (reader: BodyReader) => T): T | undefined {
  try {
    return read(new BodyReader(body));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Section 4.1: who the board is and what it runs. */
export interface Hello {
  readonly protocolMajor: number;
  readonly protocolMinor: number;
  readonly channels: number;
  readonly imageSize: number;
  readonly timeSteps: number;
  readonly latentChannels: number;
  readonly choices: number;
  /** Rows of a trace. */
  readonly layers: number;
  /** First 16 hex digits of the model's SHA-256. */
  readonly modelHash: string;
  /** CRC-32 over the model's constants as the board reads them from its flash. */
  readonly weightChecksum: number;
  readonly arenaBytes: number;
  readonly stackBytes: number;
  readonly cyclesPerSecond: number;
  /** Largest body the board sends. */
  readonly maxBody: number;
  readonly generator: string;
  readonly board: string;
  readonly model: string;
  /** Empty where the board has none. */
  readonly serialNumber: string;
}

/** undefined when the body is too short. Bytes behind the last known field are a later minor version's and ignored. */
export function decodeHello(body: Uint8Array): Hello | undefined {
  return readBody(body, (reader) => ({
    protocolMajor: reader.u8(),
    protocolMinor: reader.u8(),
    channels: reader.u16(),
    imageSize: reader.u16(),
    timeSteps: reader.u16(),
    latentChannels: reader.u16(),
    choices: reader.u16(),
    layers: reader.u16(),
    modelHash: reader.hash(),
    weightChecksum: reader.u32(),
    arenaBytes: reader.u32(),
    stackBytes: reader.u32(),
    cyclesPerSecond: reader.u32(),
    maxBody: reader.u32(),
    generator: reader.text(),
    board: reader.text(),
    model: reader.text(),
    serialNumber: reader.text(),
  }));
}

/** The version alone, which every major version keeps in the first two bytes. */
export function decodeVersion(body: Uint8Array): { major: number; minor: number } | undefined {
  return body.length < 2 ? undefined : { major: body[0], minor: body[1] };
}

/** Sections 4.2 and 4.3. */
export interface DrawnImage {
  /** channels * size * size bytes, channel-major. */
  readonly image: Uint8Array;
  /** Counts of the board's clock from the seed or latent to the last pixel. */
  readonly cycles: bigint;
}

/** undefined when the body has not exactly `imageBytes` bytes of image. */
export function decodeImage(body: Uint8Array, imageBytes: number): DrawnImage | undefined {
  if (body.length !== 8 + imageBytes) return undefined;
  return readBody(body, (reader) => ({ cycles: reader.u64(), image: reader.bytes(imageBytes) }));
}

/** Section 4.4. */
export interface Trace {
  /** CRC-32 of the image. */
  readonly imageCrc: number;
  /** Spikes per row over all steps; 0 for the row `choices`. */
  readonly spikes: Uint32Array;
  /** One array of T CRC-32s per row. */
  readonly digests: Uint32Array[];
}

/** undefined when the body's length is not that of `layers` rows and `timeSteps` steps. */
export function decodeTrace(body: Uint8Array, layers: number, timeSteps: number): Trace | undefined {
  if (body.length !== 4 + 4 * layers * (1 + timeSteps)) return undefined;
  return readBody(body, (reader) => ({
    imageCrc: reader.u32(),
    spikes: Uint32Array.from({ length: layers }, () => reader.u32()),
    digests: Array.from({ length: layers }, () => Uint32Array.from({ length: timeSteps }, () => reader.u32())),
  }));
}

/** Section 4.5, kind 1: `count` membranes; undefined when the length is another. */
export function decodeMembranes(body: Uint8Array, count: number): Int32Array | undefined {
  if (body.length !== 4 * count) return undefined;
  return readBody(body, (reader) => Int32Array.from({ length: count }, () => reader.u32() | 0));
}

/** Section 4.6. */
export interface Statistics {
  /** Bytes that the board reserves for its stack, and the most ever used; 0 where they cannot be known. */
  readonly stackBytes: number;
  readonly stackHighWater: number;
  readonly arenaBytes: number;
  /** Images answered to `sample` and `decode` since start-up. */
  readonly images: number;
  /** Damaged frames that reached the board since start-up. */
  readonly badFrames: number;
  /** Cycles of the last such image, one entry a row, then the readout. */
  readonly cycles: BigUint64Array;
}

/** undefined when the body's length is not that of `layers` rows. */
export function decodeStatistics(body: Uint8Array, layers: number): Statistics | undefined {
  if (body.length !== 20 + 8 * (layers + 1)) return undefined;
  return readBody(body, (reader) => ({
    stackBytes: reader.u32(),
    stackHighWater: reader.u32(),
    arenaBytes: reader.u32(),
    images: reader.u32(),
    badFrames: reader.u32(),
    cycles: BigUint64Array.from({ length: layers + 1 }, () => reader.u64()),
  }));
}

/** Section 4.8: one row of a trace. */
export interface LayerRow {
  readonly name: string;
  readonly neurons: number;
}

/** undefined when the body holds fewer than `layers` rows. */
export function decodeLayers(body: Uint8Array, layers: number): LayerRow[] | undefined {
  return readBody(body, (reader) =>
    Array.from({ length: layers }, () => {
      const neurons = reader.u32();
      return { neurons, name: reader.text() };
    }),
  );
}

/** Section 4.9: the constants themselves, or CRC-32s of parts. */
export const ConstantsKind = { digests: 0, words: 1 } as const;

export interface ConstantsRequest {
  readonly kind: (typeof ConstantsKind)[keyof typeof ConstantsKind];
  readonly first: number;
  /** Words of a part; 1 for words. */
  readonly words: number;
  /** Parts, 1 to MOST_CONSTANTS. */
  readonly parts: number;
}

/** Section 4.9: with the address they fill an answer of 4096 bytes. */
export const MOST_CONSTANTS = 1023;

export function encodeConstantsRequest({ kind, first, words, parts }: ConstantsRequest): Uint8Array {
  const body = new Uint8Array(13);
  const view = new DataView(body.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, first, true);
  view.setUint32(5, words, true);
  view.setUint32(9, parts, true);
  return body;
}

/** Section 4.9: what lies at an address of the board's. */
export interface Constants {
  /** Of the first word, modulo 2^32. */
  readonly address: number;
  /** A word or a CRC-32 for each part. */
  readonly values: Uint32Array;
}

/** undefined when the body does not hold so many parts. */
export function decodeConstants(body: Uint8Array, parts: number): Constants | undefined {
  if (body.length !== 4 + 4 * parts) return undefined;
  return readBody(body, (reader) => ({
    address: reader.u32(),
    values: Uint32Array.from({ length: parts }, () => reader.u32()),
  }));
}

/** Section 4.10: what a board's encoder is. */
export interface EncoderInfo {
  /** First 16 hex digits of the encoder's SHA-256. */
  readonly hash: string;
  /** CRC-32 over its constants as the board reads them from its flash. */
  readonly weightChecksum: number;
  /** Rows of its trace, with the cycles of the last image that was encoded. */
  readonly rows: readonly (LayerRow & { readonly cycles: bigint })[];
}

/** undefined when the body is too short. */
export function decodeEncoderInfo(body: Uint8Array): EncoderInfo | undefined {
  return readBody(body, (reader) => {
    const hash = reader.hash();
    const weightChecksum = reader.u32();
    const rows = Array.from({ length: reader.u16() }, () => {
      const neurons = reader.u32();
      const cycles = reader.u64();
      return { neurons, cycles, name: reader.text() };
    });
    return { hash, weightChecksum, rows };
  });
}

/** Body of `encode`, `reconstruct` and `encoder trace` requests (sections 4.11 to 4.13): a seed, then the image. */
export function encodeSeededImage(image: Uint8Array, seed: bigint): Uint8Array {
  const body = new Uint8Array(8 + image.length);
  body.set(encodeSeed(seed));
  body.set(image, 8);
  return body;
}

/** Section 4.11. */
export interface EncodedImage {
  /** Packed (rule T2). */
  readonly latent: Uint8Array;
  readonly cycles: bigint;
}

/** undefined when the body has not exactly `latentBytes` bytes of latent. */
export function decodeEncoded(body: Uint8Array, latentBytes: number): EncodedImage | undefined {
  if (body.length !== 8 + latentBytes) return undefined;
  return readBody(body, (reader) => ({ cycles: reader.u64(), latent: reader.bytes(latentBytes) }));
}

/** Section 4.12. */
export interface ReconstructedImage extends DrawnImage {
  /** Sum of the squared differences between the bytes of the image and of its original. */
  readonly squaredError: bigint;
}

/** undefined when the body has not exactly `imageBytes` bytes of image. */
export function decodeReconstructed(body: Uint8Array, imageBytes: number): ReconstructedImage | undefined {
  if (body.length !== 16 + imageBytes) return undefined;
  return readBody(body, (reader) => ({
    cycles: reader.u64(),
    squaredError: reader.u64(),
    image: reader.bytes(imageBytes),
  }));
}
