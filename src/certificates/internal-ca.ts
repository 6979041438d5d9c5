// Certificates of Sluice's own authority, made when a name is asked for. Nothing of it but the root is stored, so that
// processes which share the root share nothing else.
import { wallClock } from "../core/clock.ts";
import { canonicalIp } from "../core/ip.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { type Authority, issueIntermediate, issueLeaf } from "./issue.ts";
import { normalName } from "./selection.ts";

const DAY_MS = 86_400_000;
/** Longer than any pause of a machine that is used, short enough that a key which gets out is soon worth nothing. */
const LEAF_MS = 7 * DAY_MS;
/** At two thirds of its life, when it is replaced, it still outlives the leaves that it has issued. */
const INTERMEDIATE_MS = 30 * DAY_MS;
const RENEW_AT = 2 / 3;
/** Clocks differ. */
const BACKDATED_MS = 3_600_000;
/** 2 KB each. */
const NAMES_MAX = 4096;
/** One takes 0.3 ms with its checks: strangers who ask for new names all the time get 3 % of a core. */
const ISSUED_PER_SECOND = 100;
const ISSUED_AT_ONCE = 1000;

export interface InternalCaOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** How many names are remembered; of more, those that were not asked for the longest are forgotten. */
  readonly namesMax?: number;
  readonly issuedPerSecond?: number;
  readonly issuedAtOnce?: number;
}

/** `busy`: too many new names in a short time; ask again in a second. `invalid`: no name or address. */
export type InternalAnswer =
  | { readonly kind: "certificate"; readonly certificate: Certificate; readonly renewAtMs: number }
  | { readonly kind: "busy" }
  | { readonly kind: "invalid" };

interface Kept {
  readonly certificate: Certificate;
  readonly renewAtMs: number;
}

export class InternalCa {
  readonly #root: Authority;
  readonly #now: () => number;
  readonly #namesMax: number;
  readonly #perMs: number;
  readonly #atOnce: number;
  #intermediate: Authority | null = null;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Kept>();
  #tokens: number;
  #tokensAt: number;

  constructor(root: Authority, options: InternalCaOptions = {}) {
    this.#root = root;
    this.#now = options.now ?? wallClock;
    this.#namesMax = options.namesMax ?? NAMES_MAX;
    this.#perMs = (options.issuedPerSecond ?? ISSUED_PER_SECOND) / 1000;
    this.#atOnce = options.issuedAtOnce ?? ISSUED_AT_ONCE;
    this.#tokens = this.#atOnce;
    this.#tokensAt = this.#now();
  }

  /** What clients have to trust. */
  get rootPem(): string {
    return this.#root.certPem;
  }

  get rootNotAfterMs(): number {
    return this.#root.notAfterMs;
  }

  /** Those that are remembered, for reports. */
  get certificates(): Certificate[] {
    return [...this.#kept.values()].map(({ certificate }) => certificate);
  }

  /**
   * The certificate for DNS names and IP addresses, new or remembered; whoever keeps it asks again after `renewAtMs`.
   * While there is too much to do, one that is due is still given out until it expires.
   */
  answer(...names: readonly string[]): InternalAnswer {
    const normal = names.map((name) => canonicalIp(name) ?? normalName(name)).filter((name) => name !== null);
    if (normal.length === 0 || normal.length < names.length) return { kind: "invalid" };
    const key = normal.join(" ");
    const now = this.#now();
    const kept = this.#kept.get(key);
    if (kept !== undefined && now < kept.renewAtMs && now >= kept.certificate.notBeforeMs) return this.#keep(key, kept);
    if (!this.#take(now)) {
      if (kept === undefined || now >= kept.certificate.notAfterMs) return { kind: "busy" };
      return this.#keep(key, kept);
    }
    return this.#keep(key, this.#issue(normal, now));
  }

  #keep(key: string, kept: Kept): InternalAnswer {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size > this.#namesMax) this.#kept.delete(this.#kept.keys().next().value!);
    return { kind: "certificate", ...kept };
  }

  #issue(names: readonly string[], now: number): Kept {
    const issuer = this.#issuer(now);
    const leaf = issueLeaf(names, validity(now, LEAF_MS, issuer.notAfterMs), issuer);
    const { certificate, error } = readCertificate(leaf.certPem + issuer.certPem, leaf.keyPem);
    if (certificate === undefined)
      throw new Error(`the certificate made for ${names.join(", ")} cannot be read: ${error.message}`);
    return { certificate, renewAtMs: renewalOf(leaf.notAfterMs, now) };
  }

  #issuer(now: number): Authority {
    const current = this.#intermediate;
    if (current !== null && now < renewalOf(current.notAfterMs, current.notBeforeMs) && now >= current.notBeforeMs)
      return current;
    const id = crypto.randomUUID().slice(0, 8);
    const lasts = validity(now, INTERMEDIATE_MS, this.#root.notAfterMs);
    return (this.#intermediate = issueIntermediate(this.#root, `Sluice local intermediate ${id}`, lasts));
  }

  /** A token bucket: whether one more may be made now. */
  #take(now: number): boolean {
    const since = Math.max(0, now - this.#tokensAt);
    this.#tokens = Math.min(this.#atOnce, this.#tokens + since * this.#perMs);
    this.#tokensAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

const renewalOf = (notAfterMs: number, fromMs: number): number => fromMs + (notAfterMs - fromMs) * RENEW_AT;

/** From a while ago, and never longer than the issuer. */
function validity(now: number, lastsMs: number, issuerNotAfterMs: number) {
  const second = Math.floor(now / 1000) * 1000;
  return { notBeforeMs: second - BACKDATED_MS, notAfterMs: Math.min(second + lastsMs, issuerNotAfterMs) };
}

/** Enough for a look at the certificate; clients trust none of it whatever it says. */
const PLACEHOLDER_NAMES_MAX = 100;
const PLACEHOLDER_MS = 90 * DAY_MS;

/** A self-signed certificate that stands in for names until theirs is issued: handshakes work, and clients warn. */
export function placeholderCertificate(names: readonly string[], nowMs: number): Certificate {
  const issued = issueLeaf(names.slice(0, PLACEHOLDER_NAMES_MAX), validity(nowMs, PLACEHOLDER_MS, Infinity), null);
  const { certificate, error } = readCertificate(issued.certPem, issued.keyPem);
  if (certificate === undefined) throw new Error(`the placeholder cannot be read: ${error.message}`);
  return { ...certificate, names };
}
