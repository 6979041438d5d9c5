// A bounded run of every fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { requestReaderLaw } from "./request-reader.fuzz.ts";
import { responseReaderLaw } from "./response-reader.fuzz.ts";

const ROUNDS = 5000;

for (const [name, law] of [
  ["request reader", requestReaderLaw],
  ["response reader", responseReaderLaw],
] as const)
  test(`fuzz: ${name}`, () => {
    expect(tryLaw(name, law, 1, ROUNDS)).toBe(ROUNDS);
  });
