import { describe, expect, test } from "bun:test";
import { forAll } from "../consent/consent.ts";
import type { TagEvent } from "../event.ts";
import { Selection, type SelectionRules } from "../selection.ts";
import { reducedAddress } from "./address.ts";
import { type AddressRules, CLICK_IDS, cleanAddress, originOf } from "./page-address.ts";
import { isSampled, pseudonym, saltPeriod } from "./pseudonym.ts";
import { readUserAgent, reducedUserAgent } from "./user-agent.ts";

describe("addresses of clients", () => {
  test.each([
    ["203.0.113.77", "truncated", "203.0.113.0"],
    ["2001:db8:1234:5678::1", "truncated", "2001:db8:1234::"],
    ["::ffff:203.0.113.77", "truncated", "203.0.113.0"],
    ["203.0.113.77", "full", "203.0.113.77"],
    ["203.0.113.77", "none", ""],
    ["nonsense", "truncated", ""],
    ["nonsense", "full", ""],
  ] as const)("%s %s", (ip, detail, expected) => expect(reducedAddress(ip, detail)).toBe(expected));
});

const AGENTS = {
  chrome:
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.6533.72 Safari/537.36",
  edge: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36 Edg/127.0.2651.74",
  firefox: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  iphone:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
  ipad: "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
  pixel:
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.122 Mobile Safari/537.36",
  samsung:
    "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
} as const;

describe("user agents", () => {
  test.each([
    ["chrome", "Chrome", 127, "Windows", "desktop"],
    ["edge", "Edge", 127, "Windows", "desktop"],
    ["firefox", "Firefox", 128, "Linux", "desktop"],
    ["iphone", "Safari", 17, "iOS", "mobile"],
    ["ipad", "Safari", 16, "iOS", "tablet"],
    ["pixel", "Chrome", 126, "Android", "mobile"],
    ["samsung", "Samsung Internet", 25, "Android", "mobile"],
  ] as const)("%s", (name, family, major, system, device) => {
    expect(readUserAgent(AGENTS[name])).toEqual({ family, major, system, device });
  });

  test("a reduced one is read the same, says no more, and stays as it is", () => {
    for (const name of ["chrome", "edge", "firefox", "iphone", "pixel", "samsung"] as const) {
      const reduced = reducedUserAgent(AGENTS[name]);
      expect(readUserAgent(reduced)).toEqual(readUserAgent(AGENTS[name]));
      expect(reducedUserAgent(reduced)).toBe(reduced);
      for (const detail of ["6533", "2651", "Pixel", "SM-S901B", "15E148", "17_5"])
        expect(reduced).not.toContain(detail);
    }
    expect(reducedUserAgent("curl/8.5.0")).toBe("");
    expect(reducedUserAgent("A".repeat(1_000_000))).toBe("");
  });
});

const RULES: AddressRules = {
  redact: new Set(["email", "token"]),
  remove: new Set([...CLICK_IDS, "utm_source"]),
  replacement: "(redacted)",
};

describe("addresses of pages", () => {
  test.each([
    ["https://s.example/a?x=1&email=a%40b.c&y", "https://s.example/a?x=1&email=(redacted)&y"],
    ["https://s.example/a?EMAIL=a&Gclid=1", "https://s.example/a?EMAIL=(redacted)"],
    ["https://s.example/a?gclid=1&utm_source=x", "https://s.example/a"],
    ["https://s.example/a?%65mail=a", "https://s.example/a?%65mail=(redacted)"],
    ["https://ann:secret@s.example/a#token=1", "https://s.example/a"],
    ["/a?token=1#b", "/a?token=(redacted)"],
    ["", ""],
  ])("%s", (address, expected) => expect(cleanAddress(address, RULES)).toBe(expected));

  test.each([
    ["https://Other.example/path?q=secret", "https://other.example/"],
    ["https://ann:pw@other.example/", ""],
    ["javascript:alert(1)", ""],
    ["", ""],
  ])("the origin of %s", (address, expected) => expect(originOf(address)).toBe(expected));
});

describe("pseudonyms", () => {
  test("depend on name and salt, and say nothing for nobody", () => {
    const salt = Buffer.from("0123456789abcdef");
    expect(pseudonym("ann", salt)).toBe(pseudonym("ann", salt));
    expect(pseudonym("ann", salt)).toMatch(/^[\w-]{22}$/);
    expect(pseudonym("ann", Buffer.from("another"))).not.toBe(pseudonym("ann", salt));
    expect(pseudonym("", salt)).toBe("");
  });

  test("days begin at midnight, weeks on Mondays", () => {
    const monday = Date.UTC(2026, 10, 23);
    expect(saltPeriod(monday, "week")).toBe(saltPeriod(monday + 7 * 86_400_000 - 1, "week"));
    expect(saltPeriod(monday - 1, "week")).toBe(saltPeriod(monday, "week") - 1);
    expect(saltPeriod(monday - 1, "day")).toBe(saltPeriod(monday, "day") - 1);
  });

  test("a sample is of browsers, and as large as it should be", () => {
    const ids = Array.from({ length: 10_000 }, (_, at) => `client ${at}`);
    const share = ids.filter((id) => isSampled(id, 0.25)).length / ids.length;
    expect(share).toBeWithin(0.23, 0.27);
    expect(ids.filter((id) => isSampled(id, 0.1)).every((id) => isSampled(id, 0.25))).toBe(true);
    expect(isSampled("x", 1)).toBe(true);
    expect(isSampled("x", 0)).toBe(false);
  });
});

const PLAIN: SelectionRules = {
  purposes: [],
  only: [],
  except: [],
  sample: 1,
  rename: {},
  params: { keep: [], remove: [], rename: {}, set: {} },
};

const event = (name: string): TagEvent =>
  ({ id: "i", name, clientId: "c", params: { a: 1, b: 2 }, consent: forAll("granted") }) as unknown as TagEvent;

describe("what a destination gets", () => {
  test.each([
    ["everything", {}, "x", "x"],
    ["what it has consent for", { purposes: ["ads"] }, "x", "x"],
    ["names it asks for", { only: ["cart_*", "x"] }, "cart_add", "cart_add"],
    ["no others", { only: ["cart_*"] }, "x", "filter"],
    ["nothing it has refused", { except: ["x"] }, "x", "filter"],
    ["nobody of a sample of none", { sample: 0 }, "x", "sample"],
    ["other names", { rename: { x: "y" } }, "x", "y"],
  ] as const)("%s", (_name, rules, name, expected) => {
    const found = new Selection({ ...PLAIN, ...rules }).of(event(name));
    expect(typeof found === "string" ? found : found.name).toBe(expected);
  });

  test("nothing that was not agreed to", () => {
    const denied = { ...event("x"), consent: { ...forAll("granted"), ads: "denied" as const } };
    expect(new Selection({ ...PLAIN, purposes: ["analytics", "ads"] }).of(denied)).toBe("consent");
    expect(new Selection({ ...PLAIN, purposes: ["analytics"] }).of(denied)).toBe(denied);
  });

  test("parameters as its mapping has them", () => {
    const params = { keep: ["a"], remove: [], rename: { a: "z" }, set: { site: "s" } };
    const found = new Selection({ ...PLAIN, params }).of(event("x"));
    expect(typeof found === "string" ? found : { ...found.params }).toEqual({ z: 1, site: "s" });
  });
});
