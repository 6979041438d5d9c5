// A stored answer as a record of the disk tier, and back. Metadata, in little-endian numbers:
//
//   0 fresh until   8 born at   16 may be refreshed until   24 may stand in for an error until   32 for no answer until
//   40 flags   44 count of changes   48 status   50 fields   52 lengths of the five texts (two bytes each)
//   62 the texts: names and values of Vary, Content-Encoding, Content-Language, reason
//   … four offsets into the head for each field (four bytes each)
//
// Where variants differ by Vary, the record of their key says by which fields, and each has a record of its own.
import type { UseTimes } from "../engines/cache/freshness.ts";
import { HEAD_ROOM_BYTES } from "../engines/cache/stored-head.ts";
import { NO_VARY, type VaryRule } from "../engines/cache/vary.ts";
import { type DiskRecord, ENTRY, type RecordView } from "../engines/storage/record.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { idOfBytes } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Body } from "./body.ts";
import type { Stamp } from "./changes.ts";
import type { DiskEntry } from "./disk-store.ts";
import { Entry } from "./entry.ts";

const MAY_BE_STALE = 1;
const IMMUTABLE = 2;
/** It has no answer, but names the fields that answers of its key differ by. */
const BY_FIELDS = 4;
const FIXED_BYTES = 62;
const TEXTS_AT = 52;
const TEXTS = 5;
const MARKS = 4;
const MARK_BYTES = 4;
const SPACE = " ";
/** Rules of Vary that are remembered for a key: servers have one, and another one for errors. */
const RULES_MAX = 4;
const RULES_BETWEEN = "\n";

const NOTHING = Buffer.alloc(0);
const NEVER: UseTimes = {
  bornAt: 0,
  freshUntil: 0,
  refreshUntil: 0,
  errorUntil: 0,
  downUntil: 0,
  mayBeStale: false,
  immutable: false,
};

/** What is to be stored of an answer; `body` is its content, or nothing where a file has that. */
export function diskEntryOf(entry: Entry, count: number, body: Buffer, now: number): DiskEntry {
  const meta = Buffer.allocUnsafeSlow(metaBytes(entry));
  writeMeta(meta, 0, entry, count);
  const head = Buffer.from(entry.storedHeaders.bytes.subarray(0, headBytes(entry)));
  return { tags: Buffer.from(entry.tags.join(SPACE)), meta, head, body, storedAt: now };
}

/** Bytes of its head, and of its metadata. */
export const headBytes = ({ storedHeaders, storedFields }: Entry): number => storedHeaders.lineStart(storedFields);
export const metaBytes = ({ rule, key, encoding, language, reason, storedFields }: Entry): number =>
  FIXED_BYTES +
  textBytes(rule.text) +
  textBytes(key) +
  textBytes(encoding) +
  textBytes(language) +
  textBytes(reason) +
  storedFields * MARKS * MARK_BYTES;

/** Writes the metadata of an answer from there on. Returns where it ends. */
export function writeMeta(into: Buffer, start: number, entry: Entry, count: number): number {
  writeFixed(into, start, entry.times, count);
  into.writeUInt16LE(entry.status, start + 48);
  into.writeUInt16LE(entry.storedFields, start + 50);
  let at = start + FIXED_BYTES;
  at = writeText(into, start, 0, at, entry.rule.text);
  at = writeText(into, start, 1, at, entry.key);
  at = writeText(into, start, 2, at, entry.encoding);
  at = writeText(into, start, 3, at, entry.language);
  at = writeText(into, start, 4, at, entry.reason);
  const { marks } = entry.storedHeaders;
  const end = entry.storedFields * MARKS;
  for (let mark = 0; mark < end; mark += 1) at = into.writeInt32LE(marks[mark]!, at);
  return at;
}

function writeText(into: Buffer, start: number, index: number, at: number, text: string): number {
  const length = text === "" ? 0 : into.write(text, at);
  into.writeUInt16LE(length, start + TEXTS_AT + index * 2);
  return at + length;
}

const textBytes = (text: string): number => (text === "" ? 0 : Buffer.byteLength(text));

function writeFixed(into: Buffer, start: number, times: UseTimes, count: number): void {
  into.writeDoubleLE(times.freshUntil, start);
  into.writeDoubleLE(times.bornAt, start + 8);
  into.writeDoubleLE(times.refreshUntil, start + 16);
  into.writeDoubleLE(times.errorUntil, start + 24);
  into.writeDoubleLE(times.downUntil, start + 32);
  into.writeUInt32LE((times.mayBeStale ? MAY_BE_STALE : 0) | (times.immutable ? IMMUTABLE : 0), start + 40);
  into.writeInt32LE(count, start + 44);
}

/** Whether the texts of an answer have room in its metadata: keys and fields of requests have their own limits. */
export const fitsRecord = (entry: Entry): boolean =>
  entry.key.length * 3 < 0x1_0000 && entry.tags.join(SPACE).length < 65_536;

/** What has changed behind the address of a record when its answer was asked for. */
export const countOf = ({ meta }: DiskRecord): number => (meta.length < FIXED_BYTES ? 0 : meta.readInt32LE(44));

/** The answer of a record that has one; `body` is its content. Null where the record is of no form that is known. */
export function entryOf({ meta, head, tags }: DiskRecord, extra: string, stamp: Stamp, body: Body): Entry | null {
  if (meta.length < FIXED_BYTES) return null;
  const flags = meta.readUInt32LE(40);
  const fields = meta.readUInt16LE(50);
  const texts: string[] = [];
  let at = FIXED_BYTES;
  for (let index = 0; index < TEXTS; index += 1) {
    const length = meta.readUInt16LE(TEXTS_AT + index * 2);
    texts.push(length === 0 ? "" : meta.toString("utf8", at, at + length));
    at += length;
  }
  if (at + fields * MARKS * MARK_BYTES !== meta.length) return null;
  const [rule, key, encoding, language, reason] = texts as [string, string, string, string, string];
  const times: UseTimes = {
    bornAt: meta.readDoubleLE(8),
    freshUntil: meta.readDoubleLE(0),
    refreshUntil: meta.readDoubleLE(16),
    errorUntil: meta.readDoubleLE(24),
    downUntil: meta.readDoubleLE(32),
    mayBeStale: (flags & MAY_BE_STALE) !== 0,
    immutable: (flags & IMMUTABLE) !== 0,
  };
  const stored = {
    status: meta.readUInt16LE(48),
    reason,
    headers: fieldsOf(head, meta, at, fields),
    room: HEAD_ROOM_BYTES,
  };
  const variant = { rule: ruleOf(rule), key, encoding, language };
  const words = tags.length === 0 ? [] : tags.toString().split(SPACE);
  return new Entry(extra, variant, words, stamp, times, stored, body);
}

/** The times of an answer, to be filled in again and again. */
export type TimesInto = { -readonly [K in keyof UseTimes]: UseTimes[K] };

/**
 * Reads the times and the count of changes of a record. -1 where it is not an answer that all requests for its key get
 * as it lies there; else the count as a number from 0 on.
 */
export function viewTimes({ bytes, tagsEnd, metaEnd }: RecordView, times: TimesInto): number {
  if (metaEnd - tagsEnd < FIXED_BYTES || bytes.readUInt16LE(tagsEnd + TEXTS_AT) > 0) return -1;
  const flags = bytes.readUInt32LE(tagsEnd + 40);
  if ((flags & BY_FIELDS) !== 0) return -1;
  times.freshUntil = bytes.readDoubleLE(tagsEnd);
  times.bornAt = bytes.readDoubleLE(tagsEnd + 8);
  times.refreshUntil = bytes.readDoubleLE(tagsEnd + 16);
  times.mayBeStale = (flags & MAY_BE_STALE) !== 0;
  times.immutable = (flags & IMMUTABLE) !== 0;
  return bytes.readUInt32LE(tagsEnd + 44);
}

/** Lays the head of a record out in `into`, with these lines behind it. False where it is of no form that is known. */
export function viewHead(view: RecordView, head: ResponseHead, into: Buffer): boolean {
  const { bytes, tagsEnd, metaEnd, headEnd } = view;
  const fields = bytes.readUInt16LE(tagsEnd + 50);
  const marksAt = metaEnd - fields * MARKS * MARK_BYTES;
  let textsEnd = tagsEnd + FIXED_BYTES;
  for (let index = 0; index < TEXTS; index += 1) textsEnd += bytes.readUInt16LE(tagsEnd + TEXTS_AT + index * 2);
  if (marksAt !== textsEnd) return false;
  bytes.copy(into, 0, metaEnd, headEnd);
  head.reset();
  head.status = bytes.readUInt16LE(tagsEnd + 48);
  head.reason = bytes.toString("utf8", textsEnd - bytes.readUInt16LE(tagsEnd + TEXTS_AT + (TEXTS - 1) * 2), textsEnd);
  head.lineAt = 0;
  head.headers.reset(into);
  pushMarked(head.headers, into, headEnd - metaEnd, bytes, marksAt, fields);
  return true;
}

/** The fields in a buffer of their own. */
function fieldsOf(head: Buffer, meta: Buffer, marksAt: number, count: number): HeaderBlock {
  const bytes = Buffer.allocUnsafeSlow(head.length + HEAD_ROOM_BYTES);
  head.copy(bytes);
  const headers = new HeaderBlock();
  headers.reset(bytes);
  pushMarked(headers, bytes, head.length, meta, marksAt, count);
  headers.end = head.length;
  return headers;
}

/** Adds the fields of a head of `length` bytes, whose marks lie at `marksAt` of the metadata. */
function pushMarked(
  headers: HeaderBlock,
  head: Buffer,
  length: number,
  meta: Buffer,
  marksAt: number,
  count: number,
): void {
  for (let field = 0; field < count; field += 1) {
    const m = marksAt + field * MARKS * MARK_BYTES;
    const nameStart = meta.readInt32LE(m);
    const nameEnd = meta.readInt32LE(m + 4);
    const lineEnd = field + 1 < count ? meta.readInt32LE(m + MARKS * MARK_BYTES) : length;
    const id = idOfBytes(head, nameStart, nameEnd);
    headers.push(id, nameStart, nameEnd, meta.readInt32LE(m + 8), meta.readInt32LE(m + 12), lineEnd);
  }
}

const ruleOf = (text: string): VaryRule => (text === "" ? NO_VARY : { names: text.split(","), text });

// ——— the record that names the fields

/** The rules that the answers of a key are selected by, the latest first; null where the record has the answer itself. */
export function rulesOf({ kind, meta, body }: DiskRecord): readonly VaryRule[] | null {
  if (kind !== ENTRY || meta.length < FIXED_BYTES || (meta.readUInt32LE(40) & BY_FIELDS) === 0) return null;
  return body.toString().split(RULES_BETWEEN).map(ruleOf);
}

/** A record that names a rule before those that were there. */
export function rulesEntry(rule: VaryRule, before: readonly VaryRule[], count: number, now: number): DiskEntry {
  const texts = [rule, ...before.filter(({ text }) => text !== rule.text)].map(({ text }) => text);
  const meta = Buffer.alloc(FIXED_BYTES);
  writeFixed(meta, 0, NEVER, count);
  meta.writeUInt32LE(BY_FIELDS, 40);
  const body = Buffer.from(texts.slice(0, RULES_MAX).join(RULES_BETWEEN));
  return { tags: NOTHING, meta, head: NOTHING, body, storedAt: now };
}
