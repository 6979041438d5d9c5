// The supervisor's collection: all certificates of all listeners, from all sources, and what workers do not have yet.
import type { Certificate } from "./certificate.ts";
import type { TrustedPem } from "./client-trust.ts";
import type { CertificateSource, CertificateUpdate, ServedCertificate } from "./served.ts";

/** What the operator gave comes first, and so is the default. */
const ORDER: readonly CertificateSource[] = ["file", "acme", "internal", "placeholder"];

export interface StoredCertificate {
  readonly listener: string;
  readonly source: CertificateSource;
  readonly certificate: Certificate;
}

type BySource = Map<CertificateSource, readonly Certificate[]>;

/** A certificate as workers get it. */
export function served(certificate: Certificate, source: CertificateSource): ServedCertificate {
  const { id, names, keyKind, notAfterMs, chainPem, keyPem } = certificate;
  return { id, names, keyKind, notAfterMs, source, chainPem, keyPem };
}

export class CertificateStore {
  readonly #changed: (listener: string) => void;
  readonly #trustedBy: (listener: string) => readonly TrustedPem[];
  readonly #listeners = new Map<string, BySource>();

  /** `changed` is called when the list of a listener is another one; `trustedBy` is asked for each update. */
  constructor(changed: (listener: string) => void, trustedBy: (listener: string) => readonly TrustedPem[] = () => []) {
    this.#changed = changed;
    this.#trustedBy = trustedBy;
  }

  /** All that a source has for a listener, in place of what it had before. */
  replace(listener: string, source: CertificateSource, certificates: readonly Certificate[]): void {
    const sources: BySource = this.#listeners.get(listener) ?? new Map();
    const before = sources.get(source) ?? [];
    this.#listeners.set(listener, sources);
    if (certificates.length === 0) sources.delete(source);
    else sources.set(source, certificates);
    const isSame = before.length === certificates.length && certificates.every(({ id }, at) => id === before[at]?.id);
    if (!isSame) this.#changed(listener);
  }

  /** Forgets all other listeners, without telling. */
  keepOnly(listeners: ReadonlySet<string>): void {
    for (const listener of this.#listeners.keys()) if (!listeners.has(listener)) this.#listeners.delete(listener);
  }

  /** What to send to a worker that has the certificates of these ids already: `applyUpdate` is the other side. */
  update(listener: string, known: ReadonlySet<string> = new Set()): CertificateUpdate {
    const all = new Map<string, ServedCertificate>();
    for (const { source, certificate } of this.#of(listener)) {
      // A certificate that two sources have is the first one's.
      if (!all.has(certificate.id)) all.set(certificate.id, served(certificate, source));
    }
    const added = [...all.values()].filter(({ id }) => !known.has(id));
    return { listener, ids: [...all.keys()], added, trusted: this.#trustedBy(listener) };
  }

  /** Everything, for reports. */
  get all(): StoredCertificate[] {
    return [...this.#listeners.keys()].flatMap((listener) => this.#of(listener));
  }

  #of(listener: string): StoredCertificate[] {
    const sources = this.#listeners.get(listener);
    if (sources === undefined) return [];
    return ORDER.flatMap((source) =>
      (sources.get(source) ?? []).map((certificate) => ({ listener, source, certificate })),
    );
  }
}
