// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../../core/fuzz.testing.ts";
import { transformationsLaw } from "./transformations.fuzz.ts";

const ROUNDS = 5000;

test("fuzz: transformations", () => {
  expect(tryLaw("transformations", transformationsLaw, 1, ROUNDS)).toBe(ROUNDS);
});
