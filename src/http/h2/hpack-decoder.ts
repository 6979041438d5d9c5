// Decodes field sections (RFC 7541) right into the form of an HTTP/1.1 head: every field becomes a line
// `name: value\r\n` in the buffer of a sink. No strings are made, and what the dynamic table holds are such lines.
import { idOfBytes } from "../header-names.ts";
import {
  BAD_NAME,
  BAD_VALUE,
  BYTE_CLASS,
  IS_UNDERSCORE,
  NEVER_INDEXED,
  NOT_IN_NAME,
  NOT_IN_VALUE,
  PSEUDO_SHIFT,
  pseudoOf,
  UNDERSCORE,
} from "./hpack-flags.ts";
import { ENTRY_OVERHEAD, HpackTable } from "./hpack-table.ts";
import { decodedMax, HuffmanReader } from "./huffman.ts";
import {
  STATIC_FLAGS,
  STATIC_IDS,
  STATIC_LAST,
  STATIC_LINES,
  STATIC_NAME_LENGTHS,
  STATIC_STARTS,
} from "./static-table.ts";

/**
 * Where decoded fields go. For each field the decoder asks for `room`, writes a line at `at`, moves `at` behind it and
 * calls `field`; or it calls `skipped`. The sink may move `at` in `field` (back to `nameStart`, to drop the line or to
 * keep it elsewhere) and change `buffer`. What lies behind `at` belongs to the decoder until `decode` returns.
 */
export interface FieldSink {
  buffer: Buffer;
  at: number;
  /**
   * Makes room for `bytes` bytes behind `at`, or returns false when that is too much. It is only a question: `bytes`
   * may be up to 8/5 of what the field then takes, and after a refusal the same field may be asked for with its exact
   * length. A field that finds no room is told to `skipped`, and the next one may be asked for all the same.
   */
  room(bytes: number): boolean;
  /**
   * A line has been written. `id` is that of header-names.ts, 0 for other names and for pseudo-header fields. `flags`
   * are those of hpack-flags.ts: with neither BAD_NAME nor BAD_VALUE the bytes are what RFC 9113 §8.2.1 allows, and
   * need no further look; `flags >> PSEUDO_SHIFT` is the number of a pseudo-header field. A field with NEVER_INDEXED is
   * to be passed on as such: `HeaderBlock.keepSecret`.
   */
  field(id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, flags: number): void;
  /** A field was not written; `size` is what it counts (RFC 7541 §4.1: name, value and 32 bytes). */
  skipped(size: number): void;
}

// RFC 7541 §5.1: larger numbers than any of 32 bits, or with more bytes than those need, are errors.
const NUMBER_MAX = 0xffff_ffff;
const CONTINUATION_SHIFT_MAX = 28;
/** RFC 7541 §4.2: the smallest size in between and the final one. */
const UPDATES_MAX = 2;
/** A field that its sink has no room for may have to be decoded all the same. Larger ones get memory of their own. */
const SCRATCH_BYTES = 16_384;
let scratch: Buffer = Buffer.alloc(0);

const COLON = 0x3a;
const SPACE = 0x20;
const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;
// The owner's number of a table entry: the flags, and the id above them.
const ID_SHIFT = 8;
const FLAGS_MASK = 0xff;

const BAD_CODE = "a Huffman code is broken";

const huffman = new HuffmanReader();

export class HpackDecoder {
  readonly table: HpackTable;
  /** What the peer may set the table's size to: our SETTINGS_HEADER_TABLE_SIZE, once it is acknowledged. */
  #tableMax: number;
  /** The next block must begin with an update to at most this size; -1 for none. */
  #required = -1;
  #problem = "";
  /** Where the next byte is read. */
  #at = 0;
  // The strings of the literal that is read: the name, unless it is an indexed one, and the last one, up to `#at`.
  #nameAt = 0;
  #nameEnd = 0;
  #isNameCoded = false;
  #stringAt = 0;
  #isCoded = false;
  // The line that was rendered.
  #nameLength = 0;
  #id = 0;
  #flags = 0;

  /** `tableMax` is the table's size from the start: 4096 as long as no other setting has been acknowledged. */
  constructor(tableMax: number) {
    this.#tableMax = tableMax;
    this.table = new HpackTable(tableMax);
  }

  /** The peer has acknowledged another SETTINGS_HEADER_TABLE_SIZE of ours (RFC 7541 §4.2). */
  setTableMax(bytes: number): void {
    this.#tableMax = bytes;
    if (bytes < this.table.max) this.#required = this.#required < 0 ? bytes : Math.min(this.#required, bytes);
  }

  /**
   * Decodes the block `block[from, to)`. Returns "", or why it is broken: then the table is no longer that of the peer,
   * and the connection is lost (COMPRESSION_ERROR).
   */
  decode(block: Buffer, from: number, to: number, sink: FieldSink): "" | string {
    this.#problem = "";
    this.#at = from;
    if (!this.#updates(block, to)) return this.#problem;
    while (this.#at < to) {
      const first = block[this.#at]!;
      const isRead =
        first >= 0x80
          ? this.#indexed(block, to, sink)
          : first >= 0x40
            ? this.#literal(block, to, sink, 0x3f, 0)
            : first < 0x20
              ? this.#literal(block, to, sink, 0x0f, first & 0x10)
              : this.#fail("a table size update behind a field");
      if (!isRead) return this.#problem;
    }
    return "";
  }

  #fail(problem: string): false {
    this.#problem = problem;
    return false;
  }

  /** Reads a number whose first byte has a prefix of the bits of `mask` (RFC 7541 §5.1); -1 after a failure. */
  #number(block: Buffer, to: number, mask: number): number {
    let value = block[this.#at]! & mask;
    this.#at += 1;
    if (value < mask) return value;
    for (let shift = 0; shift <= CONTINUATION_SHIFT_MAX; shift += 7) {
      if (this.#at >= to) {
        this.#problem = "a number is cut off";
        return -1;
      }
      const byte = block[this.#at]!;
      this.#at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte >= 0x80) continue;
      if (value <= NUMBER_MAX) return value;
      break;
    }
    this.#problem = "a number is too large";
    return -1;
  }

  /** Table size updates at the beginning of a block (RFC 7541 §4.2, §6.3). */
  #updates(block: Buffer, to: number): boolean {
    let count = 0;
    while (this.#at < to && (block[this.#at]! & 0xe0) === 0x20) {
      count += 1;
      if (count > UPDATES_MAX) return this.#fail("too many table size updates");
      const size = this.#number(block, to, 0x1f);
      if (size < 0) return false;
      if (size > this.#tableMax) return this.#fail("a table size above the setting");
      if (size <= this.#required) this.#required = -1;
      this.table.resize(size);
    }
    return this.#required < 0 || this.#fail("a table size update is missing");
  }

  /** An indexed field (RFC 7541 §6.1). */
  #indexed(block: Buffer, to: number, sink: FieldSink): boolean {
    const at = this.#at;
    const index = this.#number(block, to, 0x7f);
    if (index < 0) return false;
    if (index > STATIC_LAST) {
      const { table } = this;
      if (index - STATIC_LAST > table.count) return this.#fail("an index beyond the table");
      // Fields that came together are asked for together: their lines lie one behind the other.
      let run = 1;
      if (this.#at === at + 1) {
        const newest = 0x80 + STATIC_LAST + 1;
        const first = block[at]!;
        while (first - run >= newest && at + run < to && block[at + run] === first - run) run += 1;
      }
      this.#at += this.#fromTable(table.inserted - (index - STATIC_LAST), run, sink) - 1;
      return true;
    }
    if (index === 0) return this.#fail("index 0");
    const start = STATIC_STARTS[index]!;
    const length = STATIC_STARTS[index + 1]! - start;
    if (!sink.room(length)) {
      sink.skipped(length - 4 + ENTRY_OVERHEAD);
      return true;
    }
    const { buffer, at: line } = sink;
    for (let i = 0; i < length; i += 1) buffer[line + i] = STATIC_LINES[start + i]!;
    const nameEnd = line + STATIC_NAME_LENGTHS[index]!;
    sink.at = line + length;
    sink.field(STATIC_IDS[index]!, line, nameEnd, nameEnd + 2, line + length - 2, STATIC_FLAGS[index]!);
    return true;
  }

  /** Hands over `run` entries of the dynamic table, from this one on; returns how many it has handed over. */
  #fromTable(entry: number, run: number, sink: FieldSink): number {
    const { table } = this;
    const start = table.start(entry);
    const last = entry + run - 1;
    const total = run === 1 ? table.length(entry) : ((table.start(last) - start) & table.mask) + table.length(last);
    if (!sink.room(total)) {
      if (run > 1) return this.#fromTable(entry, 1, sink);
      sink.skipped(total - 4 + ENTRY_OVERHEAD);
      return 1;
    }
    const buffer = sink.buffer;
    let line = sink.at;
    table.copy(start, total, buffer, line);
    for (let i = 0; i < run; i += 1) {
      const end = line + table.length(entry + i);
      const nameEnd = line + table.nameLength(entry + i);
      const meta = table.meta(entry + i);
      sink.at = end;
      sink.field(meta >> ID_SHIFT, line, nameEnd, nameEnd + 2, end - 2, meta & FLAGS_MASK);
      if (sink.at !== end || sink.buffer !== buffer) return i + 1; // the lines behind are no longer in place
      line = end;
    }
    return run;
  }

  /** A literal (RFC 7541 §6.2): with indexing if the prefix has six bits, else never to be indexed if `never` is set. */
  #literal(block: Buffer, to: number, sink: FieldSink, mask: number, never: number): boolean {
    const index = this.#number(block, to, mask);
    if (index < 0) return false;
    let max: number;
    if (index === 0) {
      if (!this.#string(block, to)) return false;
      this.#nameAt = this.#stringAt;
      this.#nameEnd = this.#at;
      this.#isNameCoded = this.#isCoded;
      max = this.#isCoded ? decodedMax(this.#nameEnd - this.#nameAt) : this.#nameEnd - this.#nameAt;
    } else if (index <= STATIC_LAST) max = STATIC_NAME_LENGTHS[index]!;
    else {
      const { table } = this;
      if (index - STATIC_LAST > table.count) return this.#fail("an index beyond the table");
      max = table.nameLength(table.inserted - (index - STATIC_LAST));
    }
    if (!this.#string(block, to)) return false;
    const valueLength = this.#at - this.#stringAt;
    max += (this.#isCoded ? decodedMax(valueLength) : valueLength) + 4;
    const isIndexed = mask === 0x3f;
    if (!sink.room(max)) return this.#refused(block, index, max, isIndexed, never, sink);
    const start = sink.at;
    const end = this.#render(block, index, never, sink.buffer, start);
    if (end < 0) return false;
    if (isIndexed) this.#insert(sink.buffer, start, end);
    this.#handOver(start, end, sink);
    return true;
  }

  /** Finds out where a string begins (RFC 7541 §5.2), and steps over it. */
  #string(block: Buffer, to: number): boolean {
    if (this.#at >= to) return this.#fail("a literal is cut off");
    this.#isCoded = block[this.#at]! >= 0x80;
    const length = this.#number(block, to, 0x7f);
    if (length < 0) return false;
    if (length > to - this.#at) return this.#fail("a string is cut off");
    this.#stringAt = this.#at;
    this.#at += length;
    return true;
  }

  /** Writes the line of the literal whose strings have been found; returns where it ends, -1 after a failure. */
  #render(block: Buffer, index: number, never: number, out: Buffer, at: number): number {
    const nameEnd = index === 0 ? this.#renderName(block, out, at) : this.#renderKnownName(index, out, at);
    if (nameEnd < 0) return -1;
    out[nameEnd] = COLON;
    out[nameEnd + 1] = SPACE;
    const valueAt = nameEnd + 2;
    let end: number;
    let classes: number;
    if (this.#isCoded) {
      end = huffman.decode(block, this.#stringAt, this.#at, out, valueAt);
      if (end < 0) {
        this.#problem = BAD_CODE;
        return -1;
      }
      classes = huffman.classes;
    } else {
      end = valueAt + (this.#at - this.#stringAt);
      classes = copyString(block, this.#stringAt, this.#at, out, valueAt);
    }
    if (never !== 0) this.#flags |= NEVER_INDEXED;
    if ((classes & NOT_IN_VALUE) !== 0 || (end > valueAt && (isBlank(out[valueAt]!) || isBlank(out[end - 1]!))))
      this.#flags |= BAD_VALUE;
    out[end] = CR;
    out[end + 1] = LF;
    this.#nameLength = nameEnd - at;
    return end + 2;
  }

  #renderName(block: Buffer, out: Buffer, at: number): number {
    let end: number;
    let classes: number;
    if (this.#isNameCoded) {
      end = huffman.decode(block, this.#nameAt, this.#nameEnd, out, at);
      if (end < 0) {
        this.#problem = BAD_CODE;
        return -1;
      }
      classes = huffman.classes;
    } else {
      end = at + (this.#nameEnd - this.#nameAt);
      classes = copyString(block, this.#nameAt, this.#nameEnd, out, at);
    }
    this.#id = 0;
    if (end === at || (classes & NOT_IN_NAME) !== 0) {
      const pseudo = pseudoOf(out, at, end);
      this.#flags = pseudo === 0 ? BAD_NAME : pseudo << PSEUDO_SHIFT;
    } else {
      this.#flags = (classes & IS_UNDERSCORE) === 0 ? 0 : UNDERSCORE;
      this.#id = idOfBytes(out, at, end);
    }
    return end;
  }

  #renderKnownName(index: number, out: Buffer, at: number): number {
    if (index <= STATIC_LAST) {
      const start = STATIC_STARTS[index]!;
      const length = STATIC_NAME_LENGTHS[index]!;
      for (let i = 0; i < length; i += 1) out[at + i] = STATIC_LINES[start + i]!;
      this.#id = STATIC_IDS[index]!;
      this.#flags = STATIC_FLAGS[index]!;
      return at + length;
    }
    const { table } = this;
    const entry = table.inserted - (index - STATIC_LAST);
    const length = table.nameLength(entry);
    table.copy(table.start(entry), length, out, at);
    const meta = table.meta(entry);
    this.#id = meta >> ID_SHIFT;
    this.#flags = meta & FLAGS_MASK & ~BAD_VALUE;
    return at + length;
  }

  /** The line may refer to an entry that makes way for it (RFC 7541 §4.4), so it is complete before it is inserted. */
  #insert(line: Buffer, start: number, end: number): void {
    this.table.insert(line, start, end - start, this.#nameLength, (this.#id << ID_SHIFT) | this.#flags);
  }

  #handOver(start: number, end: number, sink: FieldSink): void {
    const nameEnd = start + this.#nameLength;
    sink.at = end;
    sink.field(this.#id, start, nameEnd, nameEnd + 2, end - 2, this.#flags);
  }

  /** A literal that may be too much for the sink: its codes are checked and the table is kept right all the same. */
  #refused(block: Buffer, index: number, max: number, isIndexed: boolean, never: number, sink: FieldSink): boolean {
    const isExact = !this.#isCoded && !(index === 0 && this.#isNameCoded);
    if (isExact && !isIndexed) {
      sink.skipped(max - 4 + ENTRY_OVERHEAD);
      return true;
    }
    let line = scratch;
    if (line.length < max) {
      line = Buffer.allocUnsafeSlow(Math.max(max, SCRATCH_BYTES));
      if (line.length === SCRATCH_BYTES) scratch = line;
    }
    const length = this.#render(block, index, never, line, 0);
    if (length < 0) return false;
    if (isIndexed) this.#insert(line, 0, length);
    if (length < max && sink.room(length)) {
      line.copy(sink.buffer, sink.at, 0, length);
      this.#handOver(sink.at, sink.at + length, sink);
    } else sink.skipped(length - 4 + ENTRY_OVERHEAD);
    return true;
  }
}

const isBlank = (byte: number): boolean => byte === SPACE || byte === TAB;

/** Copies a string that stands as it is, and gathers the classes of its bytes. */
function copyString(from: Buffer, start: number, end: number, out: Buffer, at: number): number {
  let classes = 0;
  for (let i = start; i < end; i += 1) {
    const byte = from[i]!;
    classes |= BYTE_CLASS[byte]!;
    out[at + i - start] = byte;
  }
  return classes;
}
