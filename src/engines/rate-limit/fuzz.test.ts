// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { gcraLaw } from "./gcra.fuzz.ts";

const ROUNDS = 500;

test("fuzz: gcra", () => {
  expect(tryLaw("gcra", gcraLaw, 1, ROUNDS)).toBe(ROUNDS);
});
