// A bounded run of the law of this folder, with the same seeds each time.
import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { tryLaw } from "../core/fuzz.testing.ts";
import { makeRoot, resolveLaw } from "./resolve.fuzz.ts";

test("fuzz: paths of files", () => {
  const { root, base } = makeRoot();
  try {
    expect(tryLaw("paths of files", resolveLaw(root), 1, 20_000)).toBe(20_000);
  } finally {
    rmSync(base, { recursive: true });
  }
}, 30_000);
