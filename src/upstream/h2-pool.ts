// The connections to one server that requests share: few, each with many requests at a time, and how requests wait for
// one that is being opened.
import type { UpstreamConfig } from "../config/schema.ts";
import { type Fault, fault } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { STREAMS_BEFORE_SETTINGS } from "../http/h2/limits.ts";
import type { Http2Metrics } from "../observe/metrics.ts";
import type { Connection } from "../transport/connection.ts";
import { H2Client, type H2Owner } from "./h2-client.ts";
import type { UpstreamClient } from "./upstream-client.ts";

/** Of a request that asks for a connection, what is looked at here. */
export interface SharingWant {
  readonly withdrawn: boolean;
  readonly connectMs: number;
  /** Only a connection that is opened from now on will do. */
  readonly freshOnly: boolean;
  onConnection(client: UpstreamClient): void;
}

/** The server that the connections lead to. */
export interface SharingHome<W extends SharingWant> {
  readonly name: string;
  readonly config: UpstreamConfig;
  readonly http2: Http2Metrics;
  /** Opens a connection that may be shared. */
  openShared(ms: number): Promise<Connection>;
  /** Whether HTTP/2 is spoken over it. Throws a FaultError where it would have to be. */
  speaksHttp2(connection: Connection): boolean;
  /** The server speaks HTTP/1.1: here is a connection of that, and who has waited. */
  foundHttp1(connection: Connection, wants: readonly W[]): void;
  /** No connection could be opened for these; each has a place to give back. */
  unreachable(error: unknown, wants: readonly W[]): void;
  /** This one has waited long enough, or (without a cause) does not want a connection any more. */
  gaveUp(want: W, cause: Fault | null): void;
  /** The server is known by another address now. */
  hasMoved(connection: Connection): boolean;
  /** A request is through: its place is free. */
  requestOver(): void;
  /** The server wants to be spoken to in HTTP/1.1. Whether that can be done. */
  refusesHttp2(): boolean;
}

interface Waiter<W> {
  readonly want: W;
  /** On the wheel's clock: when it has waited long enough. */
  readonly until: number;
  /** Only connections with a greater number will do. */
  readonly after: number;
}

export class SharedConnections<W extends SharingWant> implements H2Owner {
  readonly #home: SharingHome<W>;
  readonly #wheel: TimerWheel;
  readonly #timer: Timer;
  /** All that are open, with those that take no new requests. */
  readonly #all = new Set<H2Client>();
  /** Those that take new requests, the oldest first: it is filled first, so that what is not needed can grow old. */
  readonly #open: H2Client[] = [];
  /** The number of each connection in `#open`. */
  readonly #numbers: number[] = [];
  #waiting: Waiter<W>[] = [];
  /** When the first of them has waited long enough. */
  #expiresAt = Number.POSITIVE_INFINITY;
  #connecting = 0;
  #opened = 0;
  /** How many requests a connection that is being opened will take, going by the last one. */
  #expected: number;
  /** What the server allowed on the last connection, as far as a session goes before its SETTINGS come. */
  #streamsAtFirst: number = STREAMS_BEFORE_SETTINGS;
  #retired = false;

  /** `expected`: requests at a time over a connection that nothing is known of yet; Infinity: it may not be shared. */
  constructor(home: SharingHome<W>, wheel: TimerWheel, expected: number) {
    this.#home = home;
    this.#wheel = wheel;
    this.#expected = expected;
    this.#timer = new Timer(() => this.#expire());
  }

  get http2(): Http2Metrics {
    return this.#home.http2;
  }
  /** Connections that are open or being opened. */
  get count(): number {
    return this.#all.size + this.#connecting;
  }
  /** Connections without any request. */
  get idle(): number {
    let idle = 0;
    for (const client of this.#open) if (client.load === 0) idle += 1;
    return idle;
  }
  /** A request would get a stream at once. */
  get hasRoom(): boolean {
    return this.#roomy(0) !== null;
  }

  /** A server of one of them has said that it takes extended CONNECT (RFC 8441). */
  get carriesTunnels(): boolean {
    return this.#open.some((client) => client.hasRoom && client.session.peer.enableConnectProtocol);
  }

  /** Gives the request a stream: of a connection that has room, or of one that is opened for it and others. */
  request(want: W): void {
    const client = want.freshOnly ? null : this.#roomy(0);
    if (client !== null) return want.onConnection(client.take());
    const until = this.#wheel.now + want.connectMs;
    this.#waiting.push({ want, until, after: want.freshOnly ? this.#opened : 0 });
    if (until < this.#expiresAt) {
      this.#expiresAt = until;
      this.#wheel.arm(this.#timer, want.connectMs);
    }
    this.#openMore();
  }

  #roomy(after: number): H2Client | null {
    for (let at = 0; at < this.#open.length; at += 1) {
      const client = this.#open[at]!;
      if (client.hasRoom && this.#numbers[at]! > after) return client;
    }
    return null;
  }

  // ——— connections on their way

  /** As many are being opened as those who wait will need. */
  #openMore(): void {
    while (this.#waiting.length > 0 && this.#needsAnother) {
      this.#connecting += 1;
      const ms = this.#waiting.at(-1)!.want.connectMs;
      this.#home.openShared(ms).then(
        (connection) => this.#connected(connection),
        (error: unknown) => this.#notConnected(error),
      );
    }
  }

  get #needsAnother(): boolean {
    return this.#connecting === 0 || this.#waiting.length > this.#connecting * this.#expected;
  }

  #connected(connection: Connection): void {
    let isHttp2: boolean;
    try {
      isHttp2 = this.#home.speaksHttp2(connection);
    } catch (error) {
      connection.destroy();
      return this.#notConnected(error);
    }
    this.#connecting -= 1;
    if (!isHttp2) return this.#home.foundHttp1(connection, this.#leave(this.#waiting.length));
    this.adopt(connection);
    this.#openMore();
  }

  #notConnected(error: unknown): void {
    const count = this.#connecting === 1 ? this.#waiting.length : this.#expected;
    this.#connecting -= 1;
    this.#home.unreachable(error, this.#leave(count));
  }

  /** Takes the first ones out of the line. */
  #leave(count: number): W[] {
    const leaving = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    return leaving.map(({ want }) => want);
  }

  /** Shares a connection over which HTTP/2 is spoken; whoever waits for room gets it. */
  adopt(connection: Connection): void {
    const client = this.#make(connection, this.#home.config.limits.requestsPerConnection);
    this.#opened += 1;
    this.#open.push(client);
    this.#numbers.push(this.#opened);
    this.#expected = Math.max(1, client.limit);
    this.serve();
    if (this.#retired) client.retire();
  }

  /** The same for the one request that the connection was opened for. */
  adoptFor(connection: Connection): UpstreamClient {
    return this.#make(connection, 1).take();
  }

  #make(connection: Connection, requestsMax: number): H2Client {
    const { limits, timeouts } = this.#home.config;
    const options = {
      idleMs: timeouts.idle,
      streamsMax: limits.streamsPerConnection,
      streamsAtFirst: this.#streamsAtFirst,
      requestsMax,
    };
    const client = new H2Client(connection, this, this.#wheel, options);
    this.#all.add(client);
    return client;
  }

  // ——— who waits

  /** Gives room that there is to those who wait for it. */
  serve(): void {
    for (let at = 0; at < this.#waiting.length && this.hasRoom; ) {
      const { want, after } = this.#waiting[at]!;
      const client = want.withdrawn ? null : this.#roomy(after);
      if (client === null && !want.withdrawn) {
        at += 1;
        continue;
      }
      this.#waiting.splice(at, 1);
      if (client === null) this.#home.gaveUp(want, null);
      else want.onConnection(client.take());
    }
  }

  #expire(): void {
    const { now } = this.#wheel;
    const late = this.#waiting.filter(({ until }) => until <= now);
    this.#waiting = this.#waiting.filter(({ until }) => until > now);
    let next = Number.POSITIVE_INFINITY;
    for (const { until } of this.#waiting) next = Math.min(next, until);
    this.#expiresAt = next;
    if (next !== Number.POSITIVE_INFINITY) this.#wheel.arm(this.#timer, next - now);
    for (const { want } of late) {
      const cause = fault("upstream.connect_timeout", `${this.#home.name}: no connection within ${want.connectMs} ms`);
      this.#home.gaveUp(want, want.withdrawn ? null : cause);
    }
  }

  // ——— what connections tell

  callOver(client: H2Client): void {
    if (this.#home.hasMoved(client.connection)) client.retire();
    if (this.#waiting.length > 0) this.serve();
    this.#home.requestOver();
  }

  roomier(client: H2Client): void {
    const { peer } = client.session;
    if (peer.received) this.#streamsAtFirst = Math.max(1, Math.min(peer.maxConcurrentStreams, STREAMS_BEFORE_SETTINGS));
    this.#expected = Math.max(1, client.limit);
    if (this.#waiting.length > 0) this.serve();
  }

  leaves(client: H2Client): void {
    const at = this.#open.indexOf(client);
    if (at < 0) return;
    this.#open.splice(at, 1);
    this.#numbers.splice(at, 1);
  }

  gone(client: H2Client): void {
    this.#all.delete(client);
    this.#openMore();
  }

  refusesHttp2(): boolean {
    return this.#home.refusesHttp2();
  }

  // ——— what the server is told

  forsake(): void {
    for (const client of [...this.#all]) client.forsake();
  }

  retire(): void {
    this.#retired = true;
    for (const client of [...this.#all]) client.retire();
  }
}
