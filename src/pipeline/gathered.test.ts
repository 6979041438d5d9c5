import { expect, test } from "bun:test";
import { Rng } from "../core/fuzz.testing.ts";
import { Gathered } from "./gathered.ts";

test("what is gathered is what came, however it was cut", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const rng = new Rng(seed);
    const bytes = Buffer.from(Array.from({ length: rng.below(60_000) }, (_, at) => at % 251));
    const gathered = new Gathered();
    const most = rng.pick([1, 7, 300, 5000, 40_000]);
    for (let at = 0; at < bytes.length; ) {
      const to = Math.min(bytes.length, at + 1 + rng.below(most));
      gathered.add(bytes, at, to);
      at = to;
    }
    expect(gathered.length).toBe(bytes.length);
    expect(gathered.whole.equals(bytes)).toBe(true);
    expect(Buffer.concat(gathered.pieces).equals(bytes)).toBe(true);
    gathered.clear();
    expect([gathered.length, gathered.whole.length]).toEqual([0, 0]);
  }
});

test("small pieces make few objects, and pieces that were looked at stay", () => {
  const gathered = new Gathered();
  const byte = Buffer.from("x");
  gathered.add(byte, 0, 1);
  const [first] = gathered.pieces;
  for (let at = 0; at < 100_000; at += 1) gathered.add(byte, 0, 1);
  expect(gathered.pieces.length).toBeLessThan(10);
  expect(first!.toString()).toBe("x");
});
