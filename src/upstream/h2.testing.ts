// Connections to one HTTP/2 server in memory: a test holds the clock, the connects and the server in its hands.
import { upstreamSchema } from "../config/schema-upstreams.ts";
import { type Fault, fault } from "../core/faults.ts";
import { TimerWheel } from "../core/timers.ts";
import { ERROR } from "../http/h2/frames.ts";
import { H2Session, SERVER_DEFAULTS, type SessionOptions, type SessionOwner } from "../http/h2/session.ts";
import type { H2Stream, StreamHandler } from "../http/h2/stream.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { RequestHead, type ResponseHead } from "../http/message.ts";
import { Metrics } from "../observe/metrics.ts";
import type { Connection } from "../transport/connection.ts";
import { type MemoryConnection, memoryPair } from "../transport/memory-pair.ts";
import { OutputBatch } from "../transport/output-batch.ts";
import { SharedConnections, type SharingHome, type SharingWant } from "./h2-pool.ts";
import type { UpstreamInput } from "./upstream.testing.ts";
import type { UpstreamCall, UpstreamClient } from "./upstream-client.ts";

const WAIT_TURNS = 12;

/** Lets everything in flight between connections in memory arrive. */
export async function settled(): Promise<void> {
  for (let i = 0; i < WAIT_TURNS; i += 1) await new Promise(setImmediate);
}

/** What the server has got of one request. */
export interface Got extends StreamHandler {
  readonly stream: H2Stream;
  readonly method: string;
  readonly target: string;
  body: string;
  ended: boolean;
  /** The code of the client's RST_STREAM; -1 without one. */
  reset: number;
}

/** The server's end of one connection. */
export class TestServer implements SessionOwner {
  readonly connection: MemoryConnection;
  readonly session: H2Session;
  readonly got: Got[] = [];
  closed = false;
  goaway = -1;
  /** It has stopped talking: what comes is thrown away. */
  mute = false;
  /** Frames that have come, by type. */
  readonly frames = new Map<number, number>();
  readonly #out: OutputBatch;

  constructor(connection: MemoryConnection, options: Partial<SessionOptions>) {
    this.connection = connection;
    this.#out = new OutputBatch(connection);
    this.session = new H2Session("server", { ...SERVER_DEFAULTS, ...options }, this.#out, this);
    this.session.start();
    connection.handler = {
      onData: (chunk) => {
        if (!this.mute) this.session.receive(chunk, 0);
      },
      onDrain: () => this.session.writable(),
      onEnd: () => this.#over(),
      onClose: () => this.#over(),
    };
  }
  #over(): void {
    if (this.closed) return;
    this.closed = true;
    this.session.lost();
    this.connection.close();
  }

  /** The paths of what it has got. */
  get paths(): string[] {
    return this.got.map(({ target }) => target);
  }
  find(target: string): Got {
    const found = this.got.find((each) => each.target === target);
    if (found === undefined) throw new Error(`${target} has not come: ${this.paths.join(" ")}`);
    return found;
  }

  async answer(target: string, status = 200, body = "ok"): Promise<void> {
    const { stream } = this.find(target);
    this.head(target, status, body === "");
    if (body !== "") stream.sendData(Buffer.from(body), 0, body.length, true);
    await settled();
  }
  head(target: string, status: number, end: boolean): void {
    const { stream } = this.find(target);
    stream.beginHead(100).status(status);
    stream.finishHead(end);
  }
  async refuse(target: string, code: number = ERROR.refusedStream): Promise<void> {
    this.find(target).stream.reset(code);
    await settled();
  }

  takeHead(): RequestHead {
    return new RequestHead();
  }
  onRequest(stream: H2Stream, head: RequestHead): StreamHandler {
    const { method, target } = head;
    const got: Got = {
      stream,
      method,
      target,
      body: "",
      ended: stream.remoteEnded,
      reset: -1,
      onHead() {},
      onData(bytes, from, to) {
        got.body += bytes.latin1Slice(from, to);
      },
      onEnd() {
        got.ended = true;
      },
      onStreamDrain() {},
      onReset(code) {
        got.reset = code;
        stream.release();
      },
    };
    this.got.push(got);
    return got;
  }
  onRefused(cause: Fault): StreamHandler {
    throw new Error(cause.detail);
  }
  onPeerSettings(): void {}
  onGoaway(code: number): void {
    this.goaway = code;
  }
  onStreamGone(): void {}
  onGlitch(): void {}
  onBroken(cause: Fault): void {
    throw new Error(cause.detail);
  }
}

/** A request, and what became of it. */
export class TestRequest implements SharingWant, UpstreamCall {
  withdrawn = false;
  freshOnly = false;
  movable = false;
  readonly connectMs: number;
  readonly path: string;
  readonly method: string;
  readonly chunked: boolean;
  client: UpstreamClient | null = null;
  /** Statuses of interim answers, then that of the final one. */
  readonly statuses: number[] = [];
  body = "";
  ended = false;
  trailers: HeaderBlock | null = null;
  fault: Fault | null = null;
  /** What `onResponse` answers. */
  goesOn = true;
  onHead: (() => void) | null = null;

  constructor(path: string, connectMs = 2000, method = "GET") {
    this.path = path;
    this.connectMs = connectMs;
    this.method = method;
    this.chunked = method === "POST";
  }

  onConnection(client: UpstreamClient): void {
    this.client = client;
    const body = this.chunked ? "Transfer-Encoding: chunked\r\n" : "";
    const head = Buffer.from(`${this.method} ${this.path} HTTP/1.1\r\nHost: app.test\r\n${body}\r\n`);
    client.startRaw(this, head, this.method, this.chunked, 1000, 1000);
    if (!this.chunked) client.sendEnd(null);
  }
  onInformational(head: ResponseHead): void {
    this.statuses.push(head.status);
  }
  onResponse(head: ResponseHead): boolean {
    this.statuses.push(head.status);
    this.onHead?.();
    return this.goesOn;
  }
  onData(bytes: Buffer, from: number, to: number): void {
    this.body += bytes.latin1Slice(from, to);
  }
  onEnd(trailers: HeaderBlock | null): void {
    this.trailers = trailers;
    this.ended = true;
  }
  onFault(cause: Fault): void {
    this.fault = cause;
  }
  onDrain(): void {}
  /** Its status and body, the code of its fault, or "" while it waits. */
  get fate(): string {
    if (this.fault !== null) return this.fault.code;
    return this.ended ? `${this.statuses.at(-1)} ${this.body}` : "";
  }
}

export class SharedRig implements SharingHome<TestRequest> {
  readonly name = "app:80";
  readonly config;
  readonly http2;
  readonly wheel: TimerWheel;
  readonly shared: SharedConnections<TestRequest>;
  /** Connects under way, in their order. */
  readonly connects: PromiseWithResolvers<Connection>[] = [];
  readonly servers: TestServer[] = [];
  /** What the home was told, beside `requestOver`. */
  readonly log: string[] = [];
  /** Requests whose place has been given back. */
  freed = 0;
  moved = false;
  now = 1_000_000;
  #options: Partial<SessionOptions> = {};

  constructor(config: UpstreamInput = {}, expected?: number) {
    this.config = upstreamSchema.parse(config);
    this.http2 = new Metrics(() => {}).upstream("app").http2();
    this.wheel = new TimerWheel(() => this.now);
    this.shared = new SharedConnections(this, this.wheel, expected ?? this.config.limits.streamsPerConnection);
  }

  /** What servers of connections from now on say. */
  serverOptions(options: Partial<SessionOptions>): this {
    this.#options = options;
    return this;
  }

  ask(path: string, more: Partial<Pick<TestRequest, "freshOnly" | "movable" | "goesOn">> = {}): TestRequest {
    const request = Object.assign(new TestRequest(path), more);
    this.shared.request(request);
    return request;
  }
  post(path: string): TestRequest {
    const request = new TestRequest(path, 2000, "POST");
    this.shared.request(request);
    return request;
  }

  /** The first connect under way succeeds. */
  async connect(): Promise<TestServer> {
    const [ours, theirs] = memoryPair();
    const server = new TestServer(theirs, this.#options);
    this.servers.push(server);
    this.connects.shift()!.resolve(ours);
    await settled();
    return server;
  }
  async refuseConnect(): Promise<void> {
    this.connects.shift()!.reject(new Error("ECONNREFUSED"));
    await settled();
  }

  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    while (this.now < end) {
      this.now += 100;
      this.wheel.turn();
      if (this.now % 1000 === 0) await settled();
    }
    await settled();
  }

  openShared(): Promise<Connection> {
    const connect = Promise.withResolvers<Connection>();
    this.connects.push(connect);
    return connect.promise;
  }
  speaksHttp2(): boolean {
    return !this.log.includes("speaks HTTP/1.1");
  }
  foundHttp1(_connection: Connection, wants: readonly TestRequest[]): void {
    this.log.push(`http1 ${wants.map(({ path }) => path).join(" ")}`);
  }
  unreachable(_error: unknown, wants: readonly TestRequest[]): void {
    this.log.push("unreachable");
    for (const want of wants) this.gaveUp(want, fault("upstream.connect_refused"));
  }
  gaveUp(want: TestRequest, cause: Fault | null): void {
    this.freed += 1;
    if (cause === null) this.log.push(`withdrawn ${want.path}`);
    else want.fault = cause;
  }
  hasMoved(): boolean {
    return this.moved;
  }
  requestOver(): void {
    this.freed += 1;
  }
  refusesHttp2(): boolean {
    this.log.push("refuses HTTP/2");
    return true;
  }
}
