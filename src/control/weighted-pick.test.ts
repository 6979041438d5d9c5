import { expect, test } from "bun:test";
import { weightedPick } from "./weighted-pick.ts";

test("weights are exact over one round, whatever they are", () => {
  const targets = [95, 5, 0, 17].map((weight) => ({ name: `w${weight}`, weight }));
  const pick = weightedPick(targets);
  const counts = new Map<string, number>();
  for (let i = 0; i < 117; i += 1) {
    const name = pick();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expect(Object.fromEntries(counts)).toEqual({ w95: 95, w5: 5, w17: 17 });
});
