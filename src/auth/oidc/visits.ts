// How often an address may begin and end logins: each costs us encryption and a question to the provider, and anybody
// can ask for it.
import { addressKey } from "../../core/ip.ts";
import { GcraTable } from "../../engines/rate-limit/gcra.ts";
import { KeyHash } from "../../engines/storage/key-hash.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";

/** A whole office behind one address that comes back from the weekend: two steps for each login. */
const BURST = 300;
/** One step comes back in this time: five in a second. */
const INTERVAL_MS = 200;
/** Addresses that are counted at a time, 16 bytes each. */
const ADDRESSES = 16_384;

export class Visits {
  readonly #table: GcraTable;
  readonly #hash: KeyHash;
  readonly #shared: Shared;

  /** All realms count together: the memory has one name. */
  constructor(shared: Shared) {
    this.#shared = shared;
    this.#hash = new KeyHash(shared.seed);
    this.#table = new GcraTable(shared.memory("oidc visits", GcraTable.bytes(ADDRESSES)), {
      intervalMs: INTERVAL_MS,
      burst: BURST,
    });
    shared.onTick({ tick: (nowMs, sinceMs) => this.#table.sweep(nowMs, sinceMs) });
  }

  /** Seconds after which the address may come again; 0 for now. What comes over a unix socket has no address. */
  waitSeconds({ ip }: Exchange, steps: number): number {
    if (ip === "") return 0;
    this.#hash.of(addressKey(ip));
    const { low, high } = this.#hash;
    return this.#table.take(low, high, steps, this.#shared.now()) ? 0 : Math.ceil(this.#table.retryMs / 1000);
  }
}
