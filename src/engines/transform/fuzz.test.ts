// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { transformLaw } from "./transform.fuzz.ts";

const ROUNDS = 3000;

test("fuzz: transform", () => {
  expect(tryLaw("transform", transformLaw, 1, ROUNDS)).toBe(ROUNDS);
});
