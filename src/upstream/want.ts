// What asks an upstream for a server: a request on its way, a copy of one, a second try at the same time, or a stream.
import type { Fault } from "../core/faults.ts";
import type { Server } from "./pool.ts";

/** Exactly one of the last two is called, unless it is `withdrawn` by then. */
export interface Want {
  /** It is not wanted any more. */
  readonly withdrawn: boolean;
  /** For balancers that keep like requests together. */
  readonly key: number;
  /** The server that its client belongs to. */
  readonly pinned: Server | null;
  /** Servers that must not be chosen. */
  readonly tried: readonly Server[] | null;
  /** It may wait when all servers are busy. */
  readonly patient: boolean;
  /** Nobody waits for it any longer: it is turned away, and not only withdrawn. */
  readonly late?: boolean;
  /** Who waits first: 0 to 7. */
  readonly lane: number;
  /** A server was chosen, and a place there taken: `serverFreed` of the upstream gives it back. */
  onServer(server: Server): void;
  /** There is no server for it. */
  onNoServer(cause: Fault): void;
}
