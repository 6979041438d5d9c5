// `quota`: holds those who ask to the limits of their plan, over all routes that have the policy. What a request costs
// is taken when it comes, and settled when it has ended where only the server, or a language model, can say it.
import { CompileError, within } from "../../config/compile-error.ts";
import { QUOTA_DEFAULTS } from "../../config/plan-defaults.ts";
import type { PlanConfig, QuotaPolicy } from "../../config/schema-plans.ts";
import { type Fault, fault } from "../../core/faults.ts";
import type { PlanLimits } from "../../core/plan-limits.ts";
import type { Exchange, Filter, FilterResult, Outcome, PlanInUse } from "../../pipeline/exchange.ts";
import { namesIdentity, type RequestKey, requestKey } from "../../pipeline/request-key.ts";
import { HeldPlace, type Shared } from "../../pipeline/shared.ts";
import type { FilterContext, FilterDefinition } from "../definition.ts";
import { answered, waitUntil } from "./answers.ts";
import { PlanCounters, type Unit } from "./plan-counters.ts";
import { type CompiledPlan, compilePlanLimits, type PlanLimit, withOwn } from "./plan-limits.ts";
import { PlanNotices } from "./plan-notices.ts";
import { SharedHash } from "./shared-hash.ts";

/** Beyond what a server may say that a request has cost. */
const COST_MAX = 1_000_000;
const SECOND_MS = 1000;
/** No answer at all: who leaves once the server works has not been refused. */
const CLIENT_GONE = 499;
const NO_PLAN = "";

export const quota: FilterDefinition = {
  key: "quota",
  compile(policies, context) {
    if (policies.quota === undefined) return [];
    const policy = policies.quota === true ? QUOTA_DEFAULTS : policies.quota;
    const parts = [policy.per].flat();
    if (policies.auth === undefined && namesIdentity(parts)) {
      // One of `defaults` may be meant for the other routes.
      if (context.scopeOf("quota") === "defaults") return [];
      throw new CompileError("nobody is known here, as the route has no `auth`", ["per"]);
    }
    const key = within("per", () => requestKey(parts, new SharedHash(context.shared), true));
    const plans = compilePlans(policy, context);
    if (plans.size === 0) throw new RangeError("there are no plans: name some in `plans`, here or at the top");
    const { default: usual = NO_PLAN } = policy;
    if (usual !== NO_PLAN && !plans.has(usual))
      throw new CompileError(`there is no plan named "${usual}"`, ["default"]);
    if (usual === NO_PLAN && policies.auth === undefined)
      throw new RangeError("nobody has a plan here, as the route has no `auth`: give it a `default`");
    const preflights = policies.cors !== undefined;
    const keepsKey = parts.some((part) => part.startsWith("header:") || part.startsWith("cookie:"));
    return [new PlanFilter({ policy, key, keepsKey, plans, preflights, notices: new PlanNotices(context.shared) })];
  },
};

/** The counters of all routes of one plan (control/compile.ts) that count in the same memory. */
const COUNTERS = new WeakMap<Shared, Map<string, PlanCounters>>();

function countersOf(scope: string, policy: QuotaPolicy, { shared, state }: FilterContext): PlanCounters {
  const known = COUNTERS.get(shared) ?? new Map<string, PlanCounters>();
  COUNTERS.set(shared, known);
  const name = `${scope} ${JSON.stringify([policy.per, policy.clients])}`;
  const made =
    known.get(name) ??
    new PlanCounters(
      policy,
      state?.kind === "redis",
      (kind, own, bytes) => shared.memory(`${kind} ${name} ${JSON.stringify(own)}`, bytes),
      shared,
    );
  known.set(name, made);
  return made;
}

/** A plan, and what consumers with limits of their own have in its place. */
interface Choice {
  readonly plan: CompiledPlan;
  readonly counters: PlanCounters;
  readonly thresholds: readonly number[];
  readonly own: WeakMap<PlanLimits, CompiledPlan>;
}

function compilePlans(policy: QuotaPolicy, context: FilterContext): Map<string, Choice> {
  const plans = new Map<string, Choice>();
  const { thresholds } = context;
  const add = (name: string, plan: PlanConfig, counters: PlanCounters): void =>
    void plans.set(name, {
      plan: compilePlanLimits(name, plan, counters, thresholds),
      counters,
      thresholds,
      own: new WeakMap(),
    });
  const common = countersOf("plans", policy, context);
  for (const [name, plan] of Object.entries(context.plans)) {
    // Where a plan is wrong, it is told at its own place (config/validate-plans.ts).
    if (policy.plans?.[name] === undefined) add(name, plan, common);
  }
  const own = Object.entries(policy.plans ?? {});
  if (own.length === 0) return plans;
  const counters = countersOf(`plans of ${context.scopeOf("quota")}`, policy, context);
  within("plans", () => {
    for (const [name, plan] of own) within(name, () => add(name, planOf(plan), counters));
  });
  return plans;
}

function planOf(plan: NonNullable<QuotaPolicy["plans"]>[string]): PlanConfig {
  if (Array.isArray(plan)) return { quota: plan, soft: false };
  return "per" in plan ? { quota: [plan], soft: false } : plan;
}

type Halves = Pick<RequestKey, "low" | "high">;

class ActivePlan implements PlanInUse {
  readonly plan: string;
  readonly compiled: CompiledPlan;
  /** What the request is counted by, where that may be edited out of it; null where it is found again. */
  readonly key: Halves | null;
  readonly #reserve: (x: Exchange, count: number) => Fault | null;

  constructor(compiled: CompiledPlan, key: Halves | null, reserve: (x: Exchange, count: number) => Fault | null) {
    this.plan = compiled.name;
    this.compiled = compiled;
    this.key = key;
    this.#reserve = reserve;
  }

  reserveTokens(x: Exchange, count: number): Fault | null {
    return this.#reserve(x, count);
  }
}

interface Settings {
  readonly policy: QuotaPolicy;
  readonly key: RequestKey;
  /** Fields and cookies may be others by the end of the exchange. */
  readonly keepsKey: boolean;
  readonly plans: ReadonlyMap<string, Choice>;
  /** Preflights come without credentials, and `cors` answers them. */
  readonly preflights: boolean;
  readonly notices: PlanNotices;
}

/** What one limit lets somebody do, and what of that is used. */
type LimitState =
  | {
      readonly name: string;
      readonly unit: Unit;
      readonly per: string;
      readonly limit: number;
      readonly used: number;
      readonly remaining: number;
      /** Seconds until all of it is there again. */
      readonly resets: number;
      readonly soft: boolean;
    }
  | { readonly name: string; readonly perSecond: number; readonly burst: number; readonly soft: boolean };

export class PlanFilter implements Filter {
  readonly name = "quota";
  readonly #settings: Settings;
  readonly #cost: number;
  /** The field by which servers say what it has cost; "" for none. */
  readonly #costField: string;
  /** It costs what `graphql` finds that it asks for. */
  readonly #isWeighed: boolean;
  readonly #free: readonly number[];
  readonly #active = new WeakMap<CompiledPlan, ActivePlan>();

  constructor(settings: Settings) {
    this.#settings = settings;
    const { cost, free } = settings.policy;
    this.#cost = typeof cost === "number" ? cost : 1;
    this.#isWeighed = cost === "graphql";
    this.#costField = typeof cost === "number" || this.#isWeighed ? "" : cost.slice("header:".length).toLowerCase();
    this.#free = free.map((text) => Number(text[0]));
  }

  request(x: Exchange): FilterResult {
    if (this.#settings.preflights && x.identity === null && isPreflight(x)) return undefined;
    const plan = this.#planOf(x);
    if (plan === null) return fault("limit.plan", `no plan for ${x.identity?.user ?? "nobody known"}`);
    x.plan = this.#settings.keepsKey ? this.#activeFor(x, plan) : this.#inUse(plan);
    const { concurrent } = plan;
    if (concurrent > 0) {
      const refusal = this.#enter(x, plan);
      if (refusal !== null) return refusal;
    }
    return this.#ask(x, plan, 0, "", 0);
  }

  #planOf(x: Exchange): CompiledPlan | null {
    const { plans, policy } = this.#settings;
    const { identity } = x;
    const choice = plans.get(identity?.plan ?? NO_PLAN) ?? plans.get(policy.default ?? NO_PLAN);
    if (choice === undefined) return null;
    const limits = identity?.limits ?? null;
    return limits === null ? choice.plan : ownPlan(choice, limits);
  }

  #inUse(plan: CompiledPlan): ActivePlan {
    const known = this.#active.get(plan);
    if (known !== undefined) return known;
    const made = new ActivePlan(plan, null, (x, count) => this.#reserve(x, plan, count));
    this.#active.set(plan, made);
    return made;
  }

  /** Of one exchange alone: what it costs is charged to the same key in the end. */
  #activeFor(x: Exchange, plan: CompiledPlan): ActivePlan {
    const { key } = this.#settings;
    key.of(x);
    const { low, high } = key;
    return new ActivePlan(plan, { low, high }, (each, count) => this.#reserve(each, plan, count));
  }

  #keyOf(x: Exchange): Halves {
    const kept = x.plan instanceof ActivePlan ? x.plan.key : null;
    if (kept !== null) return kept;
    const { key } = this.#settings;
    key.of(x);
    return key;
  }

  /** Refuses where too many are under way; the place is left with the end of the exchange. */
  #enter(x: Exchange, plan: CompiledPlan): Outcome | null {
    const { low, high } = this.#keyOf(x);
    const { inFlight } = this.#settings.plans.get(plan.name)!.counters;
    const slot = inFlight.enter(low, high, plan.concurrent);
    if (slot === -1) {
      if (!plan.isConcurrentSoft) return this.#refusal(x, `${plan.name}-concurrent`, "limit.concurrent", SECOND_MS);
      x.planExceeded = joined(x.planExceeded, `${plan.name}-concurrent`);
    } else x.held = new HeldPlace(inFlight, slot, x.held);
    return null;
  }

  /** What a limit takes of a request before it is forwarded. */
  #amount({ kind, unit }: PlanLimit): number {
    // Of tokens it is only looked whether there are any: how many it takes is told later.
    return kind === "rate" || unit === "tokens" ? 1 : this.#cost;
  }

  /** Asks the limits from `from` on; `untilMs` is until when it may wait for some, 0 if it has not yet. */
  #ask(x: Exchange, plan: CompiledPlan, from: number, before: string, untilMs: number): FilterResult {
    const { policy } = this.#settings;
    const { limits } = plan;
    const { low, high } = this.#keyOf(x);
    let told = before;
    for (let i = from; i < limits.length; i += 1) {
      const limit = limits[i]!;
      const { counter } = limit;
      const amount = this.#amount(limit);
      let allowed = counter.take(limit, low, high, amount);
      if (!allowed && counter.isUnknown) {
        const until = untilMs === 0 ? waitUntil() : untilMs;
        const soon = answered(counter, low, high, until);
        const soFar = told;
        // An exchange that has ended meanwhile may have lent its head to another one.
        if (soon !== null) return soon.then(() => (x.over ? undefined : this.#ask(x, plan, i, soFar, until)));
        allowed = counter.takeAlone(limit, low, high, amount);
      }
      if (limit.steps.length > 0) this.#look(x, plan, limit, allowed, low, high);
      if (policy.headers) told = joined(told, leftOf(limit));
      if (allowed) continue;
      if (!limit.isSoft) return this.#refuse(x, plan, i, told, low, high);
      // Of a rate nothing is owed: who keeps to it again has not exceeded it any more.
      if (limit.kind !== "rate") counter.charge(limit, low, high, amount);
      x.planExceeded = joined(x.planExceeded, limit.name);
    }
    x.cost = this.#cost;
    x.reservedTokens = plan.countsTokens ? 1 : 0;
    x.planLeft = told;
    return undefined;
  }

  /** Tells when so much of a quota is used that somebody wants to know: all of it, where a request was refused. */
  #look(x: Exchange, plan: CompiledPlan, limit: PlanLimit, allowed: boolean, low: number, high: number): void {
    const { used } = limit.counter;
    const { steps } = limit;
    if (allowed && used < steps[0]!) return;
    this.#settings.notices.look(x, plan.name, limit, allowed ? used : Math.max(used, limit.most), low, high);
  }

  /** Gives back what was taken before limit `at` refused. */
  #refuse(x: Exchange, plan: CompiledPlan, at: number, told: string, low: number, high: number): Outcome {
    for (let i = at - 1; i >= 0; i -= 1) {
      const limit = plan.limits[i]!;
      limit.counter.charge(limit, low, high, -this.#amount(limit));
    }
    const { name, fault: code, counter } = plan.limits[at]!;
    if (told !== "") (x.errorFields ??= []).push(["ratelimit-policy", plan.policy], ["ratelimit", told]);
    return this.#refusal(x, name, code, counter.retryMs);
  }

  #refusal(x: Exchange, name: string, code: PlanLimit["fault"], retryMs: number): Fault {
    x.limit = name;
    return fault(code, `plan limit "${name}"`, Math.max(1, Math.ceil(retryMs / SECOND_MS)));
  }

  #reserve(x: Exchange, plan: CompiledPlan, count: number): Fault | null {
    if (!plan.countsTokens || count <= x.reservedTokens) return null;
    const { low, high } = this.#keyOf(x);
    const more = count - x.reservedTokens;
    const limits = plan.limits.filter(({ unit }) => unit === "tokens");
    for (const [at, limit] of limits.entries()) {
      const { counter } = limit;
      // Here nobody waits for other machines: this one decides, and they are charged.
      const isTaken =
        counter.take(limit, low, high, more) || (counter.isUnknown && counter.takeAlone(limit, low, high, more));
      if (isTaken) continue;
      if (limit.isSoft) {
        counter.charge(limit, low, high, more);
        x.planExceeded = joined(x.planExceeded, limit.name);
        continue;
      }
      const { retryMs } = counter;
      for (const before of limits.slice(0, at)) before.counter.charge(before, low, high, -more);
      this.#settle(x, plan, 0); // a refused request costs nothing
      return this.#refusal(x, limit.name, limit.fault, retryMs);
    }
    x.reservedTokens = count;
    return null;
  }

  response(x: Exchange): FilterResult {
    const plan = compiledOf(x);
    if (plan === null) return;
    const { headers } = x.response;
    if (this.#costField !== "") {
      const said = headers.get(this.#costField);
      if (said !== null) {
        headers.remove(this.#costField);
        this.#settle(x, plan, costSaid(said, this.#cost));
      }
    }
    if (x.planExceeded !== "") headers.set("x-quota-exceeded", x.planExceeded);
    if (x.planLeft === "") return;
    // Those of `rateLimit` are there already; a server's own would be about something else.
    if (x.limits === "") {
      headers.set("ratelimit-policy", plan.policy);
      headers.set("ratelimit", x.planLeft);
    } else {
      headers.add("ratelimit-policy", plan.policy);
      headers.add("ratelimit", x.planLeft);
    }
  }

  finished(x: Exchange): void {
    const plan = compiledOf(x);
    if (plan === null) return;
    if (this.#isWeighed && x.points > 0) this.#settle(x, plan, Math.min(Math.ceil(x.points), COST_MAX));
    if (x.cost > 0 && x.status !== CLIENT_GONE && this.#free.includes(Math.floor(x.status / 100)))
      this.#settle(x, plan, 0);
    if (!plan.countsTokens || x.cost + x.reservedTokens === 0) return;
    const { tokens } = x;
    const used = tokens === null ? 0 : tokens.input + tokens.output;
    this.#charge(x, plan, "tokens", used - x.reservedTokens);
  }

  /** The request has cost so much in the end. */
  #settle(x: Exchange, plan: CompiledPlan, cost: number): void {
    this.#charge(x, plan, "requests", cost - x.cost);
    x.cost = cost;
  }

  #charge(x: Exchange, plan: CompiledPlan, unit: PlanLimit["unit"], count: number): void {
    if (count === 0) return;
    const { low, high } = this.#keyOf(x);
    for (const limit of plan.limits) {
      if (limit.unit !== unit || limit.kind === "rate") continue;
      limit.counter.charge(limit, low, high, count);
      if (count > 0 && limit.steps.length > 0) this.#look(x, plan, limit, true, low, high);
    }
  }

  /** What somebody has of his plan; null for somebody without one. */
  describe(x: Exchange): { readonly plan: string; readonly limits: readonly LimitState[] } | null {
    const plan = this.#planOf(x);
    if (plan === null) return null;
    const { key } = this.#settings;
    key.of(x);
    const { low, high } = key;
    const limits = plan.limits.map((limit): LimitState => {
      const { name, unit, kind, most, intervalMs, counter, isSoft: soft } = limit;
      if (kind === "rate") return { name, perSecond: SECOND_MS / intervalMs, burst: most, soft };
      counter.look(limit, low, high);
      const { used, remaining, resetMs } = counter;
      return { name, unit, per: kind, limit: most, used, remaining, resets: Math.ceil(resetMs / SECOND_MS), soft };
    });
    return { plan: plan.name, limits };
  }
}

function ownPlan({ plan, counters, thresholds, own }: Choice, limits: PlanLimits): CompiledPlan {
  const known = own.get(limits);
  if (known !== undefined) return known;
  const made = compilePlanLimits(plan.name, withOwn(plan.source, limits), counters, thresholds, true);
  own.set(limits, made);
  return made;
}

const compiledOf = ({ plan }: Exchange): CompiledPlan | null => (plan instanceof ActivePlan ? plan.compiled : null);

const joined = (told: string, more: string): string => (told === "" ? more : `${told}, ${more}`);

const leftOf = ({ name, counter: { remaining, resetMs } }: PlanLimit): string =>
  `"${name}";r=${remaining};t=${Math.max(1, Math.ceil(resetMs / SECOND_MS))}`;

/** A server that says nothing that can be understood has not said anything. */
function costSaid(text: string, otherwise: number): number {
  return /^\d{1,10}$/.test(text) ? Math.min(COST_MAX, Number(text)) : otherwise;
}

/** As `cors` sees it (filters/cors). */
const isPreflight = ({ request }: Exchange): boolean =>
  request.method === "OPTIONS" &&
  request.header("origin") !== null &&
  request.header("access-control-request-method") !== null;
