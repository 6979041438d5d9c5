// A bounded run of the law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { sectionLaw } from "./section.fuzz.ts";

test("fuzz: sections", () => {
  expect(tryLaw("sections of HTTP/3", sectionLaw, 1, 5000)).toBe(5000);
}, 30_000);
