// The head of a stored answer: laid out in one buffer like the head of HTTP/1.1, with marks and ids, so that giving it
// out copies ranges of bytes. What belongs to one connection or one user is left out (RFC 9111 §3.1).
import { removeNamedFields } from "../../http/h1/framing.ts";
import { HeaderBlock, HOP_BY_HOP, skipSet } from "../../http/header-block.ts";
import { ID, idOf } from "../../http/header-names.ts";
import { formatHttpDate } from "../../http/http-date.ts";
import { layOut } from "../../http/laid-out.ts";
import type { ResponseHead } from "../../http/message.ts";

export interface StoredHead {
  readonly status: number;
  readonly reason: string;
  /** `HTTP/1.1 200 OK\r\nname: value\r\n…` without the empty line; the marks point into it. */
  readonly headers: HeaderBlock;
  /** Where it is for one answer alone: so many bytes behind its fields are free for that. */
  readonly room?: number;
}

/** What is left free behind the fields: for two short lines. */
export const HEAD_ROOM_BYTES = 64;
const LENGTH_NAME = "Content-Length";
const DATE_NAME = "Date";
/** Room for these two with values of up to 29 characters. */
const LINES_BYTES = 2 * (LENGTH_NAME.length + 29 + ": \r\n".length);

// Age is counted anew whenever the answer is given out; the length is that of the body as it is stored.
const NOT_STORED = skipSet(...HOP_BY_HOP, ID.age, ID["content-length"]).table;
/**
 * What a 304 or the answer to a HEAD does not change (RFC 9111 §3.2): the length, and what says how the stored bytes
 * are to be read, which are those of the first answer.
 */
const NOT_UPDATED = skipSet(...HOP_BY_HOP, ID.age, ID["content-length"], ID["content-encoding"]).table;
const NAMES_NOT_UPDATED: ReadonlySet<string> = new Set(["content-range"]);

interface Line {
  readonly id: number;
  readonly name: string;
  readonly lower: string;
  readonly value: string;
}

/**
 * The head to be stored with a body of `length` bytes (-1: not known yet). `withheld` are lower-case names of fields
 * that are not stored. A Date is added where there is none (RFC 9110 §6.6.1).
 */
export function storedHead(
  head: ResponseHead,
  withheld: readonly string[],
  length: number,
  responseTime: number,
): StoredHead {
  const received = head.headers;
  if (head.connectionNamesFields) removeNamedFields(received);
  const start = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
  const bytes = Buffer.allocUnsafeSlow(start.length + received.maxLength() + LINES_BYTES + HEAD_ROOM_BYTES);
  const headers = new HeaderBlock();
  headers.reset(bytes);
  let end = bytes.latin1Write(start, 0);
  for (let at = 0; at < received.count; at += 1) {
    if (received.removed[at] === 1 || NOT_STORED[received.ids[at]!] === 1) continue;
    if (withheld.length > 0 && withheld.includes(received.nameAt(at).toLowerCase())) continue;
    end = copyLine(received, at, headers, end);
  }
  for (const { name, value } of received.added ?? []) {
    const lower = name.toLowerCase();
    if (NOT_STORED[idOf(lower)] === 0 && !withheld.includes(lower)) end = writeLine(headers, end, name, value);
  }
  if (!headers.received(ID.date)) end = writeLine(headers, end, DATE_NAME, formatHttpDate(responseTime));
  if (length >= 0) end = writeLine(headers, end, LENGTH_NAME, String(length));
  return { status: head.status, reason: head.reason, headers, room: bytes.length - end };
}

/** Copies a line as it came. Returns where it ends. */
function copyLine(from: HeaderBlock, at: number, to: HeaderBlock, end: number): number {
  const { marks, ids } = from;
  const m = at * 4;
  const start = marks[m]!;
  const shift = end - start;
  const length = from.lineEnd(at) - start;
  from.bytes.copy(to.bytes, end, start, start + length);
  to.push(ids[at]!, end, marks[m + 1]! + shift, marks[m + 2]! + shift, marks[m + 3]! + shift, end + length);
  return end + length;
}

/** Writes a line. Returns where it ends. */
function writeLine(to: HeaderBlock, start: number, name: string, value: string): number {
  const end = start + to.bytes.latin1Write(`${name}: ${value}\r\n`, start);
  const valueAt = start + name.length + 2;
  to.push(idOf(name.toLowerCase()), start, start + name.length, valueAt, end - 2, end);
  return end;
}

/**
 * The stored head with the fields of a newer one in place of its own of the same names (RFC 9111 §3.2): for a 304, for
 * the answer to a HEAD, and for a 206 that completes what is stored.
 */
export function updatedHead(
  stored: StoredHead,
  newer: ResponseHead,
  withheld: readonly string[],
  length: number,
): StoredHead {
  if (newer.connectionNamesFields) removeNamedFields(newer.headers);
  // The tag that the bytes came with is theirs: one that is only weakly the same would promise too much or too little.
  const isTagged = stored.headers.getById(ID.etag) !== null;
  const isLeftOut = (lower: string): boolean =>
    withheld.includes(lower) || NAMES_NOT_UPDATED.has(lower) || (isTagged && lower === "etag");
  const fresh = linesOf(newer.headers, NOT_UPDATED, isLeftOut);
  const names = new Set(fresh.map(({ lower }) => lower));
  const kept = linesOf(stored.headers, NOT_STORED, (lower) => names.has(lower) || withheld.includes(lower));
  return laidOut(stored.status, stored.reason, [...kept, ...fresh], length);
}

function line(name: string, value: string): Line {
  const lower = name.toLowerCase();
  return { id: idOf(lower), name, lower, value };
}

function linesOf(headers: HeaderBlock, skip: Uint8Array, isLeftOut: (lower: string) => boolean): Line[] {
  const lines: Line[] = [];
  headers.forEach((name, value) => {
    const found = line(name, value);
    if (skip[found.id] === 0 && !isLeftOut(found.lower)) lines.push(found);
  });
  return lines;
}

function laidOut(status: number, reason: string, lines: readonly Line[], length: number): StoredHead {
  const all = lines.map(({ name, value }): [string, string] => [name, value]);
  if (length >= 0) all.push(["Content-Length", String(length)]);
  return { status, reason, headers: layOut(new HeaderBlock(), status, reason, all) };
}
