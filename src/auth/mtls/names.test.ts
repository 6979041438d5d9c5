import { expect, test } from "bun:test";
import { attributesOf } from "./names.ts";

const CASES: readonly (readonly [name: string, want: readonly string[] | null])[] = [
  ["CN=robot", ["CN=robot"]],
  ["cn=robot, O = Example", ["CN=robot", "O=Example"]],
  ["CN=a+UID=b,DC=x", ["CN=a", "UID=b", "DC=x"]],
  ["CN=a\\,O=Example", ["CN=a\\,O=Example"]],
  ["CN=a\\\\,O=Example", ["CN=a\\\\", "O=Example"]],
  ["CN=a=b", ["CN=a=b"]],
  ["", null],
  ["robot", null],
  ["CN=", null],
  ["=robot", null],
  ["CN=a,,O=b", null],
  ["CN=a,", null],
];
for (const [name, want] of CASES)
  test(name, () => expect(attributesOf(name)).toEqual(want === null ? null : new Set(want)));
