// The check by one HTTP/1.1 request: its status must be one of the good ones, and its body have the text in it.
import type { Socket } from "node:net";
import { BodyReader, type BodySink } from "../http/h1/body-reader.ts";
import { ResponseReader } from "../http/h1/response-reader.ts";
import { FAILED, NEED_MORE } from "../http/h1/section-reader.ts";
import { isFieldName, isFieldValue } from "../http/header-block.ts";
import { type BodyMatch, parseBodyMatch } from "./body-match.ts";
import type { Conversation, Verdict } from "./probe.ts";
import { StatusRanges } from "./status-ranges.ts";

export interface HttpCheckOptions {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: string;
  readonly body?: string | undefined;
}

export const USER_AGENT = "sluice-health/1";
/** As the configuration promises. A health page that is longer says nothing more about health. */
const BODY_BYTES_MAX = 65_536;
/** Interim responses before a final one; a server that sends more is broken. */
const INFORMATIONAL_MAX = 16;
/** Fields that say where the message ends and what becomes of the connection: those are ours (RFC 9112 §6, §9.6). */
const OWN_FIELDS = new Set(["connection", "content-length", "transfer-encoding", "expect", "upgrade"]);
/** Methods for which a server may wait for a Content-Length (RFC 9110 §8.6). */
const METHODS_WITH_CONTENT = new Set(["POST", "PUT", "PATCH"]);

/** Makes the check. Throws RangeError or SyntaxError for options that cannot be sent or understood. */
export function httpCheck(options: HttpCheckOptions, host: string): Conversation {
  const { method } = options;
  const request = requestBytes(options, host);
  const statuses = StatusRanges.parse(options.status);
  const match = options.body === undefined ? null : parseBodyMatch(options.body);
  return (socket, settle) => {
    const answer = new Answer(method, statuses, match, settle);
    socket.on("data", (chunk: Buffer) => answer.take(chunk, socket));
    socket.on("end", () => answer.ended());
    socket.write(request);
    return null;
  };
}

/** The request as it goes out: the same bytes every time. */
function requestBytes({ method, path, headers }: HttpCheckOptions, host: string): Buffer {
  if (!isFieldName(method)) throw new RangeError(`"${method}" is not a method`);
  if (!/^\/[\x21-\x7e]*$/.test(path) || path.includes("#")) throw new RangeError(`"${path}" is not a path`);
  const fields = new Map([
    ["host", host],
    ["user-agent", USER_AGENT],
    ["accept", "*/*"],
  ]);
  for (const [name, value] of Object.entries(headers)) {
    if (!isFieldName(name) || !isFieldValue(value)) throw new RangeError(`${name}: not a field that can be sent`);
    if (!OWN_FIELDS.has(name.toLowerCase())) fields.set(name.toLowerCase(), value);
  }
  if (METHODS_WITH_CONTENT.has(method)) fields.set("content-length", "0");
  fields.set("connection", "close");
  const lines = [...fields].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines}\r\n`, "latin1");
}

/** Reads one answer as far as the verdict needs it. */
class Answer implements BodySink {
  readonly #method: string;
  readonly #statuses: StatusRanges;
  readonly #match: BodyMatch | null;
  readonly #settle: (verdict: Verdict) => void;
  readonly #reader = new ResponseReader();
  readonly #body = new BodyReader();
  #kept: Buffer = Buffer.alloc(0);
  #bodyBytes = 0;
  #begun = false; // the reader is inside a head
  #status = 0; // of the final head, once it is read
  #informational = 0;
  #over = false;

  constructor(method: string, statuses: StatusRanges, match: BodyMatch | null, settle: (verdict: Verdict) => void) {
    this.#method = method;
    this.#statuses = statuses;
    this.#match = match;
    this.#settle = settle;
  }

  take(chunk: Buffer, socket: Socket): void {
    let at = 0;
    while (!this.#over && at < chunk.length) {
      at = this.#status === 0 ? this.#readHead(chunk, at) : this.#readBody(chunk, at);
      if (at === NEED_MORE) return;
    }
    if (this.#over) socket.pause();
  }

  #readHead(chunk: Buffer, at: number): number {
    const reader = this.#reader;
    if (!this.#begun) {
      this.#begun = true;
      reader.begin(chunk, this.#method);
    }
    const end = reader.read(chunk, at);
    if (end === NEED_MORE) return NEED_MORE;
    if (end === FAILED) return this.#fail(`bad answer: ${reader.fault!.detail}`, chunk);
    this.#begun = false;
    const { status, body, length } = reader.head;
    if (status < 200 && status !== 101) {
      this.#informational += 1;
      return this.#informational > INFORMATIONAL_MAX ? this.#fail("too many interim responses", chunk) : end;
    }
    this.#status = status;
    if (!this.#statuses.has(status)) return this.#fail(`status ${status}`, chunk);
    this.#body.start(body, length);
    if (this.#body.done) this.#complete();
    return end;
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = this.#body.read(chunk, at, this);
    if (this.#over) return chunk.length;
    if (end === FAILED) return this.#fail(`bad answer: ${this.#body.fault!.detail}`, chunk);
    if (this.#body.done) this.#complete();
    return end;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return;
    const length = Math.min(to - from, BODY_BYTES_MAX - this.#bodyBytes);
    const seen = this.#bodyBytes;
    this.#bodyBytes += length;
    if (this.#match !== null) {
      this.#keep(bytes, from, length, seen);
      if (this.#match.found(this.#kept.subarray(0, this.#bodyBytes), seen, false)) return this.#good();
    }
    if (this.#bodyBytes === BODY_BYTES_MAX) this.#complete();
  }

  #keep(bytes: Buffer, from: number, length: number, at: number): void {
    if (this.#kept.length < at + length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(BODY_BYTES_MAX, (at + length) * 2));
      this.#kept.copy(grown, 0, 0, at);
      this.#kept = grown;
    }
    bytes.copy(this.#kept, at, from, from + length);
  }

  /** The server has closed its side: the end of an answer that lasts until then, a broken one otherwise. */
  ended(): void {
    if (this.#over) return;
    if (this.#status === 0) this.#fail("closed before the answer", null);
    else if (this.#body.kind === "close") this.#complete();
    else this.#fail("closed inside the answer", null);
  }

  /** Nothing more of the body is to be looked at. */
  #complete(): void {
    const match = this.#match;
    if (match === null || match.found(this.#kept.subarray(0, this.#bodyBytes), 0, true)) this.#good();
    else this.#fail(match.missing, null);
  }

  #good(): void {
    this.#over = true;
    this.#settle({ ok: true, reason: `status ${this.#status}` });
  }

  /** Returns where reading of the chunk goes on: behind it. */
  #fail(reason: string, chunk: Buffer | null): number {
    this.#over = true;
    this.#settle({ ok: false, reason });
    return chunk?.length ?? 0;
  }
}
