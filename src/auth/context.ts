// What every way of authentication is compiled with.
import { hkdfSync } from "node:crypto";
import type { Shared } from "../pipeline/shared.ts";
import type { StateSettings } from "../state/open-state.ts";
import { Audit } from "./audit.ts";
import { Consumers } from "./consumers/consumers.ts";
import type { Endpoints } from "./endpoints.ts";
import { Throttle } from "./throttle.ts";

export interface AuthContext {
  /** Name of the route. */
  readonly route: string;
  /** What tells this entry of `auth` from all others; the same for all routes that have it from `defaults`. */
  readonly scope: string;
  readonly shared: Shared;
  /** Who is told of logins, refusals and logouts. */
  readonly audit: Audit;
  /** What keeps passwords from being guessed. */
  readonly throttle: Throttle;
  /** Where paths below `/.auth/` are registered. */
  readonly endpoints: Endpoints;
  /**
   * A key of 32 bytes for one use, the same in all threads until the program ends. What is to hold longer, or on other
   * machines too, needs a secret of the configuration.
   */
  secretFor(use: string): Buffer;
  /** Where machines find what they share; null where the configuration names no such place. */
  readonly state: StateSettings | null;
  /** The keys of the entries behind this one, which are asked where it finds nothing. */
  readonly following: readonly string[];
  /** Addresses of the servers of an upstream; null where there is none of that name. */
  servers(upstream: string): readonly string[] | null;
  /** Whose credentials are whose. */
  readonly consumers: Consumers;
}

export function authContext(
  route: string,
  scope: string,
  shared: Shared,
  endpoints: Endpoints,
  state: StateSettings | null,
  following: readonly string[],
  servers: AuthContext["servers"] = () => null,
  consumers: Consumers = new Consumers(undefined, shared),
): AuthContext {
  return {
    route,
    scope,
    shared,
    audit: new Audit(route, shared),
    throttle: new Throttle(shared),
    endpoints,
    state,
    following,
    servers,
    consumers,
    secretFor: (use) => Buffer.from(hkdfSync("sha256", shared.secret, "", `sluice auth ${use}`, 32)),
  };
}
