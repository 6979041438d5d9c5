// What a shared cache has to do, seen from the outside: cases by section of the RFCs, in the groups of the public test
// suites for caches, with a client and a server on loopback.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Case, Group } from "./cache-cases/case.ts";
import { CONDITIONAL } from "./cache-cases/conditional.ts";
import { DIRECTIVES } from "./cache-cases/directives.ts";
import { FRESHNESS } from "./cache-cases/freshness.ts";
import { HEADERS } from "./cache-cases/headers.ts";
import { METHODS } from "./cache-cases/methods.ts";
import { PARTIAL } from "./cache-cases/partial.ts";
import { runCases } from "./cache-cases/run.ts";
import { STALE } from "./cache-cases/stale.ts";
import { VARY } from "./cache-cases/vary.ts";

const GROUPS: readonly Group[] = [
  ...FRESHNESS,
  ...DIRECTIVES,
  ...CONDITIONAL,
  ...HEADERS,
  ...METHODS,
  ...VARY,
  ...PARTIAL,
  ...STALE,
];
const CASES: readonly Case[] = GROUPS.flatMap(({ cases }) => cases);

let results: string[][] = [];
beforeAll(async () => {
  results = await runCases(CASES);
}, 60_000);

let at = 0;
for (const { name, section, cases } of GROUPS)
  describe(`${name} (${section})`, () => {
    for (const each of cases) {
      const index = at;
      at += 1;
      test(`${each.kind}: ${each.name}`, () => {
        expect(results[index]).toEqual([]);
      });
    }
  });

test("the table is as wide as it is meant to be", () => {
  expect(CASES.length).toBeGreaterThan(300);
  expect(new Set(GROUPS.map(({ name }) => name)).size).toBe(GROUPS.length);
});
