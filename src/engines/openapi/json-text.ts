// JSON of strangers: bounded in depth, without names that are there twice. Two readers could see two different values
// in those, so that what is checked here would not be what a server acts on.
import { isUtf8 } from "node:buffer";

/** Deeper nesting is made to exhaust somebody's stack. */
const DEPTH_MAX = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

const OTHER = 0;
const OPENS = 1;
const CLOSES = 2;
const KINDS: Uint8Array = new Uint8Array(256);
for (const char of "[{") KINDS[char.charCodeAt(0)] = OPENS;
for (const char of "]}") KINDS[char.charCodeAt(0)] = CLOSES;

export type Parsed = { readonly value: unknown; readonly problem: null } | { readonly problem: string };

/** The value of a JSON text in UTF-8 (RFC 8259), or what is wrong with it. */
export function parseJson(bytes: Buffer): Parsed {
  if (!isUtf8(bytes)) return { problem: "must be text in UTF-8" };
  const names = namesIn(bytes);
  if (names < 0) return { problem: `must not be nested more than ${DEPTH_MAX} deep` };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return { problem: "must be JSON" };
  }
  if (names > 0 && countNames(value) !== names) return { problem: "must not have a name twice in an object" };
  return { value, problem: null };
}

/** How many names the objects of a text have, told by the colons outside of strings; -1 where it is nested too deep. */
function namesIn(bytes: Buffer): number {
  let names = 0;
  let depth = 0;
  const { length } = bytes;
  for (let at = 0; at < length; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at += 1;
      while (at < length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
    } else if (byte === COLON) names += 1;
    else {
      const kind = KINDS[byte]!;
      if (kind === OTHER) continue;
      depth += kind === OPENS ? 1 : -1;
      if (depth > DEPTH_MAX) return -1;
    }
  }
  return names;
}

function countNames(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countNames(item);
    return count;
  }
  const fields = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(fields)) count += 1 + countNames(fields[name]);
  return count;
}
