// What upstreams are doing in a thread, for the supervisor.
import type { Upstream } from "../upstream/upstream.ts";
import type { UpstreamState } from "./worker-messages.ts";

/** The states of upstreams that have been used, `now` on the board's clock. */
export const upstreamStates = (upstreams: Iterable<Upstream>, now: number): UpstreamState[] =>
  [...upstreams].map((upstream) => ({
    name: upstream.name,
    queued: upstream.queue.length,
    circuit: upstream.circuit,
    servers: upstream.servers.map((server) => ({
      name: server.name,
      open: server.open,
      idle: server.idle,
      failing: server.failedUntil > now,
    })),
  }));
