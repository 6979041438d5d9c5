// What a data plane is given by the thread that it is part of.
import type { PeerMessage } from "../cache/peers.ts";
import type { NameAnswer } from "../certificates/contexts.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { KeyBook } from "../pipeline/key-book.ts";
import type { Ban, Shared } from "../pipeline/shared.ts";
import type { Board } from "../upstream/board.ts";

/** How a thread reaches the others (cache/peers.ts). */
interface PeerOptions {
  readonly memory: SharedArrayBuffer;
  readonly worker: number;
  send(to: number, message: PeerMessage): void;
}

export interface DataPlaneOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Listens on unix sockets too: one thread only can, as they know no SO_REUSEPORT. */
  readonly primary: boolean;
  readonly board: Board;
  /** Signs sticky cookies where the configuration has no secret. */
  readonly secret: Uint8Array;
  /** Threads that carry traffic: memory for the whole process is split between them. */
  readonly threads: number;
  /** What all threads know of changes behind stored answers (cache/changes.ts). */
  readonly cacheChanges: SharedArrayBuffer;
  /** Null without other threads. */
  readonly peers: PeerOptions | null;
  /** Tells the whole proxy of a ban. */
  ban(ban: Ban): void;
  /** Hands events of pages over to the thread that keeps them. */
  handOver(what: object): void;
  /** Keys of requests, which the whole proxy has. */
  readonly keys: KeyBook;
  /** Tells those who watch the whole proxy. */
  event(event: ProxyEvent): void;
  /** Asks what somebody has used (pipeline/shared.ts). */
  usageOf: Shared["usageOf"];
  /** Asks for what a consumer wishes about his own keys. */
  ownKeys: Shared["ownKeys"];
  /** Asks for a certificate that a client of this listener wants. */
  ask(listener: string, name: string): Promise<NameAnswer>;
  /** Asks what an authority is to be answered that comes with a token of another machine's; null when nobody knows. */
  askToken(token: string): Promise<string | null>;
}
