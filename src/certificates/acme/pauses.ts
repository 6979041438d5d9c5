// Waiting that ends when the work is called off, and how long to wait after failures.

/** Resolves after `ms`; rejects with the reason of the signal as soon as that says so. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** With doubling from here, five tries fall into the first hour: as many failures as Let's Encrypt allows a name in one. */
const FIRST_MS = 150_000;
const LONGEST_MS = 6 * 3_600_000;
/** Nodes and names that failed together do not come back together. */
const JITTER = 0.2;

/** How long to leave a name alone after so many failures in a row (1 and more). `random` gives numbers in [0, 1). */
export function backOffMs(failures: number, random: () => number): number {
  const base = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  return Math.round(base * (1 + JITTER * random()));
}
