// What tests compile filters with.
import { UNSHARED } from "../pipeline/shared.ts";
import type { FilterContext } from "./definition.ts";

export const contextOf = (more: Partial<FilterContext> = {}): FilterContext => ({
  route: "test",
  params: [],
  scopeOf: () => "route test",
  shared: UNSHARED,
  ...more,
});
