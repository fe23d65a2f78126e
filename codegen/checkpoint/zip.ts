/**
 * Reads a zip archive in memory (PKWARE APPNOTE.TXT 6.3: local headers, central directory, zip64 records), as
 * `torch.save` and `numpy.savez` write it. Everything is checked against the central directory before a byte is
 * inflated: what an archive can make this program allocate is bounded by the archive's own length.
 */

import { inflateSync } from 'fflate';
import { crc32 } from '../../runtime-ts/crc32.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { quoteName } from '../../runtime-ts/safetensors.js';

/** The largest FSVAE of the paper (64 x 64 RGB, with encoder, posterior and optimizer state) stays below 300 MB. */
export const MAX_TOTAL_BYTES = 512 * 2 ** 20;
/** A state_dict of an FSVAE with its optimizer has about 400 entries. */
const MAX_ENTRIES = 2 ** 14;
/** DEFLATE's own ceiling: two bits can stand for at most 258 bytes. More is a false size. */
const MAX_DEFLATE_RATIO = 1032;

const LOCAL_SIGNATURE = 0x04034b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const ZIP64_END_SIGNATURE = 0x06064b50;
const ZIP64_LOCATOR_SIGNATURE = 0x07064b50;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const ZIP64_END_BYTES = 56;
const ZIP64_LOCATOR_BYTES = 20;
const MAX_COMMENT_BYTES = 0xffff;
const ZIP64_EXTRA_ID = 1;
const STORED = 0;
const DEFLATED = 8;

interface Entry {
  readonly method: number;
  readonly crc: number;
  readonly storedBytes: number;
  readonly bytes: number;
  /** Where the entry's data begins in the archive. */
  readonly start: number;
}

/** True when the bytes begin as a zip archive does, with a local header or (empty archive) the end record. */
export function looksLikeZip(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const signature = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  return signature === LOCAL_SIGNATURE || signature === END_SIGNATURE;
}

/** A zip archive whose directory has been read and checked; entries are inflated when asked for. */
export class ZipArchive {
  private readonly entries = new Map<string, Entry>();
  private readonly view: DataView;

  /**
   * @param source path or name for messages
   * @throws FsvaeError `input` when the directory is damaged, encrypted, split, or claims what cannot be
   */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly source: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.readDirectory();
  }

  /** The entries' names, in the directory's order. */
  get names(): string[] {
    return [...this.entries.keys()];
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  /** Size of an entry once inflated, as the directory gives it; undefined where there is no such entry. */
  sizeOf(name: string): number | undefined {
    return this.entries.get(name)?.bytes;
  }

  /**
   * An entry's content; a stored one is a view of the archive, at any alignment.
   *
   * @throws FsvaeError `input` when the entry is missing, or its content is not what size and CRC-32 say
   */
  read(name: string): Uint8Array {
    const entry = this.entries.get(name);
    if (entry === undefined) this.refuse(`it has no entry ${quoteName(name)}`);
    const stored = this.bytes.subarray(entry.start, entry.start + entry.storedBytes);
    const content = entry.method === STORED ? stored : this.inflate(name, stored, entry.bytes);
    const crc = crc32(content);
    if (crc !== entry.crc) {
      this.refuse(
        `entry ${quoteName(name)} has CRC-32 ${crc.toString(16)}, but should have ${entry.crc.toString(16)}: ` +
          'the file is damaged; copy or save it again (with checksums, if they were turned off)',
      );
    }
    return content;
  }

  private inflate(name: string, stored: Uint8Array, bytes: number): Uint8Array {
    let content: Uint8Array | undefined;
    try {
      // fflate never writes past `out` and gives back how much it filled: one byte to spare shows an excess.
      content = inflateSync(stored, { out: new Uint8Array(bytes + 1) });
    } catch {
      content = undefined;
    }
    if (content?.length !== bytes) {
      this.refuse(
        `entry ${quoteName(name)} does not inflate to the ${bytes} bytes that it should: the file is damaged`,
      );
    }
    return content;
  }

  private refuse(why: string): never {
    throw new FsvaeError('input', `${this.source}: not a readable zip archive: ${why}`);
  }

  /** Eight bytes as a number; above 2^53 the result is rounded, which every check against the file's length catches. */
  private uint64(at: number): number {
    return this.view.getUint32(at + 4, true) * 2 ** 32 + this.view.getUint32(at, true);
  }

  private findEnd(): number {
    const last = this.bytes.length - END_BYTES;
    for (let at = last; at >= 0 && at >= last - MAX_COMMENT_BYTES; at--) {
      if (this.view.getUint32(at, true) === END_SIGNATURE && at + this.view.getUint16(at + 20, true) === last) {
        return at;
      }
    }
    return this.refuse('its end record is missing: the file is cut short');
  }

  /** Where the central directory lies, and how many entries it has, by the end record or its zip64 twin. */
  private locateDirectory(): { at: number; end: number; count: number } {
    const end = this.findEnd();
    const { view } = this;
    let disks = view.getUint16(end + 4, true) | view.getUint16(end + 6, true);
    let countHere = view.getUint16(end + 8, true);
    let count = view.getUint16(end + 10, true);
    let size = view.getUint32(end + 12, true);
    let at = view.getUint32(end + 16, true);
    let limit = end;
    const locator = end - ZIP64_LOCATOR_BYTES;
    if (locator >= 0 && view.getUint32(locator, true) === ZIP64_LOCATOR_SIGNATURE) {
      const record = this.uint64(locator + 8);
      if (record + ZIP64_END_BYTES > locator || view.getUint32(record, true) !== ZIP64_END_SIGNATURE) {
        this.refuse(`its zip64 end record is not at byte ${record}, where the locator says`);
      }
      disks = view.getUint32(locator + 4, true) | view.getUint32(record + 16, true) | view.getUint32(record + 20, true);
      countHere = this.uint64(record + 24);
      count = this.uint64(record + 32);
      size = this.uint64(record + 40);
      at = this.uint64(record + 48);
      limit = record;
    }
    if (disks !== 0 || countHere !== count) this.refuse('it is one part of several');
    if (at + size !== limit) this.refuse(`its directory does not end at byte ${limit}, where the end record begins`);
    if (count > MAX_ENTRIES) this.refuse(`it has ${count} entries, more than the limit of ${MAX_ENTRIES}`);
    return { at, end: limit, count };
  }

  private readDirectory(): void {
    const directory = this.locateDirectory();
    const used: { name: string; from: number; to: number }[] = [];
    let { at } = directory;
    let total = 0;
    for (let i = 0; i < directory.count; i++) {
      if (at + CENTRAL_BYTES > directory.end || this.view.getUint32(at, true) !== CENTRAL_SIGNATURE) {
        this.refuse(`entry ${i} of its directory is damaged`);
      }
      const nameAt = at + CENTRAL_BYTES;
      const extraAt = nameAt + this.view.getUint16(at + 28, true);
      const extraEnd = extraAt + this.view.getUint16(at + 30, true);
      const next = extraEnd + this.view.getUint16(at + 32, true);
      if (next > directory.end) this.refuse(`entry ${i} of its directory is damaged`);
      const name = this.nameAt(nameAt, extraAt);
      if (this.entries.has(name)) this.refuse(`it has the entry ${quoteName(name)} twice`);

      const { entry, from } = this.readEntry(name, at, extraAt, extraEnd, directory.at);
      this.entries.set(name, entry);
      used.push({ name, from, to: entry.start + entry.storedBytes });
      total += entry.bytes;
      if (total > MAX_TOTAL_BYTES) {
        this.refuse(
          `entry ${quoteName(name)} brings its inflated size to ${total} bytes, ` +
            `more than the limit of ${MAX_TOTAL_BYTES}: save only the state_dict`,
        );
      }
      at = next;
    }
    if (at !== directory.end) this.refuse(`its directory has ${directory.end - at} bytes too many`);

    // Entries that share bytes are how a small archive claims a large content.
    used.sort((a, b) => a.from - b.from);
    for (let i = 1; i < used.length; i++) {
      if (used[i].from < used[i - 1].to) {
        this.refuse(`the entries ${quoteName(used[i - 1].name)} and ${quoteName(used[i].name)} overlap`);
      }
    }
  }

  /** Checks the directory's entry at `at` together with its local header. */
  private readEntry(
    name: string,
    at: number,
    extraAt: number,
    extraEnd: number,
    limit: number,
  ): { entry: Entry; from: number } {
    const { view } = this;
    const quoted = quoteName(name);
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    if ((flags & 1) !== 0) this.refuse(`entry ${quoted} is encrypted`);
    if (method !== STORED && method !== DEFLATED) {
      this.refuse(`entry ${quoted} is compressed by method ${method}, but only 0 (stored) and 8 (deflate) are read`);
    }
    let storedBytes = view.getUint32(at + 20, true);
    let bytes = view.getUint32(at + 24, true);
    let from = view.getUint32(at + 42, true);
    if (storedBytes === 0xffffffff || bytes === 0xffffffff || from === 0xffffffff) {
      let field = this.findZip64Extra(quoted, extraAt, extraEnd);
      const take = (small: number): number => {
        if (small !== 0xffffffff) return small;
        if (field.at + 8 > field.end) this.refuse(`entry ${quoted} has a zip64 field that is too short`);
        const value = this.uint64(field.at);
        field = { at: field.at + 8, end: field.end };
        return value;
      };
      bytes = take(bytes);
      storedBytes = take(storedBytes);
      from = take(from);
    }

    if (from + LOCAL_BYTES > limit || view.getUint32(from, true) !== LOCAL_SIGNATURE) {
      this.refuse(`entry ${quoted} has no local header at byte ${from}`);
    }
    const nameBytes = view.getUint16(from + 26, true);
    const start = from + LOCAL_BYTES + nameBytes + view.getUint16(from + 28, true);
    if (start + storedBytes > limit) this.refuse(`entry ${quoted} of ${storedBytes} bytes does not fit in the file`);
    if (this.nameAt(from + LOCAL_BYTES, from + LOCAL_BYTES + nameBytes) !== name) {
      this.refuse(`entry ${quoted} has another name in its local header`);
    }
    if (method === STORED && storedBytes !== bytes) {
      this.refuse(`entry ${quoted} is stored in ${storedBytes} bytes, but claims to hold ${bytes}`);
    }
    if (method === DEFLATED && bytes > storedBytes * MAX_DEFLATE_RATIO) {
      this.refuse(`entry ${quoted} claims to inflate from ${storedBytes} to ${bytes} bytes, more than deflate can`);
    }
    return { entry: { method, crc: view.getUint32(at + 16, true), storedBytes, bytes, start }, from };
  }

  private findZip64Extra(quoted: string, extraAt: number, extraEnd: number): { at: number; end: number } {
    for (let at = extraAt; at + 4 <= extraEnd;) {
      const end = at + 4 + this.view.getUint16(at + 2, true);
      if (end > extraEnd) break;
      if (this.view.getUint16(at, true) === ZIP64_EXTRA_ID) return { at: at + 4, end };
      at = end;
    }
    return this.refuse(`entry ${quoted} lacks the zip64 field that its sizes call for`);
  }

  private nameAt(from: number, to: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes.subarray(from, to));
    } catch {
      return this.refuse(`the entry name at byte ${from} is not UTF-8`);
    }
  }
}
