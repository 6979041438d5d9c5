// Reads a start line and the field lines behind it, from bytes that arrive in any pieces. Subclasses say what the start
// line is and what single fields mean. A head that came in one piece is read where it lies, without a copy.
import { type Fault, type FaultCode, fault } from "../../core/faults.ts";
import { SPENT_MIN } from "../../core/spent.ts";
import { COLON, CR, FIELD_BYTE, isSpace, LF, NAME_BYTE } from "../grammar.ts";
import type { HeaderBlock } from "../header-block.ts";
import { idOfBytes } from "../header-names.ts";
import type { HeadLimits } from "./limits.ts";

/** Answers of `read` beside an offset: more bytes are needed; the message is refused (`fault` says why). */
export const NEED_MORE = -1;
export const FAILED = -2;

const CARRY_BYTES_MIN = 1024;
const NO_BYTES: Buffer = Buffer.alloc(0);

export abstract class SectionReader {
  /** Why `read` answered FAILED. */
  fault: Fault | null = null;
  limits: HeadLimits;
  /** Set to drop fields whose names contain `_` (they are marked as removed). */
  dropUnderscores = false;
  /** Where the fields go; the subclass sets it before the first byte of a message. */
  protected block: HeaderBlock;
  /** Bytes of a head that came in pieces, gathered; null while it lies in one chunk. */
  #carry: Buffer | null = null;
  #carried = 0;
  /** Start of the first line that has not been read, and how far an end of that line has been looked for. */
  #lineAt = 0;
  #searched = 0;
  #fieldsAt = -1;

  constructor(block: HeaderBlock, limits: HeadLimits, looked: Uint8Array) {
    this.block = block;
    this.limits = limits;
    this.looked = looked;
  }

  /**
   * Reads the start line in `bytes[at, end)`. Returns the offset behind its CRLF, NEED_MORE, or `this.fail(…)`.
   */
  protected abstract startLine(bytes: Buffer, at: number, end: number): number;
  /** 1 for the ids that `knownField` is called with. */
  protected readonly looked: Uint8Array;
  /** A field whose name is in `looked` has been added to the block. Returns false after `this.fail(…)`. */
  protected abstract knownField(id: number, at: number): boolean;
  /** The section is complete. Returns false after `this.fail(…)`. */
  protected abstract complete(): boolean;

  protected fail(code: FaultCode, detail: string): typeof FAILED {
    this.fault = fault(code, detail);
    return FAILED;
  }

  /** Whether bytes of an unfinished section are held. */
  get started(): boolean {
    return this.#carry !== null;
  }

  /** Lets go of the bytes of the last message: a reader that waits must not keep a chunk of half a megabyte alive. */
  release(): void {
    this.#carry = null;
    this.block.bytes = NO_BYTES;
  }

  /**
   * After a section that ended at `end` of a chunk, having begun at 0: takes its bytes along if the chunk is large, so
   * that this is free to go. Returns from where on nothing of the chunk is needed but content.
   */
  leaveChunk(chunk: Buffer, end: number): number {
    if (chunk.length < SPENT_MIN) return 0;
    if (this.block.bytes === chunk) this.block.bytes = Buffer.from(chunk.subarray(0, end));
    return end;
  }

  /** Forgets everything held; for a reader that is used again. */
  restart(): void {
    this.fault = null;
    this.#carry = null;
    this.#carried = 0;
    this.#lineAt = 0;
    this.#searched = 0;
    this.#fieldsAt = -1;
  }

  /**
   * Reads on in `chunk[at, …)`. Returns the offset in the chunk just behind the section, NEED_MORE when the chunk ended
   * before it (its bytes are kept), or FAILED.
   */
  read(chunk: Buffer, at: number): number {
    if (this.#carry === null) {
      this.#lineAt = at;
      const end = this.#parse(chunk, chunk.length);
      if (end !== NEED_MORE) return end;
      this.#gather(chunk, at, chunk.length);
      return NEED_MORE;
    }
    const before = this.#carried;
    const room = this.limits.startLine + this.limits.section + CARRY_BYTES_MIN - before;
    this.#gather(chunk, at, Math.min(chunk.length, at + room));
    if (!this.#hasNews()) return this.#overLong();
    const end = this.#parse(this.#carry, this.#carried);
    return end < 0 ? end : at + (end - before);
  }

  /** Copies bytes behind those carried. The first time, reading starts anew at offset 0 of the carry. */
  #gather(chunk: Buffer, from: number, to: number): void {
    const need = this.#carried + (to - from);
    if (this.#carry === null || this.#carry.length < need) {
      const grown = Buffer.allocUnsafeSlow(Math.max(CARRY_BYTES_MIN, need * 2));
      if (this.#carry !== null) this.#carry.copy(grown, 0, 0, this.#carried);
      else {
        this.block.reset(grown);
        this.#lineAt = 0;
        this.#searched = 0;
        this.#fieldsAt = -1;
        this.rewind();
      }
      this.#carry = grown;
      this.block.bytes = grown;
    }
    chunk.copy(this.#carry, this.#carried, from, to);
    this.#carried = need;
  }

  /** The message is read again from its first byte: the subclass forgets what it had seen of it. */
  protected abstract rewind(): void;

  /**
   * Whether the bytes not searched yet end the current line or break it (a control byte, a bare CR). Only then is the
   * line read again, so that a dribble of single bytes costs linear time.
   */
  #hasNews(): boolean {
    const carry = this.#carry!;
    for (let i = this.#searched; i < this.#carried; i += 1) {
      const byte = carry[i]!;
      if ((FIELD_BYTE[byte] === 0 && byte !== CR) || (i > 0 && carry[i - 1] === CR)) return true;
    }
    this.#searched = this.#carried;
    return false;
  }

  /** An unfinished line is only looked at again once it has outgrown its limit. */
  #overLong(): number {
    const limit = this.#fieldsAt < 0 ? this.#lineAt + this.limits.startLine : this.#fieldsAt + this.limits.section;
    return this.#carried > limit ? this.#parse(this.#carry!, this.#carried) : NEED_MORE;
  }

  #parse(bytes: Buffer, to: number): number {
    if (this.#fieldsAt < 0) {
      const next = this.startLine(bytes, this.#lineAt, to);
      if (next < 0) {
        this.#searched = to;
        return next;
      }
      this.#lineAt = next;
      this.#fieldsAt = next;
    }
    return this.#fields(bytes, to);
  }

  #fields(bytes: Buffer, to: number): number {
    const limitAt = this.#fieldsAt + this.limits.section;
    const end = to < limitAt ? to : limitAt;
    const { block, looked } = this;
    const fieldsMax = this.limits.fields;
    let at = this.#lineAt;
    for (;;) {
      if (at >= end) break;
      let i = at;
      if (bytes[i] === CR) {
        if (i + 1 >= end) break;
        if (bytes[i + 1] !== LF) return this.fail("h1.bad_request", "bare CR");
        return this.complete() ? i + 2 : FAILED;
      }
      let seen = 0; // the classes of the name's bytes, gathered
      while (i + 3 < end) {
        const b0 = NAME_BYTE[bytes[i]!]!;
        const b1 = NAME_BYTE[bytes[i + 1]!]!;
        const b2 = NAME_BYTE[bytes[i + 2]!]!;
        const b3 = NAME_BYTE[bytes[i + 3]!]!;
        if ((b0 & b1 & b2 & b3 & 1) === 0) break;
        seen |= b0 | b1 | b2 | b3;
        i += 4;
      }
      while (i < end && NAME_BYTE[bytes[i]!] !== 0) {
        seen |= NAME_BYTE[bytes[i]!]!;
        i += 1;
      }
      if (i >= end) break;
      if (bytes[i] !== COLON || i === at) return this.fail("h1.bad_request", describeBadName(bytes, at, i));
      const nameEnd = i;
      i += 1;
      while (i < end && isSpace(bytes[i]!)) i += 1;
      const valueStart = i;
      // Four bytes a step: values are most of a head.
      while (
        i + 3 < end &&
        (FIELD_BYTE[bytes[i]!]! &
          FIELD_BYTE[bytes[i + 1]!]! &
          FIELD_BYTE[bytes[i + 2]!]! &
          FIELD_BYTE[bytes[i + 3]!]!) ===
          1
      )
        i += 4;
      while (i < end && FIELD_BYTE[bytes[i]!] === 1) i += 1;
      if (i >= end) break;
      if (bytes[i] !== CR) return this.fail("h1.bad_request", "control byte in a field value");
      if (i + 1 >= end) break;
      if (bytes[i + 1] !== LF) return this.fail("h1.bad_request", "bare CR in a field value");
      let valueEnd = i;
      while (valueEnd > valueStart && isSpace(bytes[valueEnd - 1]!)) valueEnd -= 1;
      const id = idOfBytes(bytes, at, nameEnd);
      const index = block.count;
      if (index >= fieldsMax) return this.fail("h1.head_too_large", "too many fields");
      block.push(id, at, nameEnd, valueStart, valueEnd, i + 2);
      if (seen === 3 && this.dropUnderscores) block.removeAt(index);
      at = i + 2;
      if (looked[id] === 1 && !this.knownField(id, index)) return FAILED;
    }
    this.#lineAt = at;
    this.#searched = to;
    return end === limitAt ? this.fail("h1.head_too_large", "header section over its limit") : NEED_MORE;
  }
}

function describeBadName(bytes: Buffer, start: number, at: number): string {
  const byte = bytes[at]!;
  if (at === start) return isSpace(byte) ? "folded line or white space before a name" : "empty or invalid field name";
  return isSpace(byte) ? "white space before the colon" : "invalid byte in a field name";
}
