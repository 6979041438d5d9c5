import { describe, expect, test } from "bun:test";
import { Rng } from "../../../core/fuzz.testing.ts";
import { findSensitive, KINDS } from "../../llm/sensitive.ts";
import { Scrubber } from "./scrub.ts";

const scrubber = new Scrubber({
  find: (text) => findSensitive(text, new Set(KINDS)),
  replacement: "(redacted)",
  names: new Set(["email", "password"]),
});

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const base64url = (text: string): string => Buffer.from(text).toString("base64url");
const percent = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
const entities = (text: string): string => [...text].map((char) => `&#${char.codePointAt(0)};`).join("");
const escapes = (text: string): string =>
  [...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");

const ENCODINGS = { encodeURIComponent, percent, base64, base64url, entities, escapes };
const PERSONAL = ["ann.smith@example.com", "+49 170 1234567", "4111 1111 1111 1111", "DE89370400440532013000"];

describe("what is personal", () => {
  test.each([
    ["ann@example.com", "(redacted)"],
    ["mail ann@example.com today", "mail (redacted) today"],
    ["https://s.example/u/ann%40example.com/x?y=1", "https://s.example/u/(redacted)/x?y=1"],
    ["https://s.example/?m=ann%2540example.com&y=1", "https://s.example/?m=(redacted)&y=1"],
    [`https://s.example/?m=${base64("ann@example.com")}&y=1`, "https://s.example/?m=(redacted)&y=1"],
    ["ann&#64;example.com", "(redacted)"],
    ["ann\\u0040example.com", "(redacted)"],
  ])("%s", (text, expected) => expect(scrubber.text(text)).toBe(expected));

  test("in every encoding, and in two of them, at any place", () => {
    for (const secret of PERSONAL)
      for (const outer of Object.values(ENCODINGS))
        for (const inner of [(text: string): string => text, ...Object.values(ENCODINGS)]) {
          const hidden = outer(inner(secret));
          for (const text of [hidden, `https://s.example/a?x=${hidden}&y=2`, `before ${hidden} behind`, `"${hidden}"`])
            expect(scrubber.text(text)).not.toContain(hidden);
        }
  });

  test("what is not stays as it is", () => {
    for (const text of [
      "https://shop.example/products/summer-2026?color=red&size=42&page=3",
      "A page about things: 100% cotton & more",
      "AddToCartButtonClicked",
      "order-2026-11-24",
      "G-ABC123DEF",
      "1700000000.1234567890",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
      "f47ac10b-58cc-4372-a567-0e02b2c3d479",
      "price_1NQk2mLkdIwHu7ix",
      "",
    ])
      expect(scrubber.text(text)).toBe(text);
  });

  test("names and values of parameters", () => {
    const clean = scrubber.params({
      email: "whatever",
      Password: "x1",
      "ann@example.com": "a",
      card: 4111111111111111,
      n: 12.5,
      yes: true,
      note: "call +49 170 1234567",
    });
    expect({ ...clean }).toEqual({
      email: "(redacted)",
      Password: "(redacted)",
      "(redacted)": "a",
      card: "(redacted)",
      n: 12.5,
      yes: true,
      note: "call (redacted)",
    });
  });

  test("noise of all kinds takes no time", () => {
    const pieces = ["%", "%4", "%40", "&#", "&#64;", "\\u0040", "\\x", "=", "QUJD", "a", "@", ".", "1", " ", "é", "/"];
    const began = performance.now();
    for (let seed = 1; seed <= 400; seed += 1) {
      const rng = new Rng(seed);
      scrubber.text(Array.from({ length: rng.below(900) }, () => rng.pick(pieces)).join(""));
    }
    expect(performance.now() - began).toBeLessThan(3000);
  });
});
