// Encodes field sections (RFC 7541) from byte ranges of a head: no strings are made, and a field that the peer knows
// already is found by a hash of a few of its bytes and one comparison.
import { type HeaderBlock, HOP_BY_HOP, type SkipSet, skipSet } from "../header-block.ts";
import { ID, idOf } from "../header-names.ts";
import { AUTHORITY, METHOD, PATH, PROTOCOL, PSEUDO_NAMES, SCHEME, STATUS } from "./hpack-flags.ts";
import { policyOf, SECRET, STEADY, VARYING } from "./hpack-policy.ts";
import { ENTRY_OVERHEAD, HpackTable } from "./hpack-table.ts";
import { huffmanEncode, huffmanLength } from "./huffman.ts";
import { STATIC_BY_ID, STATIC_BY_PSEUDO, STATIC_LAST, staticOf } from "./static-table.ts";

/** RFC 7541 §4.2, RFC 9113 §6.5.2: the size of a table until the peer's SETTINGS say otherwise. */
const TABLE_DEFAULT = 4096;
/** Beside the bytes of its name and value, a literal takes its first byte and two lengths of at most 4 bytes each. */
const LITERAL_EXTRA = 9;
/** Two table size updates of at most 6 bytes each, and a `:status`. */
const BEGIN_MAX = 32;

// Representations (RFC 7541 §6): the first byte's pattern, and the largest number that fits its prefix.
const INDEXED = 0x80;
const INDEXED_MAX = 0x7f;
const WITH_INDEXING = 0x40;
const WITH_INDEXING_MAX = 0x3f;
const SIZE_UPDATE = 0x20;
const SIZE_UPDATE_MAX = 0x1f;
const NEVER = 0x10;
const WITHOUT_INDEXING = 0x00;
const WITHOUT_INDEXING_MAX = 0x0f;
const CODED = 0x80;
const LENGTH_MAX = 0x7f;

/** The connection's own fields, which HTTP/2 does not have (RFC 9113 §8.2.2), and Host, which is `:authority`. */
const NEVER_SENT = skipSet(
  ID.connection,
  ID["keep-alive"],
  ID["proxy-connection"],
  ID["transfer-encoding"],
  ID.upgrade,
  ID["http2-settings"],
  ID.host,
);
// Framing and the connection are the driver's alone, whatever an edit says.
const NEVER_ADDED = skipSet(...HOP_BY_HOP, ID["content-length"], ID.host);

// Slots of the hashes of entries, of names, and of fields that came once: more than a table of 4096 bytes has in
// practice. The upper bits of a hash are its slot.
const FIELD_SLOTS = 128;
const FIELD_SHIFT = 32 - 7;
/** Slots that a field may have: with fewer, sets of fields whose hashes meet push each other out all the time. */
const WAYS = 4;
const NAME_SLOTS = 64;
const NAME_SHIFT = 32 - 6;
const MISS_SLOTS = 64;
const MISS_SHIFT = 32 - 6;
const SPREAD = 0x9e37_79b1 | 0;
/** A field that takes more than this share of the table would push out too much else. */
const SHARE_MAX = 0.75;

/** The keys of pseudo-header fields, beside the ids of known names. */
const PSEUDO_KEY = 256;

const STATUS_NAME = PSEUDO_NAMES[STATUS];
const TRAILERS: Uint8Array = new TextEncoder().encode("trailers");
const LOWER: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte,
);
/** Up to this many bytes a loop is faster than a call of the runtime. */
const SHORT_COPY = 32;

const COLON = 0x3a;
const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;

// Where fields that are text become bytes, and where the line of a literal is put together; each for one call only.
const SCRATCH_BYTES = 4096;
let textScratch: Buffer = Buffer.alloc(0);
let lineScratch: Buffer = Buffer.alloc(0);

/** An upper bound of what `begin`, `status` and `fields` write together. */
export function hpackMax(block: HeaderBlock): number {
  let max = BEGIN_MAX + block.count * LITERAL_EXTRA + (block.count === 0 ? 0 : block.end - block.lineStart(0));
  if (block.added !== null) {
    for (const field of block.added) max += hpackFieldMax(field.name.length, field.value.length);
  }
  return max;
}

/** An upper bound of what one `field`, `request` (as four fields) or `protocol` writes. */
export const hpackFieldMax = (name: number, value: number): number => name + value + LITERAL_EXTRA;

export class HpackEncoder {
  /** Where the next byte goes. */
  at = 0;
  /** The last `:status` that was written. */
  lastStatus = 0;
  readonly table: HpackTable;
  readonly #tableMax: number;
  #out: Buffer = textScratch;
  /** Size updates that the next block begins with: the smallest size since the last one, and the final one. */
  #lowest = TABLE_DEFAULT;
  #target = TABLE_DEFAULT;
  /** Entries by a hash of name and value, by one of their name, and hashes of fields that were not inserted. */
  readonly #byField: Int32Array = new Int32Array(FIELD_SLOTS);
  readonly #byName: Int32Array = new Int32Array(NAME_SLOTS);
  readonly #missed: Int32Array = new Int32Array(MISS_SLOTS);

  /** `tableMax` is how large a table we are ready to keep, in bytes, whatever the peer allows. */
  constructor(tableMax: number = TABLE_DEFAULT) {
    this.#tableMax = tableMax;
    this.table = new HpackTable(TABLE_DEFAULT);
    this.setPeerTableSize(TABLE_DEFAULT);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; the next block begins with the update that it asks for (RFC 7541 §4.2). */
  setPeerTableSize(bytes: number): void {
    this.#target = Math.min(bytes, this.#tableMax);
    this.#lowest = Math.min(this.#lowest, this.#target);
  }

  /** Begins a block in `out` at `at`, where all that follows must have room (`hpackMax`, `hpackFieldMax`). */
  begin(out: Buffer, at: number): void {
    this.#out = out;
    this.at = at;
    const { table } = this;
    if (this.#lowest < table.max && this.#lowest < this.#target) this.#resize(this.#lowest);
    if (this.#target !== table.max) this.#resize(this.#target);
    this.#lowest = this.#target;
  }

  #resize(bytes: number): void {
    this.table.resize(bytes);
    this.#number(SIZE_UPDATE, SIZE_UPDATE_MAX, bytes);
  }

  /** `:status` of a response. */
  status(code: number): void {
    this.lastStatus = code;
    const index = staticStatus(code);
    if (index !== 0) {
      this.#number(INDEXED, INDEXED_MAX, index);
      return;
    }
    const text = textRoom(STATUS_NAME.length + 3);
    const at = text.latin1Write(STATUS_NAME, 0);
    text[at] = 0x30 + ((code / 100) | 0);
    text[at + 1] = 0x30 + (((code / 10) | 0) % 10);
    text[at + 2] = 0x30 + (code % 10);
    this.#field(PSEUDO_KEY + STATUS, text, 0, at, at, at + 3, STEADY);
  }

  /** The pseudo-header fields of a request; empty ones are left out, as CONNECT asks for (RFC 9113 §8.5). */
  request(method: string, scheme: string, authority: string, path: string): void {
    this.#pseudo(METHOD, method, method === "GET" ? 2 : method === "POST" ? 3 : 0, STEADY);
    if (scheme !== "") this.#pseudo(SCHEME, scheme, scheme === "https" ? 7 : scheme === "http" ? 6 : 0, STEADY);
    if (path !== "") this.#pseudo(PATH, path, path === "/" ? 4 : path === "/index.html" ? 5 : 0, VARYING);
    if (authority !== "") this.#pseudo(AUTHORITY, authority, 0, STEADY);
  }

  /** `:protocol` of an extended CONNECT (RFC 8441 §4), right behind `request`. */
  protocol(name: string): void {
    this.#pseudo(PROTOCOL, name, 0, STEADY);
  }

  #pseudo(number: number, value: string, index: number, policy: number): void {
    if (index === 0) this.#text(PSEUDO_KEY + number, PSEUDO_NAMES[number]!, value, policy);
    else this.#number(INDEXED, INDEXED_MAX, index);
  }

  /**
   * What stands of the block, without the ids of `skip` and what HTTP/2 has no place for. Names come out lower-case.
   * Secrets, and fields that came as never to be indexed, stay out of every table.
   */
  fields(block: HeaderBlock, skip: SkipSet): void {
    const { bytes, ids, marks, removed, count, secret } = block;
    for (let i = 0; i < count; i += 1) {
      const id = ids[i]!;
      if (skip.table[id] === 1 || NEVER_SENT.table[id] === 1 || removed[i] === 1) continue;
      const m = i * 4;
      const valueStart = marks[m + 2]!;
      const valueEnd = marks[m + 3]!;
      if (id === ID.te && !isTrailers(bytes, valueStart, valueEnd)) continue;
      const policy = secret !== null && secret[i] === 1 ? SECRET : policyOf(id, valueEnd - valueStart);
      this.#field(id, bytes, marks[m]!, marks[m + 1]!, valueStart, valueEnd, policy);
    }
    if (block.added === null) return;
    for (const field of block.added) {
      const id = idOf(field.name.toLowerCase());
      if (NEVER_ADDED.table[id] === 0) this.#text(id, field.name, field.value, policyOf(id, field.value.length));
    }
  }

  /** One more field. The name is lower-case, the value Latin-1 text without CR, LF or NUL. */
  field(name: string, value: string): void {
    const id = idOf(name);
    this.#text(id, name, value, policyOf(id, value.length));
  }

  #text(key: number, name: string, value: string, policy: number): void {
    const text = textRoom(name.length + value.length);
    const nameEnd = text.latin1Write(name, 0);
    this.#field(key, text, 0, nameEnd, nameEnd, nameEnd + text.latin1Write(value, nameEnd), policy);
  }

  /** Writes one field as an index where the peer knows it. `key` is the name's id, PSEUDO_KEY and a number, or 0. */
  #field(
    key: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    policy: number,
  ): void {
    const nameHash = key === 0 ? hashOfName(bytes, nameStart, nameEnd) : key;
    if (policy >= VARYING) {
      this.#literal(key, bytes, nameStart, nameEnd, valueStart, valueEnd, policy, nameHash, 0);
      return;
    }
    const hash = hashOf(nameHash, bytes, valueStart, valueEnd);
    const slot = hash >>> FIELD_SHIFT;
    let entry = 0;
    let way = 0;
    while (way < WAYS) {
      entry = this.#byField[slot ^ way]!;
      if (this.#holds(entry, key, bytes, nameStart, nameEnd, valueStart, valueEnd)) break;
      way += 1;
    }
    if (way === WAYS) {
      this.#literal(key, bytes, nameStart, nameEnd, valueStart, valueEnd, policy, nameHash, hash);
      return;
    }
    this.#number(INDEXED, INDEXED_MAX, this.#indexOf(entry));
  }

  /** The index of an entry of the table now. */
  #indexOf(entry: number): number {
    return STATIC_LAST + ((this.table.inserted - entry) | 0);
  }

  /** Whether the entry is still there, with this name and this value. */
  #holds(
    entry: number,
    key: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    const { table } = this;
    if (!table.has(entry) || table.meta(entry) !== key) return false;
    const nameLength = table.nameLength(entry);
    const length = valueEnd - valueStart;
    if (table.length(entry) - nameLength - 4 !== length) return false;
    const at = table.start(entry) + nameLength + 2;
    const { bytes: ring, mask } = table;
    for (let i = 0; i < length; i += 1) if (ring[(at + i) & mask] !== bytes[valueStart + i]) return false;
    return key !== 0 || this.#isNamed(entry, bytes, nameStart, nameEnd);
  }

  #isNamed(entry: number, bytes: Buffer, start: number, end: number): boolean {
    const { table } = this;
    const length = end - start;
    if (table.nameLength(entry) !== length) return false;
    const at = table.start(entry);
    const { bytes: ring, mask } = table;
    for (let i = 0; i < length; i += 1) if (ring[(at + i) & mask] !== LOWER[bytes[start + i]!]) return false;
    return true;
  }

  /** Writes a field that the table does not hold, and gives it a place there if the policy says so. */
  #literal(
    key: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    policy: number,
    nameHash: number,
    hash: number,
  ): void {
    const nameLength = nameEnd - nameStart;
    const length = nameLength + (valueEnd - valueStart);
    const line = lineRoom(length + 4);
    for (let i = 0; i < nameLength; i += 1) line[i] = LOWER[bytes[nameStart + i]!]!;
    const nameSlot = Math.imul(nameHash, SPREAD) >>> NAME_SHIFT;
    const index = this.#nameIndex(key, line, nameLength, this.#byName[nameSlot]!);
    const isInserted =
      policy < VARYING &&
      length + ENTRY_OVERHEAD <= this.table.max * SHARE_MAX &&
      (policy === STEADY || index === 0 || this.#missed[hash >>> MISS_SHIFT] === hash);
    if (isInserted) this.#number(WITH_INDEXING, WITH_INDEXING_MAX, index);
    else {
      if (policy < VARYING) this.#missed[hash >>> MISS_SHIFT] = hash;
      this.#number(policy === SECRET ? NEVER : WITHOUT_INDEXING, WITHOUT_INDEXING_MAX, index);
    }
    if (index === 0) this.#string(line, 0, nameLength);
    this.#string(bytes, valueStart, valueEnd);
    if (!isInserted) return;
    line[nameLength] = COLON;
    line[nameLength + 1] = SPACE;
    bytes.copy(line, nameLength + 2, valueStart, valueEnd);
    line[length + 2] = CR;
    line[length + 3] = LF;
    const { table } = this;
    const entry = table.inserted | 0;
    table.insert(line, 0, length + 4, nameLength, key);
    this.#byField[this.#slotFor(hash >>> FIELD_SHIFT)] = entry;
    this.#byName[nameSlot] = entry;
  }

  /** Of the slots that a field may have an unused one, else that of the oldest entry. */
  #slotFor(first: number): number {
    let oldest = first;
    for (let way = 0; way < WAYS; way += 1) {
      const entry = this.#byField[first ^ way]!;
      if (!this.table.has(entry)) return first ^ way;
      if (((this.#byField[oldest]! - entry) | 0) > 0) oldest = first ^ way;
    }
    return oldest;
  }

  /** Where the peer finds the name `line[0, length)`: in the static table, or in an entry that may have it; 0 without. */
  #nameIndex(key: number, line: Buffer, length: number, entry: number): number {
    const index =
      key >= PSEUDO_KEY
        ? STATIC_BY_PSEUDO[key - PSEUDO_KEY]!
        : key > 0
          ? STATIC_BY_ID[key]!
          : staticOf(line, 0, length);
    if (index !== 0 || !this.table.has(entry) || this.table.meta(entry) !== key) return index;
    return key !== 0 || this.#isNamed(entry, line, 0, length) ? this.#indexOf(entry) : 0;
  }

  /** A number (RFC 7541 §5.1) behind a pattern; `max` is the largest that its prefix could hold, all bits set. */
  #number(pattern: number, max: number, value: number): void {
    const out = this.#out;
    if (value < max) {
      out[this.at] = pattern | value;
      this.at += 1;
      return;
    }
    let at = this.at;
    out[at] = pattern | max;
    at += 1;
    let rest = value - max;
    for (; rest >= 0x80; at += 1) {
      out[at] = 0x80 | (rest & 0x7f);
      rest >>>= 7;
    }
    out[at] = rest;
    this.at = at + 1;
  }

  /** A string (RFC 7541 §5.2), as a Huffman code where that is shorter. */
  #string(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    const coded = huffmanLength(bytes, start, end);
    if (coded < length) {
      this.#number(CODED, LENGTH_MAX, coded);
      this.at = huffmanEncode(bytes, start, end, this.#out, this.at);
      return;
    }
    this.#number(0, LENGTH_MAX, length);
    const { at } = this;
    if (length > SHORT_COPY) bytes.copy(this.#out, at, start, end);
    else for (let i = 0; i < length; i += 1) this.#out[at + i] = bytes[start + i]!;
    this.at = at + length;
  }
}

/** The static field of a `:status`; 0 without one. */
function staticStatus(code: number): number {
  switch (code) {
    case 200:
      return 8;
    case 204:
      return 9;
    case 206:
      return 10;
    case 304:
      return 11;
    case 400:
      return 12;
    case 404:
      return 13;
    case 500:
      return 14;
    default:
      return 0;
  }
}

function isTrailers(bytes: Buffer, start: number, end: number): boolean {
  if (end - start !== TRAILERS.length) return false;
  for (let i = 0; i < TRAILERS.length; i += 1) if (LOWER[bytes[start + i]!] !== TRAILERS[i]) return false;
  return true;
}

/** A few bytes tell most names apart; a comparison tells the rest. */
function hashOfName(bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  const middle = LOWER[bytes[start + (length >> 1)]!]!;
  const late = LOWER[bytes[start + ((length * 3) >> 2)]!]!;
  return 0x200 + length + Math.imul((LOWER[bytes[start]!]! << 16) ^ (middle << 8) ^ late, SPREAD);
}

function hashOf(nameHash: number, bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  let hash = Math.imul(nameHash, SPREAD) + length;
  if (length > 0) {
    const a = bytes[start]! | (bytes[start + (length >> 2)]! << 8) | (bytes[start + (length >> 1)]! << 16);
    const b = bytes[start + ((length * 3) >> 2)]! | (bytes[end - 1]! << 8) | (bytes[end - 1 - (length >> 3)]! << 16);
    hash = Math.imul(hash ^ a, SPREAD) ^ b;
  }
  return Math.imul(hash ^ (hash >>> 15), SPREAD);
}

function textRoom(bytes: number): Buffer {
  if (textScratch.length >= bytes) return textScratch;
  const room = Buffer.allocUnsafeSlow(Math.max(bytes, SCRATCH_BYTES));
  if (room.length === SCRATCH_BYTES) textScratch = room;
  return room;
}

function lineRoom(bytes: number): Buffer {
  if (lineScratch.length >= bytes) return lineScratch;
  const room = Buffer.allocUnsafeSlow(Math.max(bytes, SCRATCH_BYTES));
  if (room.length === SCRATCH_BYTES) lineScratch = room;
  return room;
}
