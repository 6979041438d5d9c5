// Certificates for tests: ordinary ones made as Sluice makes its own, and odd ones of all kinds.
import "reflect-metadata";
import type { Extension } from "@peculiar/x509";
import * as x509 from "@peculiar/x509";
import { type Authority, issueIntermediate, issueLeaf, issueRoot, type Validity } from "./issue.ts";
import { toPem } from "./pem.ts";

export const DAY_MS = 86_400_000;
/** 2026-06-01T12:00:00Z: "now" of the tests. */
export const NOW_MS = Date.UTC(2026, 5, 1, 12);

/** From a day before `NOW_MS` to so many days after it. */
export const lasting = (days: number): Validity => ({
  notBeforeMs: NOW_MS - DAY_MS,
  notAfterMs: NOW_MS + days * DAY_MS,
});

export interface Made {
  /** Leaf and intermediate. */
  readonly chainPem: string;
  readonly leafPem: string;
  readonly keyPem: string;
}

/** A root and an intermediate that issue certificates for servers. */
export class Pki {
  readonly root: Authority = issueRoot("Test root", lasting(3000));
  readonly intermediate: Authority = issueIntermediate(this.root, "Test intermediate", lasting(1000));

  make(names: readonly string[], validity: Validity = lasting(90)): Made {
    const { certPem, keyPem } = issueLeaf(names, validity, this.intermediate);
    return { chainPem: certPem + this.intermediate.certPem, leafPem: certPem, keyPem };
  }
}

/** A self-signed certificate. */
export function selfSigned(names: readonly string[], validity: Validity = lasting(90)): Made {
  const { certPem, keyPem } = issueLeaf(names, validity, null);
  return { chainPem: certPem, leafPem: certPem, keyPem };
}

const ECDSA = (namedCurve: string, hash = "SHA-256") => ({ name: "ECDSA", namedCurve, hash });
const RSA = (modulusLength: number, hash = "SHA-256") => ({
  name: "RSASSA-PKCS1-v1_5",
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash,
});

export const ALGORITHMS = {
  p256: ECDSA("P-256"),
  p384: ECDSA("P-384", "SHA-384"),
  p521: ECDSA("P-521", "SHA-512"),
  rsa1024: RSA(1024),
  rsa2048: RSA(2048),
  sha1: RSA(2048, "SHA-1"),
  ed25519: { name: "Ed25519" },
} as const;

/** A self-signed certificate of any kind. */
export async function makeOdd(
  algorithm: keyof typeof ALGORITHMS,
  names: readonly string[],
  extensions: readonly Extension[] = [],
): Promise<Made> {
  const signingAlgorithm = ALGORITHMS[algorithm];
  const keys = (await crypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const validity = lasting(90);
  const alternative = names.map((value) => ({ type: "dns" as const, value }));
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "0102",
    name: `CN=${algorithm}, O=Odd ones`,
    notBefore: new Date(validity.notBeforeMs),
    notAfter: new Date(validity.notAfterMs),
    signingAlgorithm,
    keys,
    extensions: [...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternative)]), ...extensions],
  });
  const leafPem = toPem("CERTIFICATE", certificate.rawData);
  const keyPem = toPem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { chainPem: leafPem, leafPem, keyPem };
}

export const forClientsOnly = (): Extension => new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]);

/** A certificate that says it was issued by this root, which is not true. */
export async function makeInNameOf(rootPem: string, name: string): Promise<Made> {
  const keys = (await crypto.subtle.generateKey(ALGORITHMS.p256, true, ["sign", "verify"])) as CryptoKeyPair;
  const validity = lasting(90);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: "01",
    subject: "CN=leaf",
    issuer: new x509.X509Certificate(rootPem).subjectName,
    notBefore: new Date(validity.notBeforeMs),
    notAfter: new Date(validity.notAfterMs),
    signingAlgorithm: ALGORITHMS.p256,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }])],
  });
  const leafPem = toPem("CERTIFICATE", certificate.rawData);
  const keyPem = toPem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { chainPem: leafPem, leafPem, keyPem };
}
