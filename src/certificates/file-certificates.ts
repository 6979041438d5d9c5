// `tls.certificates`: files that are followed. A pair replaces the one before only as a whole.
import type { Problem } from "../config/diagnostic.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import { type Certificate, type Reading, readCertificate, timeFlaws } from "./certificate.ts";
import { FileFollower, fileSignature, readPemText } from "./file-follower.ts";
import { type Flaw, flaw } from "./flaw.ts";

/** An entry of `certificates`. */
export interface CertificatePair {
  /** The address of the listener, as it names it everywhere. */
  readonly listener: string;
  /** Of the entry: `["listeners", 0, "tls", "certificates", 1]`. */
  readonly path: readonly (string | number)[];
  /** Absolute paths. */
  readonly cert: string;
  readonly key: string;
}

export interface FileCertificatesOptions {
  readonly log: Log;
  /** Called with the listeners whose certificates are others. */
  readonly changed: (listeners: readonly string[]) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly pollMs?: number;
}

/** Two files, however many listeners use them. */
interface Entry {
  readonly cert: string;
  readonly key: string;
  readonly listeners: Set<string>;
  signature: string;
  certificate: Certificate | null;
  /** Why the files cannot be used as they are now; null when they can. */
  error: Flaw | null;
}

export class FileCertificates {
  readonly #pairs: readonly CertificatePair[];
  readonly #options: FileCertificatesOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #follower: FileFollower;

  /** Reads all files at once; `problems` says what is wrong with them, `follow` watches them. */
  constructor(pairs: readonly CertificatePair[], options: FileCertificatesOptions) {
    this.#pairs = pairs;
    this.#options = options;
    this.#now = options.now ?? wallClock;
    for (const pair of pairs) {
      const known = this.#entries.get(keyOf(pair));
      if (known !== undefined) known.listeners.add(pair.listener);
      else this.#entries.set(keyOf(pair), firstRead(pair));
    }
    const files = pairs.flatMap(({ cert, key }) => [cert, key]);
    this.#follower = new FileFollower(files, () => this.#look(), options.pollMs);
  }

  /** What is wrong now, with the key of the configuration to blame. An error: the pair cannot be served. */
  get problems(): Problem[] {
    const now = this.#now();
    return this.#pairs.flatMap((pair) => {
      const { certificate, error } = this.#entries.get(keyOf(pair))!;
      const flaws = error !== null ? [error] : certificate === null ? [] : allFlaws(certificate, now);
      return flaws.map((each) => problemOf(pair, each));
    });
  }

  /** The certificates of a listener in the order of the configuration, without those that never could be read. */
  certificates(listener: string): Certificate[] {
    const found = this.#pairs.filter((pair) => pair.listener === listener);
    return found.map((pair) => this.#entries.get(keyOf(pair))!.certificate).filter((one) => one !== null);
  }

  /** Tells of changes from now on, those since the files were read included. */
  follow(): void {
    this.#follower.follow();
  }

  stop(): void {
    this.#follower.stop();
  }

  #look(): void {
    const changed = new Set<string>();
    for (const entry of this.#entries.values()) {
      if (this.#refresh(entry)) for (const listener of entry.listeners) changed.add(listener);
    }
    if (changed.size > 0) this.#options.changed([...changed]);
  }

  /** Reads an entry again when its files are others. Whether there is another certificate now. */
  #refresh(entry: Entry): boolean {
    const signature = signatureOf(entry);
    if (signature === entry.signature) return false;
    const { certificate, error } = readFiles(entry);
    if (signatureOf(entry) !== signature) {
      this.#follower.lookSoon(); // it is being written in this moment
      return false;
    }
    entry.signature = signature;
    const { log } = this.#options;
    const fields = { cert: entry.cert, key: entry.key };
    if (error !== undefined) {
      if (error.message !== entry.error?.message)
        log.warn("the certificate files cannot be used: what was read before stays in use", {
          ...fields,
          reason: error.message,
        });
      entry.error = error;
      return false;
    }
    const wasBroken = entry.error !== null;
    entry.error = null;
    if (certificate.id === entry.certificate?.id) {
      if (wasBroken) log.info("the certificate files are in order again, with the same certificate", fields);
      return false;
    }
    entry.certificate = certificate;
    const expires = new Date(certificate.notAfterMs).toISOString();
    log.info("new certificate", { ...fields, names: certificate.names.slice(0, 5).join(" "), expires });
    for (const { message } of allFlaws(certificate, this.#now()))
      log.warn("certificate", { ...fields, reason: message });
    return true;
  }
}

const keyOf = ({ cert, key }: CertificatePair): string => `${cert}\0${key}`;

function firstRead({ cert, key, listener }: CertificatePair): Entry {
  const entry: Entry = { cert, key, listeners: new Set([listener]), signature: "", certificate: null, error: null };
  entry.signature = signatureOf(entry);
  const { certificate, error } = readFiles(entry);
  entry.certificate = certificate ?? null;
  entry.error = error ?? null;
  return entry;
}

function readFiles({ cert, key }: Entry): Reading {
  const chainPem = readText(cert, "cert");
  if (typeof chainPem !== "string") return { error: chainPem };
  const keyPem = cert === key ? chainPem : readText(key, "key");
  if (typeof keyPem !== "string") return { error: keyPem };
  return readCertificate(chainPem, keyPem);
}

function readText(path: string, about: Flaw["about"]): string | Flaw {
  const { text, error } = readPemText(path);
  return error === undefined ? text : flaw(about, error.message, error.hint);
}

const signatureOf = ({ cert, key }: Entry): string => `${fileSignature(cert)} ${fileSignature(key)}`;

const allFlaws = (certificate: Certificate, nowMs: number): Flaw[] => [
  ...certificate.flaws,
  ...timeFlaws(certificate, nowMs),
];

function problemOf(pair: CertificatePair, { severity, about, message, hint }: Flaw): Problem {
  const file = about === "cert" ? pair.cert : pair.key;
  return { severity, message: `${file}: ${message}`, hint, path: [...pair.path, about], at: "value" };
}
