// What an endpoint of the admin API is, and what it is called with.
import type { Log } from "../observe/log.ts";
import type { AdminBackend } from "./admin-backend.ts";

/** A request that has been let in. */
export interface AdminCall {
  readonly request: Request;
  readonly backend: AdminBackend;
  /** Where changes are told. */
  readonly log: Log;
  /** Whether the caller may see more than a yes or no. */
  readonly trusted: boolean;
  /** What stands in the place of each `:word` in the path, percent-decoded. */
  readonly params: readonly string[];
}

export interface Endpoint {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /** Answers without the token as well: probes have none. */
  readonly open?: boolean;
  readonly handle: (call: AdminCall) => Response | Promise<Response>;
}
