// A bounded run of the fuzz laws of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { answerStreamLaw } from "./answer-stream.fuzz.ts";
import { redactLaw } from "./redact.fuzz.ts";

const ROUNDS = 500;

test("fuzz: streams", () => {
  expect(tryLaw("answer stream", answerStreamLaw, 1, ROUNDS)).toBe(ROUNDS);
});
test("fuzz: redaction", () => {
  expect(tryLaw("redact", redactLaw, 1, ROUNDS)).toBe(ROUNDS);
});
