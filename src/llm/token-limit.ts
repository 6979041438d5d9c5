// One limit of tokens or money: a table in shared memory that is asked for an estimate before, and charged the rest
// when it is known.
import { within } from "../config/compile-error.ts";
import type { LlmLimitConfig } from "../config/schema-llm.ts";
import { PERIOD_MS, type Period, parseQuota } from "../core/plan-limits.ts";
import type { Rate } from "../core/units.ts";
import type { Usage } from "../engines/llm/usage.ts";
import { GcraTable } from "../engines/rate-limit/gcra.ts";
import { ALLOWED, AWAY, Leases, leaseOf, REFUSED } from "../engines/rate-limit/leases.ts";
import { QuotaTable } from "../engines/rate-limit/quota.ts";
import type { Shared } from "../pipeline/shared.ts";

/** A budget is counted in so many parts: a thousandth of a cent of ten thousand dollars. */
const BUDGET_PARTS = 1_000_000_000;
const SECOND_MS = 1000;
/** Parts of a millisecond that rates are counted in, and the longest burst in them: debts may be three times as long. */
const PARTS_PER_MS_MAX = 1000;
const WINDOW_MAX = 2 ** 26;
const PER_MILLION = 1_000_000;
/** Tables and messages between machines hold 32 bits with a sign. */
const AMOUNT_MAX = 2 ** 31 - 1;

/** That it is not known yet what other machines have left. */
export const WAIT = 2;
export type Answer = 0 | 1 | typeof WAIT;

interface Counter {
  readonly retryMs: number;
  readonly remaining: number;
  readonly resetMs: number;
  take(low: number, high: number, count: number): boolean;
  charge(low: number, high: number, count: number): void;
}

class RateCounter implements Counter {
  readonly #table: GcraTable;
  readonly #shared: Shared;

  constructor(rate: Rate, most: number, memory: SharedArrayBuffer, shared: Shared) {
    const intervalMs = rate.perMs / rate.count;
    const step = Math.floor(Math.min(intervalMs * PARTS_PER_MS_MAX, WINDOW_MAX / most));
    if (step < 1) throw new RangeError("that is more than can be counted: give it a lower rate or a smaller `burst`");
    this.#shared = shared;
    this.#table = new GcraTable(memory, { intervalMs, burst: most }, step / intervalMs);
    this.#table.setRate(intervalMs, most);
    shared.onTick({ tick: (nowMs, sinceMs) => this.#table.sweep(nowMs, sinceMs) });
  }
  get retryMs(): number {
    return this.#table.retryMs;
  }
  get remaining(): number {
    return this.#table.remaining;
  }
  get resetMs(): number {
    return this.#table.resetMs;
  }
  take(low: number, high: number, count: number): boolean {
    return this.#table.take(low, high, count, this.#shared.now());
  }
  charge(low: number, high: number, count: number): void {
    this.#table.charge(low, high, count, this.#shared.now());
  }
}

class QuotaCounter implements Counter {
  readonly #table: QuotaTable;
  readonly #shared: Shared;

  constructor(most: number, per: Period, memory: SharedArrayBuffer, shared: Shared) {
    this.#shared = shared;
    this.#table = new QuotaTable(memory, most, per);
  }
  get retryMs(): number {
    return this.#table.resetMs(this.#shared.wallNow());
  }
  get remaining(): number {
    return this.#table.remaining;
  }
  get resetMs(): number {
    return this.retryMs;
  }
  take(low: number, high: number, count: number): boolean {
    return this.#table.take(low, high, count, this.#shared.wallNow());
  }
  charge(low: number, high: number, count: number): void {
    this.#table.charge(low, high, count, this.#shared.wallNow());
  }
}

export type MemoryOf = (kind: string, own: unknown, bytes: number) => SharedArrayBuffer;

/** What a limit counts, in units of its own. */
interface Measure {
  readonly kind: "rate" | Period;
  readonly most: number;
  readonly rate: Rate | null;
  /** Units of a currency; 0 for a limit of tokens. */
  readonly partsPerUnit: number;
}

function measureOf({ tokens, cost, burst }: LlmLimitConfig): Measure {
  if (cost !== undefined) {
    const [amount = "", per = ""] = cost.split("/");
    if (Number(amount) <= 0) throw new RangeError("a budget is more than nothing");
    return { kind: per as Period, most: BUDGET_PARTS, rate: null, partsPerUnit: BUDGET_PARTS / Number(amount) };
  }
  if (typeof tokens === "object") return { kind: "rate", most: burst ?? tokens.count, rate: tokens, partsPerUnit: 0 };
  const quota = parseQuota(tokens ?? "");
  if (quota === null) throw new RangeError("write a rate like 100000/m, or a quota like 5000000/day");
  return { kind: quota.per, most: quota.count, rate: null, partsPerUnit: 0 };
}

export class TokenLimit {
  readonly name: string;
  readonly isRate: boolean;
  retryMs = 0;
  /** The member of RateLimit-Policy. */
  readonly policy: string;
  readonly #count: LlmLimitConfig["count"];
  readonly #measure: Measure;
  readonly #local: Counter;
  readonly #leases: Leases | null;
  readonly #lease: number;
  readonly #onStoreError: LlmLimitConfig["onStoreError"];
  readonly #shared: Shared;
  #remaining = 0;
  #resetMs = 0;

  /** `memoryOf` names memory by what the limit is; `isShared`: other machines count as well. Throws RangeError. */
  constructor(config: LlmLimitConfig, memoryOf: MemoryOf, isShared: boolean, shared: Shared) {
    const { name, count, clients, burst, onStoreError } = config;
    const measure = within(config.cost === undefined ? "tokens" : "cost", () => measureOf(config));
    const { kind, most, rate } = measure;
    if (kind !== "rate" && burst !== undefined) throw new RangeError("a `burst` needs a rate, such as 100000/m");
    const own = [config.tokens, config.cost, most];
    this.name = name;
    this.isRate = kind === "rate";
    this.#count = count;
    this.#measure = measure;
    this.#shared = shared;
    this.#onStoreError = onStoreError;
    this.#local =
      rate === null
        ? new QuotaCounter(most, kind as Period, memoryOf("quota", own, QuotaTable.bytes(clients)), shared)
        : new RateCounter(rate, most, memoryOf("rate", own, GcraTable.bytes(clients)), shared);
    const step = rate === null ? 1 : (rate.perMs / rate.count) * 1000;
    this.#lease = Math.max(1, leaseOf(kind, most, step));
    this.#leases = isShared ? new Leases(memoryOf("lease", own, Leases.bytes(clients))) : null;
    this.#leases?.describe({ kind, step, most, lease: this.#lease, cost: 1 });
    const window = rate === null ? PERIOD_MS[kind as Period] : rate.perMs;
    this.policy = `"${name}";q=${rate === null ? this.#shown(most) : rate.count};w=${seconds(window)}`;
  }

  /** What a use of the model counts here; `cost` in the currency of the prices. */
  amount({ input, output }: Pick<Usage, "input" | "output">, cost: number): number {
    const { partsPerUnit } = this.#measure;
    if (partsPerUnit > 0) return Math.min(AMOUNT_MAX, Math.ceil(cost * partsPerUnit));
    return Math.min(AMOUNT_MAX, this.#count === "total" ? input + output : this.#count === "input" ? input : output);
  }

  /**
   * What is reserved for an estimate: of one that is larger than the whole limit all of that, so that it passes where
   * nothing else has been used. Never more, as tables do not count beyond a bound, and what they have not counted would
   * be given back all the same.
   */
  reserved(estimate: Pick<Usage, "input" | "output">, cost: number): number {
    return Math.min(this.#measure.most, this.amount(estimate, cost));
  }

  /** Reserves so much (`reserved`). WAIT: ask again in a moment; where that takes too long, `alone`. */
  take(low: number, high: number, amount: number): Answer {
    const leases = this.#leases;
    if (leases === null) return this.#takeLocal(low, high, amount);
    // What is in hand of a limit is a part of it: the rest is charged.
    const wanted = Math.min(amount, this.#lease);
    const taken = leases.take(low, high, wanted, this.#shared.now());
    if (taken === AWAY) return this.alone(low, high, amount);
    if (taken === ALLOWED) {
      leases.charge(low, high, amount - wanted, this.#shared.now());
      if (!this.isRate) this.#local.charge(low, high, amount); // so that it counts when the store is lost
      this.#remaining = leases.remaining;
      this.#resetMs = this.isRate ? leases.resetMs : this.#local.resetMs;
      return 1;
    }
    this.retryMs = this.isRate ? leases.retryMs : this.#local.retryMs;
    return taken === REFUSED ? 0 : WAIT;
  }

  /** Decides without the other machines. */
  alone(low: number, high: number, amount: number): Answer {
    if (this.#onStoreError === "deny") {
      this.retryMs = SECOND_MS;
      return 0;
    }
    if (this.#onStoreError === "local" && this.#takeLocal(low, high, amount) === 0) return 0;
    this.#leases?.owe(low, high, amount, this.#shared.now());
    return 1;
  }

  #takeLocal(low: number, high: number, amount: number): Answer {
    const isThere = this.#local.take(low, high, amount);
    this.retryMs = this.#local.retryMs;
    this.#remaining = this.#local.remaining;
    this.#resetMs = this.#local.resetMs;
    return isThere ? 1 : 0;
  }

  /** Settles what was reserved: `more` was used, or less where it is below 0. */
  charge(low: number, high: number, more: number): void {
    if (more === 0) return;
    this.#leases?.charge(low, high, more, this.#shared.now());
    if (this.#leases === null || !this.isRate) this.#local.charge(low, high, more);
  }

  /** The member of RateLimit after the last `take`. */
  get left(): string {
    return `"${this.name}";r=${this.#shown(this.#remaining)};t=${Math.ceil(this.#resetMs / SECOND_MS)}`;
  }

  /** Money in whole hundredths. */
  #shown(amount: number): number {
    const { partsPerUnit } = this.#measure;
    return partsPerUnit === 0 ? amount : Math.floor((amount / partsPerUnit) * 100);
  }
}

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / SECOND_MS));

export interface Price {
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  readonly cacheWritten: number;
}

/** What a use costs. */
export function costOf(price: Price | undefined, usage: Usage): number {
  if (price === undefined) return 0;
  const { input, cached, cacheWritten, output } = usage;
  const plain = Math.max(0, input - cached - cacheWritten);
  const sum = plain * price.input + cached * price.cached + cacheWritten * price.cacheWritten + output * price.output;
  return sum / PER_MILLION;
}
