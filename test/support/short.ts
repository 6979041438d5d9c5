// Time-outs that are waited for.
import { expect } from "bun:test";
import { timed } from "./wait.ts";

/** A time-out in a configuration. */
export const SHORT = "300ms";
/** One such time-out, two turns of the wheel of timers, and what a busy machine adds. */
const SHORT_MAX_MS = 3000;

/** How long the work took, which has to be the short time-out and not much more. */
export async function expectShort(work: () => Promise<unknown>): Promise<void> {
  const ms = await timed(work);
  expect(ms).toBeGreaterThan(250);
  expect(ms).toBeLessThan(SHORT_MAX_MS);
}
