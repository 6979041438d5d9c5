import { describe, expect, test } from "bun:test";
import { rendezvousPick } from "./rendezvous.ts";

const KEYS = Array.from({ length: 20_000 }, (_, at) => `consumer-${at}`);
const of = (weights: Readonly<Record<string, number>>) =>
  rendezvousPick(Object.entries(weights).map(([name, weight]) => ({ name, weight })));

describe("weighted rendezvous", () => {
  const CASES: readonly Readonly<Record<string, number>>[] = [
    { stable: 95, canary: 5 },
    { stable: 1, canary: 1 },
    { a: 5, b: 3, c: 2 },
    { a: 1, b: 0 },
  ];
  for (const weights of CASES)
    test(`shares are those of the weights: ${JSON.stringify(weights)}`, () => {
      const pick = of(weights);
      const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
      for (const [name, weight] of Object.entries(weights)) {
        const share = KEYS.filter((key) => pick(key) === name).length / KEYS.length;
        expect(Math.abs(share - weight / total)).toBeLessThan(0.015);
      }
    });

  test("who is at the canary stays while it grows", () => {
    let before = new Set<string>();
    for (const canary of [1, 5, 20, 50, 100]) {
      const pick = of({ stable: 100 - canary, canary });
      const now = new Set(KEYS.filter((key) => pick(key) === "canary"));
      for (const key of before) expect(now.has(key)).toBe(true);
      before = now;
    }
    expect(before.size).toBe(KEYS.length);
  });

  test("another target takes a fair part of all, and nothing moves between the others", () => {
    const two = of({ a: 1, b: 1 });
    const three = of({ a: 1, b: 1, c: 1 });
    for (const key of KEYS) if (three(key) !== "c") expect(three(key)).toBe(two(key));
  });

  test("it is the same everywhere", () => {
    const pick = of({ stable: 50, canary: 50 });
    expect(["acme", "globex", "initech", "umbrella"].map(pick)).toMatchInlineSnapshot(`
      [
        "stable",
        "stable",
        "stable",
        "stable",
      ]
    `);
  });

  test("there has to be a weight", () => expect(() => of({ a: 0 })).toThrow(RangeError));
});
