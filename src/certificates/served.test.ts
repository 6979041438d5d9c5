import { describe, expect, test } from "bun:test";
import {
  applyUpdate,
  type CertificateSource,
  groupCertificates,
  type KeyKind,
  type ServedCertificate,
} from "./served.ts";

function one(
  id: string,
  names: readonly string[],
  more: { kind?: KeyKind; until?: number; source?: CertificateSource } = {},
): ServedCertificate {
  const { kind = "ecdsa", until = 100, source = "file" } = more;
  return { id, names, keyKind: kind, notAfterMs: until, source, chainPem: `chain ${id}`, keyPem: `key ${id}` };
}

const A = ["a.test"];
const CASES: readonly (readonly [
  name: string,
  all: readonly ServedCertificate[],
  asked: string | undefined,
  want: string,
])[] = [
  ["ECDSA before RSA, whatever their order", [one("r", A, { kind: "rsa" }), one("e", A)], "a.test", "e r"],
  [
    "of the same kind the one that expires last",
    [one("1", A), one("2", A, { until: 200 }), one("3", A)],
    "a.test",
    "2",
  ],
  ["of equal ones the first", [one("1", A), one("2", A)], "a.test", "1"],
  ["an exact name before a wildcard", [one("w", ["*.test"]), one("e", A)], "a.test", "e"],
  ["files and ACME are equal", [one("f", A), one("acme", A, { until: 200, source: "acme" })], "a.test", "acme"],
  ["a placeholder gives way", [one("p", A, { source: "placeholder", until: 900 }), one("f", A)], "a.test", "f"],
  [
    "a placeholder of another kind gives way",
    [one("f", A, { kind: "rsa" }), one("p", A, { source: "placeholder" })],
    "a.test",
    "f",
  ],
  [
    "a placeholder gives way to a wildcard",
    [one("w", ["*.test"]), one("p", A, { source: "placeholder" })],
    "a.test",
    "w",
  ],
  ["a placeholder alone", [one("p", A, { source: "placeholder" })], "a.test", "p"],
  ["the internal authority's gives way", [one("i", A, { source: "internal", until: 900 }), one("f", A)], "a.test", "f"],
  ["no name: the first", [one("1", A), one("2", ["b.test"])], undefined, "1"],
  ["no name: the first with its other kinds", [one("1", A), one("2", A, { kind: "rsa" })], undefined, "1 2"],
  ["no name: the first real one", [one("p", A, { source: "placeholder" }), one("f", ["b.test"])], undefined, "f"],
  ["no name: addresses alone", [one("ip", ["192.0.2.1"]), one("2", A)], undefined, "ip"],
  ["an unknown name", [one("1", A)], "z.test", "1"],
  ["none at all", [], "a.test", ""],
];
describe("groups", () => {
  for (const [name, all, asked, want] of CASES)
    test(name, () => expect(groupCertificates(all).choose(asked)?.key ?? "").toBe(want));
});

test("names with the same certificates share one group", () => {
  const table = groupCertificates([one("1", ["a.test", "b.test", "*.c.test"])]);
  expect(table.find("a.test")).toBe(table.find("b.test")!);
  expect(table.find("x.c.test")).toBe(table.fallback!);
  expect(table.size).toBe(3);
});

test("an update keeps what stays, drops what goes, and is in its own order", () => {
  const [a, b, c] = [one("a", A), one("b", A), one("c", A)];
  expect(applyUpdate([a, b], { ids: ["c", "a"], added: [c] })).toEqual([c, a]);
  expect(applyUpdate([a, b], { ids: [], added: [] })).toEqual([]);
  expect(() => applyUpdate([a], { ids: ["b"], added: [] })).toThrow("never sent");
});
