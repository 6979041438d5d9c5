// A peer's certificate, in the words that policies and headers use.
import type { X509Certificate } from "node:crypto";
import type { ClientCertificate } from "../core/client-certificate.ts";

export interface PeerCertificateSource {
  getPeerX509Certificate(): X509Certificate | undefined;
}

/** What the peer of an open socket showed; null without a certificate, or once the socket is closed. */
export function readClientCertificate(socket: PeerCertificateSource): ClientCertificate | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  return {
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    san: alternativeNames(certificate.subjectAltName),
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    serial: certificate.serialNumber.toLowerCase(),
    notAfter: Date.parse(certificate.validTo),
    pem: certificate.toString(),
  };
}

/** The runtime gives one attribute a line, escaped as in RFC 4514 but in the certificate's order, which is the reverse. */
const nameOf = (lines: string | undefined): string => (lines ?? "").split("\n").reverse().join(",");

/** `DNS:a, URI:"b, c"`: a name that could be taken for several is a JSON string (CVE-2021-44532). */
const NAME = /([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^",][^,]*|))(?:, |$)/gy;

/** The alternative names, each with its kind. A text that cannot be told apart gives none. */
export function alternativeNames(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const names: string[] = [];
  let end = 0;
  for (const [whole, kind, quoted, bare] of text.matchAll(NAME)) {
    end += whole.length;
    names.push(`${kind}:${quoted === undefined ? bare : String(JSON.parse(quoted))}`);
  }
  return end === text.length ? names : [];
}
