// From the path of a request to the name of a file below the root. Pure: what is really there is looked at elsewhere
// (open.ts), and there again nothing outside of the root is let through.
import { decodePercent } from "../http/path.ts";

/** Longest name of a file, and longest path, that Linux knows (NAME_MAX, PATH_MAX). */
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4095;
/** Published on purpose (RFC 8615). */
const WELL_KNOWN = ".well-known";

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const DOT = 0x2e;

/**
 * The file that a normalised path (http/path.ts) names, relative to the root: `/a/b.txt` → `a/b.txt`, `/` → "". A slash
 * at the end stays. Percent-encoding is undone once, and what it stands for is UTF-8.
 *
 * Null for what no file is given for: encoded slashes, backslashes, control characters, dot segments, empty segments,
 * bytes that are not UTF-8, names too long for the system; names that begin with a dot, unless `dotfiles` allows them
 * or it is `/.well-known`.
 */
export function fileNameOf(path: string, dotfiles: boolean): string | null {
  if (path.charCodeAt(0) !== SLASH) return null;
  const name = path.includes("%") ? decoded(path) : path;
  if (name === null || !isFileName(name, dotfiles)) return null;
  return name.slice(1);
}

function decoded(path: string): string | null {
  if (path.includes("%2F") || path.includes("%2f")) return null; // no name of a file holds a slash
  const bytes = Buffer.from(decodePercent(path), "latin1");
  const name = bytes.toString("utf8");
  // What is not UTF-8 would come out as another name.
  return Buffer.from(name, "utf8").equals(bytes) ? name : null;
}

function isFileName(name: string, dotfiles: boolean): boolean {
  if (name.length > PATH_BYTES_MAX) return false;
  let from = 1;
  for (let at = 1; at <= name.length; at += 1) {
    const code = at < name.length ? name.charCodeAt(at) : SLASH;
    if (code < 0x20 || code === 0x7f || code === BACKSLASH) return false;
    if (code !== SLASH) continue;
    const isLast = at === name.length;
    if (at === from && !isLast) return false;
    if (at - from > NAME_BYTES_MAX) return false;
    if (at > from && name.charCodeAt(from) === DOT && !isDotfileAllowed(name, from, at, dotfiles)) return false;
    from = at + 1;
  }
  return true;
}

function isDotfileAllowed(name: string, from: number, to: number, dotfiles: boolean): boolean {
  if (to === from + 1 || (to === from + 2 && name.charCodeAt(from + 1) === DOT)) return false;
  return dotfiles || (from === 1 && name.slice(from, to) === WELL_KNOWN);
}

/** Whether a path below the root, as the system has it, has a part that begins with a dot and is not for everybody. */
export function hidesDotfile(relative: string): boolean {
  return relative.split("/").some((part, at) => part.startsWith(".") && !(at === 0 && part === WELL_KNOWN));
}
