// A worker's side of the certificates of one listener: from the name in a handshake to a context of the transport, made
// when a name is first asked for. Names without a certificate are asked for at the supervisor.
import { NameTable, normalName } from "./selection.ts";
import {
  applyUpdate,
  type CertificateChange,
  type CertificateGroup,
  groupCertificates,
  type ServedCertificate,
} from "./served.ts";

/** What the supervisor says to a name: a certificate for it, or not to ask again for a while. */
export type NameAnswer =
  | { readonly certificate: ServedCertificate; readonly renewAtMs: number }
  | { readonly certificate: null; readonly refusedMs: number };

export interface ContextsOptions<C> {
  /** Makes the context of the transport; what it throws is told to `failed`. */
  readonly make: (certificates: readonly ServedCertificate[]) => C;
  /** A context could not be made: its names get the default until their certificates are others. */
  readonly failed: (group: CertificateGroup, error: unknown) => void;
  /** Asks the supervisor; settles in bounded time. A rejection is a refusal. Without it, unknown names get the default. */
  readonly ask?: (name: string) => Promise<NameAnswer>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Names that were asked for and are remembered, refused ones included. */
  readonly namesMax?: number;
  /** Names that are being asked for at a time; handshakes for more get the default. */
  readonly askingMax?: number;
}

/** A context takes some 20 KB. */
const NAMES_MAX = 1024;
const ASKING_MAX = 256;
const REFUSED_MS = 10_000;

interface Asked<C> {
  context: C | null;
  /** When to ask again: at once when there is no context, beside serving it when there is. */
  againMs: number;
  notAfterMs: number;
  /** While the supervisor is being asked. */
  asking: Promise<C | null> | null;
}

export class Contexts<C> {
  readonly #options: ContextsOptions<C>;
  #held: readonly ServedCertificate[] = [];
  #table: NameTable<CertificateGroup> = new NameTable<CertificateGroup>([]);
  /** By group; null where none could be made. */
  #made = new Map<string, C | null>();
  /** In the order of their last use. */
  readonly #asked = new Map<string, Asked<C>>();
  #asking = 0;

  constructor(options: ContextsOptions<C>) {
    this.#options = options;
  }

  /** Takes up a change; the contexts of certificates that stay are kept. */
  update(update: CertificateChange): void {
    this.#held = applyUpdate(this.#held, update);
    this.#table = groupCertificates(this.#held);
    const kept = new Map<string, C | null>();
    for (const { key } of this.#table.values()) {
      const context = this.#made.get(key);
      if (context !== undefined) kept.set(key, context);
    }
    this.#made = kept;
  }

  /** Has all contexts made anew when they are next wanted: what `make` does has changed. */
  forget(): void {
    this.#made = new Map();
    this.#asked.clear();
  }

  /** All certificates in their order, for contexts of other terms. */
  get all(): CertificateChange {
    return { ids: this.#held.map(({ id }) => id), added: this.#held };
  }

  /** The certificates of the default. */
  get defaultGroup(): CertificateGroup | null {
    return this.#table.fallback;
  }

  /** For clients that name no host, and for names that have nothing of their own; null when there is no certificate. */
  get fallback(): C | null {
    const group = this.#table.fallback;
    return group === null ? null : this.#contextOf(group);
  }

  /** The context for a name; null for the default. A promise while the supervisor is asked. It never rejects. */
  select(name: string): C | null | Promise<C | null> {
    const group = this.#table.find(name);
    if (group !== undefined) return this.#contextOf(group);
    const { ask, now } = this.#options;
    if (ask === undefined) return null;
    const normal = normalName(name);
    if (normal === null) return null;
    const known = this.#asked.get(normal);
    if (known === undefined) return this.#begin(normal, null, ask);
    this.#asked.delete(normal);
    this.#asked.set(normal, known);
    const time = now();
    if (known.context !== null && time < known.notAfterMs) {
      // What is due is renewed beside the handshakes that still get the old one.
      if (time >= known.againMs && known.asking === null) void this.#begin(normal, known, ask);
      return known.context;
    }
    if (known.asking !== null) return known.asking;
    return time < known.againMs && known.context === null ? null : this.#begin(normal, known, ask);
  }

  #contextOf(group: CertificateGroup): C | null {
    const known = this.#made.get(group.key);
    if (known !== undefined) return known;
    const context = this.#make(group);
    this.#made.set(group.key, context);
    return context;
  }

  #make(group: CertificateGroup): C | null {
    try {
      return this.#options.make(group.certificates);
    } catch (error) {
      this.#options.failed(group, error);
      return null;
    }
  }

  /** All handshakes for a name wait for one answer. */
  #begin(name: string, known: Asked<C> | null, ask: (name: string) => Promise<NameAnswer>): Promise<C | null> | null {
    if (this.#asking >= (this.#options.askingMax ?? ASKING_MAX)) return null;
    const asked: Asked<C> = known ?? { context: null, againMs: 0, notAfterMs: 0, asking: null };
    if (known === null) this.#remember(name, asked);
    this.#asking += 1;
    const asking = ask(name).then(
      (answer) => this.#answered(asked, answer),
      () => this.#answered(asked, { certificate: null, refusedMs: REFUSED_MS }),
    );
    asked.asking = asking;
    return asking;
  }

  #answered(asked: Asked<C>, answer: NameAnswer): C | null {
    this.#asking -= 1;
    asked.asking = null;
    const { certificate } = answer;
    const context = certificate === null ? null : this.#make({ key: certificate.id, certificates: [certificate] });
    const now = this.#options.now();
    if (certificate !== null && context !== null) {
      asked.context = context;
      asked.againMs = answer.renewAtMs;
      asked.notAfterMs = certificate.notAfterMs;
      return context;
    }
    // A certificate that is only due stays in use.
    asked.againMs = now + (certificate === null ? answer.refusedMs : REFUSED_MS);
    if (now >= asked.notAfterMs) asked.context = null;
    return asked.context;
  }

  #remember(name: string, asked: Asked<C>): void {
    this.#asked.set(name, asked);
    if (this.#asked.size > (this.#options.namesMax ?? NAMES_MAX)) this.#asked.delete(this.#asked.keys().next().value!);
  }
}
