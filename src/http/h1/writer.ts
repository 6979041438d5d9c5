// Writes HTTP/1 messages: bytes into a buffer that the caller provides, nothing else.
import { FORWARDING, type HeaderBlock, HOP_BY_HOP, skipSet } from "../header-block.ts";
import { ID } from "../header-names.ts";

const CRLF_TEXT = "\r\n";

// Reasons of RFC 9110 §15 and the later ones in use; an unknown status goes out with an empty reason.
const REASONS: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "Switching Protocols",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  206: "Partial Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  425: "Too Early",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  508: "Loop Detected",
};

export const reasonOf = (status: number): string => REASONS[status] ?? "";

const STATUS_LINE_OK = "HTTP/1.1 200 OK\r\n";

/** Writes `HTTP/1.1 STATUS REASON CRLF`; returns where it ends. Room: 16 bytes and the reason. */
export function writeStatusLine(out: Buffer, at: number, status: number, reason: string): number {
  if (status === 200 && reason === "OK") return at + out.latin1Write(STATUS_LINE_OK, at);
  return at + out.latin1Write(`HTTP/1.1 ${status} ${reason}${CRLF_TEXT}`, at);
}

/** Writes `METHOD TARGET HTTP/1.1 CRLF`; returns where it ends. Room: 12 bytes and both texts. */
export function writeRequestLine(out: Buffer, at: number, method: string, target: string): number {
  let to = at + out.latin1Write(method, at);
  out[to] = 0x20;
  to += 1;
  to += out.latin1Write(target, to);
  return to + out.latin1Write(" HTTP/1.1\r\n", to);
}

/** Writes text that is already a whole line or more; returns where it ends. */
export function writeText(out: Buffer, at: number, text: string): number {
  return at + out.latin1Write(text, at);
}

/** Most bytes that `writeChunkHead` and `writeChunkTail` take together. */
export const CHUNK_FRAME_BYTES_MAX = 20;

/** Writes a chunk's size line (RFC 9112 §7.1) for content that is not empty; returns where it ends. */
export function writeChunkHead(out: Buffer, at: number, length: number): number {
  let digits = 1;
  for (let rest = Math.floor(length / 16); rest > 0; rest = Math.floor(rest / 16)) digits += 1;
  let rest = length;
  for (let i = at + digits - 1; i >= at; i -= 1) {
    const digit = rest % 16;
    out[i] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest = (rest - digit) / 16;
  }
  return writeCrlf(out, at + digits);
}

export function writeCrlf(out: Buffer, at: number): number {
  out[at] = 0x0d;
  out[at + 1] = 0x0a;
  return at + 2;
}

// RFC 9110 §6.5.1: trailers never carry framing, routing, credentials or what a recipient must know before the content.
export const NOT_IN_TRAILERS = skipSet(
  ...HOP_BY_HOP,
  ...FORWARDING,
  ...[
    ID["content-length"],
    ID.host,
    ID.expect,
    ID.via,
    ID.authorization,
    ID.cookie,
    ID["set-cookie"],
    ID["content-type"],
  ],
  ...[ID["content-encoding"], ID.location, ID["cache-control"], ID.range, ID["if-none-match"], ID["if-modified-since"]],
  ...[ID.age, ID.vary, ID["retry-after"], ID["max-forwards"]],
);

/** Most bytes that `writeLastChunk` takes. */
export const lastChunkMax = (trailers: HeaderBlock | null): number =>
  5 + (trailers === null ? 0 : trailers.maxLength());

/** Writes the last chunk and those trailers that may stand there; returns where it ends. */
export function writeLastChunk(out: Buffer, at: number, trailers: HeaderBlock | null): number {
  let to = at;
  out[to] = 0x30;
  to = writeCrlf(out, to + 1);
  if (trailers !== null) to = trailers.writeTo(out, to, NOT_IN_TRAILERS);
  return writeCrlf(out, to);
}
