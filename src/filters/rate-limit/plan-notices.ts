// Tells of quotas of which so much is used that somebody wants to know. Each thread says it once in a period; whoever
// hears it (control/usage-notices.ts) sees to it that it is told once by all of them.
import { PERIOD_MS } from "../../core/plan-limits.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { PlanLimit } from "./plan-limits.ts";

/** What a thread remembers to have told; of more it begins anew, and tells some again. */
const TOLD_MAX = 20_000;

export class PlanNotices {
  readonly #shared: Shared;
  /** By limit: keys, and what was told of each: the period and the step. */
  readonly #told = new WeakMap<PlanLimit, Map<number, number>>();

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  look(x: Exchange, plan: string, limit: PlanLimit, used: number, low: number, high: number): void {
    const { steps, most, name, unit, kind } = limit;
    let step = 0;
    while (step < steps.length && used >= steps[step]!) step += 1;
    if (step === 0 || kind === "rate") return;
    const told = this.#told.get(limit) ?? new Map<number, number>();
    this.#told.set(limit, told);
    const key = low * 2 ** 20 + (high >>> 12);
    // A month is none of a fixed length, but nobody is told twice in one for that.
    const now = this.#shared.wallNow();
    const period = kind === "month" ? monthOf(now) : Math.floor(now / PERIOD_MS[kind]);
    const mark = period * 16 + step;
    if ((told.get(key) ?? 0) >= mark) return;
    if (told.size >= TOLD_MAX) told.clear();
    told.set(key, mark);
    const { identity } = x;
    this.#shared.event({
      kind: "quota",
      consumer: identity === null ? x.ip : identity.consumer === "" ? identity.user : identity.consumer,
      plan,
      limit: name,
      unit,
      period: kind,
      used,
      of: most,
      share: Math.floor((steps[step - 1]! / most) * 100 + 0.5),
    });
  }
}

function monthOf(wallMs: number): number {
  const date = new Date(wallMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}
