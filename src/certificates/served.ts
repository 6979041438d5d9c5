// The certificates of a listener as workers hold them: what arrives in messages, and which of them answers to a name.
import type { TrustedPem } from "./client-trust.ts";
import { NameTable, normalPattern } from "./selection.ts";

export type KeyKind = "ecdsa" | "ed25519" | "rsa";
/** Where a certificate comes from; a placeholder stands in until another one is there. */
export type CertificateSource = "file" | "acme" | "internal" | "placeholder";

/** A certificate with its key, ready for createSecureContext. */
export interface ServedCertificate {
  /** The same as long as the chain is the same, byte for byte. */
  readonly id: string;
  /** DNS names in lower case, wildcards included, and IP addresses. */
  readonly names: readonly string[];
  readonly keyKind: KeyKind;
  /** Milliseconds since 1970. */
  readonly notAfterMs: number;
  readonly source: CertificateSource;
  /** The leaf first. */
  readonly chainPem: string;
  readonly keyPem: string;
}

/** What the supervisor sends when the certificates of a listener are others. */
export interface CertificateUpdate {
  readonly listener: string;
  /** All certificates in the order of preference; those that are not in `added` the worker has already. */
  readonly ids: readonly string[];
  readonly added: readonly ServedCertificate[];
  /** The files of the listener's `clientAuth`, all of them each time. */
  readonly trusted: readonly TrustedPem[];
}

/** The part of an update about certificates. */
export type CertificateChange = Pick<CertificateUpdate, "ids" | "added">;

/** Certificates for one context: at most one of each kind of key, in the order of preference. */
export interface CertificateGroup {
  /** The same for the same certificates, so that contexts can be kept by it. */
  readonly key: string;
  readonly certificates: readonly ServedCertificate[];
}

/** The certificates after an update, in its order. One that is neither held nor sent is an error of the supervisor. */
export function applyUpdate(held: readonly ServedCertificate[], update: CertificateChange): ServedCertificate[] {
  const byId = new Map<string, ServedCertificate>();
  for (const certificate of held) byId.set(certificate.id, certificate);
  for (const certificate of update.added) byId.set(certificate.id, certificate);
  return update.ids.map((id) => {
    const certificate = byId.get(id);
    if (certificate === undefined) throw new Error(`certificate ${id} was never sent`);
    return certificate;
  });
}

/** Faster handshakes first. */
const KIND_RANK: Readonly<Record<KeyKind, number>> = { ecdsa: 0, ed25519: 1, rsa: 2 };
const SOURCE_RANK: Readonly<Record<CertificateSource, number>> = { file: 2, acme: 2, internal: 1, placeholder: 0 };

/**
 * What is served by name, of each kind of key one. Of two for one name with keys of the same kind, the one that expires
 * last is taken; a placeholder only where nothing else is, a wildcard included.
 */
export function servedByName(certificates: readonly ServedCertificate[]): Map<string, readonly ServedCertificate[]> {
  const slots = new Map<string, ServedCertificate[]>();
  for (const certificate of certificates) {
    for (const name of certificate.names) {
      const pattern = normalPattern(name);
      if (pattern !== null) place(slots, pattern, certificate);
    }
  }
  for (const [pattern, [first]] of slots) {
    const above = slots.get(wildcardOver(pattern))?.[0];
    if (above !== undefined && first!.source === "placeholder" && above.source !== "placeholder") slots.delete(pattern);
  }
  return slots;
}

/** What is served by name as groups; the default is the group of the first certificate. */
export function groupCertificates(certificates: readonly ServedCertificate[]): NameTable<CertificateGroup> {
  const slots = servedByName(certificates);
  const groups = new Map<string, CertificateGroup>();
  const entries: [string, CertificateGroup][] = [];
  for (const [pattern, slot] of slots) entries.push([pattern, groupOf(slot, groups)]);
  return new NameTable(entries, defaultGroup(certificates, slots, groups));
}

function place(slots: Map<string, ServedCertificate[]>, pattern: string, certificate: ServedCertificate): void {
  const slot = slots.get(pattern);
  if (slot === undefined) {
    slots.set(pattern, [certificate]);
    return;
  }
  const rank = SOURCE_RANK[certificate.source] - SOURCE_RANK[slot[0]!.source];
  if (rank > 0) slots.set(pattern, [certificate]);
  if (rank !== 0) return;
  const same = slot.findIndex(({ keyKind }) => keyKind === certificate.keyKind);
  if (same < 0) slot.push(certificate);
  else if (certificate.notAfterMs > slot[same]!.notAfterMs) slot[same] = certificate;
}

/** "" for wildcards and names of one label. */
function wildcardOver(pattern: string): string {
  const dot = pattern.indexOf(".");
  return dot < 0 || pattern.startsWith("*") ? "" : `*${pattern.slice(dot)}`;
}

function groupOf(slot: readonly ServedCertificate[], groups: Map<string, CertificateGroup>): CertificateGroup {
  const sorted = slot.length === 1 ? slot : [...slot].sort((a, b) => KIND_RANK[a.keyKind] - KIND_RANK[b.keyKind]);
  const key = sorted.length === 1 ? sorted[0]!.id : sorted.map(({ id }) => id).join(" ");
  let group = groups.get(key);
  if (group === undefined) groups.set(key, (group = { key, certificates: sorted }));
  return group;
}

function defaultGroup(
  certificates: readonly ServedCertificate[],
  slots: ReadonlyMap<string, readonly ServedCertificate[]>,
  groups: Map<string, CertificateGroup>,
): CertificateGroup | null {
  const first = certificates.find(({ source }) => source !== "placeholder") ?? certificates[0];
  if (first === undefined) return null;
  // Certificates for IP addresses alone, or without any names, are in no slot.
  const pattern = first.names.map(normalPattern).find((name) => name !== null && slots.has(name));
  return groupOf(typeof pattern === "string" ? slots.get(pattern)! : [first], groups);
}
