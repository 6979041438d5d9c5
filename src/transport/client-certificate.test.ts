import { expect, test } from "bun:test";
import { alternativeNames } from "./client-certificate.ts";

// What a whole certificate says is in tls.test.ts; this is about names that are made to look like several.
const CASES: readonly (readonly [text: string | undefined, want: readonly string[]])[] = [
  [undefined, []],
  ["", []],
  ["DNS:a.test", ["DNS:a.test"]],
  ["DNS:a.test, IP Address:10.0.0.1", ["DNS:a.test", "IP Address:10.0.0.1"]],
  ["IP Address:2001:DB8:0:0:0:0:0:1, DNS:b", ["IP Address:2001:DB8:0:0:0:0:0:1", "DNS:b"]],
  ['URI:"spiffe://a, DNS:admin.test"', ["URI:spiffe://a, DNS:admin.test"]],
  ['DNS:"a\\", DNS:b", email:x@a.test', ['DNS:a", DNS:b', "email:x@a.test"]],
  ['DNS:"open', []],
  ["no kind", []],
  ["DNS:a,DNS:b", []],
];
for (const [text, want] of CASES)
  test(`${text}`, () => {
    expect(alternativeNames(text)).toEqual([...want]);
  });
