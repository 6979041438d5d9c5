// The content of an answer as the cache has it: pieces that grow while it is fetched, and readers that follow. In a
// window, nothing is kept that every reader has had.
import { type Fault, fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";

/** Pieces are as large as what is known to come, up to this: larger ones would be copied out of the processor's cache. */
const PIECE_BYTES_MAX = 262_144;
/** The first piece of content whose length nobody told. Most answers are smaller. */
const PIECE_BYTES_MIN = 16_384;
/** Before content that is sent in one call with its head: room for nearly every head. */
export const ROOM_BYTES = 2048;
/** Bytes that wait for the slowest reader of a window before the server is held up. */
const WINDOW_BYTES = 262_144;
/** Bytes that wait to be written to a file before the server is held up: the disk should not wait for the server. */
const BACKLOG_BYTES = 4 * PIECE_BYTES_MAX;

/** Who sends the content on while it grows. */
export interface BodyReader {
  /** How far it has come. */
  readonly offset: number;
  /** It is in another worker, and cannot read from the file: it needs the pieces. */
  readonly isElsewhere?: boolean;
  /** There is more, or the end, or a fault. */
  onMore(): void;
}

/** Who fetches the content. */
export interface BodySource {
  /** The window has room again. */
  onRoom(): void;
  /** No reader is left. */
  onLeft(): void;
  /** The same of content that is not a window: it may be wanted all the same. */
  onUnread?(): void;
}

/** A file that has the content from its beginning on: what it has need not be kept in memory. */
export interface Backing {
  /** Bytes from there on, as many as are read at once; null when they cannot be read. */
  read(at: number): Promise<Buffer | null>;
  /** Nobody reads for now. */
  rest(): void;
}

/** The same content in one content coding. */
export interface CodedContent {
  /** May be growing still. */
  readonly body: Body;
  /** Nothing smaller follows. */
  readonly isFinal: boolean;
}

/** Content in the codings that somebody has asked for. */
export class CodedContents {
  zstd: CodedContent | null = null;
  br: CodedContent | null = null;
  gzip: CodedContent | null = null;
  /** There was no room for them: none is kept. */
  refused = false;

  /** Memory that they take, in bytes. */
  get bytes(): number {
    return (this.zstd?.body.bytes ?? 0) + (this.br?.body.bytes ?? 0) + (this.gzip?.body.bytes ?? 0);
  }
}

export class Body {
  /** Bytes that are there, those that a window has let go included. */
  length = 0;
  /** Bytes that there will be; -1 where nobody told. */
  total: number;
  /** Why there will never be all of it; null while nothing has gone wrong. */
  fault: Fault | null = null;
  done = false;
  trailers: HeaderBlock | null = null;
  /** Null while nobody has asked for it. */
  coded: CodedContents | null = null;
  /** Content that has been let go lies before the first piece that is kept. */
  firstPiece = 0;
  firstOffset = 0;
  readonly #pieces: Buffer[] = [];
  /** Another worker follows: pieces lie in memory that both have. */
  #isShared = false;
  /** Where the next byte goes in the last piece. */
  #used = 0;
  /** The only piece, with the room before it; null without. */
  #roomy: Buffer | null = null;
  #windowed = false;
  /** Null while nobody follows: content that is whole needs no set. */
  #readers: Set<BodyReader> | null = null;
  #backing: Backing | null = null;
  #backedUpTo = 0;
  #source: BodySource | null;

  constructor(total: number, source: BodySource | null) {
    this.total = total;
    this.#source = source;
  }

  /** Content that is there already: all of these pieces, filled. */
  static of(pieces: readonly Buffer[]): Body {
    const body = new Body(0, null);
    for (const piece of pieces) {
      body.#pieces.push(piece);
      body.length += piece.length;
      body.#used = piece.length;
    }
    body.finish(null);
    return body;
  }

  /** Content that a file has, all of it. */
  static inFile(length: number, backing: Backing): Body {
    const body = new Body(length, null);
    body.length = body.firstOffset = length;
    body.#backing = backing;
    body.done = true;
    return body;
  }

  /** The file that has what lies before the first piece; null without one. */
  get backing(): Backing | null {
    return this.#backing;
  }

  /** From now on the content is written to a file as well, and is let go as that has it. */
  backWith(backing: Backing): void {
    this.#backing = backing;
  }

  /** The file has the content up to there. */
  backed(upTo: number): void {
    if (this.#windowed) return; // it has none of what follows, and readers may need all that is here
    let least = upTo;
    for (const { offset, isElsewhere } of this.#readers ?? []) if (isElsewhere && offset < least) least = offset;
    this.#backedUpTo = upTo;
    this.#letGo(least);
    if (!this.full) this.#source?.onRoom();
  }

  /** Nobody needs the file for now: readers tell that by leaving, others by this. */
  rest(): void {
    if (this.#isAlone && (this.done || this.fault !== null)) this.#backing?.rest();
  }

  /** The pieces of content that is whole, in memory that other threads may have too. */
  shared(): SharedArrayBuffer[] {
    return this.#pieces.map((piece, at) => {
      const count = this.filled(this.firstPiece + at);
      if (piece.buffer instanceof SharedArrayBuffer && piece.buffer.byteLength === count) return piece.buffer;
      const memory = new SharedArrayBuffer(count);
      const copy = Buffer.from(memory);
      piece.copy(copy, 0, 0, count);
      this.#pieces[at] = copy;
      this.#roomy = null;
      return memory;
    });
  }

  /**
   * The pieces from that number on, while there may come more: another thread sees in them what is added to the last
   * one. How far that is filled it has to be told.
   */
  sharedFrom(at: number): SharedArrayBuffer[] {
    if (!this.#isShared) {
      this.#isShared = true;
      this.#pieces.forEach((piece, index) => {
        if (piece.buffer instanceof SharedArrayBuffer) return;
        const copy = this.#allocated(piece.length);
        piece.copy(copy);
        this.#pieces[index] = copy;
      });
    }
    return this.#pieces.slice(at - this.firstPiece).map((piece) => piece.buffer as unknown as SharedArrayBuffer);
  }

  #allocated(bytes: number): Buffer {
    return this.#isShared ? Buffer.from(new SharedArrayBuffer(bytes)) : Buffer.allocUnsafeSlow(bytes);
  }

  /** The piece of that number, those let go counted; undefined when it is not there yet. */
  piece(at: number): Buffer | undefined {
    return this.#pieces[at - this.firstPiece];
  }
  get pieces(): number {
    return this.firstPiece + this.#pieces.length;
  }
  /** Bytes of that piece that are filled. */
  filled(at: number): number {
    return at + 1 === this.pieces ? this.#used : this.#pieces[at - this.firstPiece]!.length;
  }
  /** Memory that it takes, in bytes. */
  get bytes(): number {
    let bytes = this.coded?.bytes ?? 0;
    for (const piece of this.#pieces) bytes += piece.length;
    return bytes;
  }

  /**
   * Content that is whole and in one piece, with `ROOM_BYTES` before it; null where it is not so, or other threads have
   * it, who would write into the room as well.
   */
  behindRoom(): Buffer | null {
    if (this.#roomy === null && this.done && this.firstOffset === 0 && this.#pieces.length === 1) this.#makeRoom();
    return this.#roomy;
  }

  #makeRoom(): void {
    const piece = this.#pieces[0]!;
    if (piece.buffer instanceof SharedArrayBuffer) return;
    const roomy = Buffer.allocUnsafeSlow(ROOM_BYTES + this.length);
    piece.copy(roomy, ROOM_BYTES, 0, this.length);
    this.#roomy = roomy;
    this.#pieces[0] = roomy.subarray(ROOM_BYTES) as Buffer;
  }

  // ——— the side of the server

  /** Takes a copy of these bytes, and tells the readers. */
  append(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to; ) {
      let last = this.#pieces.at(-1);
      if (last === undefined || this.#used === last.length) {
        last = this.#allocated(this.#nextSize(to - at));
        this.#pieces.push(last);
        this.#used = 0;
      }
      const count = Math.min(to - at, last.length - this.#used);
      bytes.copy(last, this.#used, at, at + count);
      this.#used += count;
      this.length += count;
      at += count;
    }
    this.#tell();
  }

  /** Takes more pieces as they are; all of them, with those before, are filled up to `length` in all. */
  extend(pieces: readonly Buffer[], length: number): void {
    this.#pieces.push(...pieces);
    this.length = length;
    let lastAt = this.firstOffset;
    for (let at = 0; at + 1 < this.#pieces.length; at += 1) lastAt += this.#pieces[at]!.length;
    this.#used = length - lastAt;
    this.#tell();
  }

  #nextSize(wanted: number): number {
    const left = this.total - this.length;
    if (left > 0) return Math.min(left, PIECE_BYTES_MAX);
    const double = (this.#pieces.at(-1)?.length ?? 0) * 2;
    return Math.min(Math.max(double, wanted, PIECE_BYTES_MIN), PIECE_BYTES_MAX);
  }

  /** All of it is there. The readers are told by `announce`. */
  finish(trailers: HeaderBlock | null): void {
    this.#source = null;
    this.done = true;
    this.total = this.length;
    this.trailers = trailers;
    if (!this.#windowed) this.#trim();
  }

  announce(): void {
    this.#tell();
    if (!this.#windowed && this.#backing === null) this.#readers = null;
    this.rest();
  }

  /** The last piece gives back what it does not need, where that is worth a copy. */
  #trim(): void {
    const last = this.#pieces.at(-1);
    if (last === undefined || last.length - this.#used <= last.length >> 3) return;
    const exact = this.#allocated(this.#used);
    last.copy(exact, 0, 0, this.#used);
    this.#pieces[this.#pieces.length - 1] = exact;
  }

  /** It will never be whole: readers cut their answers off. */
  break(cause: Fault): void {
    this.#source = null;
    this.fault = cause;
    this.#tell();
    this.rest();
  }

  #tell(): void {
    if (this.#readers !== null) for (const reader of this.#readers) reader.onMore();
  }

  get #isAlone(): boolean {
    return this.#readers === null || this.#readers.size === 0;
  }

  /** From now on nothing is kept that every reader has had. Without a reader there is nobody to fetch it for. */
  openWindow(): void {
    this.#windowed = true;
    if (this.#isAlone) this.#left();
    else this.#letGo(this.slowest);
  }
  get windowed(): boolean {
    return this.#windowed;
  }

  /** The slowest reader, or the file, is so far behind that the server should wait. */
  get full(): boolean {
    if (!this.#windowed) return this.#backing !== null && this.length - this.firstOffset > BACKLOG_BYTES;
    return this.length - this.slowest > WINDOW_BYTES;
  }

  /** How far the slowest reader has come. */
  get slowest(): number {
    let least = this.length;
    for (const { offset } of this.#readers ?? []) if (offset < least) least = offset;
    return least;
  }

  #letGo(upTo: number): void {
    while (this.#pieces.length > 1 && this.firstOffset + this.#pieces[0]!.length <= upTo) {
      this.firstOffset += this.#pieces[0]!.length;
      this.firstPiece += 1;
      this.#pieces.shift();
    }
  }

  // ——— the side of the readers

  /** Whether anybody follows. */
  get isFollowed(): boolean {
    return !this.#isAlone;
  }

  follow(reader: BodyReader): void {
    this.#readers ??= new Set();
    this.#readers.add(reader);
  }

  /** A reader has come further. */
  taken(): void {
    if (!this.#windowed) {
      if (this.#backedUpTo > this.firstOffset) this.backed(this.#backedUpTo);
      return;
    }
    this.#letGo(this.slowest);
    if (!this.full) this.#source?.onRoom();
  }

  leave(reader: BodyReader): void {
    if (this.#readers?.delete(reader) !== true) return;
    this.rest();
    if (this.#windowed && this.#isAlone) this.#left();
    else this.taken();
    if (!this.#windowed && this.#isAlone) this.#source?.onUnread?.();
  }

  #left(): void {
    const source = this.#source;
    this.#source = null;
    this.fault ??= NOBODY;
    source?.onLeft();
    this.rest();
  }
}

const NOBODY = fault("client.gone", "nobody reads the answer");
