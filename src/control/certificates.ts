// The certificates of all TLS listeners, as the supervisor keeps them: from files that are watched, and from the local
// CA. A reload makes its own beside those in use.
import { hostname } from "node:os";
import type { AcmeCertificate } from "../certificates/acme/announce.ts";
import { type Certificate, readCertificate } from "../certificates/certificate.ts";
import { ClientTrust, type TrustFiles } from "../certificates/client-trust.ts";
import type { NameAnswer } from "../certificates/contexts.ts";
import { certificatePairs } from "../certificates/coverage.ts";
import { FileCertificates } from "../certificates/file-certificates.ts";
import { InternalCa, placeholderCertificate } from "../certificates/internal-ca.ts";
import { openRoot } from "../certificates/internal-root.ts";
import { type CertificateReport, certificateReport, type ExpirySeries, expirySeries } from "../certificates/report.ts";
import type { CertificateSource, CertificateUpdate } from "../certificates/served.ts";
import { defaultStorageFolder } from "../certificates/storage-folder.ts";
import { CertificateStore, type StoredCertificate, served } from "../certificates/store.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import type { ChallengeAnswer } from "../server/challenge-answers.ts";
import { checkClientTrust } from "../transport/tls-context.ts";
import { Acme } from "./acme.ts";
import { listenerNames } from "./listener-names.ts";

export interface CertificatesOptions {
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The certificates of a listener in use are others. */
  changed(listener: string): void;
  /** Resolves when all threads know what to answer an authority. */
  onChallenge(change: ChallengeAnswer): Promise<void>;
  /** A CA has been asked for a certificate. */
  onOrdered(result: OrderResult): void;
}

export type OrderResult = "obtained" | "renewed" | "failed";

/** Those of a configuration that is being made ready. */
export interface PreparedCertificates {
  /** All that workers need, by listener. */
  readonly updates: readonly CertificateUpdate[];
  /** Resolves when certificates that were stored before are in use. Rejects when the store cannot be used. */
  commit(): Promise<void>;
  discard(): void;
}

interface Team {
  readonly files: FileCertificates;
  readonly trust: ClientTrust;
  readonly store: CertificateStore;
  /** The names of all listeners with TLS. */
  readonly listeners: readonly string[];
  /** Listeners that get certificates for any name. */
  readonly internal: readonly string[];
  /** The names that each listener gets certificates for from a CA. */
  readonly ordered: ReadonlyMap<string, readonly string[]>;
  /** Listeners that order certificates for any permitted name. */
  readonly onDemand: readonly string[];
}

/** A name that was refused is not asked for again for this long; one for which there was no time, for this long. */
const REFUSED_MS = 600_000;
const BUSY_MS = 1000;
/** How often it is looked whether the certificates that the local CA made ahead are due. */
const LOOK_MS = 3_600_000;
/** Certificates made on demand that reports list; of more, those that were not asked for the longest are left out. */
const ON_DEMAND_MAX = 4096;

export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #acme: Acme;
  /** What a CA gave, by the name that was asked for. */
  readonly #issued = new Map<string, Certificate>();
  /** What clients asked for, by listener and name, for reports. */
  readonly #onDemand = new Map<string, StoredCertificate>();
  #team: Team | null = null;
  #ca: InternalCa | null = null;
  #storage = "";

  constructor(options: CertificatesOptions) {
    this.#options = options;
    const { log, now, onChallenge, onOrdered } = options;
    this.#acme = new Acme({
      log,
      now,
      random: Math.random,
      onCertificate: (certificate) => this.#onIssued(certificate),
      onEvent: ({ kind }) => {
        if (kind !== "shared" && kind !== "refused") onOrdered(kind);
      },
      onChallenge,
    });
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Reads what the configuration names. Throws an Error when there is no local CA and none can be made. */
  prepare(config: Config): PreparedCertificates {
    const { log, now } = this.#options;
    // By their names: several may ask the system for a port with the same words.
    const called = listenerNames(config.listeners);
    const all = config.listeners.map((listener, at) => ({ ...listener, address: called[at]! }));
    const files = new FileCertificates(certificatePairs(all, process.cwd()), {
      log,
      now,
      changed: (listeners) => {
        for (const listener of listeners) team.store.replace(listener, "file", files.certificates(listener));
      },
    });
    const trust = new ClientTrust(all.flatMap(trustFiles), {
      log,
      check: checkClientTrust,
      changed: (listeners) => {
        for (const listener of listeners) tell(listener);
      },
    });
    const tell = (listener: string): void => {
      if (this.#team === team) this.#options.changed(listener);
    };
    const store = new CertificateStore(tell, (listener) => trust.of(listener));
    const listeners = all.filter(({ tls }) => tls !== undefined);
    const internal = listeners.filter(({ tls }) => tls!.internal).map(({ address }) => address);
    const ordered = new Map(listeners.map(({ address, tls }) => [address, tls!.acme?.domains ?? []]));
    const onDemand = listeners.filter(({ tls }) => tls!.acme?.onDemand !== undefined).map(({ address }) => address);
    const names = listeners.map(({ address }) => address);
    const team: Team = { files, trust, store, listeners: names, internal, ordered, onDemand };
    if (internal.length > 0) this.#openCa(config.storage ?? defaultStorageFolder());
    for (const { address, tls } of listeners) {
      store.replace(address, "file", files.certificates(address));
      if (tls!.internal) this.#fillInternal(team, address);
      this.#fillOrdered(team, address);
    }
    return {
      updates: listeners.map(({ address }) => store.update(address)),
      commit: async () => {
        stopFollowing(this.#team);
        this.#team = team;
        this.#forget(team);
        // Some may have been issued since.
        for (const listener of ordered.keys()) this.#fillOrdered(team, listener);
        files.follow();
        trust.follow();
        await this.#acme.follow(config);
      },
      discard: () => stopFollowing(team),
    };
  }

  /** What nobody names any more. */
  #forget({ ordered, onDemand, internal }: Team): void {
    const named = new Set([...ordered.values()].flat().map((name) => name.toLowerCase()));
    for (const name of this.#issued.keys()) if (!named.has(name)) this.#issued.delete(name);
    for (const [key, { listener, source }] of this.#onDemand)
      if (!(source === "internal" ? internal : onDemand).includes(listener)) this.#onDemand.delete(key);
  }

  #openCa(storage: string): void {
    if (this.#ca !== null && this.#storage === storage) return;
    const { root, trouble } = openRoot(storage, this.#options.now());
    if (root === undefined) throw new Error(`${trouble.message}; ${trouble.hint}`);
    this.#ca = new InternalCa(root, { now: this.#options.now });
    this.#storage = storage;
  }

  /** Those that a CA gave, and a placeholder for the other names. */
  #fillOrdered(team: Team, listener: string): void {
    const names = team.ordered.get(listener) ?? [];
    if (names.length === 0) return;
    const there = names.flatMap((name) => this.#issued.get(name.toLowerCase()) ?? []);
    const waits = names.filter((name) => !this.#issued.has(name.toLowerCase()));
    team.store.replace(listener, "acme", there);
    const placeholders = waits.length === 0 ? [] : [placeholderCertificate(waits, this.#options.now())];
    team.store.replace(listener, "placeholder", placeholders);
  }

  #onIssued({ name, chainPem, keyPem, placeholder }: AcmeCertificate): void {
    if (placeholder) return; // there is one for all names that wait
    const { certificate, error } = readCertificate(chainPem, keyPem);
    if (certificate === undefined) {
      this.#options.log.error("a certificate cannot be used", { name, reason: error.message });
      return;
    }
    const team = this.#team;
    if (team === null) return;
    // One that was got on demand may have been renewed.
    for (const listener of team.onDemand)
      if (this.#onDemand.has(onDemandKey(listener, name))) this.#note(listener, name, "acme", certificate);
    const listeners = [...team.ordered].filter(([, names]) => names.some((each) => each.toLowerCase() === name));
    if (listeners.length > 0) this.#issued.set(name, certificate);
    for (const [listener] of listeners) this.#fillOrdered(team, listener);
  }

  /** What clients get that ask for no name: certificates of this machine. */
  #fillInternal(team: Team, listener: string): void {
    const answer = this.#ca!.answer("localhost", "127.0.0.1", "::1", hostname());
    if (answer.kind === "certificate") team.store.replace(listener, "internal", [answer.certificate]);
  }

  #look(): void {
    const team = this.#team;
    if (team !== null) for (const listener of team.internal) this.#fillInternal(team, listener);
  }

  /** What a worker that has these certificates of a listener needs. */
  update(listener: string, known: ReadonlySet<string>): CertificateUpdate | null {
    return this.#team === null ? null : this.#team.store.update(listener, known);
  }

  /** All that a new worker needs. */
  get updates(): CertificateUpdate[] {
    const team = this.#team;
    if (team === null) return [];
    return team.listeners.map((listener) => team.store.update(listener));
  }

  /** A certificate for a name that a client asks for, where the listener gets them on demand. */
  async answer(listener: string, name: string): Promise<NameAnswer> {
    if (this.#team?.onDemand.includes(listener) === true) {
      const ordered = await this.#order(listener, name);
      if (ordered !== null) return ordered;
    }
    return this.#made(listener, name);
  }

  async #order(listener: string, name: string): Promise<NameAnswer | null> {
    const answer = await this.#acme.onDemand(name);
    if (answer.kind === "refused") return null;
    const { certificate } = readCertificate(answer.certificate.chainPem, answer.certificate.keyPem);
    if (certificate === undefined) return null;
    this.#note(listener, name, "acme", certificate);
    return { certificate: served(certificate, "acme"), renewAtMs: this.#options.now() + LOOK_MS };
  }

  #made(listener: string, name: string): NameAnswer {
    if (this.#ca === null || this.#team?.internal.includes(listener) !== true)
      return { certificate: null, refusedMs: REFUSED_MS };
    const answer = this.#ca.answer(name);
    if (answer.kind === "certificate") {
      this.#note(listener, name, "internal", answer.certificate);
      return { certificate: served(answer.certificate, "internal"), renewAtMs: answer.renewAtMs };
    }
    return { certificate: null, refusedMs: answer.kind === "busy" ? BUSY_MS : REFUSED_MS };
  }

  #note(listener: string, name: string, source: CertificateSource, certificate: Certificate): void {
    const key = onDemandKey(listener, name);
    this.#onDemand.delete(key);
    this.#onDemand.set(key, { listener, source, certificate });
    if (this.#onDemand.size > ON_DEMAND_MAX) this.#onDemand.delete(this.#onDemand.keys().next().value!);
  }

  /** What an authority is answered that asks for this token, whichever machine it is of; null when nobody knows. */
  responseTo(token: string): Promise<string | null> {
    return this.#acme.responseTo(token);
  }

  /** What authorities are answered at the moment. */
  get challenges(): ChallengeAnswer[] {
    return this.#acme.challenges;
  }

  report(): CertificateReport[] {
    return certificateReport(this.#all, this.#options.now());
  }
  expiry(): ExpirySeries[] {
    return expirySeries(this.#all);
  }
  /** Those on demand included that have not expired, since nobody may ask for them any more. */
  get #all(): StoredCertificate[] {
    const now = this.#options.now();
    const onDemand = [...this.#onDemand.values()].filter(({ certificate }) => certificate.notAfterMs > now);
    return this.#team === null ? [] : [...this.#team.store.all, ...onDemand];
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    stopFollowing(this.#team);
    await this.#acme.stop();
  }
}

const onDemandKey = (listener: string, name: string): string => `${listener}\0${name.toLowerCase()}`;

function stopFollowing(team: Team | null): void {
  team?.files.stop();
  team?.trust.stop();
}

/** The files of a listener's `clientAuth`, those of its policies included. */
function trustFiles({ address, tls }: ListenerConfig): TrustFiles[] {
  const all = [tls?.clientAuth, ...(tls?.policies ?? []).map(({ clientAuth }) => clientAuth)];
  return all.flatMap((auth) => (auth ? [{ listener: address, ca: auth.ca, crl: auth.crl }] : []));
}
