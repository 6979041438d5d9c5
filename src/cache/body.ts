// The content of an answer as the cache has it: pieces that grow while it is fetched, and readers that follow. In a
// window, nothing is kept that every reader has had.
import { type Fault, fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";

/** Pieces are as large as what is known to come, up to this: larger ones would be copied out of the processor's cache. */
const PIECE_BYTES_MAX = 262_144;
/** The first piece of content whose length nobody told. Most answers are smaller. */
const PIECE_BYTES_MIN = 16_384;
/** Bytes that wait for the slowest reader of a window before the server is held up. */
const WINDOW_BYTES = 262_144;

/** Who sends the content on while it grows. */
export interface BodyReader {
  /** How far it has come. */
  readonly offset: number;
  /** There is more, or the end, or a fault. */
  onMore(): void;
}

/** Who fetches the content. */
export interface BodySource {
  /** The window has room again. */
  onRoom(): void;
  /** No reader is left. */
  onLeft(): void;
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
  /** Content that has been let go lies before the first piece that is kept. */
  firstPiece = 0;
  firstOffset = 0;
  readonly #pieces: Buffer[] = [];
  /** Where the next byte goes in the last piece. */
  #used = 0;
  #windowed = false;
  /** Null while nobody follows: content that is whole needs no set. */
  #readers: Set<BodyReader> | null = null;
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

  /** The pieces of content that is whole, in memory that other threads may have too. */
  shared(): SharedArrayBuffer[] {
    return this.#pieces.map((piece, at) => {
      if (piece.buffer instanceof SharedArrayBuffer) return piece.buffer;
      const count = this.filled(this.firstPiece + at);
      const memory = new SharedArrayBuffer(count);
      const copy = Buffer.from(memory);
      piece.copy(copy, 0, 0, count);
      this.#pieces[at] = copy;
      return memory;
    });
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
    let bytes = 0;
    for (const piece of this.#pieces) bytes += piece.length;
    return bytes;
  }

  // ——— the side of the server

  /** Takes a copy of these bytes, and tells the readers. */
  append(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to; ) {
      let last = this.#pieces.at(-1);
      if (last === undefined || this.#used === last.length) {
        last = Buffer.allocUnsafeSlow(this.#nextSize(to - at));
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
    if (!this.#windowed) this.#readers = null;
  }

  /** The last piece gives back what it does not need, where that is worth a copy. */
  #trim(): void {
    const last = this.#pieces.at(-1);
    if (last === undefined || last.length - this.#used <= last.length >> 3) return;
    const exact = Buffer.allocUnsafeSlow(this.#used);
    last.copy(exact, 0, 0, this.#used);
    this.#pieces[this.#pieces.length - 1] = exact;
  }

  /** It will never be whole: readers cut their answers off. */
  break(cause: Fault): void {
    this.#source = null;
    this.fault = cause;
    this.#tell();
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
    else this.#letGo();
  }
  get windowed(): boolean {
    return this.#windowed;
  }

  /** The slowest reader is so far behind that the server should wait. */
  get full(): boolean {
    return this.#windowed && this.length - this.#slowest() > WINDOW_BYTES;
  }

  #slowest(): number {
    let least = this.length;
    for (const { offset } of this.#readers ?? []) if (offset < least) least = offset;
    return least;
  }

  #letGo(): void {
    const slowest = this.#slowest();
    while (this.#pieces.length > 1 && this.firstOffset + this.#pieces[0]!.length <= slowest) {
      this.firstOffset += this.#pieces[0]!.length;
      this.firstPiece += 1;
      this.#pieces.shift();
    }
  }

  // ——— the side of the readers

  follow(reader: BodyReader): void {
    this.#readers ??= new Set();
    this.#readers.add(reader);
  }

  /** A reader has come further. */
  taken(): void {
    if (!this.#windowed) return;
    this.#letGo();
    if (!this.full) this.#source?.onRoom();
  }

  leave(reader: BodyReader): void {
    if (this.#readers?.delete(reader) !== true || !this.#windowed) return;
    if (this.#isAlone) this.#left();
    else this.taken();
  }

  #left(): void {
    const source = this.#source;
    this.#source = null;
    this.fault ??= NOBODY;
    source?.onLeft();
  }
}

const NOBODY = fault("client.gone", "nobody reads the answer");
