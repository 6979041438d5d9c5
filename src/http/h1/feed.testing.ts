// Drives the HTTP/1 readers as a connection does, and tells what they said as short texts that do not depend on where
// the bytes were cut.
import type { HeaderBlock } from "../header-block.ts";
import { type BodyKind, RequestHead, type ResponseHead } from "../message.ts";
import { BodyReader } from "./body-reader.ts";
import type { HeadLimits } from "./limits.ts";
import { RequestReader } from "./request-reader.ts";
import { ResponseReader } from "./response-reader.ts";
import { FAILED, NEED_MORE } from "./section-reader.ts";

/** The defaults of a listener. */
export const DEFAULT_LIMITS: HeadLimits = { startLine: 8192, section: 32_768, fields: 100 };

/** The bytes of a text, one for each character. */
export const wireOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** What a head said, kept when its reader has gone on. */
export interface Facts {
  readonly method: string;
  readonly form: string;
  readonly target: string;
  readonly authority: string;
  /** What routes see; null when it is refused. */
  readonly path: string | null;
  readonly status: number;
  readonly reason: string;
  readonly version: number;
  readonly body: BodyKind;
  readonly keepAlive: boolean;
  readonly expectContinue: boolean;
  readonly connectionNamesFields: boolean;
}

export interface Message {
  /** `head …`, `field …`, `data …`, `trailer …`, `end`; the last message may stop before its end. */
  readonly events: string[];
  readonly facts: Facts;
  readonly fields: readonly [name: string, value: string][];
  body: string;
  trailers: readonly [name: string, value: string][];
  trailerBlock: HeaderBlock | null;
  complete: boolean;
}

export interface Heard<Head> {
  readonly messages: Message[];
  /** The head itself of the message that came last. */
  readonly head: Head;
  /** How it ended: `open` between messages, `incomplete` inside one, `close` when the last says so, `fault CODE`. */
  readonly end: string;
  /** Everything as one list; data of one message in one piece. */
  readonly events: string[];
  /** Bytes of an unfinished head, which a reader has to hold. */
  readonly held: number;
}

interface Reader<Head> {
  readonly head: Head;
  readonly started: boolean;
  readonly fault: { readonly code: string } | null;
  read(chunk: Buffer, at: number): number;
}

function factsOf(head: RequestHead | ResponseHead): Facts {
  const { version, body, keepAlive, connectionNamesFields } = head;
  const both = { version, body, keepAlive, connectionNamesFields };
  if (head instanceof RequestHead) {
    const { method, form, target, authority, path, expectContinue } = head;
    return { ...both, method, form, target, authority, path, expectContinue, status: 0, reason: "" };
  }
  const { status, reason } = head;
  const asked = { method: "", form: "", target: "", authority: "", path: null, expectContinue: false };
  return { ...both, ...asked, status, reason };
}

const pairsOf = (block: HeaderBlock | null): [string, string][] => block?.entries() ?? [];

class Feed<Head extends RequestHead | ResponseHead> {
  readonly messages: Message[] = [];
  end = "";
  readonly #reader: Reader<Head>;
  readonly #begin: (chunk: Buffer) => boolean;
  readonly #describe: (head: Head) => string;
  readonly #codeOf: (code: string) => string;
  readonly #body = new BodyReader();
  #open: Message | null = null;
  #begun = false;
  #held = 0;

  /** `begin` starts the reader on a new message, or says that none is expected. */
  constructor(
    reader: Reader<Head>,
    begin: (chunk: Buffer) => boolean,
    describe: (head: Head) => string,
    codeOf: (code: string) => string = (code) => code,
  ) {
    this.#codeOf = codeOf;
    this.#reader = reader;
    this.#begin = begin;
    this.#describe = describe;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.end === "") {
      const next = this.#open === null ? this.#readHead(chunk, at) : this.#readBody(chunk, at);
      if (next < 0) break;
      if (next < at || next > chunk.length) throw new Error(`a reader answered ${next} at ${at} of ${chunk.length}`);
      at = next;
    }
  }

  /** No more bytes come. */
  finish(): Heard<Head> {
    const open = this.#open;
    if (open !== null && this.#body.kind === "close") this.#over();
    if (this.end === "") this.end = open !== null || this.#begun ? "incomplete" : "open";
    const events = this.messages.flatMap((message) => {
      const { body, complete, trailers } = message;
      if (body !== "") message.events.push(`data ${body}`);
      for (const [name, value] of trailers) message.events.push(`trailer ${name}: ${value}`);
      if (complete) message.events.push("end");
      return message.events;
    });
    const { head } = this.#reader;
    return { messages: this.messages, head, end: this.end, events: [...events, this.end], held: this.#held };
  }

  #readHead(chunk: Buffer, at: number): number {
    if (!this.#begun && !this.#begin(chunk)) {
      this.end = `surplus ${chunk.latin1Slice(at)}`;
      return FAILED;
    }
    this.#begun = true;
    const reader = this.#reader;
    const end = reader.read(chunk, at);
    this.#held = end === NEED_MORE ? this.#held + chunk.length - at : 0;
    if (end === NEED_MORE) return NEED_MORE;
    if (end === FAILED) {
      this.end = `fault ${this.#codeOf(reader.fault?.code ?? "")}`;
      return FAILED;
    }
    this.#begun = false;
    const { head } = reader;
    const fields = pairsOf(head.headers);
    const events = [`head ${this.#describe(head)}`, ...fields.map(([name, value]) => `field ${name}: ${value}`)];
    this.#open = { events, facts: factsOf(head), fields, body: "", trailers: [], trailerBlock: null, complete: false };
    this.messages.push(this.#open);
    this.#body.start(head.body, head.length);
    if (this.#body.done) this.#over();
    return end;
  }

  #readBody(chunk: Buffer, at: number): number {
    const open = this.#open!;
    const body = this.#body;
    const end = body.read(chunk, at, {
      onBody(bytes, from, to) {
        if (from >= to) throw new Error("an empty piece of a body");
        open.body += bytes.latin1Slice(from, to);
      },
    });
    if (end === FAILED) {
      this.end = `fault ${this.#codeOf(body.fault?.code ?? "")}`;
      return FAILED;
    }
    if (body.done) {
      open.trailerBlock = body.trailers;
      open.trailers = pairsOf(body.trailers);
      this.#over();
    }
    return end;
  }

  #over(): void {
    const open = this.#open!;
    open.complete = true;
    this.#open = null;
    if (!open.facts.keepAlive) this.end = "close";
  }
}

const describeRequest = (head: RequestHead): string => {
  const version = head.version === 11 ? "1.1" : "1.0";
  const body = head.body === "length" ? `length=${head.length}` : head.body;
  const more = `${head.expectContinue ? " expects" : ""}${head.upgrade === "" ? "" : ` upgrade=${head.upgrade}`}`;
  const lasting = head.keepAlive ? "keep" : "close";
  return `${head.method} ${head.form} ${head.target} @${head.authority} ${version} ${lasting} ${body}${more}`;
};

const describeResponse = (head: ResponseHead): string => {
  const version = head.version === 11 ? "1.1" : "1.0";
  const body = head.body === "length" ? `length=${head.length}` : head.body;
  const more = head.upgrade === "" ? "" : ` upgrade=${head.upgrade}`;
  return `${head.status} ${head.reason} ${version} ${head.keepAlive ? "keep" : "close"} ${body}${more}`;
};

/** What a client's bytes come to. Reading stops, as a connection does, behind a request that is the last. */
export function hearRequests(pieces: readonly Buffer[], limits: HeadLimits = DEFAULT_LIMITS): Heard<RequestHead> {
  const reader = new RequestReader(limits);
  const begin = (chunk: Buffer): boolean => {
    reader.begin(chunk);
    return true;
  };
  const feed = new Feed<RequestHead>(reader, begin, describeRequest);
  for (const piece of pieces) feed.push(piece);
  return feed.finish();
}

/** What a server's bytes come to as answers to requests with these methods. */
export function hearResponses(pieces: readonly Buffer[], methods: readonly string[]): Heard<ResponseHead> {
  const reader = new ResponseReader();
  let answered = 0;
  const begin = (chunk: Buffer): boolean => {
    const method = methods[answered];
    if (method === undefined) return false;
    reader.begin(chunk, method);
    return true;
  };
  const describe = (head: ResponseHead): string => {
    if (head.status >= 200) answered += 1;
    return describeResponse(head);
  };
  // Field lines are read by the same code for both sides; whoever reads from a server gives the blame to it.
  const codeOf = (code: string): string =>
    code === "h1.head_too_large" ? "upstream.head_too_large" : "upstream.bad_response";
  const feed = new Feed<ResponseHead>(reader, begin, describe, codeOf);
  for (const piece of pieces) feed.push(piece);
  return feed.finish();
}

/** The bytes in pieces that begin at these offsets (ascending). Each piece is a copy, as a socket would give it. */
export function cutAt(wire: Buffer, ...offsets: readonly number[]): Buffer[] {
  const ends = [...offsets, wire.length];
  return ends.map((end, i) => Buffer.from(wire.subarray(ends[i - 1] ?? 0, end))).filter((piece) => piece.length > 0);
}

export const byteByByte = (wire: Buffer): Buffer[] => cutAt(wire, ...Array.from(wire.keys()).slice(1));

/** The whole, single bytes, and two pieces at every position. */
export function* everyCut(wire: Buffer): Generator<[name: string, pieces: Buffer[]]> {
  yield ["whole", cutAt(wire)];
  yield ["byte by byte", byteByByte(wire)];
  for (let at = 1; at < wire.length; at += 1) yield [`cut at ${at}`, cutAt(wire, at)];
}
