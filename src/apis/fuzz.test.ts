// A bounded run of the fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../core/fuzz.testing.ts";
import { apisLaw } from "./apis.fuzz.ts";

const ROUNDS = 150;

test("fuzz: apis", () => {
  expect(tryLaw("apis", apisLaw, 1, ROUNDS)).toBe(ROUNDS);
}, 20_000);
