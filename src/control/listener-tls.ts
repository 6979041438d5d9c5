// One thread's side of TLS for one listener: its certificates, and what the handshakes are told.
import { appendFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { Contexts, type NameAnswer } from "../certificates/contexts.ts";
import type { CertificateUpdate } from "../certificates/served.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ChallengeAnswers } from "../server/challenge-answers.ts";
import type { TlsListenerOptions } from "../transport/tls.ts";
import { makeTlsContext, type TlsContext, type TlsSettings, type TlsTerms } from "../transport/tls-context.ts";
import { readTlsFile } from "../upstream/upstream-tls.ts";

export interface ListenerTlsEnvironment {
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly answers: ChallengeAnswers;
  /** Asks the supervisor for a certificate. */
  ask(listener: string, name: string): Promise<NameAnswer>;
}

const HTTP = ["http/1.1"];
const NOTHING: readonly string[] = [];
const REFUSED: NameAnswer = { certificate: null, refusedMs: 60_000 };

export class ListenerTls {
  readonly #name: string;
  readonly #env: ListenerTlsEnvironment;
  readonly #contexts: Contexts<TlsContext>;
  #options: ListenerConfig;
  #terms: TlsTerms;
  #default: TlsSettings["fallback"] = null;

  /** Throws an Error that names the file when one cannot be read. */
  constructor(name: string, options: ListenerConfig, env: ListenerTlsEnvironment) {
    const { log } = env;
    this.#name = name;
    this.#options = options;
    this.#terms = termsOf(options);
    this.#env = env;
    this.#contexts = new Contexts<TlsContext>({
      make: (certificates) =>
        makeTlsContext(
          certificates.map(({ chainPem, keyPem }) => ({ certPem: chainPem, keyPem })),
          this.#terms,
        ),
      failed: ({ certificates }, error) =>
        log.error("a certificate cannot be used", {
          listener: name,
          names: certificates[0]?.names.join(", "),
          error: error instanceof Error ? error.message : String(error),
        }),
      ask: (server) => (this.#isOnDemand ? env.ask(name, server) : Promise.resolve(REFUSED)),
      now: wallClock,
    });
  }

  /** Names without a certificate are worth a question. */
  get #isOnDemand(): boolean {
    const { tls } = this.#options;
    return tls?.internal === true || tls?.acme?.onDemand !== undefined;
  }

  /** Files are read again; while one cannot be read, what was read before holds. */
  set options(options: ListenerConfig) {
    const wasOnDemand = this.#isOnDemand;
    this.#options = options;
    const terms = this.#readTerms(options);
    // What was refused before, or made, is another matter now.
    if (isDeepStrictEqual(terms, this.#terms) && wasOnDemand === this.#isOnDemand) return;
    this.#terms = terms;
    this.#contexts.forget();
  }

  #readTerms(options: ListenerConfig): TlsTerms {
    try {
      return termsOf(options);
    } catch (error) {
      this.#env.log.error("the CAs of clients stay those of before", { listener: this.#name, error: String(error) });
      return this.#terms;
    }
  }

  /** Takes up certificates. */
  update(update: CertificateUpdate): void {
    this.#contexts.update(update);
    const fallback = this.#contexts.defaultGroup;
    this.#default =
      fallback === null ? null : fallback.certificates.map(({ chainPem, keyPem }) => ({ certPem: chainPem, keyPem }));
  }

  get ids(): string[] {
    return this.#contexts.ids;
  }

  /** What holds for all connections. */
  get settings(): TlsSettings {
    const { minVersion = "1.2", clientAuth } = this.#options.tls ?? {};
    return { fallback: this.#default, minVersion, requestClientCertificate: clientAuth !== undefined, ...this.#terms };
  }

  /** What a listener is opened with. */
  listenerOptions(): TlsListenerOptions {
    const { wheel, metrics } = this.#env;
    const keyLog = this.#options.tls?.keyLog;
    const now = (): ListenerConfig => this.#options;
    return {
      ...this.settings,
      select: (name) => this.#contexts.select(name),
      challenge: (name) => this.#env.answers.certificate(name),
      // What is spoken over a connection of layer 4 is its two ends' business.
      get alpn() {
        return now().tcp === undefined ? HTTP : NOTHING;
      },
      get handshakeMs() {
        return now().tls?.handshakeTimeout ?? 0;
      },
      wheel,
      ...(keyLog === undefined ? {} : { keyLog: (line) => this.#logKey(keyLog, line) }),
      onHandshake: (result, version, reason) =>
        metrics.handshakes(this.#name, result, version === "" ? "-" : version, reason === "" ? "-" : reason).add(1),
    };
  }

  #logKey(path: string, line: string): void {
    try {
      appendFileSync(path, `${line}\n`, { mode: 0o600 });
    } catch (error) {
      this.#env.log.warn("the key log cannot be written", { listener: this.#name, error: String(error) });
    }
  }
}

/** Throws an Error that names the file when one cannot be read. */
function termsOf({ tls }: ListenerConfig): TlsTerms {
  const { ciphers, clientAuth } = tls ?? {};
  return {
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(clientAuth === undefined ? {} : { clientCa: readTlsFile(clientAuth.ca) }),
    ...(clientAuth?.crl === undefined ? {} : { clientCrl: readTlsFile(clientAuth.crl) }),
  };
}
