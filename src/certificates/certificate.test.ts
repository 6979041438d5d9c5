import { describe, expect, test } from "bun:test";
import { createPrivateKey } from "node:crypto";
import { rootCertificates } from "node:tls";
import { type Certificate, readCertificate, timeFlaws } from "./certificate.ts";
import { issueIntermediate, issueLeaf } from "./issue.ts";
import { DAY_MS, forClientsOnly, lasting, makeInNameOf, makeOdd, NOW_MS, Pki, selfSigned } from "./make.testing.ts";
import { pemBlocks } from "./pem.ts";

const pki = new Pki();
const made = pki.make(["a.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"]);
const other = pki.make(["b.example.com"]);

function readFine(chainPem: string, keyPem: string): Certificate {
  const { certificate, error } = readCertificate(chainPem, keyPem);
  if (certificate === undefined) throw new Error(error.message);
  return certificate;
}

test("says whom it is for, by whom and until when", () => {
  const certificate = readFine(made.chainPem, made.keyPem);
  expect(certificate).toMatchObject({
    names: ["a.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"],
    subject: "",
    issuer: "CN=Test intermediate",
    keyKind: "ecdsa",
    keySize: "P-256",
    chainLength: 2,
    selfSigned: false,
    notBeforeMs: NOW_MS - DAY_MS,
    notAfterMs: NOW_MS + 90 * DAY_MS,
    issuerExpiry: { subject: "CN=Test intermediate", atMs: NOW_MS + 1000 * DAY_MS },
    flaws: [],
    chainPem: made.chainPem,
    keyPem: made.keyPem,
  });
  expect(certificate.serial).toMatch(/^[0-9A-F]{32}$/);
  expect(certificate.fingerprint256).toMatch(/^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/);
});

test("the id follows the whole chain, and nothing but it", () => {
  const { id } = readFine(made.chainPem, made.keyPem);
  expect(readFine(`# comment\n${made.chainPem.replaceAll("\n", "\r\n")}`, made.keyPem).id).toBe(id);
  expect(readFine(made.leafPem, made.keyPem).id).not.toBe(id);
});

test("certificate and key may stand in one text, with comments and parameters around them", () => {
  const sec1 = createPrivateKey(made.keyPem).export({ type: "sec1", format: "pem" });
  const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  const text = `Bag Attributes\n${parameters}${sec1}subject=x\n${made.chainPem}`;
  const certificate = readFine(text, text);
  expect(certificate.chainLength).toBe(2);
  expect(certificate.chainPem).toBe(made.chainPem);
  expect(pemBlocks(certificate.keyPem)).toHaveLength(1);
});

const encrypted = createPrivateKey(made.keyPem).export({
  type: "pkcs8",
  format: "pem",
  cipher: "aes-256-cbc",
  passphrase: "x",
});
const legacy = made.keyPem
  .replaceAll("PRIVATE KEY", "EC PRIVATE KEY")
  .replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n");
const damaged = made.leafPem.replace(/\n.{64}\n/, "\n");

/** secp256k1: no client offers it, and the runtime does not know it. */
const K1 = `-----BEGIN CERTIFICATE-----
MIIBizCCATGgAwIBAgITYX0mkTGHiKoo86tvfF5LIVu69TAKBggqhkjOPQQDAjAS
MRAwDgYDVQQDDAdrMS50ZXN0MCAXDTI2MTEyMzE2MjkyMFoYDzIxMDkwMTEyMTYy
OTIwWjASMRAwDgYDVQQDDAdrMS50ZXN0MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE
1HHOF/UeE7pMP6i627KELUZPONw4Xay8CH1U4CcrwcqNgDjJQcFLuuwJwXZFfs4J
wm4bPQQAQR+ZwmovtS/KqKNnMGUwHQYDVR0OBBYEFNu65MD2+6YEjpTSr52RKsr+
xmIBMB8GA1UdIwQYMBaAFNu65MD2+6YEjpTSr52RKsr+xmIBMA8GA1UdEwEB/wQF
MAMBAf8wEgYDVR0RBAswCYIHazEudGVzdDAKBggqhkjOPQQDAgNIADBFAiEArP7k
eAs/UNT0WtLkGtPfUqho34ZZPls00Bw7PNaLFiACIAMbKth2pR67VVoXkmqoOBBF
G9u/kcQawpXMEcPqO92E
-----END CERTIFICATE-----
`;

const ERRORS: readonly (readonly [name: string, cert: string, key: string, about: string, want: string])[] = [
  ["nothing", "", made.keyPem, "cert", "it is not PEM"],
  ["DER", "0\x82\x01", made.keyPem, "cert", "it is not PEM"],
  ["a key instead of a certificate", made.keyPem, made.keyPem, "cert", "there is no whole certificate in it"],
  ["half a certificate", made.leafPem.slice(0, 300), made.keyPem, "cert", "there is no whole certificate in it"],
  ["a damaged certificate", damaged, made.keyPem, "cert", "it is damaged and cannot be read"],
  [
    "a damaged intermediate",
    made.leafPem + damaged,
    made.keyPem,
    "cert",
    "certificate 2 of 2 is damaged and cannot be read",
  ],
  [
    "too many certificates",
    made.leafPem.repeat(17),
    made.keyPem,
    "cert",
    "there are 17 certificates in it; 16 is the most",
  ],
  ["no key", made.chainPem, "", "key", "it is not PEM"],
  ["a certificate instead of a key", made.chainPem, made.chainPem, "key", "there is no whole private key in it"],
  ["half a key", made.chainPem, made.keyPem.slice(0, 100), "key", "there is no whole private key in it"],
  [
    "a damaged key",
    made.chainPem,
    made.keyPem.replace(/\n.{64}\n/, "\n"),
    "key",
    "it is damaged, or its kind is not known",
  ],
  ["two keys", made.chainPem, made.keyPem + other.keyPem, "key", "there are 2 keys in it"],
  ["an encrypted key", made.chainPem, String(encrypted), "key", "it is encrypted with a passphrase"],
  ["an encrypted key of the old form", made.chainPem, legacy, "key", "it is encrypted with a passphrase"],
  ["a curve that TLS does not have", K1, made.keyPem, "cert", "its kind of key cannot be used"],
  ["another key", made.chainPem, other.keyPem, "key", "the key does not belong to the certificate"],
  [
    "the leaf last",
    pki.intermediate.certPem + made.leafPem,
    made.keyPem,
    "cert",
    "the certificate of the key is not the first in it, but number 2",
  ],
  [
    "two leaves",
    made.chainPem + other.chainPem,
    made.keyPem,
    "cert",
    'there are 2 certificates of servers in it: "a.example.com", "b.example.com"',
  ],
];
describe("cannot be served", () => {
  for (const [name, cert, key, about, message] of ERRORS)
    test(name, () => {
      const { error } = readCertificate(cert, key);
      expect(error).toMatchObject({ severity: "error", about, message });
      expect(error?.hint).not.toBe("");
      expect(JSON.stringify(error)).not.toContain(made.keyPem.slice(40, 80)); // no secret in a message
    });
});

const second = issueIntermediate(pki.intermediate, "Second intermediate", lasting(1000));
const deep = issueLeaf(["deep.example.com"], lasting(90), second);
const stranger = new Pki();
const self = selfSigned(["self.example.com"]);

const CHAINS: readonly (readonly [name: string, cert: string, key: string, want: string])[] = [
  ["leaf and intermediate", made.chainPem, made.keyPem, ""],
  ["with its root", made.chainPem + pki.root.certPem, made.keyPem, ""],
  ["self-signed", self.chainPem, self.keyPem, ""],
  [
    "alone",
    made.leafPem,
    made.keyPem,
    'the chain is incomplete: "Test intermediate", which issued it, is not in the file',
  ],
  [
    "out of order",
    deep.certPem + pki.intermediate.certPem + second.certPem,
    deep.keyPem,
    'its certificates are out of order: number 2 did not issue number 1, "deep.example.com"',
  ],
  [
    "one missing in the middle",
    deep.certPem + pki.intermediate.certPem,
    deep.keyPem,
    'the chain is broken: "deep.example.com" was issued by "Second intermediate", and the next certificate is "Test intermediate"',
  ],
  [
    "an issuer of the same name with another key",
    made.leafPem + stranger.intermediate.certPem,
    made.keyPem,
    'the chain is broken: "a.example.com" was issued by "Test intermediate", and the next certificate is "Test intermediate"',
  ],
  [
    "something after the root",
    made.chainPem + pki.root.certPem + stranger.root.certPem,
    made.keyPem,
    'what follows the root "Test root" does not belong to the chain',
  ],
];
describe("chains", () => {
  for (const [name, cert, key, want] of CHAINS)
    test(name, () => {
      const { flaws } = readFine(cert, key);
      expect(flaws.map(({ message }) => message).join()).toBe(want);
      expect(flaws.every(({ severity }) => severity === "warning")).toBe(true);
    });
});

test("a leaf issued directly by a root that clients know is complete", async () => {
  // Nobody here has the key of such a root: its subject is what is looked at.
  const { leafPem, keyPem } = await makeInNameOf(rootCertificates[0]!, "a.example.com");
  expect(readFine(leafPem, keyPem).flaws).toEqual([]);
});

describe("kinds of keys and uses", () => {
  const names = ["a.example.com"];
  const KINDS = [
    ["p256", names, [], "ecdsa P-256", ""],
    ["p384", names, [], "ecdsa P-384", ""],
    ["p521", names, [], "ecdsa P-521", "not all browsers support P-521"],
    ["rsa2048", names, [], "rsa 2048", ""],
    ["rsa1024", names, [], "rsa 1024", "its RSA key has 1024 bits, which is too weak: many clients refuse it"],
    ["sha1", names, [], "rsa 2048", "it is signed with sha1WithRSAEncryption, which clients refuse"],
    ["ed25519", names, [], "ed25519 Ed25519", "browsers do not support Ed25519"],
    ["p256", [], [], "ecdsa P-256", "it names no host in subjectAltName"],
    ["p256", names, [forClientsOnly()], "ecdsa P-256", "it is not made for servers"],
  ] as const;
  for (const [algorithm, sans, extensions, kind, want] of KINDS)
    test(`${algorithm} ${sans.length} ${extensions.length}`, async () => {
      const odd = await makeOdd(algorithm, sans, extensions);
      const certificate = readFine(odd.chainPem, odd.keyPem);
      expect(`${certificate.keyKind} ${certificate.keySize}`).toBe(kind);
      expect(certificate.flaws.map(({ message }) => message).join()).toBe(want);
      expect(certificate.subject).toBe(`O=Odd ones, CN=${algorithm}`);
    });
});

test("names are in lower case; those that nobody can ask for are left out, and the common name does not count", async () => {
  const odd = await makeOdd("p256", [
    "A.Example.COM",
    "a.example.com",
    "b, DNS:evil.example",
    "x.*.com",
    "*.B.example",
  ]);
  expect(readFine(odd.chainPem, odd.keyPem).names).toEqual(["a.example.com", "*.b.example"]);
});

const TIMES: readonly (readonly [days: number, want: string])[] = [
  [90, ""],
  [14.1, ""],
  [14, "it expires on 2026-06-15 12:00 UTC, in 14 days"],
  [1.5, "it expires on 2026-06-03 00:00 UTC, in 36 hours"],
  [1 / 24, "it expires on 2026-06-01 13:00 UTC, in 1 hour"],
  [0, "it expired on 2026-06-01 12:00 UTC"],
  [-0.5, "it expired on 2026-06-01 00:00 UTC"],
];
for (const [days, want] of TIMES)
  test(`${days} days left`, () => {
    const { chainPem, keyPem } = pki.make(["a.example.com"], lasting(days));
    const flaws = timeFlaws(readFine(chainPem, keyPem), NOW_MS);
    expect(flaws.map(({ message }) => message).join()).toBe(want);
    expect(flaws.every(({ severity }) => severity === "warning")).toBe(true);
  });

test("one that is not valid yet, and a chain that ends before its leaf", () => {
  const certificate = readFine(made.chainPem, made.keyPem);
  expect(timeFlaws(certificate, NOW_MS - 2 * DAY_MS).map(({ message }) => message)).toEqual([
    "it is not valid before 2026-05-31 12:00 UTC",
  ]);
  expect(timeFlaws(certificate, NOW_MS - DAY_MS / 2)).toEqual([]);
  const short = issueIntermediate(pki.root, "Short intermediate", lasting(14.5));
  const leaf = issueLeaf(["a.example.com"], lasting(90), short);
  const chained = readFine(leaf.certPem + short.certPem, leaf.keyPem);
  const at = (days: number): string => timeFlaws(chained, NOW_MS + days * DAY_MS)[0]?.message ?? "";
  expect(timeFlaws(chained, NOW_MS - DAY_MS)).toEqual([]);

  expect(at(1)).toBe('"CN=Short intermediate" of its chain expires on 2026-06-16 00:00 UTC');
  expect(at(15)).toBe('"CN=Short intermediate" of its chain expired on 2026-06-16 00:00 UTC');
});
