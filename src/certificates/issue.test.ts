import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { integer, oid, sequence, time } from "./der.ts";
import { issueLeaf } from "./issue.ts";
import { lasting, NOW_MS, Pki } from "./make.testing.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("DER", () => {
  const CASES: readonly (readonly [name: string, got: Uint8Array, want: string])[] = [
    ["zero", integer(Buffer.from([0])), "020100"],
    ["a leading zero goes", integer(Buffer.from([0, 0, 1])), "020101"],
    ["a high bit gets one", integer(Buffer.from([0x80])), "02020080"],
    ["an identifier", oid("1.2.840.113549.1.1.11"), "06092a864886f70d01010b"],
    ["a short length", sequence(Buffer.alloc(127)).subarray(0, 2), "307f"],
    ["a length of one byte", sequence(Buffer.alloc(128)).subarray(0, 3), "308180"],
    ["a length of two bytes", sequence(Buffer.alloc(256)).subarray(0, 4), "30820100"],
    ["a time before 2050", time(Date.UTC(2049, 11, 31, 23, 59, 59, 999)), `170d${hex(Buffer.from("491231235959Z"))}`],
    ["a time from 2050 on", time(Date.UTC(2050, 0, 1)), `180f${hex(Buffer.from("20500101000000Z"))}`],
  ];
  for (const [name, got, want] of CASES) test(name, () => expect(hex(got)).toBe(want));
});

test("a chain verifies, and says what it may be used for", () => {
  const pki = new Pki();
  const [root, intermediate] = [new X509Certificate(pki.root.certPem), new X509Certificate(pki.intermediate.certPem)];
  const leaf = new X509Certificate(pki.make(["a.example", "*.b.example", "192.0.2.1", "2001:db8::1"]).leafPem);
  expect(root.verify(root.publicKey) && root.ca).toBe(true);
  expect(intermediate.verify(root.publicKey) && intermediate.checkIssued(root) && intermediate.ca).toBe(true);
  expect(leaf.verify(intermediate.publicKey) && leaf.checkIssued(intermediate)).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.checkHost("a.example")).toBe("a.example");
  expect(leaf.checkHost("x.b.example")).toBe("*.b.example");
  expect(leaf.checkHost("c.example")).toBeUndefined();
  expect(leaf.checkIP("192.0.2.1")).toBe("192.0.2.1");
  expect(leaf.checkIP("2001:db8::1")).toBe("2001:db8::1");
  expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect(leaf.validToDate.getTime()).toBe(NOW_MS + 90 * 86_400_000);
});

test("serial numbers are positive, of one length, and never the same", () => {
  const serials = Array.from(
    { length: 50 },
    () => new X509Certificate(issueLeaf(["a"], lasting(1), null).certPem).serialNumber,
  );
  expect(new Set(serials).size).toBe(50);
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
});

test("names must be there, and ASCII", () => {
  expect(() => issueLeaf([], lasting(1), null)).toThrow(RangeError);
  expect(() => issueLeaf(["bücher.example"], lasting(1), null)).toThrow(RangeError);
  expect(() => issueLeaf(["a b"], lasting(1), null)).toThrow(RangeError);
});
