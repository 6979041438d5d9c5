import { describe, expect, test } from "bun:test";
import { hashAddress, hashText, mix } from "./hash.ts";

/** χ² over the buckets; for 256 buckets it stays below 340 in all but 1 of 3,000 sets of random numbers. */
function chiSquare(hashes: readonly number[], bucketOf: (hash: number) => number): number {
  const counts = new Array<number>(256).fill(0);
  for (const hash of hashes) counts[bucketOf(hash)]! += 1;
  const due = hashes.length / 256;
  return counts.reduce((sum, count) => sum + (count - due) ** 2 / due, 0);
}

const COUNT = 65_536;
const many = (text: (i: number) => string): string[] => Array.from({ length: COUNT }, (_, i) => text(i));
const SETS: readonly (readonly [name: string, hashes: readonly number[]])[] = [
  ["numbers as text", many(String).map((text) => hashText(text))],
  ["user names", many((i) => `user-${i}@example.com`).map((text) => hashText(text))],
  ["paths", many((i) => `/images/${i >> 8}/${i & 255}.png`).map((text) => hashText(text))],
  ["one long beginning", many((i) => `${"x".repeat(99)}${i}`).map((text) => hashText(text))],
  ["beyond ASCII", many((i) => `ключ-${i}-é`).map((text) => hashText(text))],
  ["another seed", many(String).map((text) => hashText(text, 7))],
  ["IPv4 of one /16", many((i) => `203.0.${i >> 8}.${i & 255}`).map(hashAddress)],
  ["IPv4 networks", many((i) => `${1 + (i >> 9)}.${i & 511 & 255}.${(i >> 8) & 1}.1`).map(hashAddress)],
  ["IPv6 /64 of one /48", many((i) => `2001:db8:1:${i.toString(16)}::1`).map(hashAddress)],
  ["IPv6 /48 of one /32", many((i) => `2001:db8:${i.toString(16)}::1`).map(hashAddress)],
];

for (const [name, hashes] of SETS) {
  test(`${name}: evenly spread in the lowest, middle and highest bits`, () => {
    for (const shift of [0, 12, 24]) expect(chiSquare(hashes, (hash) => (hash >>> shift) & 255)).toBeLessThan(340);
    expect(hashes.every((hash) => Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32)).toBe(true);
  });
}

test("every bit of a number changes each bit of its hash half the time", () => {
  for (let bit = 0; bit < 32; bit += 1) {
    const flips = new Array<number>(32).fill(0);
    for (let i = 0; i < 2000; i += 1) {
      const changed = mix(i * 7919) ^ mix((i * 7919) ^ (1 << bit));
      for (let out = 0; out < 32; out += 1) flips[out]! += (changed >>> out) & 1;
    }
    for (const count of flips) expect(count).toBeWithin(850, 1150);
  }
});

describe("hashText", () => {
  test("MurmurHash3 of UTF-16 code units", () => {
    // The published values for the bytes of those units, with the length counted in units.
    expect(hashText("")).toBe(0);
    expect(hashText("", 1)).toBe(0x514e28b7);
  });

  test("texts that differ in length, order or a last unit of zero differ", () => {
    const texts = ["", "\0", "\0\0", "a", "a\0", "ab", "ba", "abc", "acb", "abcd", "cdab"];
    expect(new Set(texts.map((text) => hashText(text))).size).toBe(texts.length);
  });

  test("seeds are hashes of their own", () => {
    expect(hashText("10.0.0.1:80", 1)).not.toBe(hashText("10.0.0.1:80", 2));
  });
});

describe("hashAddress", () => {
  const SAME: readonly (readonly [name: string, a: string, b: string, same: boolean])[] = [
    ["one /64", "2001:db8::1", "2001:db8:0:0:ffff::2", true],
    ["another way to write it", "2001:DB8:0::1", "2001:db8::1", true],
    ["two /64", "2001:db8:0:1::1", "2001:db8:0:2::1", false],
    ["mapped IPv4", "::ffff:192.0.2.1", "192.0.2.1", true],
    ["two IPv4 addresses", "192.0.2.1", "192.0.2.2", false],
    ["IPv4 is taken whole", "192.0.2.1", "192.0.3.1", false],
    ["no addresses", "unix", "other", false],
  ];
  for (const [name, a, b, same] of SAME) {
    test(`${name}: ${same ? "the same" : "different"}`, () => {
      expect(hashAddress(a) === hashAddress(b)).toBe(same);
    });
  }
});
