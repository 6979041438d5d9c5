// What tests say of a server.
import type { ServerStatus } from "./upstream-report.ts";

/** A server that is well, but for this. */
export function serverStatus(part: Partial<ServerStatus>): ServerStatus {
  return {
    id: "127.0.0.1:1",
    weight: 1,
    backup: false,
    zone: "",
    mode: "ready",
    origin: "config",
    health: "unknown",
    ejectedFor: 0,
    usable: true,
    inFlight: 0,
    lastCheck: null,
    open: 0,
    idle: 0,
    failing: false,
    ...part,
  };
}
