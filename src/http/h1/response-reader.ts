// Reads the head of an HTTP/1 response (RFC 9112 §4) as strictly as a request: a broken answer must not poison the
// next.
import { CR, FIELD_BYTE, isDigit, LF, SP } from "../grammar.ts";
import { skipSet } from "../header-block.ts";
import { ID } from "../header-names.ts";
import { ResponseHead } from "../message.ts";
import { connectionOptions, contentLength, transferCoding } from "./framing.ts";
import { RESPONSE_LIMITS } from "./limits.ts";
import { FAILED, NEED_MORE, SectionReader } from "./section-reader.ts";

const LOOKED = skipSet(ID["content-length"], ID["transfer-encoding"]).table;
const VERSION = Buffer.from("HTTP/1.");
const STATUS_LINE_MIN = 12; // "HTTP/1.1 200"

export class ResponseReader extends SectionReader {
  readonly head: ResponseHead;
  /** The method of the request that is answered: a HEAD has no body whatever its fields say. */
  method = "GET";
  #lengths = 0;
  #codings: string | null = null;

  constructor() {
    const head = new ResponseHead();
    super(head.headers, RESPONSE_LIMITS, LOOKED);
    this.head = head;
  }

  /** Begins a new message that answers a request with this method. */
  begin(chunk: Buffer, method: string): void {
    this.method = method;
    this.restart();
    this.head.headers.reset(chunk);
    this.rewind();
  }

  protected rewind(): void {
    this.head.reset();
    this.#lengths = 0;
    this.#codings = null;
  }

  protected startLine(bytes: Buffer, at: number, to: number): number {
    const limitAt = at + this.limits.startLine + 2;
    const end = to < limitAt ? to : limitAt;
    for (let i = 0; i < STATUS_LINE_MIN; i += 1) {
      if (at + i >= end) return NEED_MORE;
      const byte = bytes[at + i]!;
      const fits =
        i < VERSION.length
          ? byte === VERSION[i]
          : i === 7
            ? byte === 0x30 || byte === 0x31
            : i === 8
              ? byte === SP
              : isDigit(byte);
      if (!fits) return this.#bad("not a status line");
    }
    const status = (bytes[at + 9]! - 0x30) * 100 + (bytes[at + 10]! - 0x30) * 10 + (bytes[at + 11]! - 0x30);
    if (status < 100 || status > 599) return this.#bad("status out of range");
    let i = at + STATUS_LINE_MIN;
    if (i >= end) return this.#unfinished(to, limitAt);
    const reasonAt = bytes[i] === SP ? i + 1 : i; // the space before an empty reason is often left out
    i = reasonAt;
    if (reasonAt > at + STATUS_LINE_MIN) while (i < end && FIELD_BYTE[bytes[i]!] === 1) i += 1;
    if (i + 1 >= end) {
      if (i < end && bytes[i] !== CR) return this.#bad("control byte in the reason");
      return this.#unfinished(to, limitAt);
    }
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return this.#bad("status line not ended by CRLF");
    this.head.version = bytes[at + 7] === 0x31 ? 11 : 10;
    this.head.status = status;
    if (bytes[at + 7] === 0x31 && reasonAt > at + STATUS_LINE_MIN) this.head.lineAt = at;
    this.head.reason =
      i - reasonAt === 2 && bytes[reasonAt] === 0x4f && bytes[reasonAt + 1] === 0x4b
        ? "OK"
        : bytes.latin1Slice(reasonAt, i);
    return i + 2;
  }

  #unfinished(to: number, limitAt: number): number {
    return to >= limitAt ? this.#bad("status line over its limit") : NEED_MORE;
  }

  #bad(detail: string): typeof FAILED {
    return this.fail("upstream.bad_response", detail);
  }

  protected knownField(id: number, at: number): boolean {
    const { headers } = this.head;
    if (id === ID["content-length"]) {
      this.#lengths += 1;
      this.head.length = contentLength(headers.bytes, headers.valueStart(at), headers.valueEnd(at));
      return (
        (this.#lengths === 1 && this.head.length >= 0) || this.#bad("invalid or repeated Content-Length") !== FAILED
      );
    }
    if (id === ID["transfer-encoding"]) {
      this.#codings = this.#codings === null ? headers.valueAt(at) : `${this.#codings},${headers.valueAt(at)}`;
    }
    return true;
  }

  protected complete(): boolean {
    const head = this.head;
    if (this.#codings !== null) {
      if (this.#lengths > 0) return this.#bad("Content-Length beside Transfer-Encoding") !== FAILED;
      if (head.version === 10) return this.#bad("Transfer-Encoding in HTTP/1.0") !== FAILED;
      if (transferCoding(this.#codings) !== "chunked")
        return this.#bad("Transfer-Encoding is not exactly chunked") !== FAILED;
    }
    // RFC 9112 §6.1, RFC 9110 §8.6: no framing where there can be no content; the server may well send some.
    if ((head.status < 200 || head.status === 204) && (this.#codings !== null || head.length > 0))
      return this.#bad("a body announced where none can be") !== FAILED;
    head.body = this.#bodyKind();
    head.keepAlive = head.version === 11 && head.body !== "close";
    if (!head.headers.received(ID.connection)) return true;
    const options = connectionOptions(head.headers);
    if (options === null) return this.#bad("invalid Connection") !== FAILED;
    head.keepAlive = head.body !== "close" && !options.close && (head.version === 11 || options.keepAlive);
    head.connectionNamesFields = options.namesFields;
    if (options.upgrade) head.upgrade = (head.headers.getById(ID.upgrade) ?? "").toLowerCase();
    return true;
  }

  /** RFC 9112 §6.3, in its order. */
  #bodyKind(): ResponseHead["body"] {
    const { status, length } = this.head;
    if (this.method === "HEAD" || status < 200 || status === 204 || status === 304) return "none";
    if (this.#codings !== null) return "chunked";
    if (this.#lengths === 0) return "close";
    return length > 0 ? "length" : "none";
  }
}
