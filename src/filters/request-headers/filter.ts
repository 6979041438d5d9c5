// `requestHeaders`: fields set, added and removed on the way to the upstream.
import { within } from "../../config/compile-error.ts";
import type { Filter } from "../../pipeline/filter.ts";
import { compileTemplate } from "../../pipeline/template.ts";
import type { FilterDefinition } from "../definition.ts";
import { compileHeaderEdit, type HeaderEditConfig } from "../header-edit.ts";

export const requestHeaders: FilterDefinition = {
  key: "requestHeaders",
  compile(policies, { params }) {
    const config = policies.requestHeaders;
    if (config === undefined) return [];
    const { host, rest } = splitHost(config);
    const edit = compileHeaderEdit(rest, params, hostProblem);
    const template =
      host === null ? null : within("set", () => within("host", () => compileTemplate(host, params, "field")));
    const filter: Filter = {
      name: "request-headers",
      request(x) {
        edit(x, x.request.headers);
        if (template !== null) x.upstreamHost = template.render(x);
      },
    };
    return [Object.freeze(filter)];
  },
};

const hostProblem = (name: string): string | null =>
  name === "host" ? "every request has exactly one Host: use `set` to change it" : null;

/** Host is not one field among others: it is part of the request line's meaning, and the upstream's `hostHeader` sets it. */
function splitHost(config: HeaderEditConfig): { host: string | null; rest: HeaderEditConfig } {
  const entries = Object.entries(config.set);
  const host = entries.find(([name]) => name.toLowerCase() === "host")?.[1] ?? null;
  return {
    host,
    rest: { ...config, set: Object.fromEntries(entries.filter(([name]) => name.toLowerCase() !== "host")) },
  };
}
