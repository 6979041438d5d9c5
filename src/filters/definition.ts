// What every filter folder exports, and what it is compiled from.
import type { Consumers } from "../auth/consumers/consumers.ts";
import type { Endpoints } from "../auth/endpoints.ts";
import type { Config, PolicyConfig } from "../config/schema.ts";
import type { OverloadConfig } from "../config/schema-traffic.ts";
import type { Filter } from "../pipeline/exchange.ts";
import type { Shared } from "../pipeline/shared.ts";
import type { StateSettings } from "../state/open-state.ts";

/** The policies that hold for one route: its own over the defaults, those turned off left out. */
export type Policies = { readonly [Key in keyof PolicyConfig]?: Exclude<PolicyConfig[Key], false | undefined> };

export interface FilterContext {
  /** Name of the route. */
  readonly route: string;
  /** Name of the route with `openapi` that it was made of; its own for all others. */
  readonly api: string;
  /** Names of the route's path parameters, for templates. */
  readonly params: readonly string[];
  /** Lower-case names of the fields that decide, by its version, whether a request is for the route. */
  readonly versionFields: readonly string[];
  /** Where a policy of the route stands: "defaults" for one that it has from there, else what tells the route's own. */
  scopeOf(key: keyof PolicyConfig): string;
  readonly shared: Shared;
  /** When workers refuse what is least important. */
  readonly overload: OverloadConfig;
  /** The plans of the configuration, and shares of their quotas at which it is told. */
  readonly plans: Config["plans"];
  readonly thresholds: readonly number[];
  /** Paths that Sluice answers before routes are looked up. */
  readonly endpoints: Endpoints;
  /** Where machines, or one after a restart, find what they share; null where the configuration names no such place. */
  readonly state: StateSettings | null;
  /** Addresses of the servers of an upstream; null where there is none of that name. */
  servers(upstream: string): readonly string[] | null;
  /** By which path pages take a script now, where a route gives it other names than its own; null where none does. */
  scriptPath(path: string): ((nowMs: number) => string) | null;
  /** Whose credentials are whose. */
  readonly consumers: Consumers;
}

export interface FilterDefinition {
  /** The key of the policy, which errors name. */
  readonly key: keyof PolicyConfig;
  /**
   * The filters of a route, none when its policy is absent. Throws CompileError (its path begins below the policy's
   * key) or RangeError for values that cannot work.
   */
  compile(policies: Policies, context: FilterContext): readonly Filter[];
}
