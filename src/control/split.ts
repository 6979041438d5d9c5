// Which of a route's upstreams gets a request: by what the request holds, by who asks, by the client's cookie, or by
// weight. Weights may be others at run time than the configuration has them (pipeline/switches.ts).

import { addressKey } from "../core/ip.ts";
import { receivedCookies } from "../http/cookies.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Identity } from "../pipeline/identity.ts";
import type { Live } from "../pipeline/shared.ts";
import { NO_SWITCHES, type Switches } from "../pipeline/switches.ts";
import type { Condition } from "../routing/conditions.ts";
import type { RouteSubject } from "../routing/subject.ts";
import type { Sticky } from "../upstream/sticky.ts";
import type { IdentityTest } from "./identity-match.ts";
import { rendezvousPick } from "./rendezvous.ts";
import { weightedPick } from "./weighted-pick.ts";

/** One of the upstreams of a route's `to`. */
export interface Target {
  /** Name of the upstream. */
  readonly name: string;
  readonly weight: number;
  /** Requests that fit all of these go here whatever the weights say; null where nothing was asked. */
  readonly conditions: readonly Condition[] | null;
  /** Nor those of others than these; null for anybody. */
  readonly identity: IdentityTest | null;
}

/** By what clients are kept where they are. */
export type SplitBy = "consumer" | "user" | "ip";

export interface SplitRules {
  readonly route: string;
  /** Name of what was said of all of its routes, where nothing was of this one. */
  readonly api: string;
  readonly targets: readonly Target[];
  /** Keeps clients by a cookie; null for nothing. */
  readonly sticky: Sticky | null;
  readonly by: SplitBy | null;
  readonly switches: Live<Switches>;
}

type SplitNames = Pick<SplitRules, "targets" | "route" | "api">;

/** The weights that hold now. Those that would send nothing anywhere are no weights. */
function weightsNow({ targets, route, api }: SplitNames, { splits }: Switches): readonly Target[] {
  const weights = splits.get(route) ?? splits.get(api);
  if (weights === undefined) return targets;
  const changed = targets.map((target) => ({ ...target, weight: weights[target.name] ?? target.weight }));
  return changed.some(({ weight }) => weight > 0) ? changed : targets;
}

/** Compiles a choice among targets of which at least one has a weight. One whose weight has become 0 keeps nobody. */
export function compileSplit(rules: SplitRules): (x: Exchange) => string {
  const { targets } = rules;
  const only = targets[0]!;
  if (targets.length === 1 && only.conditions === null && only.identity === null && rules.sticky === null)
    return () => only.name;
  const split = new Split(rules);
  return (x) => split.pick(x);
}

class Split {
  readonly #rules: SplitRules;
  readonly #matching: readonly Target[];
  #seen: Switches | null = null;
  #byWeight: () => string = () => "";
  #byKey: (key: string) => string = () => "";

  constructor(rules: SplitRules) {
    this.#rules = rules;
    this.#matching = rules.targets.filter(isMatching);
    this.#weigh(NO_SWITCHES);
  }

  #weigh(switches: Switches): void {
    const { sticky } = this.#rules;
    this.#seen = switches;
    const weighed = weightsNow(this.#rules, switches);
    this.#byWeight = weightedPick(weighed);
    this.#byKey = rendezvousPick(weighed);
    sticky?.members(weighed.filter((target) => target.weight > 0).map((target) => target.name));
  }

  pick(x: Exchange): string {
    const { sticky, switches } = this.#rules;
    if (switches.current !== this.#seen) this.#weigh(switches.current);
    if (this.#matching.length > 0) {
      const target = matchingTarget(this.#matching, x, x.identity);
      if (target !== null) return target.name;
    }
    return sticky === null ? this.#byWho(x) : this.#byCookie(x, sticky);
  }

  #byWho(x: Exchange): string {
    const { by } = this.#rules;
    return by === null ? this.#byWeight() : this.#byKey(keyOf(by, x.identity, x.ip));
  }

  #byCookie(x: Exchange, sticky: Sticky): string {
    const hit = sticky.find(receivedCookies(x.request.headers));
    const name = hit === null ? this.#byWho(x) : hit.id;
    const cookie = sticky.cookieFor(hit, name, x.scheme === "https");
    if (cookie !== null) (x.setCookies ??= []).push(cookie);
    return name;
  }
}

/** A letter says what it is: a user may be named like an address. */
function keyOf(by: SplitBy, identity: Identity | null, ip: string): string {
  if (by !== "ip" && identity !== null) {
    if (identity.consumer !== "") return `c${identity.consumer}`;
    if (by === "user") return `u${identity.issuer}\n${identity.user}`;
  }
  return `a${addressKey(ip)}`;
}

const isMatching = ({ conditions, identity }: Target): boolean => conditions !== null || identity !== null;

/** The first target whose conditions the request fits. */
function matchingTarget(targets: readonly Target[], subject: RouteSubject, identity: Identity | null): Target | null {
  for (const target of targets) if (isMatching(target) && fits(target, subject, identity)) return target;
  return null;
}

function fits({ conditions, identity: test }: Target, subject: RouteSubject, identity: Identity | null): boolean {
  if (test !== null && (identity === null || !test(identity))) return false;
  for (const condition of conditions ?? []) if (!condition.test(subject)) return false;
  return true;
}

/** Where a request may go, cookies of the split apart, and with what share (0 to 1): for `explain`. */
export function possibleTargets(
  rules: Omit<SplitRules, "sticky">,
  subject: RouteSubject,
  identity: Identity | null,
): { readonly name: string; readonly share: number }[] {
  const { targets, by, switches } = rules;
  const match = matchingTarget(targets, subject, identity);
  if (match !== null) return [{ name: match.name, share: 1 }];
  const weighed = weightsNow(rules, switches.current);
  if (by !== null && (by === "ip" || identity !== null) && targets.length > 1)
    return [{ name: rendezvousPick(weighed)(keyOf(by, identity, subject.ip)), share: 1 }];
  const total = weighed.reduce((sum, target) => sum + target.weight, 0);
  return weighed
    .filter((target) => target.weight > 0)
    .map((target) => ({ name: target.name, share: target.weight / total }));
}
