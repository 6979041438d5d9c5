import { describe, expect, test } from "bun:test";
import { Rng } from "../../../core/fuzz.testing.ts";
import { type Choice, type Consent, combined, DENIED, forAll, missing, settled, UNSET } from "./consent.ts";
import { consentOfGcd, consentOfGcs } from "./google.ts";
import { consentOfCookiebot, consentOfMarks, consentOfOneTrust } from "./platforms.ts";
import { consentOfTcf, readTcf } from "./tcf.ts";

const LETTERS: Readonly<Record<Choice, string>> = { granted: "g", denied: "d", unset: "-" };

/** `gd-g`: analytics, ads, data for ads, personalisation. */
const short = ({ analytics, ads, adUserData, adPersonalization }: Consent): string =>
  [analytics, ads, adUserData, adPersonalization].map((choice) => LETTERS[choice]).join("");

describe("consent mode", () => {
  test.each([
    ["G100", "dd--"],
    ["G101", "gd--"],
    ["G110", "dg--"],
    ["G111", "gg--"],
    ["G1--", "----"],
    ["G1-1", "g---"],
    ["G2", "----"],
    ["", "----"],
    ["G1111", "----"],
  ])("gcs %s", (gcs, expected) => expect(short(consentOfGcs(gcs))).toBe(expected));

  // The order in the text is ads, analytics, data for ads, personalisation.
  test.each([
    ["11t1t1t1t5", "gggg"],
    ["11p1p1p1p5", "dddd"],
    ["11r1q1n1m5", "dggd"],
    ["13l3l3l3l1l1", "----"],
    ["13v3t3u3l5l1", "ggd-"],
    ["11z1t1t1t5", "gdgg"],
    ["garbage", "----"],
    ["", "----"],
  ])("gcd %s", (gcd, expected) => expect(short(consentOfGcd(gcd))).toBe(expected));
});

/** A core segment with these purposes and vendors, as a bit field or as ranges. */
function tcfText(purposes: readonly number[], vendors: readonly number[], asRanges: boolean): string {
  const number = (value: number, bits: number): string => value.toString(2).padStart(bits, "0");
  const flags = (count: number, on: readonly number[]): string =>
    Array.from({ length: count }, (_, at) => (on.includes(at + 1) ? "1" : "0")).join("");
  const max = Math.max(0, ...vendors);
  const bits = [
    number(2, 6),
    number(0, 36 + 36 - 20),
    number(0, 20),
    number(300, 12),
    number(1, 12),
    number(1, 6),
    number(0, 12),
    number(100, 12),
    number(4, 6),
    "00",
    number(0, 12),
    flags(24, purposes),
    number(0, 24),
    "0",
    number(0, 12),
    number(max, 16),
    asRanges ? "1" : "0",
    asRanges ? number(vendors.length, 12) + vendors.map((id) => `0${number(id, 16)}`).join("") : flags(max, vendors),
  ].join("");
  const bytes = bits.match(/.{1,8}/g)!.map((byte) => Number.parseInt(byte.padEnd(8, "0"), 2));
  return Buffer.from(bytes).toString("base64url");
}

describe("TCF", () => {
  test.each([
    [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "gggg"],
    [[1, 8], "gg" + "dd"],
    [[1], "dgdd"],
    [[1, 3, 4], "dgdg"],
    [[7, 8], "dddd"],
    [[], "dddd"],
  ] as const)("purposes %p", (purposes, expected) => {
    for (const asRanges of [true, false]) {
      expect(short(consentOfTcf(tcfText(purposes, [755], asRanges), 0))).toBe(expected);
      expect(short(consentOfTcf(`${tcfText(purposes, [755], asRanges)}.YAAA`, 755))).toBe(expected);
      expect(short(consentOfTcf(tcfText(purposes, [12, 754], asRanges), 755))).toBe("dddd");
    }
  });

  test("what is no consent string says nothing, whatever it is", () => {
    for (const text of ["", "x", "CP", "=".repeat(60), "B".repeat(60), "C".repeat(20_000)]) {
      expect(consentOfTcf(text, 0)).toBe(UNSET);
    }
    for (let seed = 1; seed < 300; seed += 1) {
      const rng = new Rng(seed);
      const bytes = Buffer.from(Array.from({ length: rng.below(80) }, () => rng.below(256)));
      bytes[0] = 8; // version 2
      readTcf(bytes.toString("base64url"))?.hasVendor(rng.below(70_000));
    }
  });
});

describe("cookies of consent platforms", () => {
  test.each([
    ["OneTrust", consentOfOneTrust("isGpcEnabled=0&groups=C0001%3A1%2CC0002%3A1%2CC0004%3A0"), "gddd"],
    ["OneTrust without groups", consentOfOneTrust("version=6"), "----"],
    ["Cookiebot", consentOfCookiebot("{stamp:'x',necessary:true,statistics:false,marketing:true}"), "dggg"],
    ["Cookiebot, not yet", consentOfCookiebot("0"), "----"],
    ["marks", consentOfMarks("a=1|b=0", { analytics: "a=1", ads: "b=1" }), "gd--"],
  ])("%s", (_name, consent, expected) => expect(short(consent)).toBe(expected));
});

describe("sources together", () => {
  test("the most restrictive wins, in whatever order", () => {
    const choices: readonly Choice[] = ["granted", "denied", "unset"];
    for (const a of choices)
      for (const b of choices) {
        const expected = a === "denied" || b === "denied" ? "denied" : a === "unset" ? b : a;
        expect(combined(forAll(a), forAll(b))).toEqual(forAll(expected));
        expect(combined(forAll(b), forAll(a))).toEqual(forAll(expected));
      }
  });

  test("what nobody has chosen is as it is by default", () => {
    expect(settled({ ...UNSET, ads: "granted" }, DENIED)).toEqual({ ...DENIED, ads: "granted" });
    expect(missing(settled(UNSET, forAll("granted")), ["analytics", "ads"])).toBeNull();
    expect(missing({ ...forAll("granted"), ads: "denied" }, ["analytics", "ads"])).toBe("ads");
    expect(missing(UNSET, ["analytics"])).toBe("analytics");
    expect(missing(UNSET, [])).toBeNull();
  });
});
