// One end of an HTTP/2 connection on frames: a client, or a server that does as its script says. It checks nothing and
// sends whatever it is given, so that it can be wrong in every way.
import { ERROR_NAMES } from "../../src/http/h2/frames.ts";
import { type Decoded, type Fields, HeaderReader } from "./h2-hpack.ts";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  type ErrorName,
  type Frame,
  firstFrame,
  frame,
  get,
  lastData,
  PADDED,
  PREFACE,
  PRIORITISED,
  ping,
  respond,
  SETTINGS_ACK,
  type Settings,
  settings,
  show,
  uint32,
  windowUpdate,
} from "./h2-wire.ts";
import { Peer, PeerGone } from "./peer.ts";
import { RawBackend } from "./raw-backend.ts";

/** Longer than anything on loopback takes; a test that waits longer than five seconds takes its proxy with it. */
const PATIENCE_MS = 4000;

const nameOf = (code: number): ErrorName | number => ERROR_NAMES[code] ?? code;

/** What has come on one stream. */
export class Heard {
  readonly id: number;
  /** Every header block: requests, interim and final answers, trailers. */
  readonly blocks: (readonly Decoded[])[] = [];
  /** The payload of each DATA frame. */
  readonly pieces: Buffer[] = [];
  ended = false;
  reset: ErrorName | number | null = null;
  constructor(id: number) {
    this.id = id;
  }

  get body(): string {
    return Buffer.concat(this.pieces).latin1Slice();
  }
  /** The statuses of all answers, interim ones first. */
  get statuses(): number[] {
    return this.blocks.map((block) => Number(valueIn(block, ":status") ?? 0)).filter((status) => status > 0);
  }
  get status(): number {
    return this.statuses.findLast((status) => status >= 200) ?? 0;
  }
  /** The values of that name in the last head (trailers are none), joined by `, `; null without one. */
  field(name: string): string | null {
    const head = this.blocks.findLast((block) => block.some((each) => each.name.startsWith(":")));
    return head === undefined ? null : valueIn(head, name);
  }
  /** Fields of the trailers, as `name: value`. */
  get trailers(): string[] {
    const last = this.blocks.at(-1) ?? [];
    return last.some(({ name }) => name.startsWith(":")) ? [] : last.map(({ name, value }) => `${name}: ${value}`);
  }
}

function valueIn(block: readonly Decoded[], name: string): string | null {
  const values = block.filter((each) => each.name === name).map(({ value }) => value);
  return values.length === 0 ? null : values.join(", ");
}

export interface H2Options {
  /** What its first SETTINGS say. */
  readonly settings?: Settings;
  /** The very first bytes, instead of the preface (of a client) and SETTINGS. */
  readonly hello?: Buffer;
  /** Gives no window back. */
  readonly stingy?: boolean;
  /** Acknowledges nothing: neither SETTINGS nor PING. */
  readonly deaf?: boolean;
  /** The client's address; 127.0.0.1 unless it is said. */
  readonly from?: string;
}

export class H2Peer implements AsyncDisposable {
  readonly peer: Peer;
  /** Every frame that has come. */
  readonly frames: Frame[] = [];
  readonly streams = new Map<number, Heard>();
  /** The other side's settings by number. */
  readonly settings = new Map<number, number>();
  goaway: { readonly last: number; readonly code: ErrorName | number; readonly debug: string } | null = null;
  /** Called for each header block that begins a request. */
  onRequest: ((heard: Heard) => void) | null = null;
  /** Window that the other side has given us: of the connection at 0, and of streams. */
  readonly credit = new Map<number, number>([[0, 65_535]]);
  readonly #options: H2Options;
  readonly #reader = new HeaderReader();
  #unread: Buffer;
  #block: Buffer[] = [];
  #held: Buffer[] | null = null;
  #prefaceLeft: number;

  constructor(peer: Peer, role: "client" | "server", options: H2Options = {}) {
    this.peer = peer;
    this.#options = options;
    this.#prefaceLeft = role === "server" ? PREFACE.length : 0;
    this.#unread = Buffer.from(peer.peek(), "latin1");
    peer.discarding = true;
    peer.socket.on("data", (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#read();
    });
    const own = settings(options.settings);
    peer.send(options.hello ?? (role === "client" ? Buffer.concat([PREFACE, own]) : own));
    this.#read();
  }

  /** A client of a port that speaks HTTP/2 by prior knowledge. */
  static async connect(port: number, options: H2Options = {}): Promise<H2Peer> {
    return new H2Peer(await Peer.connect(port, options.from), "client", options);
  }

  #read(): void {
    if (this.#prefaceLeft > 0) {
      const taken = Math.min(this.#prefaceLeft, this.#unread.length);
      this.#unread = this.#unread.subarray(taken);
      this.#prefaceLeft -= taken;
    }
    for (let next = firstFrame(this.#unread); next !== null; next = firstFrame(this.#unread)) {
      this.#unread = this.#unread.subarray(9 + next.payload.length);
      this.frames.push(next);
      this.#take(next);
    }
  }

  #take(next: Frame): void {
    const { type, flags, stream, payload } = next;
    if (type === "SETTINGS") this.#settings(next);
    else if (type === "PING" && (flags & ACK) === 0) this.#answer(frame("PING", 0, ACK, payload));
    else if (type === "DATA") this.#data(next);
    else if (type === "HEADERS") this.#headers(next);
    else if (type === "CONTINUATION") this.#continue(stream, flags, payload, this.heard(stream).ended);
    else if (type === "RST_STREAM") this.heard(stream).reset = nameOf(payload.readUInt32BE(0));
    else if (type === "WINDOW_UPDATE") this.credit.set(stream, this.window(stream) + payload.readUInt32BE(0));
    else if (type === "GOAWAY")
      this.goaway = {
        last: payload.readUInt32BE(0),
        code: nameOf(payload.readUInt32BE(4)),
        debug: payload.latin1Slice(8),
      };
  }

  #answer(bytes: Buffer): void {
    if (this.#options.deaf !== true) this.#reply(bytes);
  }

  /** What is sent by itself must not get into a frame that is sent byte by byte. */
  #reply(bytes: Buffer): void {
    if (this.#held !== null) this.#held.push(bytes);
    else this.peer.send(bytes);
  }

  #settings({ flags, payload }: Frame): void {
    if ((flags & ACK) !== 0) return;
    for (let at = 0; at < payload.length; at += 6)
      this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    this.#answer(SETTINGS_ACK);
  }

  #data({ flags, stream, payload }: Frame): void {
    const heard = this.heard(stream);
    heard.pieces.push((flags & PADDED) === 0 ? payload : payload.subarray(1, payload.length - payload[0]!));
    if ((flags & END_STREAM) !== 0) heard.ended = true;
    if (this.#options.stingy === true || payload.length === 0 || this.peer.closed) return;
    this.#reply(windowUpdate(0, payload.length));
    if (!heard.ended) this.#reply(windowUpdate(stream, payload.length));
  }

  #headers({ flags, stream, payload }: Frame): void {
    let block = payload;
    if ((flags & PADDED) !== 0) block = block.subarray(1, block.length - block[0]!);
    if ((flags & PRIORITISED) !== 0) block = block.subarray(5);
    this.#block = [];
    this.#continue(stream, flags, block, (flags & END_STREAM) !== 0);
  }

  #continue(stream: number, flags: number, block: Buffer, ended: boolean): void {
    this.#block.push(block);
    const heard = this.heard(stream);
    if (ended) heard.ended = true;
    if ((flags & END_HEADERS) === 0) return;
    heard.blocks.push(this.#reader.decode(Buffer.concat(this.#block)));
    if (heard.blocks.length === 1) this.onRequest?.(heard);
  }

  /** What has come on that stream, even nothing. */
  heard(stream: number): Heard {
    const heard = this.streams.get(stream) ?? new Heard(stream);
    this.streams.set(stream, heard);
    return heard;
  }

  /** How much the other side has said it takes, whatever was sent. */
  window(stream: number): number {
    return this.credit.get(stream) ?? this.settings.get(4) ?? 65_535;
  }

  send(...bytes: readonly Buffer[]): this {
    this.peer.send(Buffer.concat(bytes));
    return this;
  }

  /** Sends each byte in a turn of its own, so that the other side may get it alone. */
  async sendByteByByte(bytes: Buffer): Promise<void> {
    this.#held = [];
    for (const byte of bytes) {
      this.peer.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    const held = this.#held;
    this.#held = null;
    this.send(...held);
  }

  /** Waits until something has come. @throws PeerGone when it cannot come any more. */
  async when(condition: () => boolean, what: string, ms: number = PATIENCE_MS): Promise<void> {
    const log = () => this.frames.slice(-12).map(show).join("; ");
    try {
      await this.peer.when(() => condition() || this.peer.ended, what, ms);
    } catch {
      throw new Error(`not within ${ms} ms: ${what}; came: ${log()}`);
    }
    if (!condition()) throw new PeerGone(`ended before ${what}; came: ${log()}`);
  }

  /** The whole answer on a stream. */
  async answer(stream: number, ms?: number): Promise<Heard> {
    const heard = this.heard(stream);
    await this.when(() => heard.ended || heard.reset !== null, `the answer on stream ${stream}`, ms);
    return heard;
  }

  /** Asks on a stream of its own and answers with what came. */
  async get(stream: number, path = "/"): Promise<Heard> {
    return await this.send(get(stream, path)).answer(stream);
  }

  /** The head of the final answer on a stream. */
  async head(stream: number): Promise<Heard> {
    const heard = this.heard(stream);
    await this.when(() => heard.status > 0 || heard.reset !== null, `a head on stream ${stream}`);
    return heard;
  }

  #pings = 0;
  /** Resolves when the other side has taken everything that was sent so far. */
  async settled(): Promise<void> {
    this.#pings += 1;
    const content = Buffer.concat([Buffer.from("done"), uint32(this.#pings)]);
    this.send(ping(content.latin1Slice()));
    const isAnswer = (each: Frame) => each.type === "PING" && (each.flags & ACK) !== 0 && each.payload.equals(content);
    await this.when(() => this.frames.some(isAnswer), "the answer to a PING");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
  }
}

/** A request as a scripted server sees it. */
export interface H2Request {
  readonly peer: H2Peer;
  readonly stream: number;
  readonly heard: Heard;
  readonly path: string;
}

export interface H2Script {
  /** Called as soon as a request's head is there. */
  readonly serve: (request: H2Request) => void | Promise<void>;
  /** What the connection with this number, counted from 0, begins with. */
  readonly options?: (connection: number) => H2Options;
}

/** A server that speaks HTTP/2 by prior knowledge, and answers what its script says. */
export class H2Server implements AsyncDisposable {
  readonly peers: H2Peer[];
  /** Every request whose head has come, in that order. */
  readonly requests: H2Request[];
  readonly #backend: RawBackend;

  private constructor(backend: RawBackend, peers: H2Peer[], requests: H2Request[]) {
    this.#backend = backend;
    this.peers = peers;
    this.requests = requests;
  }

  static async start({ serve, options }: H2Script): Promise<H2Server> {
    const peers: H2Peer[] = [];
    const requests: H2Request[] = [];
    const backend = await RawBackend.start(async (connection) => {
      const failed = Promise.withResolvers<void>();
      const peer = new H2Peer(connection, "server", options?.(peers.length));
      peers.push(peer);
      peer.onRequest = (heard) => {
        const request = { peer, stream: heard.id, heard, path: heard.field(":path") ?? "" };
        requests.push(request);
        void Promise.resolve(serve(request)).catch(failed.reject);
      };
      await Promise.race([connection.when(() => connection.ended, "the end", 2 ** 30), failed.promise]);
      connection.close();
    });
    return new H2Server(backend, peers, requests);
  }

  get port(): number {
    return this.#backend.port;
  }
  /** The connection with this number, counted from 0, once it is there. */
  async peer(index: number): Promise<H2Peer> {
    await this.#backend.peer(index);
    return this.peers[index]!;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend[Symbol.asyncDispose]();
  }
}

/** A whole answer with a body. */
export const answerH2 = (stream: number, status: number, body = "", more: Fields = []): Buffer =>
  Buffer.concat([respond(stream, status, more), lastData(stream, body)]);
