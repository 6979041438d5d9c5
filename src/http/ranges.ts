// Byte ranges (RFC 9110 §14): what a Range field asks for, and which bytes of a representation those are.

/** Bytes from `first` to `last`, both of them included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * One member of a Range field as it was written: from `first` to `last` (Infinity when left open), or the last `last`
 * bytes where `first` is -1.
 */
export interface RangeSpec {
  readonly first: number;
  readonly last: number;
}

/** What to do about a Range field. */
export type RangeOutcome =
  /** Answer as if it were not there: 200 with the whole representation. */
  | { readonly kind: "whole" }
  /** Answer 206 with these, in the order in which they were asked for; they neither overlap nor touch. */
  | { readonly kind: "partial"; readonly ranges: readonly ByteRange[] }
  /** Answer 416 with `unsatisfiedRange`. */
  | { readonly kind: "unsatisfiable" };

/** More ranges than this are not worth serving one by one: players and PDF readers ask for a handful at once. */
const RANGES_MAX = 16;
/** Ranges nearer to each other are sent as one: the lines between two parts take more (RFC 9110 §15.3.7.2). */
const GAP_MIN = 80;
/** A longer field is not read: sixteen ranges of twenty-digit numbers take 700 bytes. */
const FIELD_LENGTH_MAX = 1024;

const WHOLE: RangeOutcome = { kind: "whole" };
const UNSATISFIABLE: RangeOutcome = { kind: "unsatisfiable" };

const COMMA = 0x2c;
const DASH = 0x2d;
const EQUALS = 0x3d;
const UNIT = "bytes";

/**
 * The members of a Range field (RFC 9110 §14.2); null when it is to be ignored: another unit, not by the grammar (a
 * last position before the first one included), or more than 16 members.
 */
export function parseRanges(field: string): readonly RangeSpec[] | null {
  if (field.length > FIELD_LENGTH_MAX) return null;
  if (field.charCodeAt(UNIT.length) !== EQUALS || field.slice(0, UNIT.length).toLowerCase() !== UNIT) return null;
  const specs: RangeSpec[] = [];
  let at = UNIT.length + 1;
  while (at < field.length) {
    const code = field.charCodeAt(at);
    if (code === COMMA || isBlank(code)) {
      at += 1;
      continue;
    }
    const firstEnd = digitsEnd(field, at);
    if (field.charCodeAt(firstEnd) !== DASH) return null;
    const end = digitsEnd(field, firstEnd + 1);
    if (!endsMember(field, end)) return null;
    const spec = specOf(field, at, firstEnd, end);
    if (spec === null || specs.length === RANGES_MAX) return null;
    specs.push(spec);
    at = end;
  }
  return specs.length === 0 ? null : specs;
}

function specOf(field: string, at: number, dash: number, end: number): RangeSpec | null {
  const hasLast = end > dash + 1;
  const last = hasLast ? Number(field.slice(dash + 1, end)) : Number.POSITIVE_INFINITY;
  if (at === dash) return hasLast ? { first: -1, last } : null;
  const first = Number(field.slice(at, dash));
  return first > last ? null : { first, last };
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function digitsEnd(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) break;
  }
  return at;
}

/** Whether nothing but blanks stands between `from` and the next comma or the end. */
function endsMember(field: string, from: number): boolean {
  let at = from;
  while (at < field.length && isBlank(field.charCodeAt(at))) at += 1;
  return at === field.length || field.charCodeAt(at) === COMMA;
}

/** What a Range field asks of a representation of `length` bytes. */
export function requestedRanges(field: string, length: number): RangeOutcome {
  const specs = parseRanges(field);
  return specs === null ? WHOLE : resolveRanges(specs, length);
}

/** The bytes that the members stand for in a representation of `length` bytes (RFC 9110 §14.1.2). */
function resolveRanges(specs: readonly RangeSpec[], length: number): RangeOutcome {
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    // The last bytes of nothing can be had, but no Content-Range can name them.
    if (length === 0 && spec.first < 0 && spec.last > 0) return WHOLE;
    const range = resolveRange(spec, length);
    if (range !== null) ranges.push(range);
  }
  if (ranges.length === 0) return UNSATISFIABLE;
  return { kind: "partial", ranges: ranges.length === 1 ? ranges : coalesce(ranges) };
}

/** The bytes of one member; null when it cannot be satisfied. */
function resolveRange(spec: RangeSpec, length: number): ByteRange | null {
  if (spec.first < 0) return spec.last === 0 ? null : { first: Math.max(0, length - spec.last), last: length - 1 };
  return spec.first < length ? { first: spec.first, last: Math.min(spec.last, length - 1) } : null;
}

/** Joins those that overlap or nearly touch; what is joined stands where the earliest of them was asked for. */
function coalesce(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: ByteRange[] = [];
  for (const range of ranges) {
    let { first, last } = range;
    let place = joined.length;
    // What has grown may reach those before it, so it is looked at again until nothing changes: 16 are few.
    for (let at = joined.length - 1; at >= 0; at -= 1) {
      const other = joined[at]!;
      if (first > other.last + GAP_MIN || other.first > last + GAP_MIN) continue;
      first = Math.min(first, other.first);
      last = Math.max(last, other.last);
      joined.splice(at, 1);
      place = Math.min(place, at);
      at = joined.length;
    }
    joined.splice(place, 0, { first, last });
  }
  return joined;
}

/** The Content-Range of a part of `length` bytes; `length` is -1 where it is unknown (RFC 9110 §14.4). */
export function contentRange(range: ByteRange, length: number): string {
  return `bytes ${range.first}-${range.last}/${length < 0 ? "*" : length}`;
}

/** The Content-Range of a 416. */
export function unsatisfiedRange(length: number): string {
  return `bytes */${length}`;
}

/** What a Content-Range says: the bytes that the part has, and of how many; `length` is -1 where it is not told. */
export interface ContentRange extends ByteRange {
  readonly length: number;
}

/** Reads the Content-Range of a 206 (RFC 9110 §14.4); null when it is malformed, of another unit, or impossible. */
export function parseContentRange(field: string): ContentRange | null {
  if (field.length > FIELD_LENGTH_MAX || field.slice(0, UNIT.length).toLowerCase() !== UNIT) return null;
  const at = UNIT.length + 1;
  const dash = digitsEnd(field, at);
  const slash = digitsEnd(field, dash + 1);
  if (field[at - 1] !== " " || field[dash] !== "-" || field[slash] !== "/") return null;
  if (dash === at || slash === dash + 1) return null;
  const first = Number(field.slice(at, dash));
  const last = Number(field.slice(dash + 1, slash));
  if (first > last || !Number.isSafeInteger(last)) return null;
  if (field.slice(slash + 1) === "*") return { first, last, length: -1 };
  const length = Number(field.slice(slash + 1));
  if (slash + 1 === field.length || digitsEnd(field, slash + 1) !== field.length) return null;
  return Number.isSafeInteger(length) && last < length ? { first, last, length } : null;
}
