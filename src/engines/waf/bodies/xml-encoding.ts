// The characters of an XML document as UTF-8, whatever it is encoded in (XML 1.0, 4.3.3 and appendix F).
import { isUtf8, utf8Of } from "./utf8.ts";

/** Where an XML declaration that names an encoding has ended, at the latest. */
const DECLARATION_MAX = 256;

/** Encodings whose bytes below 0x80 are ASCII and that we know; others could hide anything, and are refused. */
const SINGLE_BYTE: ReadonlySet<string> = new Set(["iso-8859-1", "latin1", "latin-1", "windows-1252", "iso-8859-15"]);
const UTF8: ReadonlySet<string> = new Set(["utf-8", "utf8", "us-ascii", "ascii"]);
const UTF16: ReadonlySet<string> = new Set(["utf-16", "utf16", "utf-16le", "utf-16be", "ucs-2", "iso-10646-ucs-2"]);

/** The document in UTF-8 without a byte order mark; null when its bytes are not what they should be. */
export function xmlCharacters(document: string): string | null {
  const first = document.charCodeAt(0);
  const second = document.charCodeAt(1);
  if ((first === 0xff && second === 0xfe) || (first === 0x3c && second === 0)) return fromUtf16(document, 1);
  if ((first === 0xfe && second === 0xff) || (first === 0 && second === 0x3c)) return fromUtf16(document, 0);
  const text = document.startsWith("\xef\xbb\xbf") ? document.slice(3) : document;
  const encoding = declaredEncoding(text);
  if (encoding === null || UTF8.has(encoding)) return isUtf8(text) ? text : null;
  if (text !== document || !SINGLE_BYTE.has(encoding)) return null;
  return Buffer.from(text, "utf8").latin1Slice();
}

/** `high` is 1 where the higher byte of a unit comes second. */
function fromUtf16(document: string, high: 0 | 1): string | null {
  if (document.length % 2 !== 0) return null;
  const units = Buffer.from(document, "latin1");
  if (high === 0) units.swap16();
  const text = units.toString("utf16le").replace(/^\ufeff/, "");
  if (!text.isWellFormed()) return null;
  const encoding = declaredEncoding(text);
  if (encoding !== null && !UTF16.has(encoding)) return null;
  return Buffer.from(text, "utf8").latin1Slice();
}

/** The encoding that the declaration names, in lower case; null when it names none. */
function declaredEncoding(text: string): string | null {
  if (!text.startsWith("<?xml")) return null;
  const end = text.slice(0, DECLARATION_MAX).indexOf("?>");
  const declaration = text.slice(0, end < 0 ? DECLARATION_MAX : end);
  const found = /\sencoding\s*=\s*(?:"([^"]*)"|'([^']*)')/.exec(declaration);
  return found === null ? null : (found[1] ?? found[2]!).toLowerCase();
}

/** Whether XML allows the character (XML 1.0, 2.2); as bytes of UTF-8, or an empty string for one that it does not. */
export function xmlCharacter(point: number): string {
  const allowed =
    point === 0x09 ||
    point === 0x0a ||
    point === 0x0d ||
    (point >= 0x20 && point <= 0xd7ff) ||
    (point >= 0xe000 && point <= 0xfffd) ||
    (point >= 0x10000 && point <= 0x10ffff);
  return allowed ? utf8Of(point) : "";
}
