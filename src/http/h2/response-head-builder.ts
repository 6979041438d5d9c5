// Makes the head of an answer out of a field section (RFC 9113 §8.3.2), laid out in memory as HTTP/1.1 would send it.

import { isDigit } from "../grammar.ts";
import { contentLength } from "../h1/framing.ts";
import type { HeadLimits } from "../h1/limits.ts";
import { reasonOf } from "../h1/writer.ts";
import { ID } from "../header-names.ts";
import { ResponseHead } from "../message.ts";
import { STATUS } from "./hpack-flags.ts";
import { actionTable, SectionBuilder } from "./section-builder.ts";

const ACTIONS = actionTable([ID["content-length"]]);
const STATUS_MAX = 599;

/** The status lines that have been needed, by status. */
const LINES: (Buffer | undefined)[] = new Array<Buffer | undefined>(STATUS_MAX + 1).fill(undefined);

function lineOf(status: number): Buffer {
  let line = LINES[status];
  if (line === undefined) {
    line = Buffer.from(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n`, "latin1");
    LINES[status] = line;
  }
  return line;
}

export class ResponseHeadBuilder extends SectionBuilder {
  head: ResponseHead = new ResponseHead();
  /** The content that may follow; -1 when nothing says how much. */
  contentLength = -1;
  #lengths = 0;
  #hasStatus = false;

  constructor() {
    super(ACTIONS);
  }

  begin(head: ResponseHead, limits: HeadLimits): void {
    this.head = head;
    head.reset();
    head.version = 20;
    head.status = 0;
    head.reason = "";
    this.contentLength = -1;
    this.#lengths = 0;
    this.#hasStatus = false;
    this.beginSection(head.headers, limits, false);
  }

  /**
   * The section is complete; `end`: neither content nor trailers follow. `method` is that of the request. Then look at
   * `malformed` and `fault`.
   */
  finish(end: boolean, method: string): void {
    if (!this.hasFields && !this.spoiled) this.pseudoDone(this.at);
    if (!this.spoiled) this.#framing(end, method);
    this.endSection();
  }

  /** RFC 9110 §6.4.1, §8.6: which answers have content, and how much. */
  #framing(end: boolean, method: string): void {
    const { head } = this;
    const { status } = head;
    if (status < 200 && end) return this.bad("an interim answer that ends the stream");
    if (status < 200 || status === 204) {
      if (head.length > 0) this.bad("a body announced where none can be");
      this.contentLength = 0;
    } else if (method === "HEAD" || status === 304) this.contentLength = 0;
    else if (this.#lengths > 0) {
      this.contentLength = head.length;
      if (end && head.length > 0) this.bad("Content-Length without content");
    }
    if (end || this.contentLength === 0) head.body = "none";
    else head.body = this.contentLength > 0 ? "length" : "chunked";
  }

  protected pseudo(number: number, start: number, end: number): void {
    if (number !== STATUS) return this.bad("pseudo-header field of a request in an answer");
    if (this.#hasStatus) return this.bad("repeated :status");
    this.#hasStatus = true;
    const { buffer } = this;
    if (end - start !== 3) return this.bad("invalid :status");
    let status = 0;
    for (let i = start; i < end; i += 1) {
      if (!isDigit(buffer[i]!)) return this.bad("invalid :status");
      status = status * 10 + (buffer[i]! - 0x30);
    }
    // RFC 9113 §8.6: there is no 101 in HTTP/2.
    if (status < 100 || status > STATUS_MAX || status === 101) return this.bad("status out of range");
    this.head.status = status;
  }

  protected pseudoDone(at: number): void {
    const { head } = this;
    if (!this.#hasStatus) return this.bad("no :status");
    const line = lineOf(head.status);
    head.reason = reasonOf(head.status);
    head.lineAt = at - line.length;
    line.copy(this.buffer, head.lineAt);
    head.headers.end = at; // also of a head without fields
  }

  protected known(_id: number, index: number): boolean {
    const { head } = this;
    const { headers } = head;
    this.#lengths += 1;
    head.length = contentLength(headers.bytes, headers.valueStart(index), headers.valueEnd(index));
    if (this.#lengths > 1 || head.length < 0) this.bad("invalid or repeated Content-Length");
    return true;
  }

  protected moved(delta: number): void {
    if (this.head.lineAt >= 0) this.head.lineAt += delta;
  }
}
