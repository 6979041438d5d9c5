// A bounded run of every fuzz law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { frameReaderLaw } from "./frame-reader.fuzz.ts";
import { requestHeadLaw } from "./request-head-builder.fuzz.ts";
import { anyBytesLaw, twoSessionsLaw } from "./session.fuzz.ts";

const LAWS = [
  ["frame reader", frameReaderLaw, 2000],
  ["request head", requestHeadLaw, 3000],
  ["session, any bytes", anyBytesLaw, 1000],
  ["two sessions", twoSessionsLaw, 200],
] as const;

for (const [name, law, rounds] of LAWS)
  test(`fuzz: ${name}`, () => {
    expect(tryLaw(name, law, 1, rounds)).toBe(rounds);
  }, 30_000);
