// `priority`: how important requests are. The least important are refused first when the worker has more to do than it
// can (overload.ts), and wait behind the others for a server with room (upstream/queue.ts).
import { CompileError } from "../../config/compile-error.ts";
import type { OverloadConfig, PriorityConfig } from "../../config/schema-traffic.ts";
import { fault } from "../../core/faults.ts";
import type { Exchange, Filter, FilterResult } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Held, Shared } from "../../pipeline/shared.ts";
import type { FilterContext, FilterDefinition, Policies } from "../definition.ts";
import { type Level, overload } from "./overload.ts";

const LEVELS = { high: 0, normal: 1, low: 2 } as const;
const NAMES = ["high", "normal", "low"] as const;
const SECOND_MS = 1000;
/** RFC 9218 §4.1: 3 is what says nothing. */
const NORMAL_URGENCY = 3;
const LOW_URGENCY = 5;

/** Where the level has nothing to do with who asks, it is looked at before that is found out, which costs more. */
export const priority: FilterDefinition = {
  key: "priority",
  compile: (policies, context) => (namesPeople(policies, context) ? [] : compile(policies, context)),
};

export const priorityIdentified: FilterDefinition = {
  key: "priority",
  compile: (policies, context) => (namesPeople(policies, context) ? compile(policies, context) : []),
};

const namesPeople = ({ priority: config, auth }: Policies, { plans }: FilterContext): boolean =>
  config !== undefined &&
  ((config.consumers ?? config.plans ?? config.groups) !== undefined ||
    (auth !== undefined && Object.keys(levelsOfPlans(plans)).length > 0));

/** What plans say of themselves. */
const levelsOfPlans = (plans: FilterContext["plans"]): Record<string, (typeof NAMES)[number]> =>
  Object.fromEntries(
    Object.entries(plans).flatMap(([name, plan]) => (plan.priority === undefined ? [] : [[name, plan.priority]])),
  );

function compile(policies: Policies, context: FilterContext): Filter[] {
  const { route, scopeOf, shared, overload: settings } = context;
  const { priority: config } = policies;
  if (config === undefined) return [];
  // One of `defaults` may be meant for the other routes.
  if (namesPeople(policies, context) && policies.auth === undefined && scopeOf("priority") !== "defaults")
    throw new CompileError("nobody is known here, as the route has no `auth`");
  const admission = new Admission(config, levelsOfPlans(context.plans), settings, route, shared);
  shared.onStart(() => {
    const leave = overload.use(settings);
    shared.onEnd(leave);
  });
  return [Object.freeze<Filter>({ name: "priority", request: (x) => admission.request(x) })];
}

/** One of those that are under way. */
class UnderWay implements Held {
  readonly next: Held | null;
  constructor(next: Held | null) {
    this.next = next;
  }
  leave(): void {
    overload.underWay -= 1;
  }
}

class Admission {
  readonly #level: Level;
  readonly #header: string;
  readonly #consumers: ReadonlyMap<string, Level>;
  readonly #plans: ReadonlyMap<string, Level>;
  readonly #groups: ReadonlyMap<string, Level>;
  readonly #counts: boolean;
  readonly #retryAfter: number;
  readonly #route: string;
  readonly #shared: Shared;

  constructor(
    config: PriorityConfig,
    plans: Readonly<Record<string, (typeof NAMES)[number]>>,
    { requests, retryAfter }: OverloadConfig,
    route: string,
    shared: Shared,
  ) {
    this.#level = LEVELS[config.level];
    this.#header = config.header ?? "";
    this.#consumers = levelsOf(config.consumers);
    this.#plans = levelsOf({ ...plans, ...config.plans });
    this.#groups = levelsOf(config.groups);
    this.#counts = requests !== undefined;
    this.#retryAfter = Math.max(1, Math.ceil(retryAfter / SECOND_MS));
    this.#route = route;
    this.#shared = shared;
  }

  request(x: Exchange): FilterResult {
    const level = this.#levelOf(x);
    x.priority = level;
    if (overload.refuses(level)) {
      this.#shared.count("sluice_shed_total", [this.#route, NAMES[level]]);
      return fault("overload.shed", NAMES[level], this.#retryAfter);
    }
    if (this.#counts) {
      overload.underWay += 1;
      x.held = new UnderWay(x.held);
    }
    return undefined;
  }

  #levelOf(x: Exchange): Level {
    // What a client says of itself would always be: high.
    if (this.#header !== "" && x.trusted) {
      const said = levelIn(x.request.header(this.#header));
      if (said !== null) return said;
    }
    return x.identity === null ? this.#level : this.#levelFor(x.identity);
  }

  #levelFor({ consumer, plan, groups }: Identity): Level {
    const own = this.#consumers.get(consumer) ?? this.#plans.get(plan);
    if (own !== undefined) return own;
    let level: Level | undefined;
    for (const group of groups) {
      const found = this.#groups.get(group);
      if (found !== undefined && (level === undefined || found < level)) level = found;
    }
    return level ?? this.#level;
  }
}

function levelsOf(config: Readonly<Record<string, (typeof NAMES)[number]>> | undefined): ReadonlyMap<string, Level> {
  return new Map(Object.entries(config ?? {}).map(([name, level]) => [name, LEVELS[level]]));
}

/** A level by its name, or an urgency: `low`, `u=6`, `6`; null for anything else. */
export function levelIn(value: string | null): Level | null {
  if (value === null) return null;
  if (value === "high" || value === "normal" || value === "low") return LEVELS[value];
  const at = value.startsWith("u=") ? 2 : 0;
  const urgency = value.charCodeAt(at) - 0x30;
  if (!(urgency >= 0 && urgency <= 7) || (value.length > at + 1 && value.charAt(at + 1) !== ",")) return null;
  return urgency < NORMAL_URGENCY ? 0 : urgency < LOW_URGENCY ? 1 : 2;
}
