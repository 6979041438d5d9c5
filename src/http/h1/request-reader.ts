// Reads the head of an HTTP/1 request (RFC 9112 §3) and decides how its body is delimited. What two parsers could read
// in two ways is refused: that is what request smuggling lives on.

import { METHODS } from "../../core/methods.ts";
import { CR, isAuthority, LF, listMembers, PATH_BYTE, SP, TARGET_BYTE, TCHAR } from "../grammar.ts";
import { skipSet } from "../header-block.ts";
import { ID } from "../header-names.ts";
import { RequestHead } from "../message.ts";
import { connectionOptions, contentLength, transferCoding } from "./framing.ts";
import { CONNECTION_OPTIONS_MAX, type HeadLimits, LEADING_EMPTY_BYTES_MAX, METHOD_BYTES_MAX } from "./limits.ts";
import { FAILED, NEED_MORE, SectionReader } from "./section-reader.ts";

const SLASH = 0x2f;
const QUESTION = 0x3f;
const LOOKED = skipSet(ID.host, ID["content-length"], ID["transfer-encoding"], ID.expect).table;
const VERSION = Buffer.from("HTTP/1.");

export class RequestReader extends SectionReader {
  readonly head: RequestHead = new RequestHead();
  #hosts = 0;
  #lengths = 0;
  #codings: string | null = null;
  #absoluteAuthority = "";
  #defaultPort = ":80";
  // The authority of the last request, kept as text: clients send the same one over and over.
  #authority = "";
  #hostBytes: Buffer = Buffer.alloc(0);

  constructor(limits: HeadLimits) {
    const head = new RequestHead();
    super(head.headers, limits, LOOKED);
    this.head = head;
  }

  /** Begins a new message; `read` is called next with its first bytes. */
  begin(chunk: Buffer): void {
    this.restart();
    this.head.headers.reset(chunk);
    this.rewind();
  }

  protected rewind(): void {
    this.head.reset();
    this.#hosts = 0;
    this.#lengths = 0;
    this.#codings = null;
    this.#absoluteAuthority = "";
  }

  protected startLine(bytes: Buffer, start: number, to: number): number {
    let at = start;
    while (at < to && (bytes[at] === CR || bytes[at] === LF)) {
      // RFC 9112 §2.2: empty lines before the request line
      if (at - start >= LEADING_EMPTY_BYTES_MAX)
        return this.fail("h1.bad_request", "too many empty lines before the request");
      if (bytes[at] === LF) return this.fail("h1.bad_request", "bare LF before the request");
      if (at + 1 >= to) return NEED_MORE;
      if (bytes[at + 1] !== LF) return this.fail("h1.bad_request", "bare CR before the request");
      at += 2;
    }
    const limitAt = at + this.limits.startLine + 2;
    const end = to < limitAt ? to : limitAt;
    let i = at;
    while (i < end && TCHAR[bytes[i]!] === 1) i += 1;
    if (i - at > METHOD_BYTES_MAX) return this.fail("h1.method_unknown", "method too long");
    if (i >= end) return this.#unfinished(to, limitAt);
    if (bytes[i] !== SP || i === at) return this.fail("h1.bad_request", "invalid method");
    const methodEnd = i;
    i += 1;
    const targetAt = i;
    let queryAt = -1;
    let needs = 0; // what the path's bytes need (grammar.ts)
    let before = 0;
    while (i < end) {
      const byte = bytes[i]!;
      if (TARGET_BYTE[byte] === 0) break;
      if (byte === QUESTION) {
        queryAt = i;
        break;
      }
      const need = PATH_BYTE[byte]!;
      needs |= need === 2 && before === SLASH ? 4 : need;
      before = byte;
      i += 1;
    }
    while (i < end && TARGET_BYTE[bytes[i]!] === 1) i += 1;
    if (i >= end) return this.#unfinished(to, limitAt);
    if (bytes[i] !== SP || i === targetAt) return this.fail("h1.bad_request", "invalid byte in the request target");
    const targetEnd = i;
    const next = this.#version(bytes, i + 1, end);
    if (next === NEED_MORE) return this.#unfinished(to, limitAt);
    if (next === FAILED) return FAILED;
    const head = this.head;
    head.method = methodName(bytes, at, methodEnd);
    if (bytes[targetAt] === SLASH && head.method !== "CONNECT") {
      head.setTargetBytes(targetAt, targetEnd);
      head.queryAt = queryAt < 0 ? -1 : queryAt - targetAt;
      head.plainPath = (needs & 4) === 0;
      if (head.version === 11) head.lineAt = at;
      return next;
    }
    return this.#target(bytes, targetAt, targetEnd, queryAt) ? next : FAILED;
  }

  #unfinished(to: number, limitAt: number): number {
    return to >= limitAt ? this.fail("h1.request_line_too_long", "request line over its limit") : NEED_MORE;
  }

  #version(bytes: Buffer, at: number, end: number): number {
    for (let i = 0; i < VERSION.length; i += 1) {
      if (at + i >= end) return NEED_MORE;
      const byte = bytes[at + i]!;
      if (byte === VERSION[i]) continue;
      // HTTP/2.0 and the like are well-formed but not spoken here.
      const other = i === 5 && byte >= 0x30 && byte <= 0x39;
      return this.fail(other ? "h1.version_unsupported" : "h1.bad_request", "not an HTTP/1 version");
    }
    if (at + 9 >= end) {
      if (at + 7 < end && !isVersionDigit(bytes[at + 7]!)) return this.fail("h1.bad_request", "not an HTTP version");
      if (at + 8 < end && bytes[at + 8] !== CR) return this.fail("h1.bad_request", "not an HTTP version");
      return NEED_MORE;
    }
    const minor = bytes[at + 7]!;
    if (!isVersionDigit(minor)) return this.fail("h1.bad_request", "not an HTTP version");
    if (bytes[at + 8] !== CR || bytes[at + 9] !== LF)
      return this.fail("h1.bad_request", "request line not ended by CRLF");
    if (minor > 0x31) return this.fail("h1.version_unsupported", "minor version above 1");
    this.head.version = minor === 0x31 ? 11 : 10;
    return at + 10;
  }

  /** The forms of a target other than the usual one (RFC 9112 §3.2). */
  #target(bytes: Buffer, at: number, end: number, queryAt: number): boolean {
    const head = this.head;
    const target = bytes.latin1Slice(at, end);
    head.queryAt = queryAt < 0 ? -1 : queryAt - at;
    head.target = target;
    if (head.method === "CONNECT") {
      head.form = "authority";
      if (!isAuthority(target) || target.lastIndexOf(":") <= target.lastIndexOf("]"))
        return this.#refuse("CONNECT without host:port");
      this.#absoluteAuthority = target.toLowerCase();
      this.#defaultPort = ":443"; // what CONNECT is for, and what clients then leave out of Host
      return true;
    }
    if (target === "*") {
      head.form = "asterisk";
      return head.method === "OPTIONS" || this.#refuse("`*` is for OPTIONS");
    }
    const parts = /^http(s?):\/\/([^/?]*)(.*)$/i.exec(target);
    if (parts === null || !isAuthority(parts[2]!)) return this.#refuse("the target has no known form");
    const rest = parts[3]!;
    this.#defaultPort = parts[1] === "" ? ":80" : ":443";
    this.#absoluteAuthority = parts[2]!.toLowerCase();
    // RFC 9112 §3.2.4: without a path, OPTIONS asks about the server as a whole.
    head.form = rest === "" && head.method === "OPTIONS" ? "asterisk" : "absolute";
    head.target = head.form === "asterisk" ? "*" : rest.startsWith("/") ? rest : `/${rest}`;
    head.queryAt = head.target.indexOf("?");
    return true;
  }

  #refuse(detail: string): false {
    this.fail("h1.bad_request", detail);
    return false;
  }

  protected knownField(id: number, at: number): boolean {
    const head = this.head;
    const headers = head.headers;
    switch (id) {
      case ID.host:
        this.#hosts += 1;
        if (this.#hosts > 1) return this.#refuse("more than one Host");
        return this.#readHost(at);
      case ID["content-length"]: {
        this.#lengths += 1;
        if (this.#lengths > 1) return this.#refuse("more than one Content-Length");
        head.length = contentLength(headers.bytes, headers.valueStart(at), headers.valueEnd(at));
        return head.length >= 0 || this.#refuse("invalid Content-Length");
      }
      case ID["transfer-encoding"]:
        this.#codings = this.#codings === null ? headers.valueAt(at) : `${this.#codings},${headers.valueAt(at)}`;
        return true;
      case ID.expect:
        if (headers.valueAt(at).toLowerCase() !== "100-continue" || head.expectContinue) {
          this.fail("h1.expectation", "only 100-continue can be expected");
          return false;
        }
        head.expectContinue = true;
        return true;
      default:
        return true;
    }
  }

  #readHost(at: number): boolean {
    const headers = this.head.headers;
    if (this.#isLastHost(headers.bytes, headers.valueStart(at), headers.valueEnd(at))) return true;
    const text = headers.valueAt(at);
    if (!isAuthority(text)) return this.#refuse("invalid Host");
    this.#authority = text.toLowerCase();
    this.#hostBytes = Buffer.from(text, "latin1");
    return true;
  }

  /** The same bytes as the last time have been checked, and are text already. */
  #isLastHost(bytes: Buffer, start: number, end: number): boolean {
    const last = this.#hostBytes;
    if (end - start !== last.length || last.length === 0) return false;
    for (let i = 0; i < last.length; i += 1) if (bytes[start + i] !== last[i]) return false;
    return true;
  }

  protected complete(): boolean {
    const head = this.head;
    if (this.#hosts === 0) {
      if (head.version === 11) return this.#refuse("no Host");
      head.authority = this.#absoluteAuthority;
    } else head.authority = this.#authority;
    if (this.#absoluteAuthority !== "" && head.authority !== this.#absoluteAuthority) {
      if (!sameAuthority(head.authority, this.#absoluteAuthority, this.#defaultPort))
        return this.#refuse("Host and the target disagree");
    }
    if (this.#codings !== null) {
      if (this.#lengths > 0) return this.#refuse("Content-Length beside Transfer-Encoding");
      if (head.version === 10) return this.#refuse("Transfer-Encoding in HTTP/1.0");
      const known = transferCoding(this.#codings);
      if (known !== "chunked") {
        this.fail(
          known === "unknown" ? "h1.coding_unknown" : "h1.bad_request",
          "Transfer-Encoding is not exactly chunked",
        );
        return false;
      }
      head.body = "chunked";
    } else head.body = this.#lengths > 0 && head.length > 0 ? "length" : "none";
    return this.#connection();
  }

  #connection(): boolean {
    const head = this.head;
    if (!head.headers.received(ID.connection)) {
      head.keepAlive = head.version === 11;
      return true;
    }
    const options = connectionOptions(head.headers);
    if (options === null) return this.#refuse("invalid Connection");
    head.keepAlive = !options.close && (head.version === 11 || options.keepAlive);
    head.connectionNamesFields = options.namesFields;
    if (options.upgrade && head.version === 11 && head.headers.received(ID.upgrade)) {
      const upgrade = head.headers.get("upgrade") ?? "";
      const members = listMembers(upgrade);
      if (members.includes("") || members.length > CONNECTION_OPTIONS_MAX) return this.#refuse("invalid Upgrade");
      // HTTP/2 without TLS is spoken to us or not at all: in a tunnel, requests would pass every route and filter.
      if (!members.includes("h2c")) head.upgrade = members.join(", ");
    }
    return true;
  }
}

/** The default port of the target's scheme may be left out on one side. */
export function sameAuthority(a: string, b: string, defaultPort: string): boolean {
  const bare = (text: string): string => (text.endsWith(defaultPort) ? text.slice(0, -defaultPort.length) : text);
  return bare(a.replace(/:$/, "")) === bare(b.replace(/:$/, ""));
}

const isVersionDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

export function methodName(bytes: Buffer, at: number, end: number): string {
  for (const method of METHODS) {
    if (method.length !== end - at) continue;
    let i = 0;
    while (i < method.length && bytes[at + i] === method.charCodeAt(i)) i += 1;
    if (i === method.length) return method;
  }
  return bytes.latin1Slice(at, end);
}
