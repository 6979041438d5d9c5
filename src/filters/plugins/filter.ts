// `use`: the plugins of a TypeScript configuration.
import { within } from "../../config/compile-error.ts";
import type { Filter } from "../../pipeline/exchange.ts";
import type { Plugin } from "../../pipeline/plugin.ts";
import type { FilterDefinition } from "../definition.ts";

export const plugins: FilterDefinition = {
  key: "use",
  compile(policies) {
    return (policies.use ?? []).map((plugin, at) => within(at, () => wrap(plugin)));
  },
};

/** Calls go through the plugin object, so that `this` is what its author expects. */
function wrap(plugin: Plugin): Filter {
  for (const hook of ["request", "response"] as const) {
    if (plugin[hook] !== undefined && typeof plugin[hook] !== "function")
      throw new RangeError(`plugin "${plugin.name}": ${hook} is not a function`);
  }
  const filter: Filter = {
    name: plugin.name,
    ...(plugin.request === undefined ? {} : { request: (x) => plugin.request?.(x) }),
    ...(plugin.response === undefined ? {} : { response: (x) => plugin.response?.(x) }),
  };
  return Object.freeze(filter);
}
