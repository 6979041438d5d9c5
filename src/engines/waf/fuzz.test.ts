import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { prefilterLaw, stepsLaw, triggersLaw, turnsLaw } from "./waf.fuzz.ts";

test("the prefilter changes no decision", () => {
  expect(tryLaw("prefilter", prefilterLaw, 1, 300)).toBe(300);
}, 30_000);

test("no transformation changes what it is not said to change", () => {
  expect(tryLaw("triggers", triggersLaw, 1, 20_000)).toBe(20_000);
}, 30_000);

test("steps change no decision", () => {
  expect(tryLaw("steps", stepsLaw, 1, 300)).toBe(300);
});

test("turns change no decision", () => {
  expect(tryLaw("turns", turnsLaw, 1, 200)).toBe(200);
}, 30_000);
