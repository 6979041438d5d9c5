// Whom listeners believe: the files of `clientAuth`, with the CAs of clients and what these have revoked. They are
// followed like certificates, and a pair replaces the one before only as a whole.
import { X509Certificate } from "node:crypto";
import type { Log } from "../observe/log.ts";
import { FileFollower, fileSignature, readPemText } from "./file-follower.ts";

/** The largest lists of revoked certificates that CAs publish have some megabytes. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** One `clientAuth`, wherever it stands. */
export interface TrustFiles {
  /** The name of the listener. */
  readonly listener: string;
  /** Absolute paths. */
  readonly ca: string;
  readonly crl: string | undefined;
}

/** The content of such files, as workers get it. */
export interface TrustedPem {
  readonly ca: string;
  readonly crl: string | undefined;
  readonly caPem: string;
  readonly crlPem: string | undefined;
}

export interface ClientTrustOptions {
  readonly log: Log;
  /** Called with the listeners for which something has changed. */
  readonly changed: (listeners: readonly string[]) => void;
  /** Throws an Error when the texts cannot be used. */
  readonly check: (caPem: string, crlPem: string | undefined) => void;
  readonly pollMs?: number;
}

interface Entry {
  readonly ca: string;
  readonly crl: string | undefined;
  readonly listeners: Set<string>;
  signature: string;
  trusted: TrustedPem;
  /** Why the files cannot be used as they are now; "" when they can. */
  trouble: string;
}

export class ClientTrust {
  readonly #options: ClientTrustOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #follower: FileFollower;

  /** Reads all files. Throws an Error that names the first that cannot be used. */
  constructor(files: readonly TrustFiles[], options: ClientTrustOptions) {
    this.#options = options;
    for (const { listener, ca, crl } of files) {
      const known = this.#entries.get(`${ca}\0${crl}`);
      if (known !== undefined) {
        known.listeners.add(listener);
        continue;
      }
      const signature = signatureOf(ca, crl);
      const trusted = readTrust(ca, crl, options.check);
      const listeners = new Set([listener]);
      this.#entries.set(`${ca}\0${crl}`, { ca, crl, listeners, signature, trusted, trouble: "" });
    }
    const paths = files.flatMap(({ ca, crl }) => (crl === undefined ? [ca] : [ca, crl]));
    this.#follower = new FileFollower(paths, () => this.#look(), options.pollMs);
  }

  /** All that one listener needs. */
  of(listener: string): TrustedPem[] {
    return [...this.#entries.values()].filter(({ listeners }) => listeners.has(listener)).map(({ trusted }) => trusted);
  }

  /** Tells of changes from now on, those since the files were read included. */
  follow(): void {
    if (this.#entries.size > 0) this.#follower.follow();
  }

  stop(): void {
    this.#follower.stop();
  }

  #look(): void {
    const changed = new Set<string>();
    for (const entry of this.#entries.values())
      if (this.#refresh(entry)) for (const listener of entry.listeners) changed.add(listener);
    if (changed.size > 0) this.#options.changed([...changed]);
  }

  /** Reads files again that are others. Whether what they say is something else. */
  #refresh(entry: Entry): boolean {
    const { ca, crl, trusted } = entry;
    const { log, check } = this.#options;
    const signature = signatureOf(ca, crl);
    if (signature === entry.signature) return false;
    let next: TrustedPem;
    try {
      next = readTrust(ca, crl, check);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (signatureOf(ca, crl) !== signature) this.#follower.lookSoon(); // it is being written in this moment
      if (reason !== entry.trouble)
        log.warn("the files of clientAuth cannot be used: what was read before stays in use", { ca, crl, reason });
      entry.trouble = reason;
      return false;
    }
    if (signatureOf(ca, crl) !== signature) {
      this.#follower.lookSoon();
      return false;
    }
    entry.signature = signature;
    entry.trouble = "";
    if (next.caPem === trusted.caPem && next.crlPem === trusted.crlPem) return false;
    entry.trusted = next;
    log.info("clients are believed by new files", { ca, crl });
    return true;
  }
}

function readTrust(ca: string, crl: string | undefined, check: ClientTrustOptions["check"]): TrustedPem {
  const caPem = textOf(ca);
  const crlPem = crl === undefined ? undefined : textOf(crl);
  try {
    check(caPem, crlPem);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${crl === undefined ? ca : `${ca} with ${crl}`}: ${why}`, { cause: error });
  }
  return { ca, crl, caPem, crlPem };
}

function textOf(path: string): string {
  const { text, error } = readPemText(path, FILE_BYTES_MAX);
  if (error !== undefined) throw new Error(`${path}: ${error.message}`);
  return text;
}

const signatureOf = (ca: string, crl: string | undefined): string =>
  `${fileSignature(ca)} ${crl === undefined ? "" : fileSignature(crl)}`;

const CERTIFICATE = /-----BEGIN (?:X509 )?CERTIFICATE-----[^-]*-----END (?:X509 )?CERTIFICATE-----/g;

/** Whom those certificates of a text (PEM) are for that are no CA's. Damaged ones are left to others to find. */
export function leafNames(pem: string): string[] {
  return [...pem.matchAll(CERTIFICATE)].flatMap(([text]) => {
    try {
      const { ca, subject, subjectAltName } = new X509Certificate(text);
      return ca ? [] : [(subject || subjectAltName || "a certificate without a name").replaceAll("\n", ", ")];
    } catch {
      return [];
    }
  });
}
