// Gets the certificate of one name, once in the whole cluster: under a lock, from one directory after the other, with
// back-off that everybody keeps to.
import type { Lock } from "../../state/shared-state.ts";
import { readCertificate } from "../certificate.ts";
import { Directory } from "./directory.ts";
import { finishOrder, type OrderJob, obtain, type Solver } from "./order.ts";
import { backOffMs } from "./pauses.ts";
import { AcmeProblem, isOutage } from "./problem.ts";
import { certificateId, renewalTime } from "./renewal.ts";
import type { AcmeLimits, AcmeSettings } from "./settings.ts";
import { type AttemptRecord, accountId, type CertificateRecord, type Vault } from "./vault.ts";

export interface IssuerOptions {
  readonly vault: Vault;
  readonly limits: AcmeLimits;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly solverOf: (settings: AcmeSettings) => Solver;
}

export interface IssueRequest {
  readonly name: string;
  readonly settings: AcmeSettings;
  /** Whether a certificate that another node stored meanwhile must be replaced all the same. */
  readonly isDue: (record: CertificateRecord) => boolean;
  readonly signal: AbortSignal;
}

export type Outcome =
  /** Ordered by us. */
  | { readonly kind: "obtained"; readonly record: CertificateRecord; readonly replaced: boolean }
  /** Another node was faster. */
  | { readonly kind: "found"; readonly record: CertificateRecord }
  /** Another node is at work. */
  | { readonly kind: "busy" }
  /** It failed before, here or elsewhere, and is not to be tried yet. */
  | { readonly kind: "waiting"; readonly attempt: AttemptRecord }
  | { readonly kind: "failed"; readonly attempt: AttemptRecord };

/** A node that dies holds up a name for so long. */
const LOCK_MS = 60_000;
const LOCK_RENEWALS = 3;
/** While a directory is down nothing is used up, so it is tried again sooner than after a refusal. */
const OUTAGE_LONGEST_MS = 900_000;
/** No problem of an authority: the order stays noted for the node that goes on with it. */
const LOST = new Error("another node took the work over");

export class Issuer {
  readonly #options: IssuerOptions;
  readonly #directories = new Map<string, Directory>();

  constructor(options: IssuerOptions) {
    this.#options = options;
  }

  /** The directory as these settings see it: with their account, and the roots that they trust. */
  directory(url: string, settings: AcmeSettings): Directory {
    const key = `${accountId(url, settings.email, settings.eab?.kid)} ${settings.directories.length} ${settings.ca ?? ""}`;
    let directory = this.#directories.get(key);
    if (directory === undefined) {
      directory = new Directory({ ...this.#options, url, settings });
      this.#directories.set(key, directory);
    }
    return directory;
  }

  /**
   * Rejects only when the shared state fails, or with the reason of the signal; what authorities do is an outcome.
   */
  async issue(request: IssueRequest): Promise<Outcome> {
    const { vault } = this.#options;
    const lock = await vault.lock(`name/${request.name}`, LOCK_MS);
    if (lock === null) return { kind: "busy" };
    const lost = new AbortController();
    const stopRenewing = keep(lock, lost);
    try {
      return await this.#locked({ ...request, signal: AbortSignal.any([request.signal, lost.signal]) });
    } catch (error) {
      if (error === LOST) return { kind: "busy" };
      throw error;
    } finally {
      stopRenewing();
      await lock.release();
    }
  }

  async #locked(request: IssueRequest): Promise<Outcome> {
    const { vault, now } = this.#options;
    const { name } = request;
    const stored = await vault.certificate(name);
    if (stored !== null && !request.isDue(stored)) return { kind: "found", record: stored };
    const attempt = await vault.attempt(name);
    if (attempt !== null && attempt.nextTryMs > now()) return { kind: "waiting", attempt };
    const problems: AcmeProblem[] = [];
    for (const url of request.settings.directories) {
      try {
        const record = await this.#orderAt(this.directory(url, request.settings), request, stored);
        await vault.forgetAttempt(name);
        return { kind: "obtained", record, replaced: stored !== null };
      } catch (error) {
        if (!(error instanceof AcmeProblem)) throw error;
        problems.push(error);
      }
    }
    const failed = this.#attemptAfter(problems, attempt?.failures ?? 0);
    await vault.saveAttempt(name, failed);
    return { kind: "failed", attempt: failed };
  }

  async #orderAt(
    directory: Directory,
    { name, settings, signal }: IssueRequest,
    stored: CertificateRecord | null,
  ): Promise<CertificateRecord> {
    const { vault, now, random, solverOf } = this.#options;
    if (directory.restUntilMs > now()) {
      const retryAfterMs = directory.restUntilMs - now();
      throw new AcmeProblem({ type: "resting", detail: `${directory.url} failed a moment ago`, retryAfterMs });
    }
    const job: OrderJob = {
      name,
      keyType: settings.keyType,
      challenge: settings.challenge,
      directory,
      replaces: await replacedId(directory, stored, signal),
      signal,
    };
    const tools = { vault, solver: solverOf(settings) };
    const issued = await obtain(job, tools).catch(async (error: unknown) => {
      directory.failed(error);
      if (!(error instanceof AcmeProblem) || error.type !== "accountDoesNotExist") throw error;
      await directory.forgetAccount();
      return await obtain(job, tools);
    });
    const { certificate } = readCertificate(issued.chainPem, issued.keyPem);
    const renewAtMs = renewalTime(certificate!.notBeforeMs, certificate!.notAfterMs, random);
    const record = { name, directory: directory.url, ...issued, issuedAtMs: now(), renewAtMs };
    await vault.saveCertificate(record);
    await finishOrder(job, vault);
    return record;
  }

  /** When to try again after these problems, one for each directory. */
  #attemptAfter(problems: readonly AcmeProblem[], failures: number): AttemptRecord {
    const { now, random } = this.#options;
    const isRefused = problems.some(({ type }) => type !== "budget" && type !== "resting");
    const backOff = isRefused ? backOffMs(failures + 1, random) : 0;
    const delay = problems.every((each) => isOutage(each) || each.type === "resting")
      ? Math.min(backOff, OUTAGE_LONGEST_MS)
      : backOff;
    // All of them must have agreed to be asked again before one of them is.
    const hold = Math.min(...problems.map(({ retryAfterMs }) => retryAfterMs ?? 0));
    return {
      failures: failures + (isRefused ? 1 : 0),
      nextTryMs: now() + Math.ceil(Math.max(delay, hold)),
      error: problems.map(({ message }) => message).join(" | "),
    };
  }
}

/** RFC 9773 §5: only where the authority knows the certificate. */
async function replacedId(
  directory: Directory,
  stored: CertificateRecord | null,
  signal: AbortSignal,
): Promise<string | null> {
  if (stored === null || stored.directory !== directory.url) return null;
  const url = await directory.renewalInfoUrl(signal);
  return url === null ? null : certificateId(stored.chainPem);
}

/** Renews the lock until told to stop; aborts when it is lost, or may be because the store does not answer. */
function keep(lock: Lock, lost: AbortController): () => void {
  let missed = 0;
  const renew = async (): Promise<void> => {
    try {
      if (await lock.renew()) missed = 0;
      else lost.abort(LOST);
    } catch {
      missed += 1;
      if (missed === LOCK_RENEWALS) lost.abort(LOST);
    }
  };
  const timer = setInterval(() => void renew(), LOCK_MS / LOCK_RENEWALS);
  return () => clearInterval(timer);
}
