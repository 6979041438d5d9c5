// The consent string of the IAB's Transparency and Consent Framework, version 2 (core segment).
import { type Choice, type Consent, UNSET } from "./consent.ts";

export interface Tcf {
  /** Numbers of the purposes that were agreed to, 1 to 24, as bits: purpose 1 is bit 0. */
  readonly purposes: number;
  /** Whether this vendor was agreed to. */
  hasVendor(id: number): boolean;
}

/** A string of a thousand vendors takes 2 KB; the longest with ranges about 11. */
const LENGTH_MAX = 16_384;
const PURPOSES_AT = 152;
const PURPOSE_COUNT = 24;
const VENDORS_AT = 213;

/** Reads the core segment; null for what is none of version 2. Never throws. */
export function readTcf(text: string): Tcf | null {
  if (text.length > LENGTH_MAX) return null;
  const core = text.split(".", 1)[0]!;
  if (!/^[A-Za-z0-9_-]{39,}$/.test(core)) return null; // as far as the number of vendors
  const bits = new Bits(Buffer.from(core, "base64url"));
  if (bits.read(0, 6) !== 2 || bits.length < VENDORS_AT + 17) return null;
  let purposes = 0;
  for (let at = 0; at < PURPOSE_COUNT; at += 1) purposes |= bits.read(PURPOSES_AT + at, 1) << at;
  const vendors = readVendors(bits);
  return vendors === null ? null : { purposes, hasVendor: (id) => vendors(id) };
}

/** As a bit field, or as ranges, whichever was shorter. */
function readVendors(bits: Bits): ((id: number) => boolean) | null {
  const max = bits.read(VENDORS_AT, 16);
  const from = VENDORS_AT + 17;
  if (bits.read(VENDORS_AT + 16, 1) === 0) {
    if (bits.length < from + max) return null;
    return (id) => id >= 1 && id <= max && bits.read(from + id - 1, 1) === 1;
  }
  const ranges: (readonly [first: number, last: number])[] = [];
  const count = bits.read(from, 12);
  let at = from + 12;
  for (let i = 0; i < count; i += 1) {
    const size = bits.read(at, 1) === 1 ? 33 : 17;
    if (bits.length < at + size) return null;
    const first = bits.read(at + 1, 16);
    ranges.push([first, size === 33 ? bits.read(at + 17, 16) : first]);
    at += size;
  }
  return (id) => ranges.some(([first, last]) => id >= first && id <= last);
}

class Bits {
  readonly #bytes: Buffer;
  readonly length: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.length = bytes.length * 8;
  }

  /** Up to 16 bits as a number; what lies behind the end is 0. */
  read(from: number, count: number): number {
    let value = 0;
    for (let at = from; at < from + count; at += 1) {
      const byte = this.#bytes[at >> 3] ?? 0;
      value = (value << 1) | ((byte >> (7 - (at & 7))) & 1);
    }
    return value;
  }
}

const has = (tcf: Tcf, ...purposes: readonly number[]): Choice =>
  purposes.every((purpose) => (tcf.purposes & (1 << (purpose - 1))) !== 0) ? "granted" : "denied";

/**
 * What its purposes mean here: storing (1) is needed for all; measuring content (8) for analytics, profiles and
 * their use
 * (3, 4) for personalisation, advertising (7, its measuring) for handing data on. `vendor`: the number in the vendor
 * list
 * that must have been agreed to as well; 0 for none. A text that is no consent string says nothing.
 */
export function consentOfTcf(text: string, vendor: number): Consent {
  const tcf = readTcf(text);
  if (tcf === null) return UNSET;
  if (vendor > 0 && !tcf.hasVendor(vendor))
    return { analytics: "denied", ads: "denied", adUserData: "denied", adPersonalization: "denied" };
  return {
    analytics: has(tcf, 1, 8),
    ads: has(tcf, 1),
    adUserData: has(tcf, 1, 7),
    adPersonalization: has(tcf, 1, 3, 4),
  };
}
