// A rate or a quota that other machines count as well: taken from what this machine has in hand. Where the store of all
// cannot be reached, the limit's own choice holds.
import type { RateLimitConfig } from "../../config/schema-limits.ts";
import { ALLOWED, AWAY, Leases, REFUSED } from "../../engines/rate-limit/leases.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import { type Check, type MemoryOf, QuotaCheck, type RateCheck } from "./checks.ts";

const SECOND_MS = 1000;

export class SharedCheck implements Check {
  readonly fault: Check["fault"];
  isUnknown = false;
  retryMs = 0;
  readonly #local: RateCheck | QuotaCheck;
  readonly #isQuota: boolean;
  readonly #leases: Leases;
  readonly #cost: number;
  readonly #onStoreError: RateLimitConfig["onStoreError"];
  readonly #shared: Shared;
  /** Whether this machine alone has decided about the last request. */
  #isAlone = false;

  /** `local` counts while the store is away. */
  constructor(
    local: RateCheck | QuotaCheck,
    { cost, clients, onStoreError }: RateLimitConfig,
    memoryOf: MemoryOf,
    shared: Shared,
  ) {
    const memory = memoryOf("lease", [local.lease], Leases.bytes(clients));
    this.fault = local.fault;
    this.#local = local;
    this.#isQuota = local instanceof QuotaCheck;
    this.#leases = new Leases(memory);
    this.#leases.describe(local.lease);
    this.#cost = cost;
    this.#onStoreError = onStoreError;
    this.#shared = shared;
  }

  take(x: Exchange, low: number, high: number): boolean {
    this.isUnknown = false;
    this.#isAlone = false;
    const taken = this.#leases.take(low, high, this.#cost, this.#shared.now());
    if (taken === ALLOWED) {
      // So that what it has let through counts when the store is lost.
      if (this.#isQuota) this.#local.take(x, low, high);
      return true;
    }
    if (taken === AWAY) return this.takeAlone(x, low, high);
    this.isUnknown = taken !== REFUSED;
    this.retryMs = this.#isQuota ? this.#local.retryMs : this.#leases.retryMs;
    return false;
  }

  /** Decides without the other machines. */
  takeAlone(x: Exchange, low: number, high: number): boolean {
    this.isUnknown = false;
    this.#isAlone = true;
    if (this.#onStoreError === "deny") {
      this.retryMs = SECOND_MS;
      return false;
    }
    const allowed = this.#onStoreError === "allow" || this.#local.take(x, low, high);
    this.retryMs = this.#local.retryMs;
    if (allowed) this.#leases.owe(low, high, this.#cost, this.#shared.now());
    return allowed;
  }

  /** Whether it makes sense to ask again for what was unknown. */
  isAnswered(low: number, high: number): boolean {
    return this.#leases.isAnswered(low, high);
  }

  giveBack(low: number, high: number): void {
    if (this.#isAlone) this.#leases.owe(low, high, -this.#cost, this.#shared.now());
    else this.#leases.giveBack(low, high, this.#cost);
    if (this.#isQuota || (this.#isAlone && this.#onStoreError === "local")) this.#local.giveBack(low, high);
  }
  policy(name: string): string {
    return this.#local.policy(name);
  }
  left(name: string): string {
    if (this.#isAlone) return this.#local.left(name);
    const { remaining, resetMs } = this.#leases;
    return this.#local.tell(name, remaining, resetMs);
  }
}
