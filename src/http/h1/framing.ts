// The fields that decide where a message ends (RFC 9112 §6, §9.3), read for requests and responses alike.
import { isDigit, listMembers } from "../grammar.ts";
import type { HeaderBlock } from "../header-block.ts";
import { ID, idOf } from "../header-names.ts";
import { CONNECTION_OPTIONS_MAX } from "./limits.ts";

/** RFC 9110 §8.6: digits only, at most 2^53-1. -1 for anything else: signs, hex, lists, white space, overflow. */
export function contentLength(bytes: Buffer, at: number, end: number): number {
  if (at >= end || end - at > 16) return -1;
  let length = 0;
  for (let i = at; i < end; i += 1) {
    const byte = bytes[i]!;
    if (!isDigit(byte)) return -1;
    length = length * 10 + (byte - 0x30);
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1;
}

/** What a Transfer-Encoding (several fields joined by commas) comes to: exactly one `chunked` is the only one served. */
export function transferCoding(value: string): "chunked" | "unknown" | "invalid" {
  const codings = listMembers(value);
  if (codings.length === 1 && codings[0] === "chunked") return "chunked";
  for (const coding of codings) if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(coding)) return "invalid";
  const chunkedAt = codings.indexOf("chunked");
  return chunkedAt >= 0 && chunkedAt < codings.length - 1 ? "invalid" : "unknown";
}

export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** Fields are named beyond those that never cross anyway. */
  readonly namesFields: boolean;
}

// The usual values are answered from here, by their bytes: they come with almost every message that has the field at
// all.
const KEEP_ALIVE: ConnectionOptions = { close: false, keepAlive: true, upgrade: false, namesFields: false };
const CLOSE: ConnectionOptions = { close: true, keepAlive: false, upgrade: false, namesFields: false };

/** Whether `bytes[start, end)` is this lower-case text in any case. */
function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i += 1) if ((bytes[start + i]! | 0x20) !== text.charCodeAt(i)) return false;
  return true;
}

/** The options of a single field with one of the usual values; null for all else. */
function usualOptions(headers: HeaderBlock): ConnectionOptions | null {
  const at = headers.indexOf(ID.connection);
  if (at < 0 || headers.indexOf(ID.connection, at + 1) >= 0) return null;
  const start = headers.valueStart(at);
  const end = headers.valueEnd(at);
  if (isText(headers.bytes, start, end, "keep-alive")) return KEEP_ALIVE;
  return isText(headers.bytes, start, end, "close") ? CLOSE : null;
}

/** Reads every Connection field (RFC 9110 §7.6.1); null when they are not a list of tokens, or one far too long. */
export function connectionOptions(headers: HeaderBlock): ConnectionOptions | null {
  const usual = usualOptions(headers);
  if (usual !== null) return usual;
  const value = headers.getById(ID.connection) ?? "";
  const read = { close: false, keepAlive: false, upgrade: false, namesFields: false };
  const options = listMembers(value);
  if (options.length > CONNECTION_OPTIONS_MAX) return null;
  for (const option of options) {
    if (option === "close") read.close = true;
    else if (option === "keep-alive") read.keepAlive = true;
    else if (option === "upgrade") read.upgrade = true;
    else if (option === "")
      continue; // RFC 9110 §5.6.1.2: a recipient accepts empty members
    else if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(option)) return null;
    else read.namesFields = true;
  }
  return read;
}

// A peer must not be able to take these away from the other side by naming them in Connection: they are end-to-end, and
// what the proxy, its filters or the framing rely on (RFC 9110 §7.6.1).
const PROTECTED: ReadonlySet<number> = new Set([
  ID["content-length"],
  ID.host,
  ID["content-type"],
  ID["content-encoding"],
  ID.authorization,
  ID.cookie,
  ID["set-cookie"],
  ID.forwarded,
  ID["x-forwarded-for"],
  ID["x-forwarded-proto"],
  ID["x-forwarded-host"],
  ID["x-forwarded-port"],
  ID["x-real-ip"],
  ID["x-request-id"],
  ID.via,
  ID["cache-control"],
  ID.date,
  ID.location,
  ID.expect,
  ID["max-forwards"],
  ID.te, // it stays behind by itself, and is asked for each time that the request is written
]);

/**
 * Removes the received fields that Connection names; what an edit of ours has added is not the peer's to take away.
 * Called only when `connectionNamesFields`.
 */
export function removeNamedFields(headers: HeaderBlock): void {
  for (const name of listMembers(headers.get("connection") ?? "")) {
    if (name !== "" && !PROTECTED.has(idOf(name))) headers.removeReceived(name);
  }
}
