// The certificates of all TLS listeners, as the supervisor keeps them: from files that are watched, and from the local
// CA. A reload makes its own beside those in use.
import { hostname } from "node:os";
import type { AcmeCertificate } from "../certificates/acme/announce.ts";
import { type Certificate, readCertificate } from "../certificates/certificate.ts";
import type { NameAnswer } from "../certificates/contexts.ts";
import { certificatePairs } from "../certificates/coverage.ts";
import { FileCertificates } from "../certificates/file-certificates.ts";
import { InternalCa, placeholderCertificate } from "../certificates/internal-ca.ts";
import { openRoot } from "../certificates/internal-root.ts";
import { type CertificateReport, certificateReport, type ExpirySeries, expirySeries } from "../certificates/report.ts";
import type { CertificateUpdate } from "../certificates/served.ts";
import { defaultStorageFolder } from "../certificates/storage-folder.ts";
import { CertificateStore, served } from "../certificates/store.ts";
import type { Config } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import type { ChallengeAnswer } from "../server/challenge-answers.ts";
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
}

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
  readonly store: CertificateStore;
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

export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #acme: Acme;
  /** What a CA gave, by the name that was asked for. */
  readonly #issued = new Map<string, Certificate>();
  #team: Team | null = null;
  #ca: InternalCa | null = null;
  #storage = "";

  constructor(options: CertificatesOptions) {
    this.#options = options;
    const { log, now, onChallenge } = options;
    this.#acme = new Acme({
      log,
      now,
      random: Math.random,
      onCertificate: (certificate) => this.#onIssued(certificate),
      onChallenge,
    });
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Reads what the configuration names. Throws an Error when there is no local CA and none can be made. */
  prepare(config: Config): PreparedCertificates {
    const { log, now } = this.#options;
    // By their names: several may ask the system for a port with the same words.
    const names = listenerNames(config.listeners);
    const all = config.listeners.map((listener, at) => ({ ...listener, address: names[at]! }));
    const files = new FileCertificates(certificatePairs(all, process.cwd()), {
      log,
      now,
      changed: (listeners) => {
        for (const listener of listeners) team.store.replace(listener, "file", files.certificates(listener));
      },
    });
    const store = new CertificateStore((listener) => {
      if (this.#team === team) this.#options.changed(listener);
    });
    const listeners = all.filter(({ tls }) => tls !== undefined);
    const internal = listeners.filter(({ tls }) => tls!.internal).map(({ address }) => address);
    const ordered = new Map(listeners.map(({ address, tls }) => [address, tls!.acme?.domains ?? []]));
    const onDemand = listeners.filter(({ tls }) => tls!.acme?.onDemand !== undefined).map(({ address }) => address);
    const team: Team = { files, store, internal, ordered, onDemand };
    if (internal.length > 0) this.#openCa(config.storage ?? defaultStorageFolder());
    for (const { address, tls } of listeners) {
      store.replace(address, "file", files.certificates(address));
      if (tls!.internal) this.#fillInternal(team, address);
      this.#fillOrdered(team, address);
    }
    return {
      updates: listeners.map(({ address }) => store.update(address)),
      commit: async () => {
        this.#team?.files.stop();
        this.#team = team;
        files.follow();
        await this.#acme.follow(config);
      },
      discard: () => files.stop(),
    };
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
    this.#issued.set(name.toLowerCase(), certificate);
    const team = this.#team;
    if (team === null) return;
    for (const listener of team.ordered.keys()) this.#fillOrdered(team, listener);
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
    return [...new Set(team.store.all.map(({ listener }) => listener))].map((listener) => team.store.update(listener));
  }

  /** A certificate for a name that a client asks for, where the listener gets them on demand. */
  async answer(listener: string, name: string): Promise<NameAnswer> {
    if (this.#team?.onDemand.includes(listener) === true) {
      const ordered = await this.#order(name);
      if (ordered !== null) return ordered;
    }
    return this.#made(listener, name);
  }

  async #order(name: string): Promise<NameAnswer | null> {
    const answer = await this.#acme.onDemand(name);
    if (answer.kind === "refused") return null;
    const { certificate } = readCertificate(answer.certificate.chainPem, answer.certificate.keyPem);
    if (certificate === undefined) return null;
    return { certificate: served(certificate, "acme"), renewAtMs: this.#options.now() + LOOK_MS };
  }

  #made(listener: string, name: string): NameAnswer {
    if (this.#ca === null || this.#team?.internal.includes(listener) !== true)
      return { certificate: null, refusedMs: REFUSED_MS };
    const answer = this.#ca.answer(name);
    if (answer.kind === "certificate")
      return { certificate: served(answer.certificate, "internal"), renewAtMs: answer.renewAtMs };
    return { certificate: null, refusedMs: answer.kind === "busy" ? BUSY_MS : REFUSED_MS };
  }

  /** What authorities are answered at the moment. */
  get challenges(): ChallengeAnswer[] {
    return this.#acme.challenges;
  }

  report(): CertificateReport[] {
    return this.#team === null ? [] : certificateReport(this.#team.store.all, this.#options.now());
  }
  expiry(): ExpirySeries[] {
    return this.#team === null ? [] : expirySeries(this.#team.store.all);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#team?.files.stop();
    await this.#acme.stop();
  }
}
