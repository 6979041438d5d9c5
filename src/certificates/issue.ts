// Makes certificates with Sluice's own keys: ECDSA P-256 and SHA-256 throughout (RFC 5280). A certificate takes 0.1 ms.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { parseIp } from "../core/ip.ts";
import { bits, type Der, explicit, implicit, integer, octets, oid, sequence, setOf, TRUE, time, utf8 } from "./der.ts";
import { toPem } from "./pem.ts";

export interface Validity {
  /** Milliseconds since 1970, in whole seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A certificate with its key. */
export interface Issued extends Validity {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Something that signs certificates. */
export interface Authority extends Validity {
  readonly commonName: string;
  readonly key: KeyObject;
  readonly certPem: string;
}

const COMMON_NAME = "2.5.4.3";
const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const SUBJECT_KEY = "2.5.29.14";
const KEY_USAGE = "2.5.29.15";
const ALT_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const AUTHORITY_KEY = "2.5.29.35";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTH = sequence(oid("1.3.6.1.5.5.7.3.1"));
const VERSION_3 = explicit(0, integer(Buffer.from([2])));
const SIGNS_DATA = bits(Buffer.from([0x80]), 7);
const SIGNS_CERTIFICATES = bits(Buffer.from([0x06]), 1); // certificates and revocation lists
/** Up to 20 bytes and positive (RFC 5280 §4.1.2.2), with at least 64 bits of chance (CA/Browser Forum §7.1). */
const SERIAL_BYTES = 16;

/** A self-signed root, without name constraints: it is for names that nobody knows beforehand. */
export function issueRoot(commonName: string, validity: Validity): Authority {
  const { publicKey, privateKey } = newKey();
  const extensions = [...authorityExtensions(sequence(TRUE)), subjectKey(publicKey)];
  const content = { subject: nameOf(commonName), publicKey, validity, extensions };
  return { commonName, key: privateKey, certPem: signed(content, nameOf(commonName), privateKey), ...validity };
}

/** An authority below another one, for hosts alone (path length 0). */
export function issueIntermediate(issuer: Authority, commonName: string, validity: Validity): Authority {
  const { publicKey, privateKey } = newKey();
  const constraints = sequence(TRUE, integer(Buffer.from([0])));
  const extensions = [...authorityExtensions(constraints), subjectKey(publicKey), authorityKey(issuer.key)];
  const content = { subject: nameOf(commonName), publicKey, validity, extensions };
  return { commonName, key: privateKey, certPem: signed(content, nameOf(issuer.commonName), issuer.key), ...validity };
}

/**
 * A certificate of a server for DNS names and IP addresses. Without an `issuer` it is self-signed. `more` are further
 * extensions.
 *
 * @throws RangeError without any names, or for a DNS name that is not ASCII
 */
export function issueLeaf(
  names: readonly string[],
  validity: Validity,
  issuer: Authority | null,
  more: readonly Der[] = [],
): Issued {
  const { publicKey, privateKey } = newKey();
  // No client looks at the name of the subject, and a DNS name may be too long for one: what is empty makes the
  // alternative names critical (RFC 5280 §4.2.1.6). Only the issuer of a self-signed one must not be (§4.1.2.4).
  const subject = issuer === null ? nameOf("Sluice self-signed") : sequence();
  const extensions = [
    extension(BASIC_CONSTRAINTS, true, sequence()),
    extension(KEY_USAGE, true, SIGNS_DATA),
    extension(EXTENDED_KEY_USAGE, false, SERVER_AUTH),
    extension(ALT_NAME, issuer !== null, alternativeNames(names)),
    subjectKey(publicKey),
  ];
  if (issuer !== null) extensions.push(authorityKey(issuer.key));
  extensions.push(...more);
  const issuerName = issuer === null ? subject : nameOf(issuer.commonName);
  const certPem = signed({ subject, publicKey, validity, extensions }, issuerName, issuer?.key ?? privateKey);
  return { certPem, keyPem: keyToPem(privateKey), ...validity };
}

/** PKCS #8. */
export const keyToPem = (key: KeyObject): string => toPem("PRIVATE KEY", key.export({ type: "pkcs8", format: "der" }));

/** Throws what the runtime says about a text that is no key. */
export const keyFromPem = (pem: string): KeyObject => createPrivateKey(pem);

const newKey = (): { publicKey: KeyObject; privateKey: KeyObject } =>
  generateKeyPairSync("ec", { namedCurve: "prime256v1" });

interface Content {
  readonly subject: Der;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  readonly extensions: readonly Der[];
}

/** RFC 5280 §4.1 */
function signed({ subject, publicKey, validity, extensions }: Content, issuer: Der, key: KeyObject): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // of the same length always
  const content = sequence(
    VERSION_3,
    integer(serial),
    ECDSA_SHA256,
    issuer,
    sequence(time(validity.notBeforeMs), time(validity.notAfterMs)),
    subject,
    spki(publicKey),
    explicit(3, sequence(...extensions)),
  );
  return toPem("CERTIFICATE", sequence(content, ECDSA_SHA256, bits(sign("sha256", content, key))));
}

const nameOf = (commonName: string): Der => sequence(setOf(sequence(oid(COMMON_NAME), utf8(commonName))));

const spki = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });

/** RFC 5280 §4.1.2.9 */
export function extension(id: string, critical: boolean, value: Der): Der {
  return critical ? sequence(oid(id), TRUE, octets(value)) : sequence(oid(id), octets(value));
}

const authorityExtensions = (constraints: Der): Der[] => [
  extension(BASIC_CONSTRAINTS, true, constraints),
  extension(KEY_USAGE, true, SIGNS_CERTIFICATES),
];

const subjectKey = (key: KeyObject): Der => extension(SUBJECT_KEY, false, octets(keyId(key)));

const authorityKey = (issuer: KeyObject): Der =>
  extension(AUTHORITY_KEY, false, sequence(implicit(0, keyId(createPublicKey(issuer)))));

/** RFC 7093 §2: the first 160 bits of the SHA-256 of the key. It only has to be the same on both sides. */
const keyId = (key: KeyObject): Buffer => createHash("sha256").update(spki(key)).digest().subarray(0, 20);

/** RFC 5280 §4.2.1.6 */
function alternativeNames(names: readonly string[]): Der {
  if (names.length === 0) throw new RangeError("a certificate is for at least one name");
  return sequence(
    ...names.map((name) => {
      const ip = parseIp(name);
      if (ip !== null) return implicit(7, ipBytes(ip.words));
      if (!/^[\x21-\x7e]+$/.test(name)) throw new RangeError(`not a DNS name: ${JSON.stringify(name)}`);
      return implicit(2, Buffer.from(name));
    }),
  );
}

function ipBytes(words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(words.length * 4);
  for (const [at, word] of words.entries()) bytes.writeUInt32BE(word, at * 4);
  return bytes;
}
