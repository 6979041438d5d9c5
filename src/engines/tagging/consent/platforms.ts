// Cookies in which consent platforms keep what was chosen.
import { type Choice, type Consent, PURPOSES, type Purpose, UNSET } from "./consent.ts";

const chosen = (yes: boolean | undefined): Choice => (yes === undefined ? "unset" : yes ? "granted" : "denied");

const ofTwo = (analytics: boolean | undefined, ads: boolean | undefined): Consent => ({
  analytics: chosen(analytics),
  ads: chosen(ads),
  adUserData: chosen(ads),
  adPersonalization: chosen(ads),
});

/** OneTrust's `OptanonConsent`: `…&groups=C0001:1,C0002:0,…`; C0002 is performance, C0004 targeting. */
export function consentOfOneTrust(value: string): Consent {
  const groups = new URLSearchParams(value).get("groups");
  if (groups === null) return UNSET;
  const on = new Map(groups.split(",").map((group) => group.split(":", 2) as [string, string | undefined]));
  const has = (group: string): boolean | undefined => (on.has(group) ? on.get(group) === "1" : undefined);
  return ofTwo(has("C0002"), has("C0004"));
}

const STATISTICS = /[{,]\s*['"]?statistics['"]?\s*:\s*(true|false)\b/;
const MARKETING = /[{,]\s*['"]?marketing['"]?\s*:\s*(true|false)\b/;

/** Cookiebot's `CookieConsent`: `{stamp:'…',necessary:true,statistics:false,marketing:false,…}`, which is no JSON. */
export function consentOfCookiebot(value: string): Consent {
  const has = (pattern: RegExp): boolean | undefined => {
    const found = pattern.exec(value);
    return found === null ? undefined : found[1] === "true";
  };
  return ofTwo(has(STATISTICS), has(MARKETING));
}

/** Parts of a cookie that say yes to a purpose, as the configuration has them: `analytics=1`. */
export type Marks = Readonly<Partial<Record<Purpose, string>>>;

/** Any other cookie: a purpose is granted where the value contains its mark, and denied where it does not. */
export function consentOfMarks(value: string, marks: Marks): Consent {
  const consent: Record<Purpose, Choice> = { ...UNSET };
  for (const purpose of PURPOSES) {
    const mark = marks[purpose];
    if (mark !== undefined) consent[purpose] = value.includes(mark) ? "granted" : "denied";
  }
  return consent;
}
