// What somebody has agreed to, from whatever source it is known.

/**
 * `analytics`: measuring, and storing for it. `ads`: storing for advertising. `adUserData`: handing data about the user
 * to advertisers. `adPersonalization`: choosing what to show him.
 */
export const PURPOSES = ["analytics", "ads", "adUserData", "adPersonalization"] as const;
export type Purpose = (typeof PURPOSES)[number];
export type Choice = "granted" | "denied" | "unset";
export type Consent = Readonly<Record<Purpose, Choice>>;

/** The same choice for everything. */
export const forAll = (choice: Choice): Consent =>
  Object.freeze({ analytics: choice, ads: choice, adUserData: choice, adPersonalization: choice });

export const UNSET: Consent = forAll("unset");
export const DENIED: Consent = forAll("denied");

/** The more restrictive of two choices: what one source denies another cannot grant. */
const strictest = (a: Choice, b: Choice): Choice =>
  a === "denied" || b === "denied" ? "denied" : a === "granted" || b === "granted" ? "granted" : "unset";

/** Two sources together: the most restrictive wins, and what one does not say the other may. */
export function combined(a: Consent, b: Consent): Consent {
  if (a === UNSET) return b;
  if (b === UNSET) return a;
  return {
    analytics: strictest(a.analytics, b.analytics),
    ads: strictest(a.ads, b.ads),
    adUserData: strictest(a.adUserData, b.adUserData),
    adPersonalization: strictest(a.adPersonalization, b.adPersonalization),
  };
}

/** What holds where nobody has chosen. */
export function settled(consent: Consent, byDefault: Consent): Consent {
  const of = (purpose: Purpose): Choice => (consent[purpose] === "unset" ? byDefault[purpose] : consent[purpose]);
  return {
    analytics: of("analytics"),
    ads: of("ads"),
    adUserData: of("adUserData"),
    adPersonalization: of("adPersonalization"),
  };
}

/** The first of these that is not granted; null when all are. */
export function missing(consent: Consent, purposes: readonly Purpose[]): Purpose | null {
  for (let at = 0; at < purposes.length; at += 1) if (consent[purposes[at]!] !== "granted") return purposes[at]!;
  return null;
}
