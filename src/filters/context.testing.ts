// What tests compile filters with.
import { Consumers } from "../auth/consumers/consumers.ts";
import { Endpoints } from "../auth/endpoints.ts";
import { millis } from "../core/units.ts";
import { UNSHARED } from "../pipeline/shared.ts";
import type { FilterContext } from "./definition.ts";

export const contextOf = (more: Partial<FilterContext> = {}): FilterContext => ({
  route: "test",
  api: "test",
  params: [],
  versionFields: [],
  scopeOf: () => "route test",
  shared: UNSHARED,
  overload: { lag: millis(50), retryAfter: millis(2000) },
  plans: {},
  thresholds: [],
  endpoints: new Endpoints(),
  state: null,
  servers: () => null,
  scriptPath: () => null,
  consumers: new Consumers(undefined, UNSHARED),
  ...more,
});
