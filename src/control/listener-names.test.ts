import { expect, test } from "bun:test";
import { boundAddress, listenerNames } from "./listener-names.ts";

test("names are addresses, numbered where they would be the same", () => {
  const names = (...addresses: string[]): string[] => listenerNames(addresses.map((address) => ({ address })));
  expect(names()).toEqual([]);
  expect(names(":80", "unix:/a")).toEqual([":80", "unix:/a"]);
  expect(names(":0", ":80", ":0", ":0")).toEqual([":0", ":80", ":0 (2)", ":0 (3)"]);
});

const BOUND: readonly (readonly [address: string, port: number | undefined, bound: string])[] = [
  ["127.0.0.1:0", 4711, "127.0.0.1:4711"],
  ["[::1]:0", 4711, "[::1]:4711"],
  [":8080", 8080, ":8080"],
  [":0", undefined, ":0"],
  ["unix:/run/0", 0, "unix:/run/0"],
];
for (const [address, port, bound] of BOUND)
  test(`${address} on ${port} is ${bound}`, () => expect(boundAddress(address, port)).toBe(bound));
