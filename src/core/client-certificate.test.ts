import { expect, test } from "bun:test";
import { CLIENT_CERT_PARTS, type ClientCertificate, clientCertPart } from "./client-certificate.ts";

const CERTIFICATE: ClientCertificate = {
  subject: "CN=robot,O=Exämple",
  issuer: "CN=CA",
  san: ["DNS:a.test", "IP Address:10.0.0.1"],
  fingerprint: "ab01",
  serial: "0f",
  notAfter: Date.UTC(2030, 0, 2, 3, 4, 5),
  pem: "-----BEGIN CERTIFICATE-----\nAAECAwQ=\nBQ==\n-----END CERTIFICATE-----\n",
};

const WANT: Readonly<Record<string, string>> = {
  subject: "CN=robot,O=Exämple",
  issuer: "CN=CA",
  san: "DNS:a.test, IP Address:10.0.0.1",
  fingerprint: "ab01",
  serial: "0f",
  notAfter: "2030-01-02T03:04:05.000Z",
  der: ":AAECAwQ=BQ==:",
};
for (const part of CLIENT_CERT_PARTS) test(part, () => expect(clientCertPart(CERTIFICATE, part)).toBe(WANT[part]!));
test("no other part", () => expect(clientCertPart(CERTIFICATE, "key")).toBe(""));
