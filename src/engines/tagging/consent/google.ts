// Consent Mode: what Google's tags say in their requests.
import { type Choice, type Consent, UNSET } from "./consent.ts";

/** `gcs`: `G1`, then ads and analytics: 1 granted, 0 denied, - not chosen. What is no such text says nothing. */
export function consentOfGcs(gcs: string): Consent {
  const parts = /^G1([01-])([01-])$/.exec(gcs);
  if (parts === null) return UNSET;
  return { ...UNSET, ads: ofDigit(parts[1]!), analytics: ofDigit(parts[2]!) };
}

const ofDigit = (digit: string): Choice => (digit === "1" ? "granted" : digit === "0" ? "denied" : "unset");

/**
 * `gcd`: four letters between digits, of ads, analytics, data for ads and personalisation. A letter says by which
 * steps it
 * came to be so (default, then update); here only the outcome matters. A letter that is not known counts as denied.
 */
export function consentOfGcd(gcd: string): Consent {
  const parts = /^1\d([a-z])\d([a-z])\d([a-z])\d([a-z])\d/i.exec(gcd);
  if (parts === null) return UNSET;
  return {
    ads: ofLetter(parts[1]!),
    analytics: ofLetter(parts[2]!),
    adUserData: ofLetter(parts[3]!),
    adPersonalization: ofLetter(parts[4]!),
  };
}

const GRANTED = "trnv";
const NOT_SET = "l";

const ofLetter = (letter: string): Choice => {
  const small = letter.toLowerCase();
  return small === NOT_SET ? "unset" : GRANTED.includes(small) ? "granted" : "denied";
};
