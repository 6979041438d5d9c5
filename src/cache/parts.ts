// Parts of content that is too long to be stored as a whole (RFC 9111 §3.3, §3.4): each lies beside the variants of its
// address, and those that touch become one where a strong validator says that they are of the same version.
import { isSameWhole, servingPart } from "../engines/cache/partial.ts";
import { selectVariant } from "../engines/cache/vary.ts";
import { ID } from "../http/header-names.ts";
import type { RequestHead } from "../http/message.ts";
import { type ContentRange, parseRanges } from "../http/ranges.ts";
import { Body } from "./body.ts";
import { type Address, Entry } from "./entry.ts";

/** Behind the rest of the key of an answer, for its parts. It stands in no key. */
export const PART = "\u0002part";

/**
 * The range that a request wants, as the server is to be asked for it; "" where it wants none, several, or the whole
 * under a condition.
 */
export function wantedRange({ method, headers }: RequestHead): string {
  const field = method === "GET" && headers.received(ID.range) ? headers.getById(ID.range) : null;
  const specs = field === null ? null : parseRanges(field);
  if (specs === null || specs.length !== 1 || headers.received(ID["if-range"])) return "";
  const { first, last } = specs[0]!;
  if (first < 0) return `bytes=-${last}`;
  return `bytes=${first}-${last === Number.POSITIVE_INFINITY ? "" : last}`;
}

/** The part that has all that a request wants; null without one. `holds`: nothing has changed since it was asked for. */
export function findPart(
  stored: Address | undefined,
  extra: string,
  { headers }: RequestHead,
  now: number,
  holds: (entry: Entry) => boolean,
): Entry | null {
  for (const entry of stored?.variants ?? []) {
    const { part, validators } = entry;
    if (part === null || !entry.extra.startsWith(extra + PART) || now >= entry.times.freshUntil) continue;
    if (!holds(entry) || selectVariant([entry], headers) < 0) continue;
    if (servingPart(headers, validators, [part], part.length, now) !== null) return entry;
  }
  return null;
}

/**
 * A part that has come, joined with those of the same version that touch it, which are taken out of `stored`, as are
 * those of other versions. The fields are those of what came last. It takes no more than `bytesMax` of content.
 */
export function joinedPart(stored: Address | undefined, entry: Entry, bytesMax: number): Entry {
  if (stored === undefined) return entry;
  let whole = entry;
  for (const other of [...stored.variants]) {
    if (!isOfSame(other, whole)) continue;
    if (!isSameWhole(other.validators, other.part!.length, whole.validators, whole.part!)) {
      if (isOtherVersion(other, whole)) stored.remove(other);
      continue;
    }
    const joined = join(other, whole, bytesMax);
    if (joined === null) continue;
    stored.remove(other);
    whole = joined;
  }
  return whole;
}

const prefixOf = (extra: string): string => extra.slice(0, extra.indexOf(PART));

function isOfSame(a: Entry, b: Entry): boolean {
  const isPart = a.part !== null && prefixOf(a.extra) === prefixOf(b.extra);
  return isPart && a.key === b.key && a.rule.text === b.rule.text;
}

/** Whether two parts are known to be of different versions: it is not enough that nothing says that they are the same. */
function isOtherVersion(a: Entry, b: Entry): boolean {
  const [etag, other] = [a.validators.own.etag, b.validators.own.etag];
  return a.part!.length !== b.part!.length || (etag !== null && other !== null && etag !== other);
}

function join(older: Entry, newer: Entry, bytesMax: number): Entry | null {
  const [a, b] = [older.part!, newer.part!];
  if (a.last + 1 < b.first || b.last + 1 < a.first) return null;
  const part: ContentRange = { first: Math.min(a.first, b.first), last: Math.max(a.last, b.last), length: b.length };
  if (part.last - part.first + 1 > bytesMax) return null;
  // All of the newer one, and what the older one has before and behind it.
  const pieces = [
    ...piecesOf(older.body, 0, b.first - a.first),
    ...piecesOf(newer.body, 0, b.last - b.first + 1),
    ...piecesOf(older.body, b.last + 1 - a.first, a.last - a.first + 1),
  ];
  return partEntry(newer, part, Body.of(pieces));
}

/** The bytes from `from` to before `to` of content that is whole. */
function piecesOf(body: Body, from: number, to: number): Buffer[] {
  const pieces: Buffer[] = [];
  let start = 0;
  for (let at = 0; at < body.pieces; at += 1) {
    const filled = body.filled(at);
    const [first, end] = [Math.max(from, start) - start, Math.min(to, start + filled) - start];
    if (end > first) pieces.push(body.piece(at)!.subarray(first, end) as Buffer);
    start += filled;
  }
  return pieces;
}

/** The same answer with other bytes of its content. */
function partEntry(of: Entry, part: ContentRange, body: Body): Entry {
  const { tags, stamp, times, stored } = of;
  const entry = new Entry(prefixOf(of.extra) + PART + part.first, of, tags, stamp, times, stored, body);
  entry.part = part;
  return entry;
}
