// Paths as file systems resolve them.
import { laidOut } from "./scratch.ts";

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const DOT = 0x2e;

/** Without empty segments, `.`, and `..` with the segment before it. A `..` that a relative path begins with stays. */
export function normalizePath(input: string): string {
  return mayChange(input) ? normalized(laidOut(input), input) : input;
}

/** As `normalizePath`, with backslashes taken for slashes. */
export function normalizePathWin(input: string): string {
  const backslash = input.indexOf("\\");
  if (backslash < 0) return normalizePath(input);
  const bytes = laidOut(input);
  for (let at = backslash; at < input.length; at += 1) if (bytes[at] === BACKSLASH) bytes[at] = SLASH;
  return normalized(bytes, null, input.length);
}

/** Whether a slash stands before another one or a dot, or a dot at the beginning. */
function mayChange(input: string): boolean {
  if (input.charCodeAt(0) === DOT) return true;
  for (let at = input.indexOf("/"); at >= 0; at = input.indexOf("/", at + 1)) {
    const next = input.charCodeAt(at + 1);
    if (next === SLASH || next === DOT) return true;
  }
  return false;
}

/** What lies in `bytes`, normalised; `input` itself where that is the same. */
function normalized(bytes: Buffer, input: string | null, length = input!.length): string {
  const trailing = bytes[length - 1] === SLASH;
  const root = bytes[0] === SLASH ? 1 : 0;
  let to = root;
  let floor = root;
  for (let at = root; at < length; ) {
    let end = at;
    while (end < length && bytes[end] !== SLASH) end += 1;
    const size = end - at;
    const dots = size <= 2 && bytes[at] === DOT && (size === 1 || bytes[at + 1] === DOT) ? size : 0;
    if (dots === 2 && to > floor) {
      to -= 1;
      while (to > floor && bytes[to - 1] !== SLASH) to -= 1;
    } else if (size > 0 && (dots === 0 || (dots === 2 && root === 0))) {
      bytes.copyWithin(to, at, end);
      to += size;
      bytes[to++] = SLASH;
      if (dots === 2) floor = to;
    }
    at = end + 1;
  }
  if (!trailing && to > root) to -= 1;
  if (input !== null && to === length) return input;
  return bytes.latin1Slice(0, to);
}
