// Preconditions of requests (RFC 9110 §13), evaluated against what is known of one representation. Entity tags are
// compared as they stand: what is not an entity tag by the grammar matches the same bytes only, and never strongly.

import { isSpace } from "./grammar.ts";
import type { HeaderBlock } from "./header-block.ts";
import { ID } from "./header-names.ts";
import { parseHttpDate } from "./http-date.ts";

/** What tells one version of a representation from another. Times are milliseconds since 1970. */
export interface Validators {
  /** The ETag field as it is sent; null without one. */
  readonly etag: string | null;
  /** When it was last modified, to the second; NO_DATE when unknown. */
  readonly lastModified: number;
  /** When that was true: the Date of the answer, or now for who reads the file; NO_DATE when unknown. */
  readonly date: number;
}

/**
 * What preconditions leave of a request: `go` on with it; answer `not-modified` (304); answer `failed` (412).
 */
export type Verdict = "go" | "not-modified" | "failed";

const QUOTE = 0x22;
const COMMA = 0x2c;
/** A modification time is a strong validator when it is this much older than the time it was read (RFC 9110 §8.8.2.2). */
const STRONG_AFTER_MS = 1000;

/**
 * All preconditions but If-Range, in the order of RFC 9110 §13.2.2, for who has the representation itself. They count
 * only where the answer without them would be a success. `now` is the wall clock in milliseconds.
 */
export function evaluatePreconditions(
  method: string,
  request: HeaderBlock,
  validators: Validators,
  now: number,
): Verdict {
  if (!isAsWanted(request, validators, now)) return "failed";
  const safe = method === "GET" || method === "HEAD";
  const noneMatch = request.getById(ID["if-none-match"]);
  if (noneMatch !== null) {
    if (!listsTag(noneMatch, validators.etag, false)) return "go";
    return safe ? "not-modified" : "failed";
  }
  return safe && isUnmodified(request, validators.lastModified, now) ? "not-modified" : "go";
}

/**
 * Whether a GET or HEAD may be answered with 304: If-None-Match by weak comparison and, without that field,
 * If-Modified-Since (RFC 9110 §13.1.2, §13.1.3). The two that a cache may evaluate (RFC 9111 §4.3.2).
 */
export function isNotModified(request: HeaderBlock, validators: Validators, now: number): boolean {
  const noneMatch = request.getById(ID["if-none-match"]);
  if (noneMatch !== null) return listsTag(noneMatch, validators.etag, false);
  return isUnmodified(request, validators.lastModified, now);
}

/** If-Match by strong comparison and, without that field, If-Unmodified-Since (RFC 9110 §13.1.1, §13.1.4). */
function isAsWanted(request: HeaderBlock, validators: Validators, now: number): boolean {
  const match = request.getById(ID["if-match"]);
  if (match !== null) return listsTag(match, validators.etag, true);
  const since = request.getById(ID["if-unmodified-since"]);
  if (since === null) return true;
  // What is no date, and what has none, leaves the field without a meaning.
  return !(validators.lastModified > parseHttpDate(since, now));
}

function isUnmodified(request: HeaderBlock, lastModified: number, now: number): boolean {
  const since = request.getById(ID["if-modified-since"]);
  return since !== null && lastModified <= parseHttpDate(since, now);
}

/**
 * Whether the Range field of a request counts: there is no If-Range, or it names this very representation, with a
 * strong entity tag or with the exact date of a strong modification time (RFC 9110 §13.1.5).
 */
export function rangeApplies(request: HeaderBlock, validators: Validators, now: number): boolean {
  const ifRange = request.getById(ID["if-range"]);
  if (ifRange === null) return true;
  if (isEntityTag(ifRange)) return isStrongTag(ifRange) && ifRange === validators.etag;
  return (
    hasStrongDate(validators) && validators.lastModified === parseHttpDate(ifRange, now) // a date, or nothing at all
  );
}

/** Whether the modification time can tell every two versions apart (RFC 9110 §8.8.2.2). */
export function hasStrongDate(validators: Validators): boolean {
  return validators.date - validators.lastModified >= STRONG_AFTER_MS;
}

/** Whether the text is one entity tag, strong or weak (RFC 9110 §8.8.3). */
export function isEntityTag(text: string): boolean {
  const open = text.startsWith("W/") ? 2 : 0;
  return text.charCodeAt(open) === QUOTE && text.length > open + 1 && tagEnd(text, open) === text.length;
}

/** Whether the text is one strong entity tag. */
export function isStrongTag(text: string): boolean {
  return text.charCodeAt(0) === QUOTE && isEntityTag(text);
}

/** Behind the closing quote of the opaque tag that opens at `open`; -1 when it is not closed or holds a space. */
function tagEnd(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code <= 0x20 || code === 0x7f) return -1;
  }
  return -1;
}

/**
 * Whether an If-Match or If-None-Match field holds `*` or this entity tag; null is a representation without one. Weak
 * comparison looks at the opaque tag alone; strong comparison wants both to be strong (RFC 9110 §8.8.3.2).
 */
export function listsTag(field: string, etag: string | null, strong: boolean): boolean {
  if (field === "*") return true;
  if (etag === null) return false;
  const valid = isEntityTag(etag);
  if (strong && !(valid && etag.charCodeAt(0) === QUOTE)) return false;
  const opaqueAt = valid && etag.charCodeAt(0) !== QUOTE ? 2 : 0;
  const { length } = field;
  for (let at = 0; at < length; ) {
    const code = field.charCodeAt(at);
    if (code === COMMA || isSpace(code)) {
      at += 1;
      continue;
    }
    const open = field.startsWith('W/"', at) ? at + 2 : at;
    const closed = field.charCodeAt(open) === QUOTE ? tagEnd(field, open) : -1;
    const end = memberEnd(field, closed < 0 ? at : closed);
    // What goes on behind its closing quote, or never had one, is no entity tag: it is compared as a whole.
    const isTag = closed === end;
    if (isTag && valid) {
      if ((!strong || open === at) && sameText(field, open, end, etag, opaqueAt)) return true;
    } else if (!isTag && !valid && !strong && sameText(field, at, end, etag, 0)) return true;
    at = end;
  }
  return false;
}

/** Where the member that goes on at `from` ends: at the comma, or at the end of the field; without spaces before it. */
function memberEnd(field: string, from: number): number {
  const comma = field.indexOf(",", from);
  let end = comma < 0 ? field.length : comma;
  while (end > from && isSpace(field.charCodeAt(end - 1))) end -= 1;
  return end;
}

function sameText(field: string, from: number, to: number, other: string, otherFrom: number): boolean {
  if (to - from !== other.length - otherFrom) return false;
  for (let i = 0; i < to - from; i += 1) {
    if (field.charCodeAt(from + i) !== other.charCodeAt(otherFrom + i)) return false;
  }
  return true;
}
