// A bounded run of every fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../../core/fuzz.testing.ts";
import { BODY_LAWS } from "./bodies.fuzz.ts";

/** What is measured takes long texts. */
const rounds = (name: string): number => (name.startsWith("time") ? 400 : 5000);

for (const [name, law] of Object.entries(BODY_LAWS))
  test(`fuzz: ${name}`, () => {
    expect(tryLaw(name, law, 1, rounds(name))).toBe(rounds(name));
  });
