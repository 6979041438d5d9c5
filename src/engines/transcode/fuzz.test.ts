// A bounded run of the laws of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { LAWS } from "./transcode.fuzz.ts";

const ROUNDS = { requests: 5000, descriptors: 300, paths: 10_000 } as const;

for (const [name, law] of Object.entries(LAWS)) {
  const rounds = ROUNDS[name as keyof typeof LAWS];
  test(`fuzz: ${name}`, () => expect(tryLaw(name, law, 1, rounds)).toBe(rounds), 30_000);
}
