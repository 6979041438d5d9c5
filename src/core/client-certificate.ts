// What a client's certificate says, in the words that routes, templates and policies use.

export interface ClientCertificate {
  /** The distinguished name as RFC 4514 writes it: CN first, as in `CN=robot,O=Example`. */
  readonly subject: string;
  /** The name of the CA that issued it, in the same form. */
  readonly issuer: string;
  /** The alternative names, each with its kind: `DNS:a.example`, `IP Address:10.0.0.1`, `URI:spiffe://…`. */
  readonly san: readonly string[];
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly pem: string;
}

/** The members of `{clientCert.…}`. */
export const CLIENT_CERT_PARTS: readonly string[] = [
  "subject",
  "issuer",
  "san",
  "fingerprint",
  "serial",
  "notAfter",
  "der",
];

/** One of CLIENT_CERT_PARTS as text; names beyond ASCII are UTF-16 still. */
export function clientCertPart(certificate: ClientCertificate, part: string): string {
  switch (part) {
    case "subject":
      return certificate.subject;
    case "issuer":
      return certificate.issuer;
    case "san":
      return certificate.san.join(", ");
    case "fingerprint":
      return certificate.fingerprint;
    case "serial":
      return certificate.serial;
    case "notAfter":
      return new Date(certificate.notAfter).toISOString();
    case "der":
      // A byte sequence of RFC 8941, as the Client-Cert field of RFC 9440 §2.2 wants it.
      return `:${certificate.pem.replace(/-----[A-Z ]+-----|\s/g, "")}:`;
    default:
      return "";
  }
}
