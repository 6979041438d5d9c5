// Field sections of requests, from what the runtime has decoded of them. It hands over names and values as they came,
// CR and LF in them included: the checks are those of HTTP/2, which HTTP/3 shares (RFC 9114 §4.2, §4.3).
import type { Fault } from "../../core/faults.ts";
import { isDigit, isSpace } from "../grammar.ts";
import type { HeadLimits } from "../h1/limits.ts";
import {
  BAD_NAME,
  BAD_VALUE,
  BYTE_CLASS,
  IS_UNDERSCORE,
  NOT_IN_NAME,
  NOT_IN_VALUE,
  PSEUDO_SHIFT,
  pseudoOf,
  UNDERSCORE,
} from "../h2/hpack-flags.ts";
import { RequestHeadBuilder } from "../h2/request-head-builder.ts";
import type { SectionBuilder } from "../h2/section-builder.ts";
import { TrailerBuilder } from "../h2/trailers.ts";
import type { HeaderBlock } from "../header-block.ts";
import { idOfBytes } from "../header-names.ts";
import type { RequestHead } from "../message.ts";
import type { FieldMap } from "./field-map.ts";

const COLON = 0x3a;
const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;
/** `: ` and CRLF. */
const LINE_EXTRA = 4;
/** What a field counts beside its name and value (RFC 9114 §4.2.2). */
const FIELD_OVERHEAD = 32;

/**
 * What the runtime is told to keep of a section; it drops what is beyond without a word. Nothing has been dropped as
 * long as there are fewer lines than these, and as many bytes fewer as one field can have.
 */
export const RUNTIME_LINES_MAX = 1100; // the largest `limits.fields`, and room for pseudo-header fields
export const RUNTIME_BYTES_MAX = 196_608; // 128 KB of fields, and one of the largest
const RUNTIME_FIELD_BYTES_MAX = 65_535;

/** What became of a section: "" for well, or why the message is malformed; a fault when it breaks a limit of ours. */
export interface SectionResult {
  readonly malformed: string;
  readonly fault: Fault | null;
}

const head = new RequestHeadBuilder();
const trailer = new TrailerBuilder();
/** Lines and bytes of the section that is being rendered. */
let lines = 0;
let bytes = 0;

/**
 * Fills `into` with the request that the fields make; `ended`: nothing follows them. Look at `malformed` first: such a
 * request is a stream error (RFC 9114 §4.1.2).
 */
export function readRequest(
  fields: FieldMap,
  into: RequestHead,
  limits: HeadLimits,
  dropUnderscores: boolean,
  connectProtocol: boolean,
  ended: boolean,
): SectionResult {
  head.begin(into, limits, dropUnderscores, connectProtocol);
  render(fields, head);
  head.finish(ended);
  into.version = 30;
  return head;
}

/** The trailers; null where nothing of them may be passed on. */
export function readTrailers(
  fields: FieldMap,
  dropUnderscores: boolean,
): SectionResult & { readonly fields: HeaderBlock | null } {
  trailer.begin(dropUnderscores);
  render(fields, trailer);
  const block = trailer.finish();
  return { malformed: trailer.malformed, fault: trailer.fault, fields: block };
}

/** Writes every field as a line, as the decoder of HTTP/2 does. */
function render(fields: FieldMap, sink: SectionBuilder): void {
  lines = 0;
  bytes = 0;
  let late: string[] | null = null;
  for (const name in fields) {
    // Names that look like numbers come first in an object, wherever they stood: before the pseudo-header fields.
    if (isDigit(name.charCodeAt(0))) (late ??= []).push(name);
    else renderAll(name, fields[name]!, sink);
  }
  if (late !== null) for (const name of late) renderAll(name, fields[name]!, sink);
  const mayLack = lines >= RUNTIME_LINES_MAX || bytes > RUNTIME_BYTES_MAX - RUNTIME_FIELD_BYTES_MAX;
  if (mayLack) sink.skipped(FIELD_OVERHEAD);
}

function renderAll(name: string, value: string | string[], sink: SectionBuilder): void {
  if (typeof value === "string") return renderOne(name, value, sink);
  for (const each of value) renderOne(name, each, sink);
}

function renderOne(name: string, value: string, sink: SectionBuilder): void {
  const length = name.length + value.length;
  lines += 1;
  bytes += length;
  if (!sink.room(length + LINE_EXTRA)) return sink.skipped(length + FIELD_OVERHEAD);
  const { buffer } = sink;
  const nameStart = sink.at;
  const nameEnd = nameStart + buffer.latin1Write(name, nameStart);
  buffer[nameEnd] = COLON;
  buffer[nameEnd + 1] = SPACE;
  const valueStart = nameEnd + 2;
  const valueEnd = valueStart + buffer.latin1Write(value, valueStart);
  buffer[valueEnd] = CR;
  buffer[valueEnd + 1] = LF;
  sink.at = valueEnd + 2;
  let flags = nameFlags(buffer, nameStart, nameEnd);
  if (!isValue(buffer, valueStart, valueEnd)) flags |= BAD_VALUE;
  const id = flags === 0 ? idOfBytes(buffer, nameStart, nameEnd) : 0;
  sink.field(id, nameStart, nameEnd, valueStart, valueEnd, flags);
}

function nameFlags(bytes: Buffer, start: number, end: number): number {
  if (start === end) return BAD_NAME;
  if (bytes[start] === COLON) {
    const pseudo = pseudoOf(bytes, start, end);
    return pseudo === 0 ? BAD_NAME : pseudo << PSEUDO_SHIFT;
  }
  let seen = 0;
  for (let at = start; at < end; at += 1) seen |= BYTE_CLASS[bytes[at]!]!;
  return ((seen & NOT_IN_NAME) !== 0 ? BAD_NAME : 0) | ((seen & IS_UNDERSCORE) !== 0 ? UNDERSCORE : 0);
}

function isValue(bytes: Buffer, start: number, end: number): boolean {
  if (start === end) return true;
  if (isSpace(bytes[start]!) || isSpace(bytes[end - 1]!)) return false;
  let seen = 0;
  for (let at = start; at < end; at += 1) seen |= BYTE_CLASS[bytes[at]!]!;
  return (seen & NOT_IN_VALUE) === 0;
}
