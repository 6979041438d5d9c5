// Whether the certificates of a file are a chain: each issued by the next one, up to what clients know.
import { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";

import { type Flaw, flaw, minor } from "./flaw.ts";

/** What is wrong with a chain, leaf first. */
export function chainFlaws(chain: readonly X509Certificate[]): { error: Flaw | null; warnings: Flaw[] } {
  const leaves = chain.filter((one) => !one.ca);
  if (leaves.length > 1) {
    const names = leaves.map((one) => `"${titleOf(one)}"`).join(", ");
    const hint = "give each a file and an entry of its own";
    return {
      error: flaw("cert", `there are ${leaves.length} certificates of servers in it: ${names}`, hint),
      warnings: [],
    };
  }
  const broken = brokenLink(chain);
  const warnings = [broken ?? incomplete(chain), weakSignature(chain)].filter((one) => one !== null);
  return { error: null, warnings };
}

function brokenLink(chain: readonly X509Certificate[]): Flaw | null {
  for (let at = 0; at + 1 < chain.length; at += 1) {
    const [one, next] = [chain[at]!, chain[at + 1]!];
    if (isIssuedBy(one, next)) continue;
    const whose = `"${titleOf(one)}"`;
    if (chain.some((other) => other !== one && isIssuedBy(one, other)))
      return minor(
        `its certificates are out of order: number ${at + 2} did not issue number ${at + 1}, ${whose}`,
        "order them so that each is followed by the one that issued it",
      );
    const issuer = commonName(one.issuer);
    if (isSelfIssued(one))
      return minor(`what follows the root ${whose} does not belong to the chain`, "remove the certificates after it");
    return minor(
      `the chain is broken: ${whose} was issued by "${issuer}", and the next certificate is "${titleOf(next)}"`,
      `put the certificate of "${issuer}" between them`,
    );
  }
  return null;
}

/** A leaf alone which neither is its own root nor was issued by one that clients know. */
function incomplete(chain: readonly X509Certificate[]): Flaw | null {
  const leaf = chain[0]!;
  // The top of a longer chain is a private root's or a known one's: both are right.
  if (chain.length > 1 || isSelfIssued(leaf) || knownRoots().has(leaf.issuer)) return null;
  const issuer = commonName(leaf.issuer);
  return minor(
    `the chain is incomplete: "${issuer}", which issued it, is not in the file`,
    `append the certificate of "${issuer}" (authorities call the whole "fullchain"), unless clients trust that one itself`,
  );
}

const SHA1_OR_OLDER = new Set([
  "1.2.840.113549.1.1.2", // md2WithRSAEncryption
  "1.2.840.113549.1.1.4", // md5WithRSAEncryption
  "1.2.840.113549.1.1.5", // sha1WithRSAEncryption
  "1.2.840.10045.4.1", // ecdsa-with-SHA1
]);

/** Nobody verifies the signature of a root: it is trusted for being there. */
function weakSignature(chain: readonly X509Certificate[]): Flaw | null {
  const weak = chain.find(
    (one, at) => SHA1_OR_OLDER.has(one.signatureAlgorithmOid) && (at === 0 || !isSelfIssued(one)),
  );
  if (weak === undefined) return null;
  const which = weak === chain[0] ? "it is signed" : `"${titleOf(weak)}" of its chain is signed`;
  return minor(`${which} with ${weak.signatureAlgorithm}, which clients refuse`, "get it anew, signed with SHA-256");
}

function isIssuedBy(one: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return one.checkIssued(issuer) && one.verify(issuer.publicKey);
  } catch {
    return false; // a key of a kind that is not known
  }
}

const isSelfIssued = (one: X509Certificate): boolean => one.subject === one.issuer;

/** What messages call a certificate: its common name, or else the names that it is for. */
export const titleOf = (one: X509Certificate): string =>
  commonName(one.subject) ||
  one.subjectAltName?.split(", ")[0]?.replace(/^[^:]*:/, "") ||
  "a certificate without names";

/** The common name, or else all of a name; the runtime writes it with a part on each line, and undefined for none. */
const commonName = (name: string | undefined): string =>
  /^CN=(.+)$/m.exec(name ?? "")?.[1] ?? name?.trim().replaceAll("\n", ", ") ?? "";

let known: ReadonlySet<string> | null = null;

/** The subjects of the roots that browsers know; read once somebody asks. */
function knownRoots(): ReadonlySet<string> {
  known ??= new Set(rootCertificates.map((pem) => new X509Certificate(pem).subject));
  return known;
}
