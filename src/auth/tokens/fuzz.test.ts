import { expect, test } from "bun:test";
import { Rng, tryLaw } from "../../core/fuzz.testing.ts";
import { setLaw, signatureLaw, tokenLaw, verifiedLaw } from "./tokens.fuzz.ts";

const ROUNDS = 2000;
const VERIFIED = 1000;

for (const [name, law] of [
  ["tokens", tokenLaw],
  ["sets of keys", setLaw],
  ["signatures", signatureLaw],
] as const)
  test(`fuzz: ${name}`, () => {
    expect(tryLaw(name, law, 1, ROUNDS)).toBe(ROUNDS);
  });

test("fuzz: tokens, signatures included", async () => {
  for (let seed = 1; seed <= VERIFIED; seed += 1) await verifiedLaw(new Rng(seed));
});
