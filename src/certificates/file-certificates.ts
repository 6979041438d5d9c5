// `tls.certificates`: files that are followed however they change: written in place, renamed over, or behind symbolic
// links (as Kubernetes swaps mounted ones). A pair replaces the one before only as a whole.
import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import type { Problem } from "../config/diagnostic.ts";
import { reasonOf } from "../config/expand.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import { type Certificate, type Reading, readCertificate, timeFlaws } from "./certificate.ts";
import { type Flaw, flaw } from "./flaw.ts";

/** A certificate and its key are written one after the other. */
const QUIET_MS = 100;
/** For what the system does not tell of: network file systems, targets of links in other folders. */
const POLL_MS = 30_000;
/** A chain is a few kilobytes; this stops a wrong path from filling the memory. */
const FILE_BYTES_MAX = 1024 * 1024;

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

interface WatchedFolder {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

export class FileCertificates {
  readonly #pairs: readonly CertificatePair[];
  readonly #options: FileCertificatesOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #folders = new Map<string, WatchedFolder>();
  #soon: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;

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
    this.#poll ??= setInterval(this.#look, this.#options.pollMs ?? POLL_MS);
    this.#look();
  }

  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    this.#poll = undefined;
    this.#soon = undefined;
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  readonly #look = (): void => {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.#watch();
    const changed = new Set<string>();
    for (const entry of this.#entries.values()) {
      if (this.#refresh(entry)) for (const listener of entry.listeners) changed.add(listener);
    }
    if (changed.size > 0) this.#options.changed([...changed]);
  };

  /** Reads an entry again when its files are others. Whether there is another certificate now. */
  #refresh(entry: Entry): boolean {
    const signature = signatureOf(entry);
    if (signature === entry.signature) return false;
    const { certificate, error } = readFiles(entry);
    if (signatureOf(entry) !== signature) {
      this.#lookSoon(); // it is being written in this moment
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

  readonly #lookSoon = (): void => {
    this.#soon ??= setTimeout(this.#look, QUIET_MS);
  };

  /** Watches what is at the paths of the folders now. */
  #watch(): void {
    for (const folder of this.#folderNames()) {
      const stat = statSync(folder, { throwIfNoEntry: false });
      const identity = stat === undefined ? "" : `${stat.dev} ${stat.ino}`;
      const known = this.#folders.get(folder);
      if (known?.identity === identity) continue;
      known?.watcher.close();
      this.#folders.delete(folder);
      if (stat === undefined) continue;
      try {
        const watcher = watch(folder, this.#lookSoon);
        watcher.on("error", () => this.#folders.delete(folder)); // the next poll watches it anew
        this.#folders.set(folder, { watcher, identity });
      } catch {
        // It has gone in this moment, or there are too many watchers: the poll looks again.
      }
    }
  }

  #folderNames(): Set<string> {
    return new Set([...this.#entries.values()].flatMap(({ cert, key }) => [dirname(cert), dirname(key)]));
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
  try {
    const stat = statSync(path);
    // Reading a pipe would wait for whoever writes to it.
    if (!stat.isFile()) return flaw(about, "it is not a regular file", "give the path of a file in PEM");
    if (stat.size > FILE_BYTES_MAX)
      return flaw(about, "it is too large for what it should be", "give the path of a file in PEM");
    return readFileSync(path, "utf8");
  } catch (error) {
    return flaw(about, `it cannot be read: ${reasonOf(error)}`, `looked for ${path}`);
  }
}

const signatureOf = ({ cert, key }: Entry): string => `${signature(cert)} ${signature(key)}`;

/** Other than before when the file at that path is another one or was written to; "" when there is none. */
function signature(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}

const allFlaws = (certificate: Certificate, nowMs: number): Flaw[] => [
  ...certificate.flaws,
  ...timeFlaws(certificate, nowMs),
];

function problemOf(pair: CertificatePair, { severity, about, message, hint }: Flaw): Problem {
  const file = about === "cert" ? pair.cert : pair.key;
  return { severity, message: `${file}: ${message}`, hint, path: [...pair.path, about], at: "value" };
}
