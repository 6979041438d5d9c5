// A bounded run of every fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../../core/fuzz.testing.ts";
import { DETECT_LAWS } from "./detect.fuzz.ts";

const ROUNDS = { detect: 5000, "time of detection": 400 } as const;

for (const [name, law] of Object.entries(DETECT_LAWS))
  test(`fuzz: ${name}`, () => {
    const rounds = ROUNDS[name as keyof typeof ROUNDS];
    expect(tryLaw(name, law, 1, rounds)).toBe(rounds);
  });
