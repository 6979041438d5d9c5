import { describe, expect, test } from "bun:test";
import { versionMatch } from "../config/schema-version.ts";
import type { RouteSubject } from "./subject.ts";
import { versionFields, versionTest } from "./version.ts";

function subject(path: string, fields: Readonly<Record<string, string>> = {}): RouteSubject {
  const mark = path.indexOf("?");
  return {
    host: "a",
    path: mark < 0 ? path : path.slice(0, mark),
    method: "GET",
    query: mark < 0 ? "" : path.slice(mark + 1),
    ip: "192.0.2.1",
    clientCert: null,
    header: (name) => fields[name.toLowerCase()] ?? null,
  };
}
const conditionOf = (config: object) => versionTest(versionMatch.parse(config));
const got = (from: string | readonly string[], asked: RouteSubject): string | null =>
  conditionOf({ from, is: "1" }).got(asked);

describe("what a request says", () => {
  const CASES: readonly (readonly [from: string, path: string, field: string, want: string | null])[] = [
    ["header:x-v", "/", "2", "2"],
    ["header:X-V", "/", " v2 ", "2"],
    ["header:x-v", "/", "V2.1", "2.1"],
    ["header:x-v", "/", "2026-01-31", "2026-01-31"],
    ["header:x-v", "/", "beta", "beta"],
    ["header:x-v", "/", "vnext", "vnext"],
    ["header:x-v", "/", "", null],
    ["header:x-v", "/", "1, 2", "1, 2"],
    ["query:v", "/?v=2&w=3", "", "2"],
    ["query:v", "/?w=3", "", null],
    ["path", "/v2/orders", "", "2"],
    ["path", "/api/V1.2", "", "1.2"],
    ["path", "/api/2026-01-31/x", "", "2026-01-31"],
    ["path", "/video/vx/v/2/2026/v2x/v1.x", "", null],
    ["path", "/v1/v2", "", "1"],
    ["path", "/", "", null],
  ];
  for (const [from, path, field, want] of CASES)
    test(`${from} of ${path} with "${field}"`, () => expect(got(from, subject(path, { "x-v": field }))).toBe(want));

  const TYPES: readonly (readonly [accept: string, want: string | null])[] = [
    ["application/vnd.acme.v2+json", "2"],
    ["application/vnd.acme.V2.1+json", "2.1"],
    ["application/vnd.acme.v2026-01-31+json", "2026-01-31"],
    ["application/vnd.acme.v2", "2"],
    ["application/vnd.acme+json; version=3", "3"],
    ['application/json;q=0.5;Version="v3"', "3"],
    ["application/json; v=4", "4"],
    ["text/html, application/vnd.acme.v2+json, */*", "2"],
    ["application/vnd.vendor+json", null],
    ["application/vnd.acme.vx+json", null],
    ["application/json", null],
    ["", null],
  ];
  for (const [accept, want] of TYPES)
    test(`Accept: ${accept}`, () => expect(got("mediaType", subject("/", { accept }))).toBe(want));

  test("the type of its body, where Accept says nothing", () => {
    const fields = { accept: "*/*", "content-type": "application/vnd.a.v3+json" };
    expect(got("mediaType", subject("/", fields))).toBe("3");
  });

  test("the first place that says something", () => {
    const from = ["header:x-v", "query:v", "path"];
    expect(got(from, subject("/v1?v=2", { "x-v": "3" }))).toBe("3");
    expect(got(from, subject("/v1?v=2"))).toBe("2");
    expect(got(from, subject("/v1"))).toBe("1");
  });
});

describe("whether it is the one", () => {
  const CASES: readonly (readonly [is: string | readonly string[], version: string, want: boolean])[] = [
    ["2", "2", true],
    ["v2", "2", true],
    ["2", "2.0", true],
    ["2", "2.1", false],
    ["2", "02", true],
    ["2", "20", false],
    ["2.x", "2", true],
    ["2.x", "2.17.1", true],
    ["2.x", "20", false],
    ["2..3", "2", true],
    ["2..3", "2.9", true],
    ["2..3", "3.0", true],
    ["2..3", "3.1", false],
    ["2..3", "10", false],
    ["2..10", "9", true],
    ["..3", "0.1", true],
    ["3..", "99", true],
    ["3..", "x", false],
    ["3..", "2026-01-31", false],
    ["2026-01-31", "2026-01-31", true],
    ["2026-01-31..", "2026-06-01", true],
    ["2026-01-31..", "2025-12-31", false],
    ["2026-01-31..2026-05-31", "2026-06-01", false],
    ["2026-01-31..", "3", false],
    ["beta", "BETA", true],
    [["1", "3"], "3", true],
    [["1", "3"], "2", false],
  ];
  for (const [is, version, want] of CASES)
    test(`${version} is ${want ? "" : "not "}${is}`, () => {
      expect(conditionOf({ from: "query:v", is }).test(subject(`/?v=${version}`))).toBe(want);
    });

  test("none is the default, and an unknown one is not", () => {
    const condition = conditionOf({ from: "query:v", is: "1", default: "v1", aliases: { Latest: "3", old: "1" } });
    const cases = ["", "1", "old", "latest", "9", "x".repeat(100)];
    expect(cases.map((version) => condition.test(subject(`/?v=${version}`)))).toEqual([
      ...[true, true, true, false, false, false],
    ]);
    expect(conditionOf({ from: "query:v", is: "1" }).test(subject("/"))).toBe(false);
  });

  for (const is of ["..", "a..b", "3..2", "1..2026-01-31", "2026-01-31..2", "2...3"])
    test(`${is} is no range`, () => expect(() => conditionOf({ from: "path", is })).toThrow());
  for (const from of ["header:", "cookie:v", "Path", "header:a b", "query:"])
    test(`"${from}" is no place`, () => expect(versionMatch.safeParse({ from, is: "1" }).success).toBe(false));
});

test("the fields that it depends on", () => {
  const fieldsOf = (from: string | string[]) => versionFields(versionMatch.parse({ from, is: "1" }));
  expect(fieldsOf("path")).toEqual([]);
  expect(fieldsOf(["header:X-V", "query:v", "header:x-v"])).toEqual(["x-v"]);
  expect(fieldsOf("mediaType")).toEqual(["accept", "content-type"]);
});
