// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../../core/fuzz.testing.ts";
import { regexLaw } from "./regex.fuzz.ts";

const ROUNDS = 3000;

test("fuzz: regex", () => {
  expect(tryLaw("regex", regexLaw, 1, ROUNDS)).toBe(ROUNDS);
});
