/**
 * The host's end of the serial link: one request at a time, matched to its answer by id, sent again within bounds when
 * bytes are lost. Requests change nothing on a board (but for reset), so sending one twice gives the same bits twice.
 */

import { FsvaeError } from '../runtime-ts/errors.js';
import { latentBytes } from '../runtime-ts/spike-bits.js';
import {
  type Constants,
  type ConstantsRequest,
  decodeConstants,
  decodeEncoded,
  decodeEncoderInfo,
  decodeHello,
  decodeImage,
  decodeLayers,
  decodeMembranes,
  decodeReconstructed,
  decodeStatistics,
  decodeTrace,
  decodeVersion,
  type DrawnImage,
  type EncodedImage,
  type EncoderInfo,
  encodeConstantsRequest,
  encodeFrame,
  encodeSeed,
  encodeSeededImage,
  encodeTensorRequest,
  type Frame,
  FrameDecoder,
  type Hello,
  type LayerRow,
  MAX_BODY_BYTES,
  printable,
  PROTOCOL_MAJOR,
  type ReconstructedImage,
  Request,
  type RequestType,
  RESPONSE,
  type Statistics,
  Status,
  statusName,
  TensorKind,
  type TensorRequest,
  tensorLimit,
  type Trace,
} from './frame.js';
import type { ByteTransport } from './transport.js';

export interface ClientOptions {
  /** Longest wait for the first byte of an answer that needs no image drawn, in milliseconds. */
  readonly answerMs?: number;
  /** The same where the board draws an image first, until the board has shown how long it takes. */
  readonly drawMs?: number;
  /** Silence within an answer, or after bytes that made no sense, after which the request is sent again. */
  readonly quietMs?: number;
  /** How often a request is sent at most. */
  readonly attempts?: number;
  /** Id of the first request, 1 to 65535; random by default, so that answers meant for a program before this one, still
   * on their way, are not taken for ours. */
  readonly firstId?: number;
}

/** What went wrong on the link and was mended. */
export interface LinkCounters {
  /** Requests sent again. */
  retries: number;
  /** Damaged frames that reached the host. */
  badFrames: number;
  /** Whole answers to a request that was no longer waiting. */
  stale: number;
}

/** Wall-clock time of one request's last attempt, in milliseconds. */
export interface RequestTiming {
  /** From the request's last byte to the answer's first: the board's work. */
  readonly waitMs: number;
  /** From the answer's first byte to its last: the link's work. */
  readonly transferMs: number;
}

/** What came in when nothing of it was an answer: lets a caller say what is at the other end instead of a board. */
export interface Unanswered {
  readonly bytes: number;
  /** The first printable characters. */
  readonly text: string;
  /** True when the request itself came back. */
  readonly echo: boolean;
}

/** A request that never got an answer. `unanswered` says what came instead. */
export class NoAnswerError extends FsvaeError {
  constructor(
    message: string,
    readonly unanswered: Unanswered,
  ) {
    super('link', message);
  }
}

/** A request that the board's firmware does not know. */
export class UnknownRequestError extends FsvaeError {
  constructor(message: string) {
    super('model-mismatch', message);
  }
}

interface Pending {
  readonly type: RequestType;
  readonly id: number;
  readonly wire: Uint8Array;
  readonly firstByteMs: number;
  attempts: number;
  sentAt: number;
  firstByteAt: number | undefined;
  /** When this attempt is over whatever comes in: a line that never falls silent must not keep it alive. */
  deadline: number;
  /** True from a resending at once, on a bad frame, until a resending after silence. */
  mended: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
}

/** Characters of senseless input kept for a message. */
const SHOWN_CHARACTERS = 60;

/** Most neurons of one row: 512 channels of 128 x 128, twice as many as the largest image that fits an answer needs. */
const MAX_NEURONS = 1 << 23;

/** The largest hello: section 4.1 with four texts of 63 characters. */
const HELLO_BYTES = 298;

/** Requests that a board works for before it answers: it draws an image, or reads constants. */
const SLOW_REQUESTS: readonly RequestType[] = [
  Request.sample,
  Request.decode,
  Request.trace,
  Request.tensor,
  Request.constants,
  Request.encoder,
  Request.encode,
  Request.reconstruct,
  Request['encoder trace'],
];

/** Requests in words, for messages. */
const REQUEST_NAMES = new Map<number, string>(Object.entries(Request).map(([name, type]) => [type, name]));

export class BoardClient {
  readonly counters: LinkCounters = { retries: 0, badFrames: 0, stale: 0 };
  /** Of the last request that was answered. */
  timing: RequestTiming = { waitMs: 0, transferMs: 0 };

  private readonly decoder = new FrameDecoder();
  private readonly answerMs: number;
  private readonly drawMs: number;
  private readonly quietMs: number;
  private readonly attempts: number;
  private id: number;
  private pending: Pending | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private closed = false;
  private identity: Hello | undefined;
  /** The slowest answer of each request that draws an image, in milliseconds. */
  private readonly slowest = new Map<RequestType, number>();
  private received = 0;
  private receivedText = '';
  private echo = false;

  constructor(
    private readonly transport: ByteTransport,
    options: ClientOptions = {},
  ) {
    this.answerMs = options.answerMs ?? 3000;
    this.drawMs = options.drawMs ?? 120_000;
    this.quietMs = options.quietMs ?? 400;
    this.attempts = options.attempts ?? 6;
    this.id = options.firstId ?? 1 + Math.floor(Math.random() * 0xffff);
    transport.onBytes((bytes) => this.receive(bytes));
    transport.onClose(() => this.lost());
  }

  get name(): string {
    return this.transport.name;
  }

  /** What has come in since the last request was first sent. */
  get unanswered(): Unanswered {
    return { bytes: this.received, text: this.receivedText.trimEnd(), echo: this.echo };
  }

  /**
   * Sends one request and gives its answer's body. Calls may overlap: they queue, and one is outstanding at a time.
   *
   * @throws NoAnswerError when every attempt went unanswered
   * @throws FsvaeError `link` when the link is gone or the board refuses the request; `model-mismatch` when the board does
   *   not know the request
   */
  request(type: RequestType, body: Uint8Array = new Uint8Array(0), attempts = this.attempts): Promise<Uint8Array> {
    const turn = this.queue.then(() => this.send(type, body, attempts));
    this.queue = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Who the board is. Must be the first request, since the shapes of all other answers follow from it; kept from then on.
   *
   * @throws FsvaeError `model-mismatch` when the board speaks another major version of the protocol
   */
  async hello(attempts = this.attempts): Promise<Hello> {
    if (this.identity !== undefined) return this.identity;
    const body = await this.request(Request.hello, undefined, attempts);
    const version = decodeVersion(body);
    if (version !== undefined && version.major !== PROTOCOL_MAJOR) {
      throw new FsvaeError(
        'model-mismatch',
        `the board on ${this.name} speaks protocol ${version.major}.${version.minor}, this program ${PROTOCOL_MAJOR}: ` +
          'flash it with firmware of this version of fsvae-codegen',
      );
    }
    const hello = this.shaped(decodeHello(body), Request.hello, body);
    // The rest of the session allocates by these, so that they are checked here once.
    if (traceBody(hello.layers, hello.timeSteps) > MAX_BODY_BYTES || imageBytesOf(hello) + 8 > MAX_BODY_BYTES) {
      throw new FsvaeError(
        'link',
        `the board on ${this.name} announces an image of ${hello.channels} x ${hello.imageSize} x ${hello.imageSize} and ` +
          `${hello.layers} layers x ${hello.timeSteps} steps, more than an answer of ${MAX_BODY_BYTES} bytes can hold`,
      );
    }
    this.identity = hello;
    return hello;
  }

  /** The image of a seed (taken modulo 2^64), as the board draws it. */
  async sample(seed: bigint): Promise<DrawnImage> {
    const hello = await this.hello();
    const body = await this.request(Request.sample, encodeSeed(seed));
    return this.shaped(decodeImage(body, imageBytesOf(hello)), Request.sample, body);
  }

  /** The image of a latent: T x ceil(C / 8) bytes, time-major, channel c in bit c & 7 of byte c >> 3 of its step. */
  async decode(latent: Uint8Array): Promise<DrawnImage> {
    const hello = await this.hello();
    const expected = latentBytesOf(hello);
    if (latent.length !== expected) {
      throw new FsvaeError('usage', `latent has ${latent.length} bytes, but the board's model takes ${expected}`);
    }
    const body = await this.request(Request.decode, latent);
    return this.shaped(decodeImage(body, imageBytesOf(hello)), Request.decode, body);
  }

  /** Digests of all spikes of a seed. */
  async trace(seed: bigint): Promise<Trace> {
    const hello = await this.hello();
    const body = await this.request(Request.trace, encodeSeed(seed));
    return this.shaped(decodeTrace(body, hello.layers, hello.timeSteps), Request.trace, body);
  }

  /** Spikes first .. first + count - 1 of a row at a step, packed: bit i & 7 of byte i >> 3. Any count: asked for in pieces. */
  async spikes(seed: bigint, layer: number, step: number, first: number, count: number): Promise<Uint8Array> {
    const packed = new Uint8Array((count + 7) >> 3);
    await this.pieces({ seed, layer, step, kind: TensorKind.spikes, first, count }, (body, at, length) => {
      if (body.length !== (length + 7) >> 3) return false;
      packed.set(body, at >> 3);
      return true;
    });
    return packed;
  }

  /** Membranes before reset (for the row `choices`: indices drawn) of neurons first .. first + count - 1. */
  async membranes(seed: bigint, layer: number, step: number, first: number, count: number): Promise<Int32Array> {
    const membranes = new Int32Array(count);
    await this.pieces({ seed, layer, step, kind: TensorKind.membranes, first, count }, (body, at, length) => {
      const piece = decodeMembranes(body, length);
      if (piece === undefined) return false;
      membranes.set(piece, at);
      return true;
    });
    return membranes;
  }

  async statistics(): Promise<Statistics> {
    const hello = await this.hello();
    const body = await this.request(Request.statistics);
    return this.shaped(decodeStatistics(body, hello.layers), Request.statistics, body);
  }

  /** Names and sizes of a trace's rows. */
  async layers(): Promise<LayerRow[]> {
    const hello = await this.hello();
    const body = await this.request(Request.layers);
    const rows = this.shaped(decodeLayers(body, hello.layers), Request.layers, body);
    this.requireRows(rows);
    return rows;
  }

  /** No more neurons than a network can have: what follows allocates by them. */
  private requireRows(rows: readonly LayerRow[]): void {
    for (const row of rows) {
      if (row.neurons > MAX_NEURONS) {
        throw new FsvaeError(
          'link',
          `the board on ${this.name} announces ${row.neurons} neurons in ${row.name}, more than ${MAX_NEURONS}: ` +
            'its firmware is damaged, flash it again',
        );
      }
    }
  }

  /**
   * Constants as they lie in the board's memory, or digests of parts of them.
   *
   * @throws FsvaeError `model-mismatch` when the board's firmware is too old to know the request
   */
  async constants(request: ConstantsRequest): Promise<Constants> {
    const body = await this.request(Request.constants, encodeConstantsRequest(request));
    return this.shaped(decodeConstants(body, request.parts), Request.constants, body);
  }

  /**
   * What the board's encoder is.
   *
   * @throws UnknownRequestError when its firmware has none
   */
  async encoder(): Promise<EncoderInfo> {
    const hello = await this.hello();
    const body = await this.request(Request.encoder);
    const info = this.shaped(decodeEncoderInfo(body), Request.encoder, body);
    this.requireRows(info.rows);
    if (traceBody(info.rows.length, hello.timeSteps) > MAX_BODY_BYTES) this.shaped(undefined, Request.encoder, body);
    return info;
  }

  /**
   * The latent of an image, as the board finds it.
   *
   * @param image channels * size * size bytes, channel-major
   * @param seed of the posterior's choices, taken modulo 2^64
   */
  async encode(image: Uint8Array, seed: bigint): Promise<EncodedImage> {
    const hello = await this.hello();
    const body = await this.request(Request.encode, await this.seeded(image, seed));
    return this.shaped(decodeEncoded(body, latentBytesOf(hello)), Request.encode, body);
  }

  /** The board's own way from an image to its latent and back. As encode(). */
  async reconstruct(image: Uint8Array, seed: bigint): Promise<ReconstructedImage> {
    const hello = await this.hello();
    const body = await this.request(Request.reconstruct, await this.seeded(image, seed));
    return this.shaped(decodeReconstructed(body, imageBytesOf(hello)), Request.reconstruct, body);
  }

  /** Digests of everything that fires while an image is encoded; `imageCrc` is its latent's. @param rows of the encoder's trace */
  async encoderTrace(image: Uint8Array, seed: bigint, rows: number): Promise<Trace> {
    const hello = await this.hello();
    const body = await this.request(Request['encoder trace'], await this.seeded(image, seed));
    return this.shaped(decodeTrace(body, rows, hello.timeSteps), Request['encoder trace'], body);
  }

  private async seeded(image: Uint8Array, seed: bigint): Promise<Uint8Array> {
    const expected = imageBytesOf(await this.hello());
    if (image.length !== expected) {
      throw new FsvaeError('usage', `the image has ${image.length} bytes, but the board's model takes ${expected}`);
    }
    return encodeSeededImage(image, seed);
  }

  /** Restarts the board's application or boot loader. Resolves with its acknowledgement; the board is gone right after. */
  async reset(toBootLoader: boolean): Promise<void> {
    await this.request(Request.reset, Uint8Array.of(toBootLoader ? 1 : 0));
    this.identity = undefined;
  }

  /** Closes the link. A request under way fails. */
  async close(): Promise<void> {
    this.lost();
    await this.transport.close();
  }

  private async pieces(
    request: TensorRequest,
    take: (body: Uint8Array, at: number, length: number) => boolean,
  ): Promise<void> {
    const limit = tensorLimit(request.kind);
    for (let at = 0; at < request.count; at += limit) {
      const count = Math.min(limit, request.count - at);
      const piece = encodeTensorRequest({ ...request, first: request.first + at, count });
      const body = await this.request(Request.tensor, piece);
      this.shaped(take(body, at, count) ? true : undefined, Request.tensor, body);
    }
  }

  /** A whole, undamaged answer of another shape is no accident of the link: the two sides disagree. */
  private shaped<T>(value: T | undefined, type: RequestType, body: Uint8Array): T {
    if (value !== undefined) return value;
    throw new FsvaeError(
      'model-mismatch',
      `the answer to ${requestName(type)} from ${this.name} has ${body.length} bytes, which does not fit the board's hello: ` +
        'its firmware and this program are of different versions, flash it again',
    );
  }

  private async send(type: RequestType, body: Uint8Array, attempts: number): Promise<Uint8Array> {
    if (this.closed) throw this.gone();
    const id = this.id;
    this.id = id >= 0xffff ? 1 : id + 1;
    const draws = SLOW_REQUESTS.includes(type);
    const known = this.slowest.get(type);
    const firstByteMs = !draws ? this.answerMs : known === undefined ? this.drawMs : this.answerMs + 4 * known;
    this.received = 0;
    this.receivedText = '';
    this.echo = false;
    const frame = await new Promise<Frame>((resolve, reject) => {
      const wire = encodeFrame({ type, status: Status.ok, id, body });
      this.pending = {
        type,
        id,
        wire,
        firstByteMs,
        attempts,
        sentAt: 0,
        firstByteAt: undefined,
        deadline: 0,
        mended: false,
        timer: undefined,
        resolve,
        reject,
      };
      this.attempt(this.pending);
    });
    if (draws) this.slowest.set(type, Math.max(known ?? 0, this.timing.waitMs));
    if (frame.status !== Status.ok) {
      const message =
        `the board on ${this.name} refuses ${requestName(type)} (${statusName(frame.status)}): ` +
        (printable(frame.body.subarray(0, 200)) || 'it gives no reason');
      throw frame.status === Status.unknownRequest ? new UnknownRequestError(message) : new FsvaeError('link', message);
    }
    return frame.body;
  }

  private attempt(pending: Pending): void {
    if (pending.attempts === 0) {
      this.fail(pending);
      return;
    }
    pending.attempts--;
    pending.sentAt = performance.now();
    pending.firstByteAt = undefined;
    // The slowest link meant to work, 9600 baud, moves a byte in about a millisecond.
    const longest = Math.min(this.identity?.maxBody ?? HELLO_BYTES, MAX_BODY_BYTES);
    pending.deadline = pending.sentAt + pending.firstByteMs + 2000 + longest;
    this.arm(pending, pending.firstByteMs);
    this.transport.write(pending.wire).catch((error: unknown) => {
      this.settle(pending);
      pending.reject(error instanceof Error ? error : this.gone());
    });
  }

  private again(pending: Pending): void {
    if (pending.attempts > 0) this.counters.retries++;
    this.attempt(pending);
  }

  private arm(pending: Pending, ms: number): void {
    clearTimeout(pending.timer);
    const left = Math.max(0, pending.deadline - performance.now());
    pending.timer = setTimeout(
      () => {
        pending.mended = false;
        this.again(pending);
      },
      Math.min(ms, left),
    );
  }

  private settle(pending: Pending): void {
    clearTimeout(pending.timer);
    if (this.pending === pending) this.pending = undefined;
  }

  private fail(pending: Pending): void {
    this.settle(pending);
    const { bytes, echo } = this.unanswered;
    const seen =
      bytes === 0
        ? 'not one byte came back'
        : echo
          ? 'what was sent came back'
          : `${bytes} bytes came back, none of them an answer`;
    pending.reject(
      new NoAnswerError(
        `no answer to ${requestName(pending.type)} from ${this.name}: ${seen}; check the cable and the baud rate, ` +
          'or reset the board and try again',
        this.unanswered,
      ),
    );
  }

  private receive(bytes: Uint8Array): void {
    const pending = this.pending;
    if (pending !== undefined) {
      this.received += bytes.length;
      if (this.receivedText.length < SHOWN_CHARACTERS) {
        const text = printable(bytes.subarray(0, 4 * SHOWN_CHARACTERS))
          .replaceAll('?', ' ')
          .trimStart();
        this.receivedText = (this.receivedText + text).slice(0, SHOWN_CHARACTERS);
      }
      pending.firstByteAt ??= performance.now();
      this.arm(pending, this.quietMs);
    }
    for (const decoded of this.decoder.push(bytes)) {
      if (decoded.kind === 'bad') {
        this.counters.badFrames++;
      } else {
        this.take(decoded.frame);
      }
    }
  }

  private take(frame: Frame): void {
    const pending = this.pending;
    if (pending === undefined) {
      this.counters.stale++;
    } else if ((frame.type & RESPONSE) === 0) {
      this.echo = true;
    } else if (frame.id === pending.id && frame.type === (pending.type | RESPONSE)) {
      const now = performance.now();
      const firstByteAt = pending.firstByteAt ?? now;
      this.timing = { waitMs: firstByteAt - pending.sentAt, transferMs: now - firstByteAt };
      this.settle(pending);
      pending.resolve(frame);
    } else if (frame.id === 0 && frame.status === Status.badFrame) {
      // The board got something damaged. Most often that was our request, and nothing else will come: send it again. But
      // noise with zeros in it is many frames, each answered so; they must not use up the attempts.
      if (pending.mended) this.arm(pending, this.quietMs);
      else this.again(pending);
      pending.mended = true;
    } else {
      // A late answer to an earlier request. Ours is still to come, and the board may be drawing for it.
      this.counters.stale++;
      pending.firstByteAt = undefined;
      this.arm(pending, pending.firstByteMs);
    }
  }

  private lost(): void {
    this.closed = true;
    const pending = this.pending;
    if (pending === undefined) return;
    this.settle(pending);
    pending.reject(this.gone());
  }

  private gone(): FsvaeError {
    return new FsvaeError('link', `${this.name} is closed: the board was unplugged or reset, or its process ended`);
  }
}

function requestName(type: RequestType): string {
  return REQUEST_NAMES.get(type) ?? `request ${type}`;
}

/** Bytes of an image of the board's model. */
export function imageBytesOf(hello: Hello): number {
  return hello.channels * hello.imageSize * hello.imageSize;
}

function latentBytesOf({ timeSteps, latentChannels }: Hello): number {
  return latentBytes(timeSteps, latentChannels);
}

/** Bytes of an answer with the digests of so many rows. */
function traceBody(rows: number, timeSteps: number): number {
  return 4 + 4 * rows * (1 + timeSteps);
}
