import { expect, test } from "bun:test";
import { suggest } from "./suggest.ts";

const CASES: readonly (readonly [word: string, candidates: readonly string[], want: string | null])[] = [
  ["adress", ["address", "timeouts"], "address"],
  ["timeuots", ["address", "timeouts"], "timeouts"],
  ["strip_prefix", ["stripPrefix", "addPrefix"], "stripPrefix"],
  ["HOST-HEADER", ["hostHeader"], "hostHeader"],
  ["foo", ["listeners", "routes"], null],
  ["a", ["b"], null],
  ["ap", ["app", "db"], "app"],
  ["app", ["app"], null],
  ["", ["app"], null],
  ["x".repeat(100), ["x".repeat(99)], null],
];
for (const [word, candidates, want] of CASES) {
  test(`${word.slice(0, 20)} among ${candidates.length}`, () => expect(suggest(word, candidates)).toBe(want));
}
