// What plans count in: tables in shared memory where each key has its own limit, so that a consumer who gets another
// plan keeps what it has used. The same for all routes that hold to the same plans.
import type { QuotaPolicy } from "../../config/schema-plans.ts";
import { PERIODS, type Period } from "../../core/plan-limits.ts";
import { GcraTable } from "../../engines/rate-limit/gcra.ts";
import { InFlight } from "../../engines/rate-limit/in-flight.ts";
import { ALLOWED, AWAY, Leases, REFUSED } from "../../engines/rate-limit/leases.ts";
import { QuotaTable } from "../../engines/rate-limit/quota.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { MemoryOf } from "./checks.ts";

/** A key's own limit. */
export interface Limit {
  /** Requests that may come at once, or in the period. */
  readonly most: number;
  /** Of a rate: milliseconds between two requests. */
  readonly intervalMs: number;
}
/** What is counted. */
export type Unit = "requests" | "tokens";

/** A count on this machine alone. */
interface Local {
  remaining: number;
  /** What the key has used; of a rate nothing. */
  used: number;
  resetMs: number;
  retryMs: number;
  take(limit: Limit, low: number, high: number, cost: number): boolean;
  /** Counts it whether it is there or not; below 0 to give back. */
  charge(limit: Limit, low: number, high: number, count: number): void;
}

class LocalRate implements Local {
  remaining = 0;
  readonly used = 0;
  resetMs = 0;
  retryMs = 0;
  readonly #table: GcraTable;
  readonly #shared: Shared;

  constructor(table: GcraTable, shared: Shared) {
    this.#table = table;
    this.#shared = shared;
    shared.onTick({ tick: (nowMs, sinceMs) => table.sweep(nowMs, sinceMs) });
  }

  take({ most, intervalMs }: Limit, low: number, high: number, cost: number): boolean {
    const table = this.#table;
    table.setRate(intervalMs, most);
    const taken = table.take(low, high, cost, this.#shared.now());
    this.remaining = table.remaining;
    this.resetMs = table.resetMs;
    this.retryMs = table.retryMs;
    return taken;
  }
  charge({ most, intervalMs }: Limit, low: number, high: number, count: number): void {
    this.#table.setRate(intervalMs, most);
    this.#table.giveBack(low, high, -count);
  }
}

class LocalQuota implements Local {
  remaining = 0;
  used = 0;
  resetMs = 0;
  retryMs = 0;
  readonly #table: QuotaTable;
  readonly #shared: Shared;

  constructor(table: QuotaTable, shared: Shared) {
    this.#table = table;
    this.#shared = shared;
  }

  take({ most }: Limit, low: number, high: number, cost: number): boolean {
    const table = this.#table;
    const now = this.#shared.wallNow();
    const taken = table.take(low, high, cost, now, most);
    this.remaining = table.remaining;
    this.used = table.used;
    this.resetMs = table.resetMs(now);
    this.retryMs = this.resetMs;
    return taken;
  }
  charge({ most }: Limit, low: number, high: number, count: number): void {
    this.#table.charge(low, high, count, this.#shared.wallNow());
    this.used = this.#table.used;
    this.remaining = Math.max(0, most - this.used);
  }
  look({ most }: Limit, low: number, high: number): void {
    const now = this.#shared.wallNow();
    this.used = this.#table.look(low, high, now);
    this.remaining = Math.max(0, most - this.used);
    this.resetMs = this.#table.resetMs(now);
  }
}

/** A rate or a quota of all keys, on this machine or on all. */
export class Counter {
  /** After `take` said false: that it is not known yet, where other machines count as well. */
  isUnknown = false;
  /** Of the last call. */
  remaining = 0;
  used = 0;
  resetMs = 0;
  retryMs = 0;
  readonly #local: LocalRate | LocalQuota;
  readonly #leases: Leases | null;
  readonly #onStoreError: QuotaPolicy["onStoreError"];
  readonly #shared: Shared;

  constructor(
    local: LocalRate | LocalQuota,
    leases: Leases | null,
    onStoreError: QuotaPolicy["onStoreError"],
    shared: Shared,
  ) {
    this.#local = local;
    this.#leases = leases;
    this.#onStoreError = onStoreError;
    this.#shared = shared;
  }

  take(limit: Limit, low: number, high: number, cost: number): boolean {
    this.isUnknown = false;
    const leases = this.#leases;
    if (leases === null) return this.#takeLocal(limit, low, high, cost);
    const taken = leases.take(low, high, cost, this.#shared.now(), limit.most, limit.intervalMs * 1000);
    if (taken === AWAY) return this.takeAlone(limit, low, high, cost);
    const local = this.#local;
    // So that what it has let through counts when the store is lost, and is kept in mind for the end of the period.
    if (taken === ALLOWED) local.charge(limit, low, high, cost);
    this.remaining = leases.remaining;
    this.used = limit.most - leases.remaining;
    if (local instanceof LocalQuota) local.look(limit, low, high);
    this.resetMs = local instanceof LocalQuota ? local.resetMs : leases.resetMs;
    this.retryMs = local instanceof LocalQuota ? local.resetMs : leases.retryMs;
    this.isUnknown = taken !== ALLOWED && taken !== REFUSED;
    return taken === ALLOWED;
  }

  /** Decides without the other machines. */
  takeAlone(limit: Limit, low: number, high: number, cost: number): boolean {
    this.isUnknown = false;
    this.retryMs = 1000;
    if (this.#onStoreError === "deny") return false;
    const allowed = this.#takeLocal(limit, low, high, cost) || this.#onStoreError === "allow";
    if (allowed) this.#leases?.owe(low, high, cost, this.#shared.now());
    return allowed;
  }

  #takeLocal(limit: Limit, low: number, high: number, cost: number): boolean {
    const local = this.#local;
    const taken = local.take(limit, low, high, cost);
    this.remaining = local.remaining;
    this.used = local.used;
    this.resetMs = local.resetMs;
    this.retryMs = local.retryMs;
    return taken;
  }

  /** Counts what was used without asking; below 0 what was not used after all. */
  charge(limit: Limit, low: number, high: number, count: number): void {
    this.#local.charge(limit, low, high, count);
    if (count < 0) this.#leases?.giveBack(low, high, -count);
    else this.#leases?.charge(low, high, count, this.#shared.now(), limit.most, limit.intervalMs * 1000);
    this.used = this.#leases === null ? this.#local.used : 0;
  }

  /** What this machine knows of it, for a quota. */
  look(limit: Limit, low: number, high: number): void {
    const local = this.#local;
    if (local instanceof LocalQuota) local.look(limit, low, high);
    this.used = local.used;
    this.remaining = local.remaining;
    this.resetMs = local.resetMs;
  }

  /** Whether it makes sense to ask again for what was unknown. */
  isAnswered(low: number, high: number): boolean {
    return this.#leases === null || this.#leases.isAnswered(low, high);
  }
}

/** Parts of a millisecond that tables of rates count in: the finest that has room for the whole burst of a rate. */
const SCALES = [1000, 16, 0.125] as const;
/** Keys with requests under way at a time, as in checks.ts. */
const KEYS_UNDER_WAY = 8192;

export class PlanCounters {
  readonly #rates: readonly Counter[];
  readonly #quotas: Readonly<Record<Unit, Readonly<Record<Period, Counter>>>>;
  readonly #inFlight: InFlight;

  /** `isShared`: other machines count the same. */
  constructor(policy: QuotaPolicy, isShared: boolean, memoryOf: MemoryOf, shared: Shared) {
    const { clients, onStoreError } = policy;
    const leasesOf = (kind: "rate" | Period, name: string): Leases | null => {
      if (!isShared) return null;
      const leases = new Leases(memoryOf("lease", [name], Leases.bytes(clients)));
      leases.describe({ kind, step: 1, most: 0, lease: 0, cost: 1 });
      return leases;
    };
    this.#rates = SCALES.map((perMs) => {
      const memory = memoryOf("rate", [perMs], GcraTable.bytes(clients));
      const local = new LocalRate(new GcraTable(memory, { intervalMs: 1, burst: 1 }, perMs), shared);
      return new Counter(local, leasesOf("rate", `rate ${perMs}`), onStoreError, shared);
    });
    const quotasOf = (unit: Unit): Readonly<Record<Period, Counter>> => {
      const made = PERIODS.map((per) => {
        // Quotas are written to files by that kind of name; a minute is over before that would be of use.
        const memory = memoryOf(per === "minute" ? "window" : "quota", [unit, per], QuotaTable.bytes(clients));
        const local = new LocalQuota(new QuotaTable(memory, 0, per), shared);
        return [per, new Counter(local, leasesOf(per, `${unit} ${per}`), onStoreError, shared)] as const;
      });
      return Object.fromEntries(made) as Readonly<Record<Period, Counter>>;
    };
    this.#quotas = { requests: quotasOf("requests"), tokens: quotasOf("tokens") };
    const { thread, threads } = shared;
    const memory = memoryOf("in-flight", null, InFlight.bytes(KEYS_UNDER_WAY, threads));
    this.#inFlight = new InFlight(memory, thread, KEYS_UNDER_WAY, 1);
  }

  /** Throws RangeError where a burst would take weeks to be whole again, unless `lenient`. */
  rate(intervalMs: number, burst: number, lenient: boolean): Counter {
    const at = SCALES.findIndex((perMs) => GcraTable.fits(intervalMs, burst, perMs));
    if (at < 0 && !lenient) throw new RangeError("the burst takes more than three weeks to be whole again");
    return this.#rates.at(at)!;
  }
  quota(unit: Unit, per: Period): Counter {
    return this.#quotas[unit][per];
  }
  get inFlight(): InFlight {
    return this.#inFlight;
  }
}
