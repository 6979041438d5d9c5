// What operators see of certificates: never a key.
import type { Certificate } from "./certificate.ts";
import type { CertificateSource } from "./served.ts";
import type { StoredCertificate } from "./store.ts";

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
  /** Whole days; negative once it has expired. */
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
    daysLeft: Math.floor((notAfterMs - nowMs) / DAY_MS),
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
 * When the certificate of each name expires, of several the first to do so. Those of the internal authority are not
 * among them: they renew themselves, and clients choose their names.
 */
export function expirySeries(stored: readonly StoredCertificate[]): ExpirySeries[] {
  const byName = new Map<string, number>();
  for (const { source, certificate } of stored) {
    if (source === "internal") continue;
    const seconds = Math.floor(certificate.notAfterMs / 1000);
    for (const name of certificate.names) byName.set(name, Math.min(seconds, byName.get(name) ?? seconds));
  }
  return [...byName].slice(0, SERIES_MAX).map(([name, value]) => ({ name, value }));
}
