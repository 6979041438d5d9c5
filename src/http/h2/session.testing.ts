// What the tests of sessions share: an output in memory, an owner that writes down what it is told, and the frames that
// a session writes, as text.
import type { Fault } from "../../core/faults.ts";
import { type HeaderBlock, skipSet } from "../header-block.ts";
import { RequestHead, ResponseHead } from "../message.ts";
import { frame } from "./frame-reader.testing.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { ERROR, FLAG, PREFACE, readUint31, readUint32, TYPE } from "./frames.ts";
import { ListSink, literal, receivedBlock } from "./hpack.testing.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { hpackMax } from "./hpack-encoder.ts";
import {
  CLIENT_DEFAULTS,
  type H2Output,
  H2Session,
  SERVER_DEFAULTS,
  type SessionOptions,
  type SessionOwner,
} from "./session.ts";
import type { H2Stream, StreamHandler } from "./stream.ts";

export type Fields = readonly (readonly [name: string, value: string])[];

const NONE = skipSet();
const HEAD_EXTRA_BYTES = 512;
const nameIn = (names: Readonly<Record<string, number>>, code: number): string =>
  Object.keys(names).find((name) => names[name] === code) ?? String(code);

/** A field block of literals that no table remembers. Strings of up to 126 bytes. */
export const block = (fields: Fields): Buffer =>
  Buffer.concat(fields.map(([name, value]) => literal(0, name, value))) as Buffer;

/** A HEADERS frame with its whole block. */
export const headers = (id: number, fields: Fields, flags: number = FLAG.endHeaders | FLAG.endStream): Buffer =>
  frame(TYPE.headers, flags, id, block(fields));
export const data = (id: number, content: string | Uint8Array, end = false): Buffer =>
  frame(TYPE.data, end ? FLAG.endStream : 0, id, content);

export const GET: Fields = [
  [":method", "GET"],
  [":scheme", "https"],
  [":authority", "a.test"],
  [":path", "/"],
];
export const POST: Fields = [[":method", "POST"], ...GET.slice(1)];
export const OK: Fields = [[":status", "200"]];
/** Flags of HEADERS with content to follow. */
export const OPEN: number = FLAG.endHeaders;

/** Where a session writes; `full` is for the test to set. */
export class MemoryOutput implements H2Output {
  at = 0;
  full = false;
  #buffer: Buffer = Buffer.alloc(1024);

  room(bytes: number): Buffer {
    if (this.at + bytes > this.#buffer.length) {
      const grown = Buffer.alloc(2 * (this.at + bytes));
      this.#buffer.copy(grown, 0, 0, this.at);
      this.#buffer = grown;
    }
    return this.#buffer;
  }
  wrote(end: number): void {
    if (end < this.at || end > this.#buffer.length) throw new Error(`wrote ${end} at ${this.at}`);
    this.at = end;
  }
  piece(bytes: Buffer, from: number, to: number): void {
    const out = this.room(to - from);
    this.at += bytes.copy(out, this.at, from, to);
  }
  /** What has been written since the last call. */
  take(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.at));
    this.at = 0;
    return bytes;
  }
}

/** Reads what a session writes: each frame as one line of text. */
export class FrameText implements FrameSink {
  readonly lines: string[] = [];
  readonly #reader: FrameReader = new FrameReader(this);
  readonly #decoder: HpackDecoder = new HpackDecoder(4096);
  #type = 0;
  #flags = 0;
  #id = 0;
  #content = 0;
  /** A block whose CONTINUATION is to come. */
  #block: Buffer = Buffer.alloc(0);
  #end = "";

  read(bytes: Buffer): void {
    const isPreface =
      bytes.length >= PREFACE.length && bytes.compare(PREFACE, 0, PREFACE.length, 0, PREFACE.length) === 0;
    if (isPreface) this.lines.push("preface");
    this.#reader.read(bytes, isPreface ? PREFACE.length : 0);
  }

  onFrame(length: number, type: number, flags: number, id: number): boolean {
    if (length > 16_384) throw new Error(`a frame of ${length} bytes`);
    this.#type = type;
    this.#flags = flags;
    this.#id = id;
    return true;
  }
  onDataBegin(content: number): void {
    this.#content = content;
  }
  onData(): void {}
  onDataEnd(): void {
    this.lines.push(`DATA ${this.#id} ${this.#content}${(this.#flags & FLAG.endStream) === 0 ? "" : " end"}`);
  }
  onBadPadding(): void {
    throw new Error("bad padding");
  }

  onPayload(bytes: Buffer, from: number, to: number): void {
    const id = this.#id;
    switch (this.#type) {
      case TYPE.headers:
      case TYPE.continuation:
        return this.#onBlock(id, bytes.subarray(from, to) as Buffer);
      case TYPE.rstStream:
        return void this.lines.push(`RST_STREAM ${id} ${nameIn(ERROR, readUint32(bytes, from))}`);
      case TYPE.goaway: {
        const code = nameIn(ERROR, readUint32(bytes, from + 4));
        return void this.lines.push(`GOAWAY ${readUint31(bytes, from)} ${code}`);
      }
      case TYPE.windowUpdate:
        return void this.lines.push(`WINDOW_UPDATE ${id} ${readUint31(bytes, from)}`);
      default: {
        const ack = (this.#flags & FLAG.ack) === 0 ? "" : " ack";
        this.lines.push(`${nameIn(TYPE, this.#type).toUpperCase()}${ack}`);
      }
    }
  }

  #onBlock(id: number, payload: Buffer): void {
    if (this.#type === TYPE.headers) this.#end = (this.#flags & FLAG.endStream) === 0 ? "" : " end";
    this.#block = Buffer.concat([this.#block, payload]);
    if ((this.#flags & FLAG.endHeaders) === 0) return;
    const sink = new ListSink();
    const problem = this.#decoder.decode(this.#block, 0, this.#block.length, sink);
    if (problem !== "") throw new Error(problem);
    this.#block = Buffer.alloc(0);
    const heard = sink.heard.map((line) => (line.length > 60 ? `${line.slice(0, 60)}…` : line));
    this.lines.push(`HEADERS ${id}${this.#end} ${heard.join(", ")}`);
  }
}

/** A stream's handler that writes down what it is told. */
export class StreamLog implements StreamHandler {
  readonly heard: string[] = [];
  readonly rig: SessionRig;
  stream: H2Stream;
  bytes = 0;
  head: RequestHead | ResponseHead | null = null;
  /** Set to look at content. */
  onContent: ((bytes: Buffer, from: number, to: number) => void) | null = null;

  constructor(rig: SessionRig, stream: H2Stream | null) {
    this.rig = rig;
    this.stream = stream!;
  }

  #say(what: string): void {
    this.heard.push(what);
    this.rig.heard.push(`${this.stream.id} ${what}`);
  }
  onHead(head: ResponseHead): void {
    this.head = head;
    this.#say(`head ${head.status} ${linesOf(head.headers)}`.trimEnd());
  }
  onData(bytes: Buffer, from: number, to: number): void {
    this.bytes += to - from;
    this.#say(`data ${to - from}`);
    this.onContent?.(bytes, from, to);
  }
  onEnd(trailers: HeaderBlock | null): void {
    this.#say(`end${trailers === null ? "" : ` ${linesOf(trailers)}`}`);
  }
  onStreamDrain(): void {
    this.#say("drain");
  }
  onReset(code: number, byPeer: boolean): void {
    this.#say(`reset ${nameIn(ERROR, code)}${byPeer ? " by peer" : ""}`);
    if (this.rig.releases) this.stream.release();
  }
}

/** The fields that stand in a block. */
export const linesOf = (fields: HeaderBlock): string =>
  fields
    .entries()
    .map(([name, value]) => `${name}: ${value}`)
    .join(", ");

/** A session with everything around it. */
export class SessionRig implements SessionOwner {
  readonly out: MemoryOutput = new MemoryOutput();
  readonly session: H2Session;
  /** What the driver was told, in order. */
  readonly heard: string[] = [];
  readonly glitches: string[] = [];
  readonly streams: Map<number, StreamLog> = new Map();
  readonly text: FrameText = new FrameText();
  now = 1000;
  gone = 0;
  fault: Fault | null = null;
  /** Handlers have nothing left to do once their stream is reset. */
  releases = true;
  goaways = 0;
  settings = 0;
  /** What the server does with a request. */
  serve: (log: StreamLog, head: RequestHead) => void = () => {};

  constructor(role: "server" | "client", options: Partial<SessionOptions> = {}) {
    const defaults = role === "server" ? SERVER_DEFAULTS : CLIENT_DEFAULTS;
    this.session = new H2Session(role, { ...defaults, ...options }, this.out, this);
  }

  /** A rig whose connection has begun on both sides; what was written for that is forgotten. */
  static begun(role: "server" | "client", options: Partial<SessionOptions> = {}): SessionRig {
    return new SessionRig(role, options).begin();
  }

  /** Both sides begin; what was written for that is forgotten. */
  begin(): this {
    this.session.start();
    this.feed(
      this.session.role === "server" ? PREFACE : Buffer.alloc(0),
      frame(TYPE.settings, 0, 0),
      frame(TYPE.settings, FLAG.ack, 0),
    );
    this.written();
    this.heard.length = 0;
    this.glitches.length = 0;
    return this;
  }

  feed(...frames: readonly Buffer[]): void {
    this.session.receive(Buffer.concat(frames) as Buffer, this.now);
  }

  /** The frames that have been written since the last call. */
  written(): string[] {
    this.text.read(this.out.take());
    return this.text.lines.splice(0);
  }

  stream(id: number): StreamLog {
    return this.streams.get(id)!;
  }

  /** Client role: sends a request. */
  request(fields: Fields = [], end = true, method = "GET"): StreamLog {
    const log = new StreamLog(this, null);
    const stream = this.session.open(log);
    if (stream === null) throw new Error("no stream");
    log.stream = stream;
    stream.method = method;
    const head = receivedBlock(fields);
    const encoder = stream.beginHead(hpackMax(head) + HEAD_EXTRA_BYTES);
    encoder.request(method, "https", "a.test", method === "CONNECT" ? "" : "/");
    encoder.fields(head, NONE);
    stream.finishHead(end);
    this.streams.set(stream.id, log);
    return log;
  }

  // ——— SessionOwner

  takeHead(): RequestHead | ResponseHead {
    return this.session.role === "server" ? new RequestHead() : new ResponseHead();
  }
  onRequest(stream: H2Stream, head: RequestHead): StreamHandler {
    return this.#take(stream, head, `request ${head.method} ${head.target}${stream.remoteEnded ? " end" : ""}`);
  }
  onRefused(fault: Fault, head: RequestHead, stream: H2Stream): StreamHandler {
    return this.#take(stream, head, `refused ${fault.code}`);
  }
  #take(stream: H2Stream, head: RequestHead, what: string): StreamLog {
    const log = new StreamLog(this, stream);
    log.head = head;
    this.streams.set(stream.id, log);
    this.heard.push(`${stream.id} ${what}`);
    this.serve(log, head);
    return log;
  }
  onPeerSettings(): void {
    this.settings += 1;
  }
  onGoaway(code: number): void {
    this.goaways += 1;
    this.heard.push(`goaway ${nameIn(ERROR, code)}`);
  }
  onStreamGone(stream: H2Stream): void {
    this.gone += 1;
    this.heard.push(`${stream.id} gone`);
  }
  onGlitch(kind: string): void {
    this.glitches.push(kind);
  }
  onBroken(fault: Fault): void {
    this.fault = fault;
    this.heard.push(`broken ${fault.code}`);
  }
}

/** Sends the head of an answer. */
export function answer(stream: H2Stream, status: number, fields: Fields = [], end = false): void {
  const head = receivedBlock(fields);
  const encoder = stream.beginHead(hpackMax(head) + HEAD_EXTRA_BYTES);
  encoder.status(status);
  encoder.fields(head, NONE);
  stream.finishHead(end);
}
