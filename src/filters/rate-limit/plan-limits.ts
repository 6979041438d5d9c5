// A plan compiled: the limits that are asked one after the other, and what clients are told of them.
import type { PlanConfig } from "../../config/schema-plans.ts";
import type { FaultCode } from "../../core/faults.ts";
import { PERIOD_MS, type PlanLimits, type Quota } from "../../core/plan-limits.ts";
import type { LeaseSettings } from "../../engines/rate-limit/leases.ts";
import type { Counter, Limit, PlanCounters, Unit } from "./plan-counters.ts";

/** One limit of a plan. */
export interface PlanLimit extends Limit {
  /** As clients, log and metrics know it: `gold` for a rate, `gold-day`, `gold-tokens-day`. */
  readonly name: string;
  readonly kind: LeaseSettings["kind"];
  readonly unit: Unit;
  readonly counter: Counter;
  readonly fault: FaultCode;
  /** What goes beyond is let through and marked. */
  readonly isSoft: boolean;
  /** Counts at which it is told, in their order; empty for none. */
  readonly steps: readonly number[];
}

export interface CompiledPlan {
  readonly name: string;
  readonly limits: readonly PlanLimit[];
  /** Requests under way at a time; 0 without a limit. */
  readonly concurrent: number;
  readonly isConcurrentSoft: boolean;
  /** Its RateLimit-Policy; "" for none. */
  readonly policy: string;
  readonly countsTokens: boolean;
  readonly source: PlanConfig;
}

/** Rates above this count microseconds, which clocks do not tell apart. */
const PER_SECOND_MAX = 1_000_000;
const SECOND_MS = 1000;

/**
 * Compiles a plan. Throws RangeError for a rate that cannot work; of a consumer's own limits, which nobody is there to
 * be told of, `lenient` makes the nearest that does.
 */
export function compilePlanLimits(
  name: string,
  plan: PlanConfig,
  counters: PlanCounters,
  thresholds: readonly number[],
  lenient = false,
): CompiledPlan {
  const { rate, burst, quota = [], tokens = [], concurrent = 0 } = plan;
  const isSoft = (which: "rate" | "quota" | "tokens" | "concurrent"): boolean =>
    Array.isArray(plan.soft) ? plan.soft.includes(which) : plan.soft && (which === "quota" || which === "tokens");
  const limits: PlanLimit[] = [];
  const policies: string[] = [];
  if (rate !== undefined) {
    const intervalMs = Math.max(rate.perMs / rate.count, lenient ? SECOND_MS / PER_SECOND_MAX : 0);
    if (intervalMs < SECOND_MS / PER_SECOND_MAX) throw new RangeError("a rate is at most 1000000/s");
    const most = burst ?? Math.max(1, Math.ceil(rate.count / 10));
    const counter = counters.rate(intervalMs, most, lenient);
    const common = { unit: "requests", fault: "limit.rate", steps: [] } as const;
    limits.push({ name, kind: "rate", most, intervalMs, counter, isSoft: isSoft("rate"), ...common });
    policies.push(`"${name}";q=${rate.count};w=${Math.max(1, Math.ceil(rate.perMs / SECOND_MS))}`);
  } else if (burst !== undefined && !lenient) throw new RangeError("a `burst` needs a `rate`");
  const add = (unit: Unit, { count, per }: Quota): void => {
    const own = unit === "tokens" ? `${name}-tokens-${per}` : `${name}-${per}`;
    limits.push({
      name: own,
      kind: per,
      unit,
      most: count,
      intervalMs: 0,
      counter: counters.quota(unit, per),
      fault: unit === "tokens" ? "limit.tokens" : "limit.quota",
      isSoft: isSoft(unit === "tokens" ? "tokens" : "quota"),
      // A minute is too short for anybody to do something about it.
      steps: per === "minute" ? [] : thresholds.map((share) => Math.ceil(share * count)),
    });
    policies.push(`"${own}";q=${count};w=${PERIOD_MS[per] / SECOND_MS}`);
  };
  for (const each of quota) add("requests", each);
  for (const each of tokens) add("tokens", each);
  return {
    name,
    limits,
    concurrent,
    isConcurrentSoft: isSoft("concurrent"),
    policy: policies.join(", "),
    countsTokens: tokens.length > 0,
    source: plan,
  };
}

/** The plan with a consumer's own limits in place of those that it has of the same kind. */
export function withOwn(plan: PlanConfig, own: PlanLimits): PlanConfig {
  const { rate, burst, quota, tokens, concurrent } = own;
  const { burst: burstOfPlan, ...rest } = plan;
  const ofRate =
    rate === undefined
      ? { burst: burst ?? burstOfPlan }
      : { rate, burst }; /* the burst of another rate says nothing of this one */
  return {
    ...rest,
    ...ofRate,
    ...(quota === undefined ? {} : { quota: [...quota] }),
    ...(tokens === undefined ? {} : { tokens: [...tokens] }),
    ...(concurrent === undefined ? {} : { concurrent }),
  };
}
