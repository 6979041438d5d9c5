// Upstreams as layer 4 sees them: a server for each connection or session, with a place there for as long as it lasts.
import { turnTime } from "../core/clock.ts";
import { type Fault, FaultError, fault, specOf } from "../core/faults.ts";
import type { TcpServer, TcpTarget } from "../server/tcp-session.ts";
import type { UdpServer, UdpTarget } from "../server/udp-proxy.ts";
import type { Connection } from "../transport/connection.ts";
import type { Dial } from "../transport/socket.ts";
import type { UdpAddress } from "../transport/udp.ts";
import { hashAddress } from "../upstream/balance/hash.ts";
import type { Server } from "../upstream/pool.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { NO_OFFER } from "../upstream/upstream-tls.ts";
import type { Want } from "../upstream/want.ts";

/** The upstream of that name in the plan in use; null when there is none. */
export type FindUpstream = (name: string) => Upstream | null;

const LANE = 3;

/** A place at a server, or the wait for one. */
class Place implements Want {
  readonly key: number;
  readonly pinned = null;
  readonly lane = LANE;
  readonly patient: boolean;
  readonly tried: readonly Server[] | null;
  readonly upstream: Upstream;
  withdrawn = false;
  server: Server | null = null;
  refusal: Fault | null = null;
  readonly #settled: PromiseWithResolvers<Server> = Promise.withResolvers();

  constructor(upstream: Upstream, client: string, tried: readonly Server[], patient: boolean) {
    this.upstream = upstream;
    this.key = hashAddress(client);
    this.tried = tried.length === 0 ? null : tried;
    this.patient = patient;
    this.#settled.promise.catch(() => {}); // who waits for it hears of it too
    upstream.acquire(this);
  }

  get name(): string {
    return this.server?.name ?? "";
  }
  /** The server, once there is one. Rejects with a FaultError. */
  get found(): Promise<Server> {
    return this.#settled.promise;
  }

  onServer(server: Server): void {
    this.server = server;
    this.#settled.resolve(server);
  }
  onNoServer(cause: Fault): void {
    this.refusal = cause;
    this.#settled.reject(new FaultError(cause));
  }

  /** Gives the place back, or the wait for it up; what became of it says nothing of the server. */
  leave(): void {
    this.withdrawn = true;
    if (this.server === null) return; // who waits is passed over
    this.upstream.withdrawn();
    this.upstream.serverFreed(this.server);
  }

  /** The server could not be reached. */
  failed(cause: Fault): void {
    const { server, upstream } = this;
    if (server === null || specOf(cause).side !== "upstream") return this.leave();
    this.withdrawn = true;
    upstream.serverFailed(server);
    upstream.unreachable(server);
    upstream.serverFreed(server);
  }
}

/** Upstreams that may take over from one another for one connection. */
const FAILOVERS_MAX = 4;

/** The upstream of that name and those that take over from it, in order. */
function* inTurn(find: FindUpstream, name: string): Generator<Upstream> {
  let next: string | undefined = name;
  for (let count = 0; next !== undefined && count <= FAILOVERS_MAX; count += 1) {
    const upstream = find(next);
    if (upstream === null) return;
    yield upstream;
    next = upstream.config.failover;
  }
}

/** How many servers of an upstream one connection may try. */
const triesAt = (upstream: Upstream): number => 1 + upstream.retry.attempts;

class StreamServer implements TcpServer {
  readonly place: Place;
  #dialledAt = 0;

  constructor(place: Place) {
    this.place = place;
  }

  get name(): string {
    return this.place.name;
  }
  get proxyProtocol(): "v1" | "v2" | null {
    return this.place.upstream.config.proxyProtocol ?? null;
  }

  dial(): Dial {
    const { place } = this;
    if (place.server !== null) return this.#reach(place.server);
    let dial: Dial | null = null;
    const promise = place.found.then((server): Promise<Connection> => {
      // Nobody waits for it since a moment ago, and the place has been given back.
      if (place.withdrawn) throw new FaultError(fault("client.gone"));
      dial = this.#reach(server);
      return dial.promise;
    });
    return { promise, cancel: () => dial?.cancel() };
  }

  #reach(server: Server): Dial {
    this.#dialledAt = turnTime();
    return server.reach(this.place.upstream.config.timeouts.connect, null, NO_OFFER);
  }

  failed(cause: Fault): void {
    this.place.failed(cause);
  }
  withdrawn(): void {
    this.place.leave();
  }
  opened(): void {
    const server = this.place.server!;
    server.tunnelOpened(null);
    // The wait for a place is no matter of the server that was found in the end.
    this.place.upstream.streamOpened(server, turnTime() - this.#dialledAt);
  }
  closed(): void {
    this.place.server!.tunnelClosed(null);
  }
}

class DatagramServer implements UdpServer {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  get name(): string {
    return this.#place.name;
  }

  address(): UdpAddress | Promise<UdpAddress> {
    const { address } = this.#place.server!;
    if (address.kind === "unix")
      return Promise.reject(new FaultError(fault("upstream.none", `${this.name}: datagrams need a port`)));
    const { port } = address;
    const found = this.#place.server!.addresses();
    if (found instanceof Promise) return found.then((all) => ({ host: all[0]!, port }));
    return { host: (found as readonly string[])[0]!, port };
  }

  failed(cause: Fault): void {
    this.#place.failed(cause);
  }
  answered(ms: number): void {
    this.#place.upstream.streamOpened(this.#place.server!, ms);
  }
  /** Silence says nothing of a server: not every datagram has an answer. */
  closed(answered: boolean): void {
    if (answered) this.#place.upstream.serverFreed(this.#place.server!);
    else this.#place.leave();
  }
}

/** Whether another upstream takes over: this one has nobody to ask. */
const mayMove = ({ code }: Fault): boolean => code === "upstream.none" || code === "upstream.circuit_open";

const triedAt = (upstream: Upstream, tried: readonly TcpServer[]): Server[] =>
  tried.flatMap((each) => {
    const place = each instanceof StreamServer ? each.place : null;
    return place?.upstream === upstream && place.server !== null ? [place.server] : [];
  });

/** Where the connections and sessions of one listener go: to whatever the upstream of that name is at the time. */
export class StreamTarget implements TcpTarget {
  readonly upstream: string;
  readonly #find: FindUpstream;

  constructor(upstream: string, find: FindUpstream) {
    this.upstream = upstream;
    this.#find = find;
  }

  get attempts(): number {
    let attempts = 0;
    for (const upstream of inTurn(this.#find, this.upstream)) attempts += triesAt(upstream);
    return attempts;
  }

  choose(client: string, tried: readonly TcpServer[]): TcpServer | null {
    let refused: StreamServer | null = null;
    for (const upstream of inTurn(this.#find, this.upstream)) {
      const before = triedAt(upstream, tried);
      if (before.length >= triesAt(upstream)) continue;
      const place = new Place(upstream, client, before, true);
      if (place.refusal === null) return new StreamServer(place);
      refused = new StreamServer(place);
      if (!mayMove(place.refusal)) break;
    }
    // Why it is refused is told by `dial`, as to those who have waited; after a failure that is the better reason.
    return tried.length === 0 ? refused : null;
  }
}

/** The same for datagrams, which wait for nobody. */
export class DatagramTarget implements UdpTarget {
  readonly upstream: string;
  readonly #find: FindUpstream;

  constructor(upstream: string, find: FindUpstream) {
    this.upstream = upstream;
    this.#find = find;
  }

  choose(client: string): UdpServer | null {
    for (const upstream of inTurn(this.#find, this.upstream)) {
      const place = new Place(upstream, client, [], false);
      if (place.refusal === null) return new DatagramServer(place);
      if (!mayMove(place.refusal)) break;
    }
    return null;
  }
}
