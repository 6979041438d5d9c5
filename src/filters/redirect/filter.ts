// `redirect`: answers every request of the route with another location.
import { within } from "../../config/compile-error.ts";
import type { PolicyConfig } from "../../config/schema.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { type Reply, reply } from "../../pipeline/reply.ts";
import { compileTemplate } from "../../pipeline/template.ts";
import type { FilterDefinition } from "../definition.ts";

export type RedirectConfig = Exclude<PolicyConfig["redirect"], false | undefined>;

export const redirect: FilterDefinition = {
  key: "redirect",
  compile(policies, { params }) {
    if (policies.redirect === undefined) return [];
    const filter: Filter = { name: "redirect", request: compileRedirect(policies.redirect, params) };
    return [Object.freeze(filter)];
  },
};

/** The answer of a redirect. Throws CompileError for a location that is no URL, path or placeholder. */
export function compileRedirect(config: RedirectConfig, params: readonly string[]): (x: Exchange) => Reply {
  const { to, status } = config;
  const template = within("to", () => {
    if (!/^(https?:\/\/|\/|\{)/i.test(to))
      throw new RangeError(`"${to}": a location begins with http://, https:// or /`);
    return compileTemplate(to, params, "uri");
  });
  // `//evil.example` as a request path must not become a location on another host.
  const fromClient = to.startsWith("{");
  return (x) => {
    const location = template.render(x);
    return reply(status, "", { location: fromClient ? withOneSlash(location) : location });
  };
}

function withOneSlash(location: string): string {
  let at = 0;
  while (location.charCodeAt(at) === 0x2f) at += 1;
  return at > 1 ? location.slice(at - 1) : location === "" ? "/" : location;
}
