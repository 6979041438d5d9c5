// What makes no sense about a route's split, beyond its shape.
import { CompileError } from "../config/compile-error.ts";
import type { RouteConfig } from "../config/schema.ts";

const NOBODY = "nobody is known here, as the route has no `auth`";

/** By which names the weights of a split are found at run time: its own, else that of the API which it is a part of. */
export function splitNames({ source }: RouteConfig, name: string): { readonly route: string; readonly api: string } {
  return { route: name, api: source === undefined || source.own.includes("to") ? name : source.api };
}

/** Throws CompileError for a split that could never do what it says. `isAuthenticated`: the route has `auth`. */
export function checkSplit({ split, to }: RouteConfig, isAuthenticated: boolean): void {
  const targets = Array.isArray(to) ? to : [];
  for (const [at, target] of targets.entries()) {
    if (typeof target === "string" || isAuthenticated) continue;
    const { consumer, plan, group, claim } = target.match ?? {};
    if ((consumer ?? plan ?? group ?? claim) !== undefined) throw new CompileError(NOBODY, ["to", at, "match"]);
  }
  if (split === undefined) return;
  if (targets.length === 0 || typeof targets[0] === "string")
    throw new CompileError("there is nothing to split: `to` is not a weighted list", ["split"]);
  const { cookie, by, ttl, secret } = split;
  if (cookie === undefined && by === undefined)
    throw new CompileError("say by what clients are kept: `cookie`, `by`, or both", ["split"]);
  if (cookie === undefined && (ttl ?? secret) !== undefined)
    throw new CompileError("only a `cookie` has that", ["split", ttl === undefined ? "secret" : "ttl"]);
  if (by !== undefined && by !== "ip" && !isAuthenticated) throw new CompileError(NOBODY, ["split", "by"]);
}
