// What happens in the proxy, told to those who watch as server-sent events (HTML, section 9.2).
import { wallClock } from "../core/clock.ts";
import type { ProxyEvent } from "../pipeline/events.ts";

/** Dashboards and terminals of operators; each may have QUEUED_MAX in hand. */
const CLIENTS_MAX = 16;
/** Bytes that wait for one who does not read: he is dropped beyond it, and comes back by himself. */
const QUEUED_MAX = 1_048_576;
/** Before the admin listener takes a connection for silent, and so that a dead one is noticed. */
const HEARTBEAT_MS = 15_000;

const ENCODER = new TextEncoder();
const HEARTBEAT = ENCODER.encode(": still here\n\n");
const HELLO = ENCODER.encode(": events of Sluice\nretry: 2000\n\n");

export type EventKind = ProxyEvent["kind"];

class Client {
  readonly stream: ReadableStream<Uint8Array>;
  readonly kinds: ReadonlySet<EventKind> | null;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(kinds: ReadonlySet<EventKind> | null, gone: (client: Client) => void) {
    this.kinds = kinds;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          controller.enqueue(HELLO);
        },
        cancel: () => {
          this.#controller = null;
          gone(this);
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: QUEUED_MAX }),
    );
  }

  /** False when he has not read for too long, or has gone. */
  send(bytes: Uint8Array): boolean {
    const controller = this.#controller;
    if (controller === null || (controller.desiredSize ?? 0) < bytes.length) return false;
    controller.enqueue(bytes);
    return true;
  }

  /** What waits for him is still sent, until the admin listener takes the connection for silent. */
  end(): void {
    const controller = this.#controller;
    this.#controller = null;
    controller?.close();
  }
}

export class EventHub {
  readonly #clients = new Set<Client>();
  readonly #watched: (isWatched: boolean) => void;
  /** Gets what events of pages are to be told to while somebody wants to see these; null when nobody does. */
  pagesWatched: (tell: ((event: ProxyEvent) => void) | null) => void = () => {};
  #heartbeat: ReturnType<typeof setInterval> | null = null;

  /** `watched` is told when the first one comes who wants to see requests, and when the last one has gone. */
  constructor(watched: (isWatched: boolean) => void) {
    this.#watched = watched;
  }

  /** Whether somebody wants to see what is served. */
  get isWatched(): boolean {
    return this.#isWanted("request");
  }

  #isWanted(kind: EventKind): boolean {
    return [...this.#clients].some(({ kinds }) => kinds === null || kinds.has(kind));
  }

  /** Somebody comes or goes: those who are asked for what is wanted hear of it. */
  #change(make: () => void): void {
    const [requests, pages] = [this.isWatched, this.#isWanted("tagging")];
    make();
    if (this.isWatched !== requests) this.#watched(!requests);
    if (this.#isWanted("tagging") !== pages) this.pagesWatched(pages ? null : (event) => this.publish(event));
  }

  /** What one more is to be sent, of all kinds without `kinds`; null when there are too many already. */
  connect(kinds: ReadonlySet<EventKind> | null): ReadableStream<Uint8Array> | null {
    if (this.#clients.size >= CLIENTS_MAX) return null;
    const client = new Client(kinds, (gone) => this.#remove(gone));
    this.#change(() => this.#clients.add(client));
    this.#heartbeat ??= setInterval(() => this.#send(HEARTBEAT, null), HEARTBEAT_MS).unref();
    return client.stream;
  }

  publish(event: ProxyEvent): void {
    if (this.#clients.size === 0) return;
    const { kind, ...data } = event;
    const json = JSON.stringify({ time: new Date(wallClock()).toISOString(), ...data });
    this.#send(ENCODER.encode(`event: ${kind}\ndata: ${json}\n\n`), kind);
  }

  /** Ends all streams. */
  close(): void {
    for (const client of [...this.#clients]) this.#remove(client);
  }

  #send(bytes: Uint8Array, kind: EventKind | null): void {
    for (const client of [...this.#clients]) {
      const { kinds } = client;
      if (kind !== null && kinds !== null && !kinds.has(kind)) continue;
      if (!client.send(bytes)) this.#remove(client);
    }
  }

  #remove(client: Client): void {
    if (!this.#clients.has(client)) return;
    this.#change(() => this.#clients.delete(client));
    client.end();
    if (this.#clients.size > 0 || this.#heartbeat === null) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = null;
  }
}
