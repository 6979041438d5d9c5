// Which of a route's upstreams gets a request: by what the request holds, by the client's cookie, or by weight.

import { receivedCookies } from "../http/cookies.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Condition } from "../routing/conditions.ts";
import type { RouteSubject } from "../routing/subject.ts";
import type { Sticky } from "../upstream/sticky.ts";
import { weightedPick } from "./weighted-pick.ts";

/** One of the upstreams of a route's `to`. */
export interface Target {
  /** Name of the upstream. */
  readonly name: string;
  readonly weight: number;
  /** Requests that fit all of these go here whatever the weights say; null where nothing was asked. */
  readonly conditions: readonly Condition[] | null;
}

/**
 * Compiles a choice among targets of which at least one has a weight. `sticky` keeps clients at the upstream that they
 * were given by weight; one whose weight has become 0 is not kept.
 */
export function compileSplit(targets: readonly Target[], sticky: Sticky | null): (x: Exchange) => string {
  const byWeight = weightedPick(targets);
  const matching = targets.filter((target) => target.conditions !== null);
  sticky?.members(targets.filter((target) => target.weight > 0).map((target) => target.name));
  if (matching.length === 0 && sticky === null) return byWeight;
  return (x) => {
    if (matching.length > 0) {
      const target = matchingTarget(matching, x);
      if (target !== null) return target.name;
    }
    return sticky === null ? byWeight() : stickyPick(x, sticky, byWeight);
  };
}

function stickyPick(x: Exchange, sticky: Sticky, byWeight: () => string): string {
  const hit = sticky.find(receivedCookies(x.request.headers));
  const name = hit === null ? byWeight() : hit.id;
  const cookie = sticky.cookieFor(hit, name, x.scheme === "https");
  if (cookie !== null) (x.setCookies ??= []).push(cookie);
  return name;
}

/** The first target whose conditions the request fits. */
function matchingTarget(targets: readonly Target[], subject: RouteSubject): Target | null {
  for (const target of targets) if (target.conditions !== null && fits(target.conditions, subject)) return target;
  return null;
}

function fits(conditions: readonly Condition[], subject: RouteSubject): boolean {
  for (const condition of conditions) if (!condition.test(subject)) return false;
  return true;
}

/** Where a request may go, cookies of the split apart, and with what share (0 to 1): for `explain`. */
export function possibleTargets(
  targets: readonly Target[],
  subject: RouteSubject,
): { readonly name: string; readonly share: number }[] {
  const match = matchingTarget(targets, subject);
  if (match !== null) return [{ name: match.name, share: 1 }];
  const total = targets.reduce((sum, target) => sum + target.weight, 0);
  return targets
    .filter((target) => target.weight > 0)
    .map((target) => ({ name: target.name, share: target.weight / total }));
}
