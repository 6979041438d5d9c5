// `requestHeaders`: fields set, added and removed on the way to the upstream.
import { within } from "../../config/compile-error.ts";
import { fault } from "../../core/faults.ts";
import { isAuthority } from "../../http/grammar.ts";
import type { Filter } from "../../pipeline/exchange.ts";
import { compileTemplate, type Template } from "../../pipeline/template.ts";
import type { FilterDefinition } from "../definition.ts";
import { compileHeaderEdit, type HeaderEditConfig } from "../header-edit.ts";

export const requestHeaders: FilterDefinition = {
  key: "requestHeaders",
  compile(policies, { params }) {
    const config = policies.requestHeaders;
    if (config === undefined) return [];
    const { host, rest } = splitHost(config);
    const edit = compileHeaderEdit(rest, params, hostProblem);
    const hostTemplate = host === null ? null : within("set", () => within("host", () => compileHost(host, params)));
    const filter: Filter = {
      name: "request-headers",
      request(x) {
        const { headers } = x.request;
        edit(x, headers);
        if (hostTemplate === null) return undefined;
        const value = hostTemplate.render(x);
        if (!isAuthority(value)) return fault("h1.bad_request", "requestHeaders.set.host came out as no host");
        headers.set("host", value);
        return undefined;
      },
    };
    return [Object.freeze(filter)];
  },
};

const hostProblem = (name: string): string | null =>
  name === "host" ? "every request has exactly one Host: use `set` to change it" : null;

/** Host is not one field among others: there is always exactly one, and it must be a host. */
function splitHost(config: HeaderEditConfig): { host: string | null; rest: HeaderEditConfig } {
  const entries = Object.entries(config.set);
  const host = entries.find(([name]) => name.toLowerCase() === "host")?.[1] ?? null;
  const set = Object.fromEntries(entries.filter(([name]) => name.toLowerCase() !== "host"));
  return { host, rest: { ...config, set } };
}

function compileHost(text: string, params: readonly string[]): Template {
  const template = compileTemplate(text, params, "field");
  if (template.constant !== null && !isAuthority(template.constant)) throw new RangeError(`"${text}" is not a host`);
  return template;
}
