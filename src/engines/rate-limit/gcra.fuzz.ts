// The law of rates: whatever comes in whatever order, over several threads' views of one memory, a key is let through as
// often as a plain reckoning says. Run alone with `bun src/engines/rate-limit/gcra.fuzz.ts [SEED]`.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { GcraTable } from "./gcra.ts";

/** The table counts microseconds. */
const ROUNDED_MS = 0.003;

/** The same without a table: when each key's burst would be whole again. */
class Reckoning {
  readonly #fullAt = new Map<number, number>();
  readonly #intervalMs: number;
  readonly #burst: number;
  constructor(intervalMs: number, burst: number) {
    this.#intervalMs = intervalMs;
    this.#burst = burst;
  }
  /** True, false, or null where it is too close to call for numbers with rounding. */
  take(key: number, cost: number, nowMs: number): boolean | null {
    const next = Math.max(this.#fullAt.get(key) ?? 0, nowMs) + cost * this.#intervalMs;
    const over = next - nowMs - this.#burst * this.#intervalMs;
    return Math.abs(over) < Math.max(this.#intervalMs / 100, ROUNDED_MS) ? null : over <= 0;
  }
  count(key: number, cost: number, nowMs: number): void {
    this.#fullAt.set(key, Math.max(this.#fullAt.get(key) ?? 0, nowMs) + cost * this.#intervalMs);
  }
}

export function gcraLaw(rng: Rng): void {
  const intervalMs = rng.pick([0.05, 1, 10, 333, 6000, 86_400]) * (1 + rng.below(7));
  const burst = 1 + rng.below(rng.pick([1, 5, 100]));
  const memory = new SharedArrayBuffer(GcraTable.bytes(200));
  const threads = Array.from({ length: 1 + rng.below(3) }, () => new GcraTable(memory, { intervalMs, burst }));
  const plain = new Reckoning(intervalMs, burst);
  let nowMs = rng.below(1_000_000);
  for (let step = 0; step < 300; step += 1) {
    const table = rng.pick(threads);
    const sinceMs = rng.oneIn(20) ? intervalMs * rng.below(burst * 2) : (intervalMs * rng.below(150)) / 100;
    // The first thread sweeps as time goes by, in whatever pieces.
    const pieceMs = 1 + rng.below(300_000);
    for (let passed = pieceMs; passed < sinceMs; passed += pieceMs) threads[0]!.sweep(nowMs + passed, pieceMs);
    threads[0]!.sweep(nowMs + sinceMs, Math.min(sinceMs, pieceMs));
    nowMs += sinceMs;
    const key = rng.below(12);
    const cost = 1 + rng.below(Math.min(burst, 3));
    const due = plain.take(key, cost, nowMs);
    const got = table.take(Math.imul(key, 0x9e3779b1), key + 1, cost, nowMs);
    if (due !== null && got !== due) throw new Error(`step ${step}: ${got} in place of ${due}`);
    if (!got) continue;
    if (rng.oneIn(10)) table.giveBack(Math.imul(key, 0x9e3779b1), key + 1, cost);
    else plain.count(key, cost, nowMs);
    if (table.remaining < 0 || table.remaining >= burst)
      throw new Error(`step ${step}: ${table.remaining} left of ${burst}`);
  }
}

if (import.meta.main) runAlone("gcra", gcraLaw);
