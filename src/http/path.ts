// One normalised form of a path for matching; the original is what gets forwarded (RFC 3986 §6.2.2). What two readers
// could take for two different paths is refused, so that no rule about a path can be walked around.
import { HEX_VALUE } from "./grammar.ts";

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;

/** RFC 3986 §2.3. */
const UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

const KEPT = 0;
const ENCODED = 1;
const REFUSED = 2;
const SPECIAL = 3; // slash and percent: looked at more closely

/** What happens to each character of a path. */
const PATH_CHARS: Uint8Array = new Uint8Array(256).fill(ENCODED);
for (const char of `${UNRESERVED}!$&'()*+,;=:@`) PATH_CHARS[char.charCodeAt(0)] = KEPT; // RFC 3986 §3.3 pchar
PATH_CHARS.fill(REFUSED, 0, 0x21);
for (const char of "\x7f\\#?") PATH_CHARS[char.charCodeAt(0)] = REFUSED;
PATH_CHARS[SLASH] = SPECIAL;
PATH_CHARS[PERCENT] = SPECIAL;

const UNRESERVED_BYTES: Uint8Array = new Uint8Array(256);
for (const char of UNRESERVED) UNRESERVED_BYTES[char.charCodeAt(0)] = 1;

/** `%XX` for every byte. */
const PERCENT_XX: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
);

/**
 * The path as routes see it: percent-encoded unreserved characters decoded once, other `%XX` in upper case, dot
 * segments and double slashes removed. `%2F` stays what it is and never separates segments.
 *
 * Null when the path is malformed or ambiguous: not starting with `/`, invalid percent-encoding, control characters raw
 * or encoded, a backslash raw or encoded, dot segments that are encoded, carry parameters (`..;x`) or hide behind
 * `%2F`, `..` above the root or across a double slash.
 */
export function normalizePath(raw: string): string | null {
  const length = raw.length;
  if (length === 0 || raw.charCodeAt(0) !== SLASH) return null;
  let afterSlash = false;
  for (let at = 0; at < length; at += 1) {
    const code = raw.charCodeAt(at);
    if (code === SLASH) {
      if (afterSlash) return normalizeSegments(raw);
      afterSlash = true;
    } else {
      // Any dot after a slash is left to the slow path, which knows `/.well-known` from `/..`.
      if (code > 255 || PATH_CHARS[code] !== KEPT || (afterSlash && code === DOT)) return normalizeSegments(raw);
      afterSlash = false;
    }
  }
  return raw;
}

function normalizeSegments(raw: string): string | null {
  const segments = raw.split("/");
  const last = segments.length - 1;
  const kept: string[] = [];
  for (let at = 1; at <= last; at += 1) {
    const written = segments[at]!;
    const segment = normalizeSegment(written);
    if (segment === null) return null;
    if (segment === "." || segment === "..") {
      if (written !== segment) return null;
      // Empty segments are kept on the pile until the end: to RFC 3986 `..` takes one away, to most servers it does
      // not.
      if (segment === ".." && (kept.pop() ?? "") === "") return null;
      if (at === last) kept.push("");
    } else {
      if (hidesDots(segment)) return null;
      kept.push(segment);
    }
  }
  const trailing = kept.at(-1) === "" ? "/" : "";
  const path = kept.filter((segment) => segment !== "").join("/");
  return path === "" ? "/" : `/${path}${trailing}`;
}

function normalizeSegment(written: string): string | null {
  let out = "";
  for (let at = 0; at < written.length; at += 1) {
    const code = written.charCodeAt(at);
    if (code === PERCENT) {
      const byte = percentByte(written, at);
      if (byte < 0x20 || byte === 0x7f || byte === 0x5c) return null;
      out += UNRESERVED_BYTES[byte] === 1 ? String.fromCharCode(byte) : PERCENT_XX[byte]!;
      at += 2;
    } else {
      const kind = code > 255 ? REFUSED : PATH_CHARS[code]!;
      if (kind === REFUSED) return null;
      out += kind === ENCODED ? PERCENT_XX[code]! : written[at]!;
    }
  }
  return out;
}

/** The byte that `%XX` at `at` stands for; -1 when it is not one. */
function percentByte(text: string, at: number): number {
  if (at + 2 >= text.length) return -1;
  const high = text.charCodeAt(at + 1);
  const low = text.charCodeAt(at + 2);
  if (high > 255 || low > 255) return -1;
  const value = HEX_VALUE[high]! * 16 + HEX_VALUE[low]!;
  return HEX_VALUE[high]! < 16 && HEX_VALUE[low]! < 16 ? value : -1;
}

/** Whether a server that decodes `%2F`, or drops path parameters, would find a dot segment in this one. */
function hidesDots(segment: string): boolean {
  if (!segment.includes("%2F") && !segment.includes(";")) return false;
  return segment.split("%2F").some((part) => {
    const parameters = part.indexOf(";");
    const name = parameters < 0 ? part : part.slice(0, parameters);
    return name === "." || name === "..";
  });
}

/** Whether the path holds a `.` or `..` segment as it stands. */
export function hasDotSegment(path: string): boolean {
  if (!path.includes("/.")) return false;
  return path.split("/").some((segment) => segment === "." || segment === "..");
}

/** The path with exactly one slash at its start: `//name/path` is a host and a path to many servers. */
export function withOneSlash(path: string): string {
  let at = 0;
  while (path.charCodeAt(at) === SLASH) at += 1;
  return at === 1 ? path : `/${path.slice(at)}`;
}

/**
 * Text of one byte for each character (as field values are), percent-encoded for one segment, query name or query
 * value: only unreserved characters stay.
 */
export function encodeComponent(bytes: string): string {
  let out = "";
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes.charCodeAt(at) & 255;
    out += UNRESERVED_BYTES[byte] === 1 ? bytes[at]! : PERCENT_XX[byte]!;
  }
  return out;
}

/** Visible ASCII that a URI reference may not hold (RFC 3986 §2), a backslash among it. */
const NOT_IN_URI: Uint8Array = new Uint8Array(256).fill(1, 0, 0x21).fill(1, 0x7f);
for (const char of '"<>\\^`{|}#') NOT_IN_URI[char.charCodeAt(0)] = 1;

/** A piece of a URI, one byte for each character: what no URI may hold is percent-encoded, the rest stays. */
export function encodeUri(bytes: string): string {
  let at = 0;
  while (at < bytes.length && NOT_IN_URI[bytes.charCodeAt(at) & 255] === 0) at += 1;
  if (at === bytes.length) return bytes;
  let out = bytes.slice(0, at);
  for (; at < bytes.length; at += 1) {
    const byte = bytes.charCodeAt(at) & 255;
    out += NOT_IN_URI[byte] === 1 ? PERCENT_XX[byte]! : bytes[at]!;
  }
  return out;
}

/** Percent-decoding that leaves what is not valid as it is; the result has one byte for each character. */
export function decodePercent(text: string): string {
  if (!text.includes("%")) return text;
  let out = "";
  for (let at = 0; at < text.length; at += 1) {
    const byte = text.charCodeAt(at) === PERCENT ? percentByte(text, at) : -1;
    if (byte < 0) out += text[at]!;
    else {
      out += String.fromCharCode(byte);
      at += 2;
    }
  }
  return out;
}
