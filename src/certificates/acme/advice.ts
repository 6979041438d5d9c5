// Asks the authority of a certificate when it wants to renew it (RFC 9773 §4), and remembers the answer for all nodes.

import type { Directory } from "./directory.ts";
import type { Served } from "./managed.ts";
import { AcmeProblem } from "./problem.ts";
import { nextAskMs, timeInWindow, windowIn } from "./renewal.ts";
import type { RenewalRecord, Vault } from "./vault.ts";

export interface AdviceOptions {
  readonly vault: Vault;
  readonly now: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** After a failure: soon enough for an authority that revokes at short notice, and says so here first. */
const FAILED_MS = 3_600_000;
const NOT_OFFERED_MS = 86_400_000;

/**
 * Never rejects because of the authority: without an answer, what was known before stays.
 *
 * @returns the record, and why there was no answer
 */
export async function askForAdvice(
  name: string,
  served: Served,
  directory: Directory,
  options: AdviceOptions,
): Promise<{ readonly renewal: RenewalRecord; readonly problem: AcmeProblem | null }> {
  const { vault, now, random, signal } = options;
  const certificateId = served.certificateId ?? "";
  const stored = await vault.renewal(name);
  const before = stored?.certificateId === certificateId ? stored : null;
  if (before !== null && before.askAtMs > now()) return { renewal: before, problem: null };
  const own: RenewalRecord = {
    certificateId,
    byAuthority: false,
    renewAtMs: served.record.renewAtMs,
    askAtMs: now() + NOT_OFFERED_MS,
  };
  if (directory.restUntilMs > now())
    return { renewal: { ...(before ?? own), askAtMs: directory.restUntilMs }, problem: null };
  try {
    const base = await directory.renewalInfoUrl(signal);
    if (base === null) return { renewal: own, problem: null };
    const { document, retryAfterMs } = await directory.get(`${base.replace(/\/$/, "")}/${certificateId}`, signal);
    const window = windowIn(document);
    const isInside = before !== null && before.renewAtMs >= window.startMs && before.renewAtMs <= window.endMs;
    const renewal: RenewalRecord = {
      certificateId,
      byAuthority: true,
      // Chosen once: else each question would move it, and the earliest of many choices would count.
      renewAtMs: isInside && before.byAuthority ? before.renewAtMs : timeInWindow(window, random),
      askAtMs: now() + nextAskMs(retryAfterMs),
    };
    await vault.saveRenewal(name, renewal);
    return { renewal, problem: null };
  } catch (error) {
    if (!(error instanceof AcmeProblem)) throw error;
    directory.failed(error); // a thousand certificates do not each wait for one that is down
    return { renewal: { ...(before ?? own), askAtMs: now() + FAILED_MS }, problem: error };
  }
}
