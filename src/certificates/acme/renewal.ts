// When a certificate is to be replaced: in the window that the authority suggests (RFC 9773), else after two thirds of
// its life.
import { X509Certificate } from "node:crypto";
import { AcmeProblem } from "./problem.ts";

/** The window of time in which an authority wants to be asked for the next certificate, ms since 1970. */
export interface RenewalWindow {
  readonly startMs: number;
  readonly endMs: number;
}

const LIFE_AT_RENEWAL = 2 / 3;
/** Certificates that were made together are not renewed together. */
const JITTER = 0.03;
/** How often an authority is asked again when it does not say (RFC 9773 §4.3.3), and the bounds of what it says. */
const ASK_EVERY_MS = 6 * 3_600_000;
const ASK_MIN_MS = 60_000;
const ASK_MAX_MS = 86_400_000;
const AUTHORITY_KEY_ID = Buffer.from("0603551d23", "hex"); // 2.5.29.35 in DER

/** After two thirds of the life, up to 3 % of it earlier. `random` gives numbers in [0, 1). */
export function renewalTime(notBeforeMs: number, notAfterMs: number, random: () => number): number {
  const lifeMs = notAfterMs - notBeforeMs;
  return Math.round(notBeforeMs + lifeMs * (LIFE_AT_RENEWAL - JITTER * random()));
}

/** A time in the window, for one that begins before it ends (RFC 9773 §4.2). */
export const timeInWindow = ({ startMs, endMs }: RenewalWindow, random: () => number): number =>
  Math.round(startMs + (endMs - startMs) * random());

/** When to ask again. */
export const nextAskMs = (retryAfterMs: number | null): number =>
  Math.min(Math.max(retryAfterMs ?? ASK_EVERY_MS, ASK_MIN_MS), ASK_MAX_MS);

/**
 * The window in a renewal information object.
 *
 * @throws AcmeProblem when it is none
 */
export function windowIn(document: unknown): RenewalWindow {
  const { suggestedWindow } = (document ?? {}) as {
    readonly suggestedWindow?: { readonly start?: unknown; readonly end?: unknown };
  };
  const startMs = timeOf(suggestedWindow?.start);
  const endMs = timeOf(suggestedWindow?.end);
  if (endMs > startMs) return { startMs, endMs };
  throw new AcmeProblem({ type: "unusable", detail: "the renewal information has no window of time" });
}

/** A time as RFC 3339 writes it: `Date.parse` alone takes nearly anything for one. */
const timeOf = (text: unknown): number =>
  typeof text === "string" && /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;

/**
 * How renewal information is asked for: the issuer's key and the serial number (RFC 9773 §4.1). Null for a certificate
 * without the identifier of its issuer's key, which only self-signed ones lack.
 */
export function certificateId(chainPem: string): string | null {
  const leaf = new X509Certificate(chainPem);
  const keyId = authorityKeyId(leaf.raw);
  if (keyId === null) return null;
  return `${keyId.toString("base64url")}.${serialBytes(leaf.raw).toString("base64url")}`;
}

interface Value {
  readonly tag: number;
  /** The content. */
  readonly from: number;
  readonly to: number;
}

/** One DER value (X.690 §8.1). The runtime has parsed the certificate before, so the lengths are right. */
function valueAt(der: Buffer, at: number): Value {
  const first = der[at + 1]!;
  if (first < 0x80) return { tag: der[at]!, from: at + 2, to: at + 2 + first };
  const digits = first & 0x7f;
  const from = at + 2 + digits;
  return { tag: der[at]!, from, to: from + der.readUIntBE(at + 2, digits) };
}

/** Certificate { TBSCertificate { [0] version, serialNumber …: the content of the integer, a leading zero included. */
function serialBytes(der: Buffer): Buffer {
  const content = valueAt(der, valueAt(der, 0).from);
  const version = valueAt(der, content.from);
  const serial = version.tag === 0xa0 ? valueAt(der, version.to) : version;
  return der.subarray(serial.from, serial.to);
}

/** Extension { extnID, critical?, extnValue { AuthorityKeyIdentifier { [0] keyIdentifier … (RFC 5280 §4.2.1.1). */
function authorityKeyId(der: Buffer): Buffer | null {
  const at = der.indexOf(AUTHORITY_KEY_ID);
  if (at < 0) return null;
  let value = valueAt(der, at + AUTHORITY_KEY_ID.length);
  if (value.tag === 0x01) value = valueAt(der, value.to); // critical
  const identifier = valueAt(der, valueAt(der, value.from).from);
  return identifier.tag === 0x80 ? der.subarray(identifier.from, identifier.to) : null;
}
