// Reads a message's body as its framing says (RFC 9112 §6, §7): tells which bytes are content and where the message
// ends.
import { type Fault, fault } from "../../core/faults.ts";
import { CR, FIELD_BYTE, HEX_VALUE, LF } from "../grammar.ts";
import { HeaderBlock, skipSet } from "../header-block.ts";
import type { BodyKind } from "../message.ts";
import { CHUNK_EXTENSION_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, TRAILER_LIMITS } from "./limits.ts";
import { FAILED, NEED_MORE, SectionReader } from "./section-reader.ts";

/** Who takes the content. The bytes may be kept. */
export interface BodySink {
  onBody(bytes: Buffer, from: number, to: number): void;
}

// States of the chunked coding (RFC 9112 §7.1), in the order in which a chunk goes through them.
const SIZE_FIRST = 0; // the first digit of a chunk size is due
const SIZE = 1;
const EXTENSION = 2;
const SIZE_LF = 3;
const DATA = 4;
const DATA_CR = 5;
const DATA_LF = 6;
const TRAILERS = 7;

class TrailerReader extends SectionReader {
  constructor() {
    super(new HeaderBlock(), TRAILER_LIMITS, skipSet().table);
  }
  begin(chunk: Buffer): void {
    this.restart();
    this.block.reset(chunk);
  }
  get fields(): HeaderBlock {
    return this.block;
  }
  protected startLine(_bytes: Buffer, at: number): number {
    return at;
  }
  protected knownField(): boolean {
    return true;
  }
  protected complete(): boolean {
    return true;
  }
  protected rewind(): void {}
}

export class BodyReader {
  kind: BodyKind = "none";
  /** The message is complete. Never set for a body that ends with its connection: that is for the owner to say. */
  done = true;
  fault: Fault | null = null;
  #remaining = 0;
  #state = SIZE_FIRST;
  #digits = 0;
  #extensionBytes = 0;
  #trailers: TrailerReader | null = null;

  start(kind: BodyKind, length: number): void {
    this.kind = kind;
    this.done = kind === "none";
    this.fault = null;
    this.#remaining = kind === "length" ? length : 0;
    this.#state = SIZE_FIRST;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailers = null;
  }

  /** Bytes of content still to come; Infinity when the framing does not say. */
  get remaining(): number {
    return this.done ? 0 : this.kind === "length" ? this.#remaining : Number.POSITIVE_INFINITY;
  }

  /** The trailer section of a chunked body, once it is complete; null when it had none. */
  get trailers(): HeaderBlock | null {
    const fields = this.#trailers?.fields;
    return fields !== undefined && fields.count > 0 ? fields : null;
  }

  /** Reads on in `chunk[at, …)`. Returns the offset behind the last byte that belongs to the message, or FAILED. */
  read(chunk: Buffer, at: number, sink: BodySink): number {
    if (this.done) return at;
    if (this.kind === "length") {
      const end = Math.min(chunk.length, at + this.#remaining);
      this.#remaining -= end - at;
      this.done = this.#remaining === 0;
      if (end > at) sink.onBody(chunk, at, end);
      return end;
    }
    if (this.kind === "chunked") return this.#chunked(chunk, at, sink);
    if (chunk.length > at) sink.onBody(chunk, at, chunk.length);
    return chunk.length;
  }

  #fail(detail: string): typeof FAILED {
    this.fault = fault("h1.bad_request", detail);
    return FAILED;
  }

  #chunked(chunk: Buffer, start: number, sink: BodySink): number {
    let at = start;
    while (at < chunk.length) {
      if (this.#state === DATA) {
        const end = Math.min(chunk.length, at + this.#remaining);
        this.#remaining -= end - at;
        if (this.#remaining === 0) this.#state = DATA_CR;
        sink.onBody(chunk, at, end);
        at = end;
      } else if (this.#state === TRAILERS) {
        const end = this.#readTrailers(chunk, at);
        return end === NEED_MORE ? chunk.length : end;
      } else {
        const problem = this.#step(chunk[at]!);
        if (problem !== "") return this.#fail(problem);
        at += 1;
      }
    }
    return at;
  }

  /** One byte outside the data of a chunk. Returns what is wrong with it, or "". */
  #step(byte: number): string {
    switch (this.#state) {
      case SIZE_FIRST:
      case SIZE:
        return this.#sizeByte(byte);
      case EXTENSION:
        if (byte === CR) this.#state = SIZE_LF;
        else if (FIELD_BYTE[byte] === 0) return "control byte in a chunk extension";
        else if (++this.#extensionBytes > CHUNK_EXTENSION_BYTES_MAX) return "chunk extensions over their limit";
        return "";
      case SIZE_LF:
        if (byte !== LF) return "bare CR behind a chunk size";
        this.#state = this.#remaining === 0 ? TRAILERS : DATA;
        return "";
      case DATA_CR:
        if (byte !== CR) return "no CRLF behind a chunk";
        this.#state = DATA_LF;
        return "";
      default:
        if (byte !== LF) return "no CRLF behind a chunk";
        this.#state = SIZE_FIRST;
        this.#digits = 0;
        return "";
    }
  }

  #sizeByte(byte: number): string {
    const digit = HEX_VALUE[byte]!;
    if (digit < 16) {
      this.#remaining = this.#state === SIZE_FIRST ? digit : this.#remaining * 16 + digit;
      this.#state = SIZE;
      if (++this.#digits > CHUNK_SIZE_DIGITS_MAX || this.#remaining > Number.MAX_SAFE_INTEGER)
        return "chunk size too large";
      return "";
    }
    if (this.#state === SIZE_FIRST) return "chunk size without a digit";
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === 0x3b) this.#state = EXTENSION;
    else return "invalid byte in a chunk size";
    return "";
  }

  #readTrailers(chunk: Buffer, at: number): number {
    if (this.#trailers === null) {
      this.#trailers = new TrailerReader();
      this.#trailers.begin(chunk);
    }
    const end = this.#trailers.read(chunk, at);
    if (end === FAILED) this.fault = this.#trailers.fault;
    this.done = end >= 0;
    return end;
  }
}
