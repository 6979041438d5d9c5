// The boundary that a Content-Type of multipart/form-data gives (RFC 2046 §5.1.1), read as strictly as ModSecurity does:
// what two parsers could read differently is a fault or a flag.
import { isSpace } from "../transformations/characters.ts";
import { MULTIPART_FLAG } from "./multipart-flags.ts";

/** A field above this is no honest one: a boundary has 70 bytes at most. */
const FIELD_MAX = 1024;
/** RFC 2046 §5.1.1. */
const BOUNDARY_MAX = 70;

const TYPE = "multipart/form-data";
const PARAMETER = "boundary";
const SEMICOLON = 0x3b;

export interface Boundary {
  /** Without the two dashes; "" with a fault. */
  readonly text: string;
  /** MULTIPART_FLAG bits. */
  readonly flags: number;
  /** What is wrong; "" when nothing is. */
  readonly fault: string;
}

const refused = (why: string, flags = 0): Boundary => ({
  text: "",
  flags,
  fault: `Multipart: invalid boundary in Content-Type (${why})`,
});

/** `contentType` is the whole value of the field. */
export function boundaryOf(contentType: string): Boundary {
  if (contentType.length > FIELD_MAX) return refused("length");
  const lower = contentType.toLowerCase();
  if (!lower.startsWith(TYPE)) return refused("type");
  if (countParameters(lower) > 1) return refused("several");
  const start = contentType.indexOf(PARAMETER);
  if (start < 0) return refused(lower.includes(PARAMETER) ? "case" : "missing");
  let flags = MULTIPART_FLAG.missingSemicolon;
  for (let at = TYPE.length; at < start; at += 1) {
    const code = contentType.charCodeAt(at);
    if (isSpace(code)) continue;
    if (code !== SEMICOLON || flags === 0) return refused("malformed", flags);
    flags = 0;
  }
  const equals = contentType.indexOf("=", start + PARAMETER.length);
  if (equals < 0) return refused("malformed", flags);
  for (let at = start + PARAMETER.length; at < equals; at += 1) {
    if (!isSpace(contentType.charCodeAt(at))) return refused("parameter name", flags);
    flags |= MULTIPART_FLAG.boundaryWhitespace;
  }
  return boundaryIn(contentType.slice(equals + 1), flags);
}

function boundaryIn(value: string, given: number): Boundary {
  let flags = given;
  if (isSpace(value.charCodeAt(0))) flags |= MULTIPART_FLAG.boundaryWhitespace;
  const opens = value.startsWith('"');
  const closes = value.endsWith('"');
  let text = value;
  if (opens && closes && value.length >= 2) {
    text = value.slice(1, -1);
    flags |= MULTIPART_FLAG.boundaryQuoted;
  } else if (opens || closes) return refused("quote", flags);
  if (text === "") return refused("empty", flags);
  if (text.length > BOUNDARY_MAX) return refused("length", flags);
  if (text.toLowerCase().includes(PARAMETER) && text.includes("=")) return refused("content", flags);
  for (let at = 0; at < text.length; at += 1)
    if (!mayStandIn(text.charCodeAt(at), at === text.length - 1)) return refused("characters", flags);
  return { text, flags, fault: "" };
}

/** How often the word stands before an equals sign. */
function countParameters(lower: string): number {
  const lastEquals = lower.lastIndexOf("=");
  let count = 0;
  for (let at = lower.indexOf(PARAMETER); at >= 0; at = lower.indexOf(PARAMETER, at + PARAMETER.length))
    if (lastEquals >= at + PARAMETER.length) count += 1;
  return count;
}

/** RFC 2046 §5.1.1: bchars; a blank not at the end. */
function mayStandIn(code: number, last: boolean): boolean {
  if ((code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)) return true;
  return code === 0x20 ? !last : "'()+_,-./:=?".includes(String.fromCharCode(code));
}
