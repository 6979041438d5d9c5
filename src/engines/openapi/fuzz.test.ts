// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { openapiLaw } from "./openapi.fuzz.ts";

const ROUNDS = 150;

test("fuzz: openapi", () => {
  expect(tryLaw("openapi", openapiLaw, 1, ROUNDS)).toBe(ROUNDS);
});
