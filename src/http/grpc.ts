// The fields of gRPC over HTTP/2 as values: which kind of call a message belongs to, how much time it has, and how it
// went. (gRPC's PROTOCOL-HTTP2.md and PROTOCOL-WEB.md.)
import type { HeaderBlock } from "./header-block.ts";
import { ID } from "./header-names.ts";

/** No gRPC at all. */
export const NO_GRPC = 0;
/** `application/grpc`. */
export const GRPC = 1;
/** `application/grpc-web`: what browsers speak, with the trailers at the end of the body. */
export const GRPC_WEB = 2;
/** `application/grpc-web-text`: the same in base64. */
export const GRPC_WEB_TEXT = 3;
export type GrpcKind = typeof NO_GRPC | typeof GRPC | typeof GRPC_WEB | typeof GRPC_WEB_TEXT;

/** The codes of grpc-status that Sluice gives or looks for (gRPC's statuscodes.md). */
export const GRPC_STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

const MEDIA_TYPE = Buffer.from("application/grpc");
const WEB = Buffer.from("-web");
const WEB_TEXT = Buffer.from("-web-text");

/** Whether `bytes[at, end)` begins with `word`, which is lower-case, in any case. */
function startsWith(bytes: Uint8Array, at: number, end: number, word: Uint8Array): boolean {
  if (end - at < word.length) return false;
  for (let i = 0; i < word.length; i += 1) {
    const byte = bytes[at + i]!;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== word[i]) return false;
  }
  return true;
}

/** The media type ends at `at`, or goes on with a suffix (`+proto`) or parameters. */
function endsType(bytes: Uint8Array, at: number, end: number): boolean {
  if (at >= end) return true;
  const byte = bytes[at];
  return byte === 0x2b || byte === 0x3b || byte === 0x20 || byte === 0x09;
}

function kindOfBytes(bytes: Uint8Array, start: number, end: number): GrpcKind {
  if (!startsWith(bytes, start, end, MEDIA_TYPE)) return NO_GRPC;
  const at = start + MEDIA_TYPE.length;
  if (endsType(bytes, at, end)) return GRPC;
  if (startsWith(bytes, at, end, WEB_TEXT) && endsType(bytes, at + WEB_TEXT.length, end)) return GRPC_WEB_TEXT;
  return startsWith(bytes, at, end, WEB) && endsType(bytes, at + WEB.length, end) ? GRPC_WEB : NO_GRPC;
}

/** The kind that a message's Content-Type names, as it was received: edits are not looked at. */
export function receivedKind(headers: HeaderBlock): GrpcKind {
  const at = headers.indexOf(ID["content-type"]);
  return at < 0 ? NO_GRPC : kindOfBytes(headers.bytes, headers.valueStart(at), headers.valueEnd(at));
}

/** The kind of a media type. */
export function kindOf(mediaType: string | null): GrpcKind {
  if (mediaType === null) return NO_GRPC;
  const bytes = Buffer.from(mediaType, "latin1");
  return kindOfBytes(bytes, 0, bytes.length);
}

/** What stands behind a `+` in a media type, the `+` included and in lower case; "" without. */
export function suffixOf(mediaType: string): string {
  const semicolon = mediaType.indexOf(";");
  const type = (semicolon < 0 ? mediaType : mediaType.slice(0, semicolon)).trim().toLowerCase();
  const plus = type.indexOf("+");
  return plus < 0 ? "" : type.slice(plus);
}

/** The media type of answers of a kind without a body of a server. */
export function mediaTypeOf(kind: GrpcKind, suffix = "+proto"): string {
  if (kind === GRPC_WEB_TEXT) return `application/grpc-web-text${suffix}`;
  return kind === GRPC_WEB ? `application/grpc-web${suffix}` : "application/grpc";
}

// ——— time

/** TimeoutValue: a positive integer of at most eight digits. */
const TIMEOUT_DIGITS_MAX = 8;
const TIMEOUT_MAX = 99_999_999;

/** Milliseconds of one unit of TimeoutUnit; 0 for what is none. */
function unitMs(unit: number): number {
  switch (unit) {
    case 0x48: // H
      return 3_600_000;
    case 0x4d: // M
      return 60_000;
    case 0x53: // S
      return 1000;
    case 0x6d: // m
      return 1;
    case 0x75: // u
      return 0.001;
    case 0x6e: // n
      return 0.000_001;
    default:
      return 0;
  }
}

/**
 * The received `grpc-timeout` in milliseconds; -1 without one, -2 for one that breaks the grammar or stands there
 * twice. 0 counts as a time: clients send it when theirs was over before they began.
 */
export function receivedTimeout(headers: HeaderBlock): number {
  const at = headers.indexOf(ID["grpc-timeout"]);
  if (at < 0) return NO_TIMEOUT;
  if (headers.indexOf(ID["grpc-timeout"], at + 1) >= 0) return BAD_TIMEOUT;
  const { bytes } = headers;
  const unitAt = headers.valueEnd(at) - 1;
  const start = headers.valueStart(at);
  const digits = unitAt - start;
  if (digits < 1 || digits > TIMEOUT_DIGITS_MAX) return BAD_TIMEOUT;
  let value = 0;
  for (let i = start; i < unitAt; i += 1) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return BAD_TIMEOUT;
    value = value * 10 + digit;
  }
  const unit = unitMs(bytes[unitAt]!);
  return unit === 0 ? BAD_TIMEOUT : value * unit;
}

export const NO_TIMEOUT = -1;
export const BAD_TIMEOUT = -2;

/** Milliseconds as a `grpc-timeout`: rounded up, in the finest unit from milliseconds on that has room for it. */
export function formatTimeout(ms: number): string {
  const whole = Math.max(0, Math.ceil(ms));
  if (whole <= TIMEOUT_MAX) return `${whole}m`;
  return `${Math.min(TIMEOUT_MAX, Math.ceil(whole / 1000))}S`;
}

// ——— how it went

/** The `grpc-status` of a head or of trailers; -1 where there is none that is a number of one or two digits. */
export function grpcStatusOf(headers: HeaderBlock): number {
  const text = headers.getById(ID["grpc-status"]);
  if (text === null || text.length === 0 || text.length > 2) return -1;
  let status = 0;
  for (let i = 0; i < text.length; i += 1) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    status = status * 10 + digit;
  }
  return status;
}

/**
 * Whether a server that answers with this status is to blame for it, as one of HTTP is for a 500: it failed, or cannot
 * work. All other codes speak of the call. -1, an answer without a status, is a broken one.
 */
export const isServerFailure = (status: number): boolean =>
  status === -1 ||
  status === GRPC_STATUS.unknown ||
  status === GRPC_STATUS.internal ||
  status === GRPC_STATUS.unavailable ||
  status === GRPC_STATUS.dataLoss;

/** Text as a `grpc-message`: UTF-8, with `%` and all that is not visible ASCII or space percent-encoded. */
export function encodeGrpcMessage(text: string): string {
  let out = "";
  for (const byte of Buffer.from(text)) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) out += String.fromCharCode(byte);
    else out += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}
