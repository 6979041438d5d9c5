// The check by one HTTP/1.1 request.
import type { Socket } from "node:net";
import { BodyReader, type BodySink } from "../http/h1/body-reader.ts";
import { ResponseReader } from "../http/h1/response-reader.ts";
import { FAILED, NEED_MORE } from "../http/h1/section-reader.ts";
import { isFieldName, isFieldValue } from "../http/header-block.ts";
import { StatusRanges } from "../http/status-ranges.ts";
import { parseBodyMatch } from "./body-match.ts";
import { Judge, type Wanted } from "./judge.ts";
import type { Conversation } from "./probe.ts";

export interface HttpCheckOptions {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: string;
  readonly body?: string | undefined;
}

export const USER_AGENT = "sluice-health/1";
/** Interim responses before a final one; a server that sends more is broken. */
const INFORMATIONAL_MAX = 16;
/** Fields that say where the message ends and what becomes of the connection: those are ours (RFC 9112 §6, §9.6). */
const OWN_FIELDS = new Set(["connection", "content-length", "transfer-encoding", "expect", "upgrade"]);
/** Methods for which a server may wait for a Content-Length (RFC 9110 §8.6). */
const METHODS_WITH_CONTENT = new Set(["POST", "PUT", "PATCH"]);

/** What makes an answer a good one. Throws RangeError or SyntaxError where that cannot be understood. */
export const wantedOf = ({ status, body }: HttpCheckOptions): Wanted => ({
  statuses: StatusRanges.parse(status),
  match: body === undefined ? null : parseBodyMatch(body),
});

/** Makes the check. Throws RangeError or SyntaxError for options that cannot be sent or understood. */
export function httpCheck(options: HttpCheckOptions, host: string): Conversation {
  const { method } = options;
  const request = requestBytes(options, host);
  const wanted = wantedOf(options);
  return (socket, settle) => {
    const answer = new Answer(method, new Judge(wanted, settle));
    socket.on("data", (chunk: Buffer) => answer.take(chunk, socket));
    socket.on("end", () => answer.ended());
    socket.write(request);
    return null;
  };
}

/** The fields of the request by their lower-case names, `host` first. Throws RangeError when it cannot be sent. */
export function requestFields({ method, path, headers }: HttpCheckOptions, host: string): Map<string, string> {
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
  return fields;
}

/** The request as it goes out: the same bytes every time. */
function requestBytes(options: HttpCheckOptions, host: string): Buffer {
  const { method, path } = options;
  const fields = requestFields(options, host);
  if (METHODS_WITH_CONTENT.has(method)) fields.set("content-length", "0");
  fields.set("connection", "close");
  const lines = [...fields].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines}\r\n`, "latin1");
}

/** Reads one answer as far as the verdict needs it. */
class Answer implements BodySink {
  readonly #method: string;
  readonly #judge: Judge;
  readonly #reader = new ResponseReader();
  readonly #body = new BodyReader();
  #begun = false; // the reader is inside a head
  #hasHead = false;
  #informational = 0;

  constructor(method: string, judge: Judge) {
    this.#method = method;
    this.#judge = judge;
  }

  take(chunk: Buffer, socket: Socket): void {
    let at = 0;
    while (!this.#judge.over && at < chunk.length) {
      at = this.#hasHead ? this.#readBody(chunk, at) : this.#readHead(chunk, at);
      if (at === NEED_MORE) return;
    }
    if (this.#judge.over) socket.pause();
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
    this.#hasHead = true;
    this.#judge.head(status);
    this.#body.start(body, length);
    if (this.#body.done) this.#judge.complete();
    return end;
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = this.#body.read(chunk, at, this);
    if (this.#judge.over) return chunk.length;
    if (end === FAILED) return this.#fail(`bad answer: ${this.#body.fault!.detail}`, chunk);
    if (this.#body.done) this.#judge.complete();
    return end;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#judge.body(bytes, from, to);
  }

  /** The server has closed its side: the end of an answer that lasts until then, a broken one otherwise. */
  ended(): void {
    if (!this.#hasHead) this.#judge.fail("closed before the answer");
    else if (this.#body.kind === "close") this.#judge.complete();
    else this.#judge.fail("closed inside the answer");
  }

  /** Returns where reading of the chunk goes on: behind it. */
  #fail(reason: string, chunk: Buffer): number {
    this.#judge.fail(reason);
    return chunk.length;
  }
}
