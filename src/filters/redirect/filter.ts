// `redirect`: answers every request of the route with another location.
import { within } from "../../config/compile-error.ts";
import type { PolicyConfig } from "../../config/schema.ts";
import { fault } from "../../core/faults.ts";
import type { Exchange, Filter, Outcome } from "../../pipeline/exchange.ts";
import { reply } from "../../pipeline/reply.ts";
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
export function compileRedirect(config: RedirectConfig, params: readonly string[]): (x: Exchange) => Outcome {
  const { to, status, hosts } = config;
  const template = within("to", () => {
    if (!/^(https?:\/\/|\/|\{)/i.test(to))
      throw new RangeError(`"${to}": a location begins with http://, https:// or /`);
    if (hosts === undefined && choosesHost(to))
      throw new RangeError(`"${to}": clients could choose where it leads: put a / behind the host, or name \`hosts\``);
    return compileTemplate(to, params, "uri");
  });
  // `//evil.example` as a request path must not become a location on another host.
  const fromClient = to.startsWith("{");
  return (x) => {
    const location = template.render(x);
    if (hosts !== undefined && !leadsTo(location, hosts)) return fault("redirect.denied", location.slice(0, 200));
    return reply(status, "", { location: fromClient ? withOneSlash(location) : location });
  };
}

/** Placeholders that may follow a host: the first is what the route matches, the others begin with a slash. */
const HARMLESS = /^\{(?:host|uri|path)\}$/;

/** Whether what a client sends is part of the host that the location names, also by being written right behind it. */
function choosesHost(to: string): boolean {
  const authority = /^https?:\/\/((?:\{[^}]*\}|[^/?#{])*)/i.exec(to)?.[1] ?? "";
  return [...authority.matchAll(/\{[^}]*\}/g)].some(([placeholder]) => !HARMLESS.test(placeholder));
}

/** Whether the location's host is one of these; one without a host stays where it is. */
function leadsTo(location: string, hosts: readonly string[]): boolean {
  if (location.startsWith("/") && !/^\/[/\\]/.test(location)) return true;
  const host = URL.parse(location, "http://here.invalid")?.hostname ?? "";
  return hosts.some((name) => (name.startsWith("*.") ? host.endsWith(name.slice(1)) : host === name));
}

function withOneSlash(location: string): string {
  let at = 0;
  while (location.charCodeAt(at) === 0x2f) at += 1;
  return at > 1 ? location.slice(at - 1) : location === "" ? "/" : location;
}
