// `cookies`: attributes that make cookies of servers safer, where these have them not (RFC 6265bis §4.1.2).
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition, Policies } from "../definition.ts";

type CookiesConfig = NonNullable<Policies["cookies"]>;

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;

export const cookies: FilterDefinition = {
  key: "cookies",
  compile(policies) {
    const config = policies.cookies;
    if (config === undefined) return [];
    const except = new Set(config.except);
    const filter: Filter = {
      name: "cookies",
      response(x) {
        const { headers } = x.response;
        if (!headers.has("set-cookie")) return;
        const lines = headers.getAll("set-cookie");
        headers.remove("set-cookie");
        for (const line of lines) headers.add("set-cookie", hardened(line, x, config, except));
      },
    };
    return [Object.freeze(filter)];
  },
};

function hardened(line: string, x: Exchange, config: CookiesConfig, except: ReadonlySet<string>): string {
  const [pair = "", ...attributes] = line.split(";");
  if (except.has(pair.slice(0, pair.indexOf("=")).trim())) return line;
  const names = new Set(attributes.map((attribute) => attribute.split("=", 1)[0]!.trim().toLowerCase()));
  let result = line.trimEnd().replace(/;+$/, "");
  const { secure, httpOnly, sameSite } = config;
  const isSecure = names.has("secure") || (secure && x.scheme === "https");
  if (isSecure && !names.has("secure")) result += "; Secure";
  if (httpOnly && !names.has("httponly")) result += "; HttpOnly";
  // Browsers drop a cookie for other sites that is not secure.
  if (sameSite !== false && !names.has("samesite") && (sameSite !== "none" || isSecure))
    result += `; SameSite=${SAME_SITE[sameSite]}`;
  return result;
}
