// JSON of which every reader makes the same: an object in UTF-8, in which no member comes twice. Parsers differ in
// which of two they take, so that one could be checked and another one be used (RFC 7519 section 4).

/** Deeper objects than this are in no token. */
const DEPTH_MAX = 32;
const UTF8 = new TextDecoder("utf-8", { fatal: true });

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

export type JsonObject = Readonly<Record<string, unknown>>;

/** The object; null where the bytes are anything else. */
export function strictObject(bytes: Uint8Array): JsonObject | null {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    return isObject(value) && membersAreUnique(text) ? value : null;
  } catch {
    return null;
  }
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether no object of a valid JSON text has two members of the same name. */
function membersAreUnique(text: string): boolean {
  const open: (Set<string> | null)[] = []; // of each object that is open its names; null for a list
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === "{" || char === "[") {
      if (open.push(char === "{" ? new Set() : null) > DEPTH_MAX) return false;
    } else if (char === "}" || char === "]") open.pop();
    else if (char === '"') {
      const end = stringEnd(text, at);
      const names = open.at(-1);
      if (names && isName(text, end)) {
        const name = JSON.parse(text.slice(at, end)) as string; // the same name may be written in different ways
        if (names.has(name)) return false;
        names.add(name);
      }
      at = end - 1;
    }
  }
  return true;
}

/** Behind the quote that ends the string which begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(at)) at += code === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** A string is a member's name where a colon follows. */
function isName(text: string, from: number): boolean {
  let at = from;
  while (" \t\n\r".includes(text[at]!)) at += 1;
  return text[at] === ":";
}
