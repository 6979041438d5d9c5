// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../../core/fuzz.testing.ts";
import { literalSetLaw } from "./literal-set.fuzz.ts";

const ROUNDS = 800;

test("fuzz: literal set", () => {
  expect(tryLaw("literal-set", literalSetLaw, 1, ROUNDS)).toBe(ROUNDS);
});
