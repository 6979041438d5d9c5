// Certificates for tests: made on the spot, with a CA of their own.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { CertificatePair } from "./tls-context.ts";

const DAY_MS = 86_400_000;
const ALGORITHMS = {
  ecdsa: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  rsa: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 },
} as const;

interface Kind {
  readonly subject?: string;
  readonly names?: readonly string[];
  readonly key?: keyof typeof ALGORITHMS;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly usage?: "server" | "client";
}

let serial = 1;

/** A CA; its certificates hold from yesterday to tomorrow. */
export class TestCa {
  readonly pem: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #subject: string;

  private constructor(pem: string, keys: webcrypto.CryptoKeyPair, subject: string) {
    this.pem = pem;
    this.#keys = keys;
    this.#subject = subject;
  }

  static async make(name = "Test CA"): Promise<TestCa> {
    const algorithm = ALGORITHMS.ecdsa;
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      serialNumber: "01",
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestCa(certificate.toString("pem"), keys, `CN=${name}`);
  }

  get signingKey(): webcrypto.CryptoKey {
    return this.#keys.privateKey;
  }

  async issue(kind: Kind = {}): Promise<CertificatePair> {
    const { subject = "CN=test", names = ["localhost"], key = "ecdsa", usage = "server" } = kind;
    const keys = await webcrypto.subtle.generateKey(ALGORITHMS[key], true, ["sign", "verify"]);
    serial += 1;
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: this.#subject,
      serialNumber: serial.toString(16).padStart(4, "0"),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHMS.ecdsa,
      notBefore: new Date(kind.notBefore ?? Date.now() - DAY_MS),
      notAfter: new Date(kind.notAfter ?? Date.now() + DAY_MS),
      extensions: [
        new SubjectAlternativeNameExtension(names.map(generalName)),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage[usage === "server" ? "serverAuth" : "clientAuth"]]),
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
    return {
      certPem: `${certificate.toString("pem")}\n`,
      keyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`,
    };
  }
}

function generalName(name: string): JsonGeneralName {
  if (/^[\d.]+$|:/.test(name) && !name.includes("//")) return { type: "ip", value: name };
  return { type: name.includes("//") ? "url" : "dns", value: name };
}
