// What tests compile filters with.
import { Endpoints } from "../auth/endpoints.ts";
import { UNSHARED } from "../pipeline/shared.ts";
import type { FilterContext } from "./definition.ts";

export const contextOf = (more: Partial<FilterContext> = {}): FilterContext => ({
  route: "test",
  params: [],
  scopeOf: () => "route test",
  shared: UNSHARED,
  endpoints: new Endpoints(),
  state: null,
  servers: () => null,
  ...more,
});
