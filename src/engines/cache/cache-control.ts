// The directives of Cache-Control (RFC 9111 §5.2) with their extensions (RFC 5861, RFC 8246). What is malformed is
// read in the way that stores and reuses less: broken numbers of freshness make an answer stale, broken permissions
// are none, and broken restrictions restrict.
import { isDigit, isSpace, TCHAR } from "../../http/grammar.ts";
import { isFieldName } from "../../http/header-block.ts";

/** The largest number of seconds; larger ones count as this (RFC 9111 §1.2.2). */
export const DELTA_MAX = 2_147_483_648;
/** A directive with a number that was not given. */
export const ABSENT = -1;

/** What an answer says of its reuse. Numbers are seconds, ABSENT without the directive. */
export interface ResponseDirectives {
  readonly maxAge: number;
  readonly sharedMaxAge: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly noStore: boolean;
  /** Without field names: the whole answer must be validated each time. */
  readonly noCache: boolean;
  /** Without field names: the whole answer is for one user. */
  readonly private: boolean;
  readonly public: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly mustUnderstand: boolean;
  readonly noTransform: boolean;
  readonly immutable: boolean;
  /** Lower-case names of `private="…"` and `no-cache="…"`: these fields are not stored. */
  readonly withheld: readonly string[];
}

/** What a client asks of caches. Numbers are seconds. */
export interface RequestDirectives {
  /** Infinity when not limited. */
  readonly maxAge: number;
  readonly minFresh: number;
  /** 0 when stale answers are not asked for, Infinity for any staleness. */
  readonly maxStale: number;
  /** ABSENT without the directive (RFC 5861 §4). */
  readonly staleIfError: number;
  readonly noCache: boolean;
  readonly noStore: boolean;
  readonly onlyIfCached: boolean;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const emptyResponse = (): Writable<ResponseDirectives> => ({
  maxAge: ABSENT,
  sharedMaxAge: ABSENT,
  staleWhileRevalidate: ABSENT,
  staleIfError: ABSENT,
  noStore: false,
  noCache: false,
  private: false,
  public: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  noTransform: false,
  immutable: false,
  withheld: [],
});

export const NO_DIRECTIVES: ResponseDirectives = Object.freeze(emptyResponse());

/** What most requests ask: nothing. One object, so that it is recognised by identity. */
export const PLAIN_REQUEST: RequestDirectives = Object.freeze({
  maxAge: Number.POSITIVE_INFINITY,
  minFresh: 0,
  maxStale: 0,
  staleIfError: ABSENT,
  noCache: false,
  noStore: false,
  onlyIfCached: false,
});

/** The Cache-Control of an answer; several lines joined by commas. Of a number given twice the first counts (§4.2.1). */
export function parseResponseDirectives(field: string): ResponseDirectives {
  const found = emptyResponse();
  forEachDirective(field, (name, value) => {
    responseDirective(found, name, value);
  });
  return found;
}

/**
 * Takes one directive into account. `value` is undefined without one, and null where it is malformed. Unknown names are
 * left alone.
 */
export function responseDirective(
  found: Writable<ResponseDirectives>,
  name: string,
  value: string | null | undefined,
): void {
  switch (name) {
    case "max-age":
      if (found.maxAge === ABSENT) found.maxAge = freshnessSeconds(value);
      break;
    case "s-maxage":
      if (found.sharedMaxAge === ABSENT) found.sharedMaxAge = freshnessSeconds(value);
      break;
    case "stale-while-revalidate":
      if (found.staleWhileRevalidate === ABSENT) found.staleWhileRevalidate = seconds(value);
      break;
    case "stale-if-error":
      if (found.staleIfError === ABSENT) found.staleIfError = seconds(value);
      break;
    case "no-store":
      found.noStore = true;
      break;
    case "no-cache":
      if (!withhold(found, value)) found.noCache = true;
      break;
    case "private":
      if (!withhold(found, value)) found.private = true;
      break;
    case "public":
      if (value === undefined) found.public = true;
      break;
    case "must-revalidate":
      found.mustRevalidate = true;
      break;
    case "proxy-revalidate":
      found.proxyRevalidate = true;
      break;
    case "must-understand":
      found.mustUnderstand = true;
      break;
    case "no-transform":
      found.noTransform = true;
      break;
    case "immutable":
      if (value === undefined) found.immutable = true;
      break;
  }
}

/** A fresh set of directives to be filled by `responseDirective`. */
export const beginDirectives = emptyResponse;

/** Adds the field names in `value`; false when there are none, or not only such, and the directive is meant as a whole. */
function withhold(found: Writable<ResponseDirectives>, value: string | null | undefined): boolean {
  if (value === undefined || value === null) return false;
  const names = value
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  if (names.length === 0 || !names.every(isFieldName)) return false;
  found.withheld = [...found.withheld, ...names];
  return true;
}

/** The Cache-Control of a request. What is malformed counts as not given, but for `max-age`, which asks for news then. */
export function parseRequestDirectives(field: string): RequestDirectives {
  const found: Writable<RequestDirectives> = { ...PLAIN_REQUEST };
  forEachDirective(field, (name, value) => {
    if (name === "max-age") found.maxAge = Math.min(found.maxAge, freshnessSeconds(value));
    else if (name === "min-fresh") found.minFresh = Math.max(found.minFresh, seconds(value));
    else if (name === "max-stale") {
      if (value === undefined) found.maxStale = Number.POSITIVE_INFINITY;
      else found.maxStale = Math.max(found.maxStale, seconds(value));
    } else if (name === "stale-if-error") found.staleIfError = seconds(value);
    else if (name === "no-cache") found.noCache = true;
    else if (name === "no-store") found.noStore = true;
    else if (name === "only-if-cached") found.onlyIfCached = true;
  });
  return found;
}

/** A number of seconds up to DELTA_MAX; ABSENT where it is none. */
function seconds(value: string | null | undefined): number {
  if (value === undefined || value === null || value === "") return ABSENT;
  for (let at = 0; at < value.length; at += 1) if (!isDigit(value.charCodeAt(at))) return ABSENT;
  return Math.min(Number(value), DELTA_MAX);
}

/** The same where no number makes stale (RFC 9111 §4.2.1). */
function freshnessSeconds(value: string | null | undefined): number {
  return Math.max(0, seconds(value));
}

const COMMA = 0x2c;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Calls back with the lower-case name and the value of each directive: undefined without one, unquoted if it was a
 * quoted string, null if it is neither that nor a token. A member that does not begin with a token is passed over.
 * White space around `=` is not allowed and makes the value malformed.
 */
function forEachDirective(field: string, each: (name: string, value: string | null | undefined) => void): void {
  for (let at = 0; at < field.length; ) {
    const code = field.charCodeAt(at);
    if (code === COMMA || isSpace(code)) {
      at += 1;
      continue;
    }
    const nameEnd = tokenEnd(field, at);
    const name = field.slice(at, nameEnd).toLowerCase();
    const isPair = field.charCodeAt(nameEnd) === EQUALS;
    const valueAt = isPair ? nameEnd + 1 : nameEnd;
    const valueEnd = isPair ? endOfValue(field, valueAt) : nameEnd;
    const end = memberEnd(field, valueEnd);
    const clean = isBlank(field, valueEnd, end) && valueEnd > at;
    if (name !== "") each(name, clean ? (isPair ? unquote(field, valueAt, valueEnd) : undefined) : null);
    at = end;
  }
}

function tokenEnd(field: string, from: number): number {
  let at = from;
  while (at < field.length && TCHAR[field.charCodeAt(at)] === 1) at += 1;
  return at;
}

/** Behind the token or quoted string at `from`; `from` itself when there is neither. */
function endOfValue(field: string, from: number): number {
  return field.charCodeAt(from) === QUOTE ? quotedEnd(field, from) : tokenEnd(field, from);
}

/** Behind the closing quote; `open` itself when there is none, so that what is behind it counts as malformed. */
function quotedEnd(field: string, open: number): number {
  for (let at = open + 1; at < field.length; at += 1) {
    const code = field.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) at += 1;
  }
  return open;
}

/** The comma that ends the member, commas in quoted strings left out; a quote that is never closed hides nothing. */
function memberEnd(field: string, from: number): number {
  for (let at = from; at < field.length; at += 1) {
    const code = field.charCodeAt(at);
    if (code === COMMA) return at;
    if (code === QUOTE) {
      const end = quotedEnd(field, at);
      if (end === at) return nextComma(field, at);
      at = end - 1;
    }
  }
  return field.length;
}

function nextComma(field: string, from: number): number {
  const comma = field.indexOf(",", from);
  return comma < 0 ? field.length : comma;
}

function isBlank(field: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (!isSpace(field.charCodeAt(at))) return false;
  return true;
}

/** The text of the value there; null when it is empty without quotes. */
function unquote(field: string, from: number, to: number): string | null {
  if (from === to) return null;
  if (field.charCodeAt(from) !== QUOTE) return field.slice(from, to);
  const inner = field.slice(from + 1, to - 1);
  return inner.includes("\\") ? inner.replace(/\\(.)/g, "$1") : inner;
}
