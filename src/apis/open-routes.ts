// Routes of an API that are open to everybody: what its policies say of those who are known is not about them.
import type { RouteConfig } from "../config/schema.ts";
import { namesIdentity } from "../pipeline/request-key.ts";

/** A route without `auth`, and without what needs to know who asks. `own` are policies that were written for it alone. */
export function openRoute(route: RouteConfig, own: readonly string[]): RouteConfig {
  const { quota, rateLimit, priority, to, split } = route;
  const open: RouteConfig = { ...route, auth: false };
  const isShared = (key: string): boolean => !own.includes(key);
  if (quota !== undefined && isShared("quota") && (quota === true || quota === false || countsPeople(quota.per)))
    open.quota = false;
  if (rateLimit !== undefined && rateLimit !== false && isShared("rateLimit")) {
    const left = [rateLimit].flat().filter(({ key }) => !countsPeople(key));
    open.rateLimit = left.length === 0 ? false : left;
  }
  if (priority !== undefined && priority !== false && isShared("priority")) {
    const { consumers: _consumers, plans: _plans, groups: _groups, ...rest } = priority;
    open.priority = rest;
  }
  if (Array.isArray(to) && isShared("to")) open.to = to.map(openTarget) as NonNullable<RouteConfig["to"]>;
  if (split?.by === "consumer" || split?.by === "user") open.split = { ...split, by: "ip" };
  return open;
}

const countsPeople = (key: string | readonly string[]): boolean => namesIdentity([key].flat());

type Target = string | { readonly upstream: string; readonly weight: number; readonly match?: object | undefined };

/** Nobody known fits nothing that asks for somebody. */
function openTarget(target: Target): Target {
  if (typeof target === "string" || target.match === undefined) return target;
  const asks = ["consumer", "plan", "group", "claim"].some((key) => Object.hasOwn(target.match!, key));
  return asks ? { upstream: target.upstream, weight: target.weight } : target;
}
