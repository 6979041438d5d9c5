// A client that speaks HTTP/2 frame by frame, so that a test can be as slow, as odd and as rude as it likes. It
// acknowledges settings and pings by itself; windows it gives only when it is told to, or with `window: "auto"`.
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { FLAG, TYPE } from "../../src/http/h2/frames.ts";
import { type FieldSink, HpackDecoder } from "../../src/http/h2/hpack-decoder.ts";
import { Peer, PeerGone } from "./peer.ts";
import { DEADLINE_MS, until } from "./wait.ts";

export type Fields = readonly (readonly [name: string, value: string])[];

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PIECE_BYTES = 16_384;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** What came on one stream. */
export class Answer {
  /** Interim heads. */
  readonly interim: Map<string, string>[] = [];
  /** Fields of the final head by name, several joined by `, `. */
  head: Map<string, string> | null = null;
  trailers: Map<string, string> | null = null;
  readonly pieces: Buffer[] = [];
  bytes = 0;
  /** END_STREAM has come. */
  ended = false;
  /** Code of the RST_STREAM; -1 without one. */
  reset = -1;

  get status(): number {
    return Number(this.head?.get(":status") ?? 0);
  }
  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }
  get text(): string {
    return this.body.toString();
  }
  get over(): boolean {
    return this.ended || this.reset >= 0;
  }
}

class Lines implements FieldSink {
  buffer: Buffer = Buffer.alloc(262_144);
  at = 0;
  readonly fields: [string, string][] = [];
  room(): boolean {
    return true;
  }
  field(_id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    this.fields.push([this.buffer.latin1Slice(nameStart, nameEnd), this.buffer.latin1Slice(valueStart, valueEnd)]);
  }
  skipped(): void {}
}

const number32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const prefix = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) prefix.push((rest % 128) + 128);
  prefix.push(rest);
  return Buffer.concat([Buffer.from(prefix), bytes]);
}

/** Fields as literals without indexing (RFC 7541 §6.2.2). */
const encode = (fields: Fields): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), hpackString(name), hpackString(value)]));

function frame(type: number, flags: number, id: number, payload: Uint8Array | string = ""): Buffer {
  const body = Buffer.from(payload as Uint8Array);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, body]);
}

export interface H2Options {
  readonly tls?: ConnectionOptions;
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** `auto` gives every byte back at once; the default gives none. */
  readonly window?: "auto" | "none";
}

export class H2Peer implements AsyncDisposable {
  readonly peer: Peer;
  readonly #answers = new Map<number, Answer>();
  readonly #decoder = new HpackDecoder(4096);
  readonly #gives: boolean;
  /** The other side's settings. */
  readonly settings = new Map<number, number>();
  /** Codes and last ids of GOAWAY frames. */
  readonly goaways: { readonly last: number; readonly code: number }[] = [];
  readonly windowUpdates: { readonly id: number; readonly bytes: number }[] = [];
  pongs = 0;
  /** Why the frames could not be read on. */
  failure: unknown = null;
  #nextId = 1;

  private constructor(peer: Peer, options: H2Options) {
    this.peer = peer;
    this.#gives = options.window === "auto";
    peer.send(PREFACE);
    this.settingsFrame(options.settings ?? []);
    this.#read().catch((error: unknown) => {
      if (!(error instanceof PeerGone)) this.failure = error;
    });
  }

  static async connect(port: number, options: H2Options = {}): Promise<H2Peer> {
    if (options.tls === undefined) return new H2Peer(await Peer.connect(port), options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connectTls({
      host: "127.0.0.1",
      port,
      servername: "localhost",
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      ...options.tls,
    });
    socket.once("secureConnect", () => resolve());
    socket.once("error", reject);
    await promise;
    return new H2Peer(new Peer(socket), options);
  }

  // ——— sending

  send(...frames: readonly Uint8Array[]): this {
    this.peer.send(Buffer.concat(frames));
    return this;
  }
  settingsFrame(settings: readonly (readonly [number, number])[]): this {
    const payload = Buffer.alloc(settings.length * 6);
    for (const [at, [id, value]] of settings.entries()) {
      payload.writeUInt16BE(id, at * 6);
      payload.writeUInt32BE(value, at * 6 + 2);
    }
    return this.send(frame(TYPE.settings, 0, 0, payload));
  }
  /** Sends a request head; answers with its stream id. */
  open(fields: Fields, end = true): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.send(frame(TYPE.headers, FLAG.endHeaders | (end ? FLAG.endStream : 0), id, encode(fields)));
    return id;
  }
  data(id: number, bytes: Uint8Array | string, end = false): this {
    const body = Buffer.from(bytes as Uint8Array);
    for (let at = 0; at < body.length || at === 0; at += PIECE_BYTES) {
      const piece = body.subarray(at, at + PIECE_BYTES);
      this.send(frame(TYPE.data, end && at + PIECE_BYTES >= body.length ? FLAG.endStream : 0, id, piece));
    }
    return this;
  }
  trailers(id: number, fields: Fields): this {
    return this.send(frame(TYPE.headers, FLAG.endHeaders | FLAG.endStream, id, encode(fields)));
  }
  window(id: number, bytes: number): this {
    return this.send(frame(TYPE.windowUpdate, 0, id, number32(bytes)));
  }
  reset(id: number, code: number): this {
    return this.send(frame(TYPE.rstStream, 0, id, number32(code)));
  }
  ping(): this {
    return this.send(frame(TYPE.ping, 0, 0, Buffer.alloc(8, 7)));
  }

  // ——— reading

  answer(id: number): Answer {
    let answer = this.#answers.get(id);
    if (answer === undefined) this.#answers.set(id, (answer = new Answer()));
    return answer;
  }

  /** Waits until `condition` holds. */
  async when(condition: () => boolean, what: string, ms = DEADLINE_MS): Promise<void> {
    await until(() => condition() || this.peer.ended || this.failure !== null, what, ms);
    if (this.failure !== null) throw this.failure;
    if (!condition()) throw new PeerGone(`ended before ${what}; GOAWAY ${JSON.stringify(this.goaways)}`);
  }

  /** The answer to a stream, once it is over. */
  async finished(id: number, ms = DEADLINE_MS): Promise<Answer> {
    const answer = this.answer(id);
    await this.when(() => answer.over, `the answer on stream ${id}`, ms);
    return answer;
  }

  /** Sends a request and waits for its answer. */
  async ask(fields: Fields, body: Uint8Array | string = ""): Promise<Answer> {
    const id = this.open(fields, body.length === 0);
    if (body.length > 0) this.data(id, body, true);
    return await this.finished(id);
  }

  async #read(): Promise<void> {
    for (;;) {
      const head = Buffer.from(await this.peer.bytes(9, 600_000), "latin1");
      const length = head.readUIntBE(0, 3);
      const payload = length === 0 ? "" : await this.peer.bytes(length, 600_000);
      this.#take({
        type: head[3]!,
        flags: head[4]!,
        id: head.readUInt32BE(5),
        payload: Buffer.from(payload, "latin1"),
      });
    }
  }

  #take({ type, flags, id, payload }: Frame): void {
    switch (type) {
      case TYPE.data: {
        const answer = this.answer(id);
        answer.pieces.push(payload);
        answer.bytes += payload.length;
        if ((flags & FLAG.endStream) !== 0) answer.ended = true;
        if (!this.#gives || payload.length === 0) return;
        this.window(0, payload.length);
        if (!answer.ended) this.window(id, payload.length);
        return;
      }
      case TYPE.headers:
        return this.#fields(id, flags, payload);
      case TYPE.rstStream:
        this.answer(id).reset = payload.readUInt32BE();
        return;
      case TYPE.settings:
        if ((flags & FLAG.ack) !== 0) return;
        for (let at = 0; at < payload.length; at += 6)
          this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
        this.send(frame(TYPE.settings, FLAG.ack, 0));
        return;
      case TYPE.ping:
        if ((flags & FLAG.ack) === 0) this.send(frame(TYPE.ping, FLAG.ack, 0, payload));
        else this.pongs += 1;
        return;
      case TYPE.goaway:
        this.goaways.push({ last: payload.readUInt32BE() & 0x7fff_ffff, code: payload.readUInt32BE(4) });
        return;
      case TYPE.windowUpdate:
        this.windowUpdates.push({ id, bytes: payload.readUInt32BE() });
        return;
      default:
        throw new Error(`unexpected frame of type ${type}`);
    }
  }

  /** Tests have no head that needs a second frame. */
  #fields(id: number, flags: number, block: Buffer): void {
    if ((flags & FLAG.endHeaders) === 0) throw new Error("a head in several frames");
    const lines = new Lines();
    const problem = this.#decoder.decode(block, 0, block.length, lines);
    if (problem !== "") throw new Error(problem);
    const fields = new Map<string, string>();
    for (const [name, value] of lines.fields)
      fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value);
    const answer = this.answer(id);
    if (!fields.has(":status")) answer.trailers = fields;
    else if (Number(fields.get(":status")) < 200) answer.interim.push(fields);
    else answer.head = fields;
    if ((flags & FLAG.endStream) !== 0) answer.ended = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
  }
}
