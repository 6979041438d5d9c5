// Requests that wait for a moment until it is known what other machines have left of a limit. One timer looks for all.
import { monotonic } from "../../core/clock.ts";

/** What it is known after: some milliseconds beyond what the store takes. */
const LOOK_MS = 2;
/** Nobody waits for longer, whatever becomes of the store. */
const WAIT_MAX_MS = 250;
/** More than that do not wait: they are decided without the other machines. */
const WAITING_MAX = 10_000;

/** What other machines count as well. */
interface Asked {
  isAnswered(low: number, high: number): boolean;
}

interface Waiter {
  readonly check: Asked;
  readonly low: number;
  readonly high: number;
  readonly untilMs: number;
  readonly go: () => void;
}

/** Those of this thread. */
let waiting: Waiter[] = [];

/** Until when a request that begins to wait now may wait, on the clock of the thread. */
export const waitUntil = (): number => monotonic() + WAIT_MAX_MS;

/** Resolves when it may be known, or the time is over; null where it is over already, or too many wait. */
export function answered(check: Asked, low: number, high: number, untilMs: number): Promise<void> | null {
  if (waiting.length >= WAITING_MAX || monotonic() >= untilMs) return null;
  if (waiting.length === 0) setTimeout(look, LOOK_MS);
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.push({ check, low, high, untilMs, go: resolve });
  return promise;
}

function look(): void {
  const now = monotonic();
  const rest: Waiter[] = [];
  for (const waiter of waiting) {
    const { check, low, high, untilMs, go } = waiter;
    if (now >= untilMs || check.isAnswered(low, high)) go();
    else rest.push(waiter);
  }
  waiting = rest;
  if (waiting.length > 0) setTimeout(look, LOOK_MS);
}
