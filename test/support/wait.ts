// Waiting for something to happen, never for time to pass.

/** Longer than anything on loopback takes, even on a busy machine: what is not there by then will not come. */
export const DEADLINE_MS = 8000;
const LOOK_EVERY_MS = 5;

/** Resolves once `condition` holds; rejects with `what` when it does not within `ms`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

/** Milliseconds that the work took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}
