// Takes the fields of a decoded field section as an HTTP/1.1 head would hold them: lines in one buffer, marked in a
// `HeaderBlock`. What may not be forwarded is found here (RFC 9113 §8.1.1); subclasses know pseudo-header fields.
import { type Fault, type FaultCode, fault } from "../../core/faults.ts";
import { type HeadLimits, TRAILER_LIMITS } from "../h1/limits.ts";
import { HeaderBlock } from "../header-block.ts";
import { ID, ID_COUNT } from "../header-names.ts";
import type { FieldSink } from "./hpack-decoder.ts";
import { BAD_NAME, BAD_VALUE, NEVER_INDEXED, PSEUDO_SHIFT, UNDERSCORE } from "./hpack-flags.ts";

/** What a field counts beside its name and value (RFC 9113 §6.5.2). */
const FIELD_OVERHEAD = 32;
/** Heads are laid out one behind the other in slabs of a thread, which are never written to twice. */
const SLAB_BYTES = 16_384;
/** Room that a head begins with; one that needs more moves to a buffer of its own. */
const HEAD_BYTES = 2048;
/** Before the first line: a status line is longer than the `:status` line that it takes the place of. */
export const GAP_BYTES = 48;

let slab: Buffer = Buffer.alloc(0);
let slabAt = 0;

// What is done about a known field; 0 is nothing.
const LOOKED = 1; // the subclass wants to see it
const FORBIDDEN = 2; // RFC 9113 §8.2.2
const TE = 3;
const COOKIE = 4;

/** What to do by id: `looked` are the ids that the subclass wants to see. */
export function actionTable(looked: readonly number[]): Uint8Array {
  const table = new Uint8Array(ID_COUNT);
  for (const id of looked) table[id] = LOOKED;
  for (const name of ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] as const)
    table[ID[name]] = FORBIDDEN;
  table[ID.te] = TE;
  table[ID.cookie] = COOKIE;
  return table;
}

const MARKS_STRIDE = 4; // of HeaderBlock.marks
const VALUE_END = 3;
const SEMICOLON = 0x3b;
const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;
const COOKIE_NAME = Buffer.from("cookie: ", "latin1");

export abstract class SectionBuilder implements FieldSink {
  buffer: Buffer = slab;
  at = 0;
  /** Why the message is malformed: a stream error of type PROTOCOL_ERROR (RFC 9113 §8.1.1). "" while it is not. */
  malformed = "";
  /** Which limit of ours the section breaks; null while none. */
  fault: Fault | null = null;
  /** What the whole section counts, fields that were not kept included. */
  size = 0;
  /** Where the section begins in `buffer`. */
  protected start = 0;
  protected block: HeaderBlock = new HeaderBlock();
  /** A field other than pseudo-header fields has come. */
  protected hasFields = false;
  #limits: HeadLimits = TRAILER_LIMITS;
  /** What pseudo-header fields take of `size`: they are bounded as the start line that they become. */
  #pseudoSize = 0;
  #dropUnderscores = false;
  readonly #actions: Uint8Array;
  /** The index of the cookie line in the block; -1 without one. */
  #cookieAt = -1;
  #cookiesApart = false;

  constructor(actions: Uint8Array) {
    this.#actions = actions;
  }

  protected beginSection(block: HeaderBlock, limits: HeadLimits, dropUnderscores: boolean): void {
    if (slab.length - slabAt < HEAD_BYTES) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      slabAt = 0;
    }
    this.buffer = slab;
    this.start = slabAt;
    this.at = slabAt + GAP_BYTES;
    this.malformed = "";
    this.fault = null;
    this.size = 0;
    this.hasFields = false;
    this.block = block;
    block.reset(slab);
    this.#limits = limits;
    this.#pseudoSize = 0;
    this.#dropUnderscores = dropUnderscores;
    this.#cookieAt = -1;
    this.#cookiesApart = false;
  }

  /** The section is complete: what comes next goes behind it. */
  protected endSection(): void {
    if (this.#cookiesApart && this.malformed === "" && this.fault === null) this.#joinCookies();
    if (this.buffer === slab) slabAt = this.at;
  }

  /** A pseudo-header field (a number of hpack-flags.ts), before all others. */
  protected abstract pseudo(number: number, valueStart: number, valueEnd: number): void;
  /** The first regular field begins at `at`, or the section ends there: no more pseudo-header fields may come. */
  protected abstract pseudoDone(at: number): void;
  /** A field that the subclass asked for lies in the block at this index; false to drop it. */
  protected abstract known(id: number, index: number): boolean;
  /** A field whose name nothing knows, in the bytes of `buffer`. */
  protected unknown(_nameStart: number, _nameEnd: number, _valueStart: number, _valueEnd: number): void {}
  /** The buffer has changed: all that was at an offset is now at that offset plus `delta`. */
  protected abstract moved(delta: number): void;

  protected bad(why: string): void {
    if (this.malformed === "") this.malformed = why;
  }
  protected refuse(code: FaultCode, detail: string): void {
    this.fault ??= fault(code, detail);
  }
  /** Nothing of the section matters any more but its size. */
  protected get spoiled(): boolean {
    return this.malformed !== "" || this.fault !== null;
  }

  room(bytes: number): boolean {
    if (this.spoiled) return false;
    if (this.at + bytes <= this.buffer.length) return true;
    const used = this.at - this.start;
    if (used + bytes > 2 * (this.#limits.startLine + this.#limits.section) + HEAD_BYTES) return false;
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * HEAD_BYTES, 2 * (used + bytes)));
    this.buffer.copy(grown, 0, this.start, this.at);
    const delta = -this.start;
    const { block } = this;
    for (let i = 0; i < block.count * MARKS_STRIDE; i += 1) block.marks[i]! += delta;
    block.end += delta;
    block.bytes = grown;
    this.buffer = grown;
    this.at = used;
    this.start = 0;
    this.moved(delta);
    return true;
  }

  skipped(size: number): void {
    this.size += size;
    if (!this.spoiled) this.refuse("h1.head_too_large", "header section over its limit");
  }

  field(id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, flags: number): void {
    this.size += nameEnd - nameStart + valueEnd - valueStart + FIELD_OVERHEAD;
    if (!this.#take(id, nameStart, nameEnd, valueStart, valueEnd, flags)) this.at = nameStart;
  }

  /** Returns whether the line stays. */
  #take(id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, flags: number): boolean {
    if (this.spoiled) return false;
    if ((flags & (BAD_NAME | BAD_VALUE)) !== 0) {
      this.bad((flags & BAD_NAME) !== 0 ? "invalid field name" : "invalid field value");
      return false;
    }
    const pseudo = flags >> PSEUDO_SHIFT;
    const { section, startLine } = this.#limits;
    if (pseudo === 0 ? this.size - this.#pseudoSize > section : this.size > startLine + section) {
      this.refuse("h1.head_too_large", "header section over its limit");
      return false;
    }
    if (pseudo !== 0) {
      this.#pseudoSize = this.size;
      if (this.hasFields) this.bad("pseudo-header field behind a field");
      else this.pseudo(pseudo, valueStart, valueEnd);
      return true;
    }
    if (!this.hasFields) {
      this.hasFields = true;
      this.pseudoDone(nameStart);
      if (this.spoiled) return false;
    }
    if ((flags & UNDERSCORE) !== 0 && this.#dropUnderscores) return false;
    const { block } = this;
    const action = this.#actions[id]!;
    if (action >= FORBIDDEN) {
      if (action === FORBIDDEN) this.bad("connection-specific field");
      else if (action === TE && !this.#isTrailers(valueStart, valueEnd)) this.bad("TE other than trailers");
      if (this.spoiled) return false;
      if (action === COOKIE && this.#cookieAt >= 0) {
        if (this.#cookieAt === block.count - 1) return this.#appendCookie(valueStart, valueEnd, flags);
        this.#cookiesApart = true;
      }
    }
    const index = block.count;
    if (index >= this.#limits.fields) {
      this.refuse("h1.head_too_large", "too many fields");
      return false;
    }
    block.push(id, nameStart, nameEnd, valueStart, valueEnd, valueEnd + 2);
    if ((flags & NEVER_INDEXED) !== 0) block.keepSecret(index);
    if (action === LOOKED) {
      if (this.known(id, index)) return true;
      block.count = index; // its line goes, and the next one takes its place
      block.end = nameStart;
      return false;
    }
    if (action === COOKIE) this.#cookieAt = index;
    else if (id === 0) this.unknown(nameStart, nameEnd, valueStart, valueEnd);
    return true;
  }

  /** RFC 9113 §8.2.2: the one value that TE may have. */
  #isTrailers(start: number, end: number): boolean {
    return end - start === 8 && this.buffer.latin1Slice(start, end).toLowerCase() === "trailers";
  }

  /** RFC 9113 §8.2.3: crumbs that lie one behind the other become one line as they come. Empty ones leave no trace. */
  #appendCookie(valueStart: number, valueEnd: number, flags: number): boolean {
    if ((flags & NEVER_INDEXED) !== 0) this.block.keepSecret(this.#cookieAt);
    if (valueStart === valueEnd) return false;
    const { block, buffer } = this;
    const mark = this.#cookieAt * MARKS_STRIDE + VALUE_END;
    let end = block.marks[mark]!;
    if (end > block.valueStart(this.#cookieAt)) {
      buffer[end] = SEMICOLON;
      buffer[end + 1] = SPACE;
      end += 2;
    }
    buffer.copyWithin(end, valueStart, valueEnd + 2);
    const joined = end + (valueEnd - valueStart);
    block.marks[mark] = joined;
    block.end = joined + 2;
    this.at = joined + 2;
    return true;
  }

  /** Crumbs with other fields between them become one line at the end. */
  #joinCookies(): void {
    const { block } = this;
    let length = COOKIE_NAME.length + 2;
    for (let i = 0; i < block.count; i += 1) {
      if (block.ids[i] === ID.cookie) length += block.valueEnd(i) - block.valueStart(i) + 2;
    }
    if (!this.room(length)) return;
    const nameStart = this.at;
    const { buffer } = this;
    let at = nameStart + COOKIE_NAME.copy(buffer, nameStart);
    const valueStart = at;
    let secret = false;
    for (let i = 0; i < block.count; i += 1) {
      if (block.ids[i] !== ID.cookie) continue;
      if (at > valueStart && block.valueEnd(i) > block.valueStart(i)) {
        buffer[at] = SEMICOLON;
        buffer[at + 1] = SPACE;
        at += 2;
      }
      at += buffer.copy(buffer, at, block.valueStart(i), block.valueEnd(i));
      secret ||= block.secret?.[i] === 1;
      block.removeAt(i);
    }
    buffer[at] = CR;
    buffer[at + 1] = LF;
    block.push(ID.cookie, nameStart, nameStart + COOKIE_NAME.length - 2, valueStart, at, at + 2);
    if (secret) block.keepSecret(block.count - 1);
    this.at = at + 2;
  }
}
