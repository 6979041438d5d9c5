// Makes the head of a request out of a field section (RFC 9113 §8.3.1): as strict as the reader of HTTP/1.1, and laid
// out in memory as HTTP/1.1 would send it, request line and Host first.

import { isAuthority, PATH_BYTE, TARGET_BYTE, TCHAR } from "../grammar.ts";
import { contentLength } from "../h1/framing.ts";
import { type HeadLimits, METHOD_BYTES_MAX } from "../h1/limits.ts";
import { methodName, sameAuthority } from "../h1/request-reader.ts";
import { ID } from "../header-names.ts";
import { RequestHead } from "../message.ts";
import { AUTHORITY, METHOD, PATH, PROTOCOL, SCHEME, STATUS } from "./hpack-flags.ts";
import { type Priority, parsePriority } from "./priority-field.ts";
import { actionTable, GAP_BYTES, SectionBuilder } from "./section-builder.ts";

const SLASH = 0x2f;
const QUESTION = 0x3f;
const NORMALISE = 4; // what grammar.ts says of a path's bytes
const LINE_TAIL = Buffer.from(" HTTP/1.1\r\n", "latin1");
const HOST_NAME = Buffer.from("host: ", "latin1");
const PRIORITY_NAME = Buffer.from("priority", "latin1");
const ACTIONS = actionTable([ID.host, ID["content-length"], ID.expect]);
/** Up to this many bytes a loop is faster than a call of the runtime. */
const SHORT_COPY = 32;

let scratch: Buffer = Buffer.allocUnsafeSlow(1024);

export class RequestHeadBuilder extends SectionBuilder {
  head: RequestHead = new RequestHead();
  /** The content's length as the fields say; -1 without one. */
  contentLength = -1;
  /** What the Priority field says (RFC 9218 §5); null without one, or with one that cannot be read. */
  priority: Priority | null = null;
  #limits: HeadLimits = { startLine: 0, section: 0, fields: 0 };
  #connectProtocol = false;
  /** One bit for each pseudo-header field that has come. */
  #seen = 0;
  #methodAt = 0;
  #methodEnd = 0;
  #pathAt = 0;
  #pathEnd = 0;
  #authorityAt = 0;
  #authorityEnd = 0;
  #isHttps = false;
  #protocol = "";
  #queryAt = -1;
  #needs = 0;
  #composed = false;
  // The authority of the last request, kept as text: clients send the same one over and over.
  #lastAuthority = "";
  #lastBytes: Buffer = Buffer.alloc(0);

  constructor() {
    super(ACTIONS);
  }

  /** Begins a head; `connectProtocol`: extended CONNECT has been offered (RFC 8441 §3). */
  begin(head: RequestHead, limits: HeadLimits, dropUnderscores: boolean, connectProtocol: boolean): void {
    this.head = head;
    head.reset();
    head.version = 20;
    this.contentLength = -1;
    this.priority = null;
    this.#limits = limits;
    this.#connectProtocol = connectProtocol;
    this.#seen = 0;
    this.#methodEnd = 0;
    this.#protocol = "";
    this.#queryAt = -1;
    this.#needs = 0;
    this.#composed = false;
    this.beginSection(head.headers, limits, dropUnderscores);
  }

  /** The section is complete; `end`: the request has neither content nor trailers. Then look at `malformed`, `fault`. */
  finish(end: boolean): void {
    if (!this.hasFields && !this.spoiled) this.pseudoDone(this.at);
    if (this.fault !== null && !this.#composed) this.#identify();
    const { head } = this;
    if (!this.spoiled) {
      if (head.authority === "") this.bad("neither :authority nor Host");
      else if (end || head.upgrade !== "" || head.method === "CONNECT") {
        // A server of HTTP/1.1 would wait for it, and take the bytes of a tunnel or the next request for it.
        if (this.contentLength > 0) this.bad("Content-Length without content");
      } else {
        head.length = Math.max(0, this.contentLength);
        head.body = this.contentLength < 0 ? "chunked" : this.contentLength > 0 ? "length" : "none";
      }
    }
    this.endSection();
  }

  protected pseudo(number: number, valueStart: number, valueEnd: number): void {
    const bit = 1 << number;
    if ((this.#seen & bit) !== 0) return this.bad("repeated pseudo-header field");
    this.#seen |= bit;
    const { buffer } = this;
    switch (number) {
      case METHOD:
        this.#methodAt = valueStart;
        this.#methodEnd = valueEnd;
        return this.#checkMethod(buffer, valueStart, valueEnd);
      case PATH:
        this.#pathAt = valueStart;
        this.#pathEnd = valueEnd;
        return this.#checkPath(buffer, valueStart, valueEnd);
      case AUTHORITY:
        this.#authorityAt = valueStart;
        this.#authorityEnd = valueEnd;
        return this.#checkAuthority(buffer, valueStart, valueEnd);
      case SCHEME:
        this.#isHttps = isWord(buffer, valueStart, valueEnd, "https");
        if (!this.#isHttps && !isWord(buffer, valueStart, valueEnd, "http")) this.bad("unknown scheme");
        return;
      case PROTOCOL:
        this.#protocol = buffer.latin1Slice(valueStart, valueEnd).toLowerCase();
        if (!this.#connectProtocol) this.bad(":protocol without its setting");
        for (let i = valueStart; i < valueEnd; i += 1) if (TCHAR[buffer[i]!] === 0) this.bad("invalid :protocol");
        if (valueStart === valueEnd) this.bad("empty :protocol");
        return;
      case STATUS:
        return this.bad(":status in a request");
      default:
        return this.bad("unknown pseudo-header field");
    }
  }

  #checkMethod(buffer: Buffer, start: number, end: number): void {
    if (start === end) this.bad("empty :method");
    if (end - start > METHOD_BYTES_MAX) return this.refuse("h1.method_unknown", "method too long");
    for (let i = start; i < end; i += 1) if (TCHAR[buffer[i]!] === 0) return this.bad("invalid :method");
  }

  #checkPath(buffer: Buffer, start: number, end: number): void {
    if (start === end) return this.bad("empty :path");
    if (end - start > this.#limits.startLine)
      return this.refuse("h1.request_line_too_long", "request target over its limit");
    let needs = 0;
    let before = 0;
    let i = start;
    while (i < end) {
      const byte = buffer[i]!;
      if (TARGET_BYTE[byte] === 0) return this.bad("invalid byte in :path");
      if (byte === QUESTION) {
        this.#queryAt = i - start;
        break;
      }
      const need = PATH_BYTE[byte]!;
      needs |= need === 2 && before === SLASH ? NORMALISE : need;
      before = byte;
      i += 1;
    }
    while (i < end) {
      if (TARGET_BYTE[buffer[i]!] === 0) return this.bad("invalid byte in :path");
      i += 1;
    }
    this.#needs = needs;
  }

  #checkAuthority(buffer: Buffer, start: number, end: number): void {
    if (!this.#isLastAuthority(buffer, start, end)) {
      const text = buffer.latin1Slice(start, end);
      if (!isAuthority(text)) return this.bad("invalid authority");
      this.#lastAuthority = text.toLowerCase();
      this.#lastBytes = Buffer.from(text, "latin1");
    }
    this.head.authority = this.#lastAuthority;
  }

  /** The same bytes as the last time have been checked, and are text already. */
  #isLastAuthority(bytes: Buffer, start: number, end: number): boolean {
    const last = this.#lastBytes;
    if (end - start !== last.length || last.length === 0) return false;
    for (let i = 0; i < last.length; i += 1) if (bytes[start + i] !== last[i]) return false;
    return true;
  }

  #has(number: number): boolean {
    return (this.#seen & (1 << number)) !== 0;
  }

  /** Everything about the target is known: checks it (RFC 9113 §8.3.1, §8.5), and writes the lines it becomes. */
  protected pseudoDone(at: number): void {
    const { head, buffer } = this;
    if (!this.#has(METHOD)) return this.bad("no :method");
    this.#identify();
    if (this.#has(PROTOCOL)) {
      if (head.method !== "CONNECT") return this.bad(":protocol without CONNECT");
    } else if (head.method === "CONNECT") return this.#connect(at);
    if (!this.#has(SCHEME) || !this.#has(PATH)) return this.bad("no :scheme or no :path");
    if (this.#protocol !== "") {
      // RFC 8441 §4: what HTTP/1.1 does with a GET that asks for an upgrade; routes and servers see it as that.
      if (!this.#has(AUTHORITY)) return this.bad("extended CONNECT without :authority");
      head.method = "GET";
      head.upgrade = this.#protocol;
    }
    if (buffer[this.#pathAt] === SLASH) {
      this.#compose(at, head.method);
      return;
    }
    if (this.#pathEnd - this.#pathAt !== 1 || buffer[this.#pathAt] !== 0x2a || head.method !== "OPTIONS")
      return this.bad(":path is neither a path nor `*` for OPTIONS");
    this.#compose(at, "");
    head.form = "asterisk";
    head.target = "*";
  }

  /** RFC 9113 §8.5: CONNECT has a host with its port and nothing else. */
  #connect(at: number): void {
    const { head } = this;
    if (this.#has(SCHEME) || this.#has(PATH)) return this.bad("CONNECT with :scheme or :path");
    if (!this.#has(AUTHORITY)) return this.bad("CONNECT without :authority");
    const { authority } = head;
    if (authority.lastIndexOf(":") <= authority.lastIndexOf("]")) return this.bad("CONNECT without host:port");
    this.#isHttps = true; // what CONNECT is for, and what clients then leave out of Host
    this.#compose(at, "");
    head.form = "authority";
    head.target = authority;
  }

  /** What is known of the request, also of one that is refused early. */
  #identify(): void {
    const { head } = this;
    if (this.#has(METHOD) && this.#methodEnd - this.#methodAt <= METHOD_BYTES_MAX)
      head.method = methodName(this.buffer, this.#methodAt, this.#methodEnd);
  }

  /**
   * Writes the request line (unless `method` is "") and Host so that they end at `at`. The lines of the pseudo-header
   * fields stand there; they are longer than what takes their place.
   */
  #compose(at: number, method: string): void {
    this.#composed = true;
    const { buffer, head } = this;
    const from = this.start + GAP_BYTES;
    const used = at - from;
    if (scratch.length < used) scratch = Buffer.allocUnsafeSlow(2 * used);
    copyBytes(buffer, from, at, scratch, 0);
    const hostLength = this.#has(AUTHORITY) ? this.#authorityEnd - this.#authorityAt : 0;
    const pathLength = this.#pathEnd - this.#pathAt;
    let to = at;
    if (hostLength > 0) to -= HOST_NAME.length + hostLength + 2;
    const hostAt = to;
    if (method !== "") {
      to -= method.length + 1 + pathLength + LINE_TAIL.length;
      head.lineAt = to;
      to += buffer.latin1Write(method, to);
      buffer[to] = 0x20;
      to += 1;
      copyBytes(scratch, this.#pathAt - from, this.#pathEnd - from, buffer, to);
      head.setTargetBytes(to, to + pathLength);
      head.queryAt = this.#queryAt;
      head.plainPath = (this.#needs & NORMALISE) === 0;
      copyBytes(LINE_TAIL, 0, LINE_TAIL.length, buffer, to + pathLength);
    }
    if (hostLength === 0) return;
    copyBytes(HOST_NAME, 0, HOST_NAME.length, buffer, hostAt);
    const valueAt = hostAt + HOST_NAME.length;
    copyBytes(scratch, this.#authorityAt - from, this.#authorityEnd - from, buffer, valueAt);
    buffer[valueAt + hostLength] = 0x0d;
    buffer[valueAt + hostLength + 1] = 0x0a;
    head.headers.push(ID.host, hostAt, valueAt - 2, valueAt, valueAt + hostLength, at);
  }

  protected known(id: number, index: number): boolean {
    const { head } = this;
    const { headers } = head;
    const start = headers.valueStart(index);
    const end = headers.valueEnd(index);
    switch (id) {
      case ID.host:
        return this.#host(start, end);
      case ID["content-length"]:
        if (this.contentLength >= 0) this.bad("more than one Content-Length");
        this.contentLength = contentLength(headers.bytes, start, end);
        if (this.contentLength < 0) this.bad("invalid Content-Length");
        return true;
      default:
        if (head.expectContinue || headers.valueAt(index).toLowerCase() !== "100-continue")
          this.refuse("h1.expectation", "only 100-continue can be expected");
        head.expectContinue = true;
        return true;
    }
  }

  /** Host beside :authority says the same (RFC 9113 §8.3.1) and is not written twice. */
  #host(start: number, end: number): boolean {
    const before = this.head.authority;
    if (before !== "" && !this.#has(AUTHORITY)) this.bad("more than one Host");
    this.#checkAuthority(this.buffer, start, end);
    if (this.spoiled || before === "") return true;
    const { authority } = this.head;
    if (before !== authority && !sameAuthority(before, authority, this.#isHttps ? ":443" : ":80"))
      this.bad("Host and :authority disagree");
    this.head.authority = before;
    return false;
  }

  protected override unknown(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    if (nameEnd - nameStart !== PRIORITY_NAME.length) return;
    const { buffer } = this;
    for (let i = 0; i < PRIORITY_NAME.length; i += 1) if (buffer[nameStart + i] !== PRIORITY_NAME[i]) return;
    this.priority = parsePriority(buffer.latin1Slice(valueStart, valueEnd));
  }

  protected moved(delta: number): void {
    this.#methodAt += delta;
    this.#methodEnd += delta;
    this.#pathAt += delta;
    this.#pathEnd += delta;
    this.#authorityAt += delta;
    this.#authorityEnd += delta;
    const { head } = this;
    if (head.lineAt < 0) return;
    head.lineAt += delta;
    head.setTargetBytes(head.targetAt + delta, head.targetEnd + delta);
  }
}

/** Whether the bytes are this lower-case word, in any case. */
function isWord(bytes: Buffer, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i += 1) if ((bytes[start + i]! | 0x20) !== word.charCodeAt(i)) return false;
  return true;
}

function copyBytes(from: Buffer, start: number, end: number, out: Buffer, at: number): void {
  const length = end - start;
  if (length > SHORT_COPY) {
    from.copy(out, at, start, end);
    return;
  }
  for (let i = 0; i < length; i += 1) out[at + i] = from[start + i]!;
}
