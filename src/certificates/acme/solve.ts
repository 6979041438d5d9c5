// The three ways to show an authority that a name is ours.
import { createHash } from "node:crypto";
import { octets } from "../der.ts";
import { extension, issueLeaf } from "../issue.ts";

import type { Challenges } from "./challenges.ts";
import { ExecProvider } from "./dns/exec.ts";
import { askWith, followCnames, waitForRecord } from "./dns/propagation.ts";
import type { DnsProvider, TextRecord } from "./dns/provider.ts";
import { Rfc2136Provider } from "./dns/rfc2136.ts";
import type { ChallengeToSolve, Solver } from "./order.ts";
import { pause } from "./pauses.ts";
import { AcmeProblem } from "./problem.ts";
import type { DnsProviderSettings, DnsSettings } from "./settings.ts";

/** RFC 8737 §3 */
const ACME_IDENTIFIER = "1.3.6.1.5.5.7.1.31";
/** For how long, before and after now, such a certificate is good: clocks may differ. */
const KEPT_MS = 86_400_000;
/** How long removing a record may take, also while the engine stops. */
const CLEAN_UP_MS = 30_000;

/** For http-01 and tls-alpn-01: listeners answer from the tables of `challenges`. */
export class ListenerSolver implements Solver {
  readonly #challenges: Challenges;
  readonly #now: () => number;
  readonly #spreadMs: number;

  /** `now` in ms since 1970. Tokens can be asked for, certificates cannot: for them other nodes get `spreadMs`. */
  constructor(challenges: Challenges, now: () => number, spreadMs: number) {
    this.#challenges = challenges;
    this.#now = now;
    this.#spreadMs = spreadMs;
  }

  async present({ kind, name, token, keyAuthorization }: ChallengeToSolve, signal: AbortSignal): Promise<void> {
    if (kind === "http-01") return await this.#challenges.putResponse(token, keyAuthorization);
    const seconds = Math.floor(this.#now() / 1000) * 1000;
    const validity = { notBeforeMs: seconds - KEPT_MS, notAfterMs: seconds + KEPT_MS };
    const digest = createHash("sha256").update(keyAuthorization).digest();
    const { certPem, keyPem } = issueLeaf([name], validity, null, [extension(ACME_IDENTIFIER, true, octets(digest))]);
    await this.#challenges.putCertificate(name, { chainPem: certPem, keyPem });
    if (this.#spreadMs > 0) await pause(this.#spreadMs, signal);
  }

  cleanUp({ kind, name, token }: ChallengeToSolve): Promise<void> {
    return this.#challenges.remove(kind === "http-01" ? kind : "tls-alpn-01", kind === "http-01" ? token : name);
  }
}

/** For dns-01. */
export class DnsSolver implements Solver {
  readonly #provider: DnsProvider;
  readonly #settings: DnsSettings;
  readonly #onError: (error: unknown) => void;
  readonly #records = new Map<string, TextRecord>();

  constructor(settings: DnsSettings, now: () => number, onError: (error: unknown) => void) {
    this.#provider = providerOf(settings, now);
    this.#settings = settings;
    this.#onError = onError;
  }

  async present({ name, token, keyAuthorization: value }: ChallengeToSolve, signal: AbortSignal): Promise<void> {
    const askServer = askWith(signal);
    const propagation = this.#settings.propagation ?? {};
    try {
      const target = await followCnames(`_acme-challenge.${name}`, propagation, askServer);
      const record = { name: target, value };
      this.#records.set(token, record);
      await this.#provider.present(record, signal);
      await waitForRecord(record, propagation, askServer, (ms) => pause(ms, signal));
    } catch (error) {
      if (signal.aborted) throw error;
      const detail = error instanceof Error ? error.message : String(error);
      throw new AcmeProblem({ type: "dnsProvider", detail });
    }
  }

  async cleanUp({ token }: ChallengeToSolve): Promise<void> {
    const record = this.#records.get(token);
    this.#records.delete(token);
    if (record === undefined) return;
    try {
      await this.#provider.cleanUp(record, AbortSignal.timeout(CLEAN_UP_MS));
    } catch (error) {
      this.#onError(error); // one record too many does no harm to the certificate
    }
  }
}

function providerOf(settings: DnsProviderSettings, now: () => number): DnsProvider {
  if (settings.provider === "exec") return new ExecProvider(settings.command, settings.timeoutMs);
  return new Rfc2136Provider(settings, now);
}
