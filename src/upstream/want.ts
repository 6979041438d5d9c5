// What asks an upstream for a server: a request on its way, a copy of one, or a second try at the same time.
import type { ConnectionWant, Server } from "./pool.ts";

/** Who asks for a server and a connection to it. */
export interface Want extends ConnectionWant {
  /** For balancers that keep like requests together. */
  readonly key: number;
  /** The server that its client belongs to. */
  readonly pinned: Server | null;
  /** Servers that must not be chosen. */
  readonly tried: readonly Server[] | null;
  /** It may wait when all servers are busy. */
  readonly patient: boolean;
  /** Who waits first: 0 to 7. */
  readonly lane: number;
  /** A server was chosen; `onConnection` or `onNoConnection` follows. */
  onServer(server: Server): void;
}
