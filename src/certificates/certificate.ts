// A certificate and its key as text, understood: whom it is for, until when, and what is wrong with it.
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { canonicalIp } from "../core/ip.ts";
import { chainFlaws, titleOf } from "./chain.ts";
import { type Flaw, flaw, minor } from "./flaw.ts";
import { type PemBlock, pemBlocks } from "./pem.ts";
import { normalPattern } from "./selection.ts";
import type { KeyKind } from "./served.ts";

export interface Certificate {
  /** The same as long as the chain is the same. */
  readonly id: string;
  /** DNS names (lower case) and IP addresses of subjectAltName; the common name counts for no client, so not here. */
  readonly names: readonly string[];
  /** `CN=a, O=b`. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** SHA-256 of the leaf, `AB:CD:…`. */
  readonly fingerprint256: string;
  /** Milliseconds since 1970. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly keyKind: KeyKind;
  /** Bits of an RSA key, else the curve: `2048`, `P-256`, `Ed25519`. */
  readonly keySize: string;
  readonly chainLength: number;
  readonly selfSigned: boolean;
  /** The first of the other certificates of the chain to expire; null without others. */
  readonly issuerExpiry: { readonly subject: string; readonly atMs: number } | null;
  /** Warnings that are true at any time. */
  readonly flaws: readonly Flaw[];
  /** Nothing but the certificates, leaf first, and the key. */
  readonly chainPem: string;
  readonly keyPem: string;
}

/** What was read, or why it cannot be served. */
export type Reading =
  | { readonly certificate: Certificate; readonly error?: never }
  | { readonly certificate?: never; readonly error: Flaw };

/** Enough for a person to get a certificate by hand. */
const SOON_MS = 14 * 86_400_000;
const NEW_KEY = "make it anew with a key of ECDSA P-256";
const RSA_BITS_MIN = 2048; // NIST SP 800-131A
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1"; // RFC 5280 §4.2.1.12
const CURVES: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };
/** Chains are three or four long; each certificate more is sent to every client. */
const CHAIN_LENGTH_MAX = 16;

/** Reads a chain, leaf first, and the key of the leaf; both may stand in one text. */
export function readCertificate(chainPem: string, keyPem: string): Reading {
  const chain = readChain(chainPem);
  if (!Array.isArray(chain)) return { error: chain };
  const leaf = chain[0]!;
  const form = keyForm(leaf.x509);
  if (form === null) return { error: flaw("cert", "its kind of key cannot be used", NEW_KEY) };
  const key = readKey(keyPem);
  if ("error" in key) return key;
  const mismatch = keyFlaw(chain, key.object);
  if (mismatch !== null) return { error: mismatch };
  const names = namesOf(leaf.x509.subjectAltName);
  const { error, warnings } = chainFlaws(chain.map(({ x509 }) => x509));
  if (error !== null) return { error };
  const issuers = chain
    .slice(1)
    .map(({ x509 }) => ({ subject: oneLine(x509.subject), atMs: x509.validToDate.getTime() }));
  return {
    certificate: {
      id: idOf(chain),
      names,
      subject: oneLine(leaf.x509.subject),
      issuer: oneLine(leaf.x509.issuer),
      serial: leaf.x509.serialNumber,
      fingerprint256: leaf.x509.fingerprint256,
      notBeforeMs: leaf.x509.validFromDate.getTime(),
      notAfterMs: leaf.x509.validToDate.getTime(),
      ...form,
      chainLength: chain.length,
      selfSigned: leaf.x509.subject === leaf.x509.issuer,
      issuerExpiry: issuers.reduce<Certificate["issuerExpiry"]>(
        (a, b) => (a !== null && a.atMs <= b.atMs ? a : b),
        null,
      ),
      flaws: [...ownFlaws(leaf.x509, names, form), ...warnings],
      chainPem: `${chain.map(({ text }) => text).join("\n")}\n`,
      keyPem: `${key.text}\n`,
    },
  };
}

/** What is wrong with the times of a certificate; all of it warnings, since a late certificate is better than none. */
export function timeFlaws(certificate: Certificate, nowMs: number): Flaw[] {
  const { notBeforeMs, notAfterMs, issuerExpiry } = certificate;
  const flaws: Flaw[] = [];
  if (notBeforeMs > nowMs)
    flaws.push(
      minor(`it is not valid before ${time(notBeforeMs)}`, "clients refuse it until then: is the clock right?"),
    );
  if (notAfterMs <= nowMs)
    flaws.push(minor(`it expired on ${time(notAfterMs)}`, "it is served anyway, and clients refuse it: renew it"));
  else if (notAfterMs - nowMs <= SOON_MS)
    flaws.push(minor(`it expires on ${time(notAfterMs)}, ${left(notAfterMs - nowMs)}`, "renew it"));
  // An intermediate that lasts no longer than the leaf is replaced together with it.
  if (issuerExpiry !== null && issuerExpiry.atMs < notAfterMs && issuerExpiry.atMs - nowMs <= SOON_MS) {
    const verb = issuerExpiry.atMs <= nowMs ? "expired" : "expires";
    const hint = "get the certificate anew from the authority, together with its chain";
    flaws.push(minor(`"${issuerExpiry.subject}" of its chain ${verb} on ${time(issuerExpiry.atMs)}`, hint));
  }
  return flaws;
}

interface Link {
  readonly text: string;
  readonly x509: X509Certificate;
}

function readChain(pem: string): Link[] | Flaw {
  const blocks = pemBlocks(pem).filter(({ label }) => /^(?:X509 |TRUSTED )?CERTIFICATE$/.test(label));
  if (blocks.length === 0) {
    const hint = 'a certificate begins with "-----BEGIN CERTIFICATE-----"; openssl x509 -inform der makes it from DER';
    return flaw("cert", pem.includes("-----BEGIN") ? "there is no whole certificate in it" : "it is not PEM", hint);
  }
  if (blocks.length > CHAIN_LENGTH_MAX)
    return flaw(
      "cert",
      `there are ${blocks.length} certificates in it; ${CHAIN_LENGTH_MAX} is the most`,
      "it holds the server's certificate and its intermediates alone, no bundle of roots",
    );
  const links: Link[] = [];
  for (const { text } of blocks) {
    try {
      links.push({ text, x509: new X509Certificate(text) });
    } catch {
      const which = blocks.length === 1 ? "it" : `certificate ${links.length + 1} of ${blocks.length}`;
      return flaw("cert", `${which} is damaged and cannot be read`, "copy the file again from where it came from");
    }
  }
  return links;
}

function readKey(pem: string): { object: KeyObject; text: string } | { error: Flaw } {
  const keys = pemBlocks(pem).filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const [block] = keys;
  if (block === undefined) {
    const isPem = pem.includes("-----BEGIN");
    const hint = 'a key begins with "-----BEGIN PRIVATE KEY-----" or "-----BEGIN EC PRIVATE KEY-----"';
    return { error: flaw("key", isPem ? "there is no whole private key in it" : "it is not PEM", hint) };
  }
  if (keys.length > 1) return { error: flaw("key", `there are ${keys.length} keys in it`, "leave one in it") };
  if (isEncrypted(block)) {
    const hint = "write it without one: openssl pkey -in encrypted.key -out plain.key, and chmod 600 plain.key";
    return { error: flaw("key", "it is encrypted with a passphrase", hint) };
  }
  try {
    return { object: createPrivateKey(block.text), text: block.text };
  } catch {
    const hint = "copy the file again from where it came from; the kinds that work are ECDSA, RSA and Ed25519";
    return { error: flaw("key", "it is damaged, or its kind is not known", hint) };
  }
}

/** PKCS #8 says so in its label, the older form in a header line. */
const isEncrypted = ({ label, text }: PemBlock): boolean =>
  label.startsWith("ENCRYPTED") || /^Proc-Type:.*ENCRYPTED/m.test(text);

function keyFlaw(chain: readonly Link[], key: KeyObject): Flaw | null {
  const at = chain.findIndex(({ x509 }) => fits(x509, key));
  if (at === 0) return null;
  if (at > 0) {
    const hint = "the server's own certificate comes first, then the one that issued it, and so on";
    return flaw("cert", `the certificate of the key is not the first in it, but number ${at + 1}`, hint);
  }
  const hint = `the certificate is that of "${titleOf(chain[0]!.x509)}": give the key that it was requested with`;
  return flaw("key", "the key does not belong to the certificate", hint);
}

function fits(x509: X509Certificate, key: KeyObject): boolean {
  try {
    return x509.checkPrivateKey(key);
  } catch {
    return false; // a key of a kind that is not known
  }
}

interface KeyForm {
  readonly keyKind: KeyKind;
  readonly keySize: string;
}

/** Null for kinds that TLS servers cannot use here. */
function keyForm(x509: X509Certificate): KeyForm | null {
  const key = publicKeyOf(x509);
  const details = key?.asymmetricKeyDetails;
  switch (key?.asymmetricKeyType) {
    case "rsa":
    case "rsa-pss":
      return { keyKind: "rsa", keySize: String(details?.modulusLength ?? 0) };
    case "ed25519":
      return { keyKind: "ed25519", keySize: "Ed25519" };
    case "ec": {
      const curve = CURVES[details?.namedCurve ?? ""];
      return curve === undefined ? null : { keyKind: "ecdsa", keySize: curve };
    }
    default:
      return null;
  }
}

function publicKeyOf(x509: X509Certificate): KeyObject | null {
  try {
    return x509.publicKey;
  } catch {
    return null; // a curve that the runtime does not know
  }
}

function ownFlaws(leaf: X509Certificate, names: readonly string[], { keyKind, keySize }: KeyForm): Flaw[] {
  const flaws: Flaw[] = [];
  if (names.length === 0)
    flaws.push(
      minor(
        "it names no host in subjectAltName",
        "clients do not look at the common name: make it anew with its names",
      ),
    );
  if (keyKind === "rsa" && Number(keySize) < RSA_BITS_MIN)
    flaws.push(minor(`its RSA key has ${keySize} bits, which is too weak: many clients refuse it`, NEW_KEY));
  if (keyKind === "ed25519") flaws.push(minor("browsers do not support Ed25519", NEW_KEY));
  if (keySize === "P-521") flaws.push(minor("not all browsers support P-521", NEW_KEY));
  const uses = leaf.keyUsage as readonly string[] | undefined;
  if (uses !== undefined && uses.length > 0 && !uses.includes(SERVER_AUTH))
    flaws.push(minor("it is not made for servers", "its extendedKeyUsage must have serverAuth: make it anew"));
  return flaws;
}

/** `DNS:a.example, IP Address:10.0.0.1`: texts that hold a comma are quoted by the runtime, and no names anyway. */
function namesOf(subjectAltName: string | undefined): string[] {
  const names = new Set<string>();
  const ips = new Set<string>();
  for (const entry of subjectAltName?.split(", ") ?? []) {
    if (entry.startsWith("DNS:")) {
      const name = normalPattern(entry.slice(4));
      if (name !== null) names.add(name);
    } else if (entry.startsWith("IP Address:")) {
      const ip = canonicalIp(entry.slice(11));
      if (ip !== null) ips.add(ip);
    }
  }
  return [...names, ...ips];
}

function idOf(chain: readonly Link[]): string {
  const hash = createHash("sha256");
  for (const { x509 } of chain) hash.update(x509.raw);
  return hash.digest("hex").slice(0, 32);
}

/** A name as RFC 4514 nearly writes it; the runtime has a line for each part, and nothing at all for an empty name. */
const oneLine = (name: string | undefined): string => name?.trim().split("\n").reverse().join(", ") ?? "";

const time = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;

function left(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  if (hours < 48) return `in ${hours} hour${hours === 1 ? "" : "s"}`;
  return `in ${Math.floor(hours / 24)} days`;
}
