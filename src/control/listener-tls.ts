// One thread's side of TLS for one listener: its certificates, the terms for each name, and what handshakes are told.
import { appendFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { TrustedPem } from "../certificates/client-trust.ts";
import { Contexts, type NameAnswer } from "../certificates/contexts.ts";
import type { CertificateUpdate, ServedCertificate } from "../certificates/served.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ChallengeAnswers } from "../server/challenge-answers.ts";
import type { HelloEnd } from "../server/sni-router.ts";
import { TlsPolicies, type TlsPolicy } from "../server/tls-policies.ts";
import type { TlsListenerOptions } from "../transport/tls.ts";
import { makeTlsContext, type TlsContext, type TlsSettings, type TlsTerms } from "../transport/tls-context.ts";
import { type TakeoverTerms, takeoverTerms } from "../transport/tls-takeover.ts";

export interface ListenerTlsEnvironment {
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly answers: ChallengeAnswers;
  /** Asks the supervisor for a certificate. */
  ask(listener: string, name: string): Promise<NameAnswer>;
}

const HTTP = ["h2", "http/1.1"];
const HTTP_1 = ["http/1.1"];
const NOTHING: readonly string[] = [];
const REFUSED: NameAnswer = { certificate: null, refusedMs: 60_000 };

/** All that is made for the names of one policy: contexts hold certificates and terms together. */
interface Side {
  readonly policy: TlsPolicy;
  readonly terms: TlsTerms;
  readonly contexts: Contexts<TlsContext>;
  /** For connections that were looked into; made at the first of them. */
  takeover: TakeoverTerms | null;
}

export class ListenerTls {
  readonly #name: string;
  readonly #env: ListenerTlsEnvironment;
  #options: ListenerConfig;
  #policies: TlsPolicies;
  #trusted: readonly TrustedPem[] = [];
  /** By the key of the policy. */
  #sides: ReadonlyMap<string, Side>;
  #usual: Side;

  /** `update` is all that the supervisor has for the listener. Throws an Error when the files of `clientAuth` are not in it. */
  constructor(name: string, options: ListenerConfig, update: CertificateUpdate | null, env: ListenerTlsEnvironment) {
    this.#name = name;
    this.#env = env;
    this.#options = options;
    this.#trusted = update?.trusted ?? [];
    this.#policies = new TlsPolicies(tlsOf(options));
    const first = this.#newSide(this.#policies.usual, termsOf(this.#policies.usual, this.#trusted));
    this.#usual = first;
    this.#sides = new Map([[first.policy.key, first]]);
    if (update !== null) first.contexts.update(update);
    this.#arrange();
  }

  /** Names without a certificate are worth a question. */
  get #isOnDemand(): boolean {
    const { tls } = this.#options;
    return tls?.internal === true || tls?.acme?.onDemand !== undefined;
  }

  /** Terms by host, for requests. */
  get policies(): TlsPolicies {
    return this.#policies;
  }

  set options(options: ListenerConfig) {
    const wasOnDemand = this.#isOnDemand;
    const before = this.#policies;
    this.#options = options;
    this.#policies = new TlsPolicies(tlsOf(options));
    try {
      this.#arrange();
    } catch (error) {
      this.#policies = before;
      this.#env.log.error("the terms of TLS stay those of before", { listener: this.#name, error: messageOf(error) });
    }
    // What was refused before is another matter now.
    if (wasOnDemand !== this.#isOnDemand) for (const { contexts } of this.#sides.values()) contexts.forget();
  }

  /** Takes up certificates, and the CAs of clients. */
  update(update: CertificateUpdate): void {
    for (const side of this.#sides.values()) {
      side.contexts.update(update);
      side.takeover = null; // it has a certificate for clients without a name
    }
    if (isDeepStrictEqual(update.trusted, this.#trusted)) return;
    this.#trusted = update.trusted;
    this.#arrange();
  }

  /** A side for each policy; those whose terms are the same stay with all that they have made. */
  #arrange(): void {
    const sides = new Map<string, Side>();
    for (const policy of this.#policies.all) {
      const before = this.#sides.get(policy.key);
      const terms = this.#termsOf(policy, before);
      if (before !== undefined && isDeepStrictEqual(terms, before.terms)) {
        sides.set(policy.key, before);
        continue;
      }
      const side = this.#newSide(policy, terms);
      side.contexts.update(this.#usual.contexts.all);
      sides.set(policy.key, side);
    }
    this.#sides = sides;
    this.#usual = sides.get(this.#policies.usual.key)!;
  }

  /** The supervisor sends the files before a configuration that names them; until then what was read before holds. */
  #termsOf(policy: TlsPolicy, before: Side | undefined): TlsTerms {
    try {
      return termsOf(policy, this.#trusted);
    } catch (error) {
      if (before === undefined) throw error;
      return before.terms;
    }
  }

  #newSide(policy: TlsPolicy, terms: TlsTerms): Side {
    const { log, ask } = this.#env;
    const contexts = new Contexts<TlsContext>({
      make: (certificates) =>
        makeTlsContext(
          certificates.map(({ chainPem, keyPem }) => ({ certPem: chainPem, keyPem })),
          terms,
        ),
      failed: ({ certificates }, error) =>
        log.error("a certificate cannot be used", {
          listener: this.#name,
          names: certificates[0]?.names.join(", "),
          error: messageOf(error),
        }),
      ask: (server) => (this.#isOnDemand ? ask(this.#name, server) : Promise.resolve(REFUSED)),
      now: wallClock,
    });
    return { policy, terms, contexts, takeover: null };
  }

  #sideOf(policy: TlsPolicy): Side {
    return this.#sides.get(policy.key) ?? this.#usual;
  }

  /** What holds for the connections of a listener that does not look at names first. */
  get settings(): TlsSettings {
    return settingsOf(this.#usual);
  }

  /**
   * What a connection begins with whose client asks for this name (lower case; null for none). Throws the runtime's
   * error for a certificate that cannot be used.
   */
  termsFor(name: string | null): TakeoverTerms {
    const side = this.#sideOf(this.#policies.of(name ?? ""));
    side.takeover ??= takeoverTerms(settingsOf(side), side.policy);
    return side.takeover;
  }

  /** All certificates, the default first. */
  get certificates(): readonly ServedCertificate[] {
    return this.#usual.contexts.all.added;
  }

  /** A handshake could not begin. */
  broken(error: unknown): void {
    this.#env.log.error("TLS cannot begin", { listener: this.#name, error: messageOf(error) });
  }

  /** What a listener is opened with. */
  listenerOptions(): TlsListenerOptions {
    const { wheel, metrics } = this.#env;
    const keyLog = this.#options.tls?.keyLog;
    const now = (): ListenerConfig => this.#options;
    return {
      ...this.settings,
      select: (name) => this.#sideOf(this.#policies.of(name.toLowerCase())).contexts.select(name),
      challenge: (name) => this.#env.answers.certificate(name),
      // What is spoken over a connection of layer 4 is its two ends' business.
      get alpn() {
        const { tcp, http2 } = now();
        if (tcp !== undefined) return NOTHING;
        return http2 ? HTTP : HTTP_1;
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

  /** A client was turned away, or gone, before its handshake began. */
  ended({ result, reason }: HelloEnd): void {
    this.#env.metrics.handshakes(this.#name, result, "-", reason === "" ? "-" : reason).add(1);
  }

  /** A handshake of QUIC is over. */
  quicHandshake(result: "ok" | "failed"): void {
    this.#env.metrics.handshakes(this.#name, result, result === "ok" ? "1.3" : "-", "-").add(1);
  }

  #logKey(path: string, line: string): void {
    try {
      appendFileSync(path, `${line}\n`, { mode: 0o600 });
    } catch (error) {
      this.#env.log.warn("the key log cannot be written", { listener: this.#name, error: String(error) });
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

type Tls = NonNullable<ListenerConfig["tls"]>;
/** Only a listener that is about to be closed has none. */
const tlsOf = ({ tls }: ListenerConfig): Pick<Tls, "minVersion" | "ciphers" | "clientAuth" | "policies"> =>
  tls ?? { minVersion: "1.2", policies: [] };

/** Throws an Error when the files of the policy are not there: nobody may be believed by other CAs in their place. */
function termsOf({ ciphers, clientAuth }: TlsPolicy, trusted: readonly TrustedPem[]): TlsTerms {
  const own = ciphers === undefined ? {} : { ciphers };
  if (clientAuth === null) return own;
  const pem = trusted.find(({ ca, crl }) => ca === clientAuth.ca && crl === clientAuth.crl);
  if (pem === undefined) throw new Error(`the CAs of clients are not there: ${clientAuth.ca}`);
  return { ...own, clientCa: pem.caPem, ...(pem.crlPem === undefined ? {} : { clientCrl: pem.crlPem }) };
}

function settingsOf({ policy, terms, contexts }: Side): TlsSettings {
  const group = contexts.defaultGroup;
  const fallback = group?.certificates.map(({ chainPem, keyPem }) => ({ certPem: chainPem, keyPem })) ?? null;
  return {
    fallback,
    minVersion: policy.minVersion,
    requestClientCertificate: policy.clientAuth !== null,
    ...terms,
  };
}
