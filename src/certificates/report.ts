// What operators see of certificates: never a key.
import type { Certificate } from "./certificate.ts";
import { normalPattern } from "./selection.ts";
import { type CertificateSource, groupCertificates, type ServedCertificate, servedByName } from "./served.ts";
import { type StoredCertificate, served } from "./store.ts";

/** One line of `GET /api/certificates`. */
export interface CertificateReport {
  readonly listener: string;
  readonly names: readonly string[];
  readonly source: CertificateSource;
  readonly subject: string;
  readonly issuer: string;
  readonly serial: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Whole days; 0 on the last and on the first without it, then negative. */
  readonly daysLeft: number;
  readonly key: string;
  readonly fingerprint256: string;
  readonly chainLength: number;
  readonly selfSigned: boolean;
}

const DAY_MS = 86_400_000;
/** What Prometheus takes from one target without complaint. */
const SERIES_MAX = 10_000;

/** Those that expire first come first. */
export function certificateReport(stored: readonly StoredCertificate[], nowMs: number): CertificateReport[] {
  const sorted = [...stored].sort((a, b) => a.certificate.notAfterMs - b.certificate.notAfterMs);
  return sorted.map(({ listener, source, certificate }) => reportOf(listener, source, certificate, nowMs));
}

function reportOf(
  listener: string,
  source: CertificateSource,
  certificate: Certificate,
  nowMs: number,
): CertificateReport {
  const { names, subject, issuer, serial, notBeforeMs, notAfterMs, keyKind, keySize } = certificate;
  const { fingerprint256, chainLength, selfSigned } = certificate;
  return {
    listener,
    names,
    source,
    subject,
    issuer,
    serial,
    notBefore: new Date(notBeforeMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
    daysLeft: Math.trunc((notAfterMs - nowMs) / DAY_MS) || 0, // never -0
    key: keyKind === "rsa" ? `RSA ${keySize}` : keyKind === "ecdsa" ? `ECDSA ${keySize}` : keySize,
    fingerprint256,
    chainLength,
    selfSigned,
  };
}

/** A series of `sluice_tls_certificate_expiry_seconds`. */
export interface ExpirySeries {
  readonly name: string;
  /** Seconds since 1970. */
  readonly value: number;
}

/**
 * When the certificate of each name expires: of those that are served for it, the first to do so, and 0 while a
 * placeholder stands in. Those of the internal authority are not among them: they renew themselves, and clients choose
 * their names.
 */
export function expirySeries(stored: readonly StoredCertificate[]): ExpirySeries[] {
  const byListener = new Map<string, ServedCertificate[]>();
  for (const { listener, source, certificate } of stored) {
    const listed = byListener.get(listener);
    if (listed === undefined) byListener.set(listener, [served(certificate, source)]);
    else listed.push(served(certificate, source));
  }
  const byName = new Map<string, number>();
  for (const certificates of byListener.values()) {
    for (const [name, each] of servedByName(certificates)) note(byName, name, each);
    // Clients that name no server get the default, whichever addresses it is for.
    const { fallback } = groupCertificates(certificates);
    for (const certificate of fallback?.certificates ?? [])
      for (const name of certificate.names) if (normalPattern(name) === null) note(byName, name, [certificate]);
  }
  return [...byName].slice(0, SERIES_MAX).map(([name, value]) => ({ name, value }));
}

function note(byName: Map<string, number>, name: string, certificates: readonly ServedCertificate[]): void {
  for (const { source, notAfterMs } of certificates) {
    if (source === "internal") continue;
    const seconds = source === "placeholder" ? 0 : Math.floor(notAfterMs / 1000);
    byName.set(name, Math.min(seconds, byName.get(name) ?? seconds));
  }
}
