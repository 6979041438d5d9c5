// A stored answer as a record of the disk tier, and back. Metadata, in little-endian numbers:
//
//   0 fresh until   8 born at   16 may be refreshed until   24 may stand in for an error until   32 for no answer until
//   40 flags   44 count of changes   48 status   50 fields   52 lengths of the five texts (two bytes each)
//   62 the texts: names and values of Vary, Content-Encoding, Content-Language, reason
//   … four offsets into the head for each field (four bytes each)
//
// Where variants differ by Vary, the record of their key says by which fields, and each has a record of its own.
import type { UseTimes } from "../engines/cache/freshness.ts";
import { NO_VARY, type VaryRule } from "../engines/cache/vary.ts";
import { type DiskRecord, ENTRY } from "../engines/storage/record.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { idOfBytes } from "../http/header-names.ts";
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
  const { status, reason, headers } = entry.stored;
  const texts = [entry.rule.text, entry.key, entry.encoding, entry.language, reason].map((text) => Buffer.from(text));
  const marks = headers.marks.subarray(0, headers.count * MARKS);
  const meta = metaOf(entry.times, count, texts, marks.length * MARK_BYTES);
  meta.writeUInt16LE(status, 48);
  meta.writeUInt16LE(headers.count, 50);
  const marksAt = meta.length - marks.length * MARK_BYTES;
  for (const [at, mark] of marks.entries()) meta.writeInt32LE(mark, marksAt + at * MARK_BYTES);
  const end = headers.count === 0 ? headers.bytes.length : headers.end;
  const tags = Buffer.from(entry.tags.join(SPACE));
  return { tags, meta, head: Buffer.from(headers.bytes.subarray(0, end)), body, storedAt: now };
}

function metaOf(times: UseTimes, count: number, texts: readonly Buffer[], more: number): Buffer {
  const bytes = texts.reduce((sum, { length }) => sum + length, FIXED_BYTES + more);
  const meta = Buffer.alloc(bytes);
  meta.writeDoubleLE(times.freshUntil, 0);
  meta.writeDoubleLE(times.bornAt, 8);
  meta.writeDoubleLE(times.refreshUntil, 16);
  meta.writeDoubleLE(times.errorUntil, 24);
  meta.writeDoubleLE(times.downUntil, 32);
  meta.writeUInt32LE((times.mayBeStale ? MAY_BE_STALE : 0) | (times.immutable ? IMMUTABLE : 0), 40);
  meta.writeInt32LE(count, 44);
  let at = FIXED_BYTES;
  for (const [index, text] of texts.entries()) {
    meta.writeUInt16LE(text.length, TEXTS_AT + index * 2);
    meta.set(text, at);
    at += text.length;
  }
  return meta;
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
  const stored = { status: meta.readUInt16LE(48), reason, headers: fieldsOf(head, meta, at, fields) };
  const variant = { rule: ruleOf(rule), key, encoding, language };
  const words = tags.length === 0 ? [] : tags.toString().split(SPACE);
  return new Entry(extra, variant, words, stamp, times, stored, body);
}

function fieldsOf(head: Buffer, meta: Buffer, marksAt: number, count: number): HeaderBlock {
  const headers = new HeaderBlock();
  headers.reset(head);
  for (let field = 0; field < count; field += 1) {
    const m = marksAt + field * MARKS * MARK_BYTES;
    const nameStart = meta.readInt32LE(m);
    const nameEnd = meta.readInt32LE(m + 4);
    const lineEnd = field + 1 < count ? meta.readInt32LE(m + MARKS * MARK_BYTES) : head.length;
    const id = idOfBytes(head, nameStart, nameEnd);
    headers.push(id, nameStart, nameEnd, meta.readInt32LE(m + 8), meta.readInt32LE(m + 12), lineEnd);
  }
  return headers;
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
  const meta = metaOf(NEVER, count, [NOTHING, NOTHING, NOTHING, NOTHING, NOTHING], 0);
  meta.writeUInt32LE(BY_FIELDS, 40);
  const body = Buffer.from(texts.slice(0, RULES_MAX).join(RULES_BETWEEN));
  return { tags: NOTHING, meta, head: NOTHING, body, storedAt: now };
}
