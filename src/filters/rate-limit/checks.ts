// What a limit may count: a rate, a quota, requests under way. Each is a table in shared memory and what clients are
// told of it (draft-ietf-httpapi-ratelimit-headers).
import type { RateLimitConfig } from "../../config/schema-limits.ts";
import type { FaultCode } from "../../core/faults.ts";
import { PERIOD_MS, type Period } from "../../core/plan-limits.ts";
import type { Rate } from "../../core/units.ts";
import { GcraTable } from "../../engines/rate-limit/gcra.ts";
import { InFlight } from "../../engines/rate-limit/in-flight.ts";
import { type LeaseSettings, leaseOf } from "../../engines/rate-limit/leases.ts";
import { QuotaTable } from "../../engines/rate-limit/quota.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { HeldPlace, type Shared } from "../../pipeline/shared.ts";

/** Memory under a name that is made of a kind and of what is the check's own. */
export type MemoryOf = (kind: string, own: unknown, bytes: number) => SharedArrayBuffer;

export interface Check {
  readonly fault: FaultCode;
  /** After `take` said false: that it is not known yet, where other machines count as well. */
  readonly isUnknown: boolean;
  /** After a refusal: milliseconds until it may be tried again. */
  readonly retryMs: number;
  /** Takes what the request costs; false when that is not there. */
  take(x: Exchange, low: number, high: number): boolean;
  giveBack(low: number, high: number): void;
  /** The member of RateLimit-Policy; "" where there is none for it. */
  policy(name: string): string;
  /** The member of RateLimit after the last `take`. */
  left(name: string): string;
}

/** Rates above this count microseconds, which clocks do not tell apart. */
const PER_SECOND_MAX = 1_000_000;
const SECOND_MS = 1000;

/** RFC 9651 has whole seconds, and a window of 0 would say nothing. */
const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / SECOND_MS));

export class RateCheck implements Check {
  readonly fault = "limit.rate";
  readonly isUnknown = false;
  readonly lease: LeaseSettings;
  readonly #rate: Rate;
  readonly #cost: number;
  readonly #table: GcraTable;
  readonly #shared: Shared;

  /** Throws RangeError for a rate or a cost that cannot work. */
  constructor(rate: Rate, { burst, cost, clients }: RateLimitConfig, memoryOf: MemoryOf, shared: Shared) {
    const { count, perMs } = rate;
    if ((count / perMs) * SECOND_MS > PER_SECOND_MAX) throw new RangeError("a rate is at most 1000000/s");
    const most = burst ?? Math.max(cost, Math.ceil(count / 10));
    if (cost > most)
      throw new RangeError(`a request costs ${cost}, and no more than ${most} may come at once: raise \`burst\``);
    this.#rate = rate;
    this.#cost = cost;
    this.#shared = shared;
    const memory = memoryOf("rate", [count, perMs, most], GcraTable.bytes(clients));
    this.#table = new GcraTable(memory, { intervalMs: perMs / count, burst: most });
    const step = (perMs / count) * 1000;
    this.lease = { kind: "rate", step, most, lease: Math.max(cost, leaseOf("rate", most, step)), cost };
    shared.onTick({ tick: (nowMs, sinceMs) => this.#table.sweep(nowMs, sinceMs) });
  }

  get retryMs(): number {
    return this.#table.retryMs;
  }
  take(_x: Exchange, low: number, high: number): boolean {
    return this.#table.take(low, high, this.#cost, this.#shared.now());
  }
  giveBack(low: number, high: number): void {
    this.#table.giveBack(low, high, this.#cost);
  }
  policy(name: string): string {
    return `"${name}";q=${this.#rate.count};w=${seconds(this.#rate.perMs)}`;
  }
  left(name: string): string {
    const { remaining, resetMs } = this.#table;
    return this.tell(name, remaining, resetMs);
  }
  /** The member of RateLimit for what is left. */
  tell(name: string, remaining: number, resetMs: number): string {
    return `"${name}";r=${remaining};t=${Math.ceil(resetMs / SECOND_MS)}`;
  }
}

export class QuotaCheck implements Check {
  readonly fault = "limit.quota";
  readonly isUnknown = false;
  readonly lease: LeaseSettings;
  readonly #max: number;
  readonly #per: Period;
  readonly #cost: number;
  readonly #table: QuotaTable;
  readonly #shared: Shared;

  constructor(quota: string, { cost, clients }: RateLimitConfig, memoryOf: MemoryOf, shared: Shared) {
    const [count = "", per = ""] = quota.split("/");
    this.#max = Number(count);
    this.#per = per as Period;
    this.#cost = cost;
    this.#shared = shared;
    if (cost > this.#max) throw new RangeError(`a request costs ${cost}, which is more than the whole quota`);
    const lease = Math.max(cost, leaseOf(this.#per, this.#max, 1));
    this.lease = { kind: this.#per, step: 1, most: this.#max, lease, cost };
    this.#table = new QuotaTable(memoryOf("quota", quota, QuotaTable.bytes(clients)), this.#max, this.#per);
  }

  get retryMs(): number {
    return this.#table.resetMs(this.#shared.wallNow());
  }
  take(_x: Exchange, low: number, high: number): boolean {
    return this.#table.take(low, high, this.#cost, this.#shared.wallNow());
  }
  giveBack(low: number, high: number): void {
    this.#table.giveBack(low, high, this.#cost);
  }
  policy(name: string): string {
    return `"${quotaName(name)}";q=${this.#max};w=${PERIOD_MS[this.#per] / SECOND_MS}`;
  }
  left(name: string): string {
    return this.tell(name, this.#table.remaining);
  }
  tell(name: string, remaining: number): string {
    return `"${quotaName(name)}";r=${remaining};t=${seconds(this.retryMs)}`;
  }
}

/** A limit may have a rate and a quota, and the two are not the same policy. */
const quotaName = (name: string): string => (name === "default" ? "quota" : `${name}-quota`);

/** Keys with requests under way at a time. Connections are bounded, and most clients have few: 64 KB for each thread. */
const KEYS_UNDER_WAY = 8192;

export class ConcurrentCheck implements Check {
  readonly fault = "limit.concurrent";
  readonly isUnknown = false;
  /** Nobody knows when one of the others ends. */
  readonly retryMs = SECOND_MS;
  readonly #table: InFlight;

  constructor(max: number, memoryOf: MemoryOf, { thread, threads }: Shared) {
    const memory = memoryOf("in-flight", null, InFlight.bytes(KEYS_UNDER_WAY, threads));
    this.#table = new InFlight(memory, thread, KEYS_UNDER_WAY, max);
  }

  take(x: Exchange, low: number, high: number): boolean {
    const slot = this.#table.enter(low, high);
    if (slot === -1) return false;
    x.held = new HeldPlace(this.#table, slot, x.held);
    return true;
  }
  /** It is left with the end of the exchange, which is near. */
  giveBack(): void {}
  policy(): string {
    return "";
  }
  left(): string {
    return "";
  }
}
