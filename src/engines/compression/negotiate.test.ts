import { describe, expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import type { Coding } from "../../http/content-codings.ts";
import { negotiateLaw } from "./negotiate.fuzz.ts";
import { Negotiator, negotiate } from "./negotiate.ts";

const ALL: readonly Coding[] = ["zstd", "br", "gzip"];

const CASES: readonly (readonly [field: string, coding: Coding | null, required?: boolean])[] = [
  // Which one: the highest weight, and the server's order among equals.
  ["gzip", "gzip"],
  ["gzip, deflate, br, zstd", "zstd"],
  ["gzip, br", "br"],
  ["gzip;q=1, br;q=0.9, zstd;q=0.8", "gzip"],
  ["gzip;q=0.5, br;q=0.501", "br"],
  ["GZIP", "gzip"],
  ["x-gzip", "gzip"],
  ["gzip ; Q=0.5 ,\tbr ;q=0.2", "gzip"],
  ["br;q=1.000, gzip;q=0.999", "br"],
  ["gzip;q=0.1, gzip;q=0, br;q=0.05", "gzip"],
  // `*` stands for all that is not named.
  ["*", "zstd"],
  ["*;q=0.5, gzip", "gzip"],
  ["*;q=0.5, gzip;q=0.1", "zstd"],
  ["zstd;q=0, *", "br"],
  // Nothing that could be used.
  ["", null],
  ["identity", null],
  ["deflate, compress", null],
  ["gzip;q=0", null],
  ["gzip;q=0.0, br;q=0.000", null],
  [" , ,", null],
  // Whether the content may be sent as it is.
  ["identity;q=0", null, true],
  ["gzip, identity;q=0", "gzip", true],
  ["*;q=0", null, true],
  ["gzip, *;q=0", "gzip", true],
  ["*;q=0, identity;q=0.1", null],
  ["*;q=0, identity;q=0.1, br;q=0.5", "br"],
  // A client that would rather have it as it is.
  ["gzip;q=0.5, identity", null],
  ["gzip;q=0.5, identity;q=0.6", null],
  ["gzip;q=0.5, identity;q=0.5", "gzip"],
  ["identity;q=0.1, *", "zstd"],
  // Malformed members say nothing; the others still do.
  ["gzip;q=2, br", "br"],
  ["gzip;q=-1", null],
  ["gzip;q=0.1234", null],
  ["gzip;q=1.001", null],
  ["gzip;q=.5", null],
  ["gzip;q=", null],
  ["gzip;level=9", null],
  ["gzip;q=0.5;q=0.6, br;q=0.1", "br"],
  ["gzip q=1", null],
];

describe("Accept-Encoding", () => {
  for (const [field, coding, required = false] of CASES)
    test(JSON.stringify(field), () => expect(negotiate(field, ALL)).toMatchObject({ coding, required }));
});

test("only what is offered is used, and the order is the server's", () => {
  expect(negotiate("gzip, br, zstd", ["gzip", "br"]).coding).toBe("gzip");
  expect(negotiate("zstd", ["gzip", "br"]).coding).toBeNull();
});

test("what is accepted is told whether it is offered or not", () => {
  expect(negotiate("gzip, zstd;q=0, *;q=0.1", ["gzip"]).accepted).toEqual(["br", "gzip"]);
  expect(negotiate("identity", ALL).accepted).toEqual([]);
});

describe("a negotiator", () => {
  test("takes a request without the field for one that accepts nothing", () =>
    expect(new Negotiator(ALL).choose(null)).toEqual({ coding: null, required: false, accepted: [] }));
  test("gives the same answer to the same field without reading it again", () => {
    const negotiator = new Negotiator(ALL);
    const first = negotiator.choose("gzip, br");
    expect(first.coding).toBe("br");
    expect(negotiator.choose("gzip, br")).toBe(first);
  });
  test("forgets what it knows when that becomes too much", () => {
    const negotiator = new Negotiator(ALL);
    const first = negotiator.choose("gzip");
    for (let i = 0; i < 64; i += 1) negotiator.choose(`gzip, x${i}`);
    const again = negotiator.choose("gzip");
    expect(again).toEqual(first);
    expect(again).not.toBe(first);
  });
  test("does not read a field of unusual length", () =>
    expect(new Negotiator(ALL).choose(`gzip${" ".repeat(1021)}`).coding).toBeNull());
});

test("any field", () => void tryLaw("negotiate", negotiateLaw, 1, 3000));
