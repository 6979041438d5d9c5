import { expect, test } from "bun:test";
import { HostTable } from "./host-table.ts";

const table = new HostTable([
  ["a.test", "exact"],
  ["*.a.test", "below a"],
  ["*.X.a.test", "below x"],
  ["B.test", "b"],
]);

const CASES: readonly (readonly [name: string, want: string | undefined])[] = [
  ["a.test", "exact"],
  ["b.test", "b"],
  ["c.a.test", "below a"],
  ["d.c.a.test", "below a"],
  ["x.a.test", "below a"],
  ["y.x.a.test", "below x"],
  ["z.y.x.a.test", "below x"],
  ["ca.test", undefined],
  ["test", undefined],
  ["", undefined],
];
for (const [name, want] of CASES) test(`${name || "no name"}: ${want}`, () => expect(table.find(name)).toBe(want!));

test("without wildcards", () => expect(new HostTable([["a.test", 1]]).find("b.a.test")).toBe(undefined!));
