import { expect, test } from "bun:test";
import { type ExchangeOptions, exchangeOf } from "../pipeline/exchange.fixture.ts";
import { hashAddress, hashText } from "./balance/hash.ts";
import { compileHashKey } from "./hash-key.ts";

const ADDRESS = "192.0.2.1"; // of every exchange of the fixture

const CASES: readonly (readonly [spec: string, request: ExchangeOptions, want: string | typeof byAddress])[] = [
  ["ip", {}, byAddress],
  ["path", { target: "/a%62/../c?x=1" }, "/c"],
  ["path", { target: "*", form: "asterisk", method: "OPTIONS" }, "*"],
  ["url", { target: "/a%62?x=1" }, "/a%62?x=1"],
  ["header:x-user", { headers: [["X-User", "ann"]] }, "ann"],
  ["header:x-user", { headers: [["x-user", ""]] }, ""],
  ["header:x-user", {}, byAddress],
  ["cookie:id", { headers: [["cookie", 'a=1; id="7"; id=8']] }, "7"],
  ["cookie:id", { headers: [["cookie", "xid=1"]] }, byAddress],
  ["cookie:id", {}, byAddress],
  ["query:q", { target: "/?a=1&q=b%20c" }, "b c"],
  ["query:q", { target: "/?q" }, ""],
  ["query:q", { target: "/?qq=1" }, byAddress],
  ["query:a:b", { target: "/?a:b=1" }, "1"],
];

/** Stands for the client's address. */
function byAddress(): void {}

for (const [spec, request, want] of CASES)
  test(`${spec} of ${JSON.stringify(request)}`, () => {
    const key = compileHashKey(spec)(exchangeOf(request));
    expect(key).toBe(typeof want === "string" ? hashText(want) : hashAddress(ADDRESS));
    expect(Number.isInteger(key)).toBe(true);
  });

test("clients of one IPv6 /64 stay together, others do not", () => {
  const of = (ip: string): number => {
    const x = exchangeOf();
    x.ip = ip;
    return compileHashKey("ip")(x);
  };
  expect(of("2001:db8::1")).toBe(of("2001:db8:0:0:ffff::2"));
  expect(of("2001:db8::1")).not.toBe(of("2001:db8:0:1::1"));
});

test("a rewritten target and a cookie that servers do not get change nothing", () => {
  const x = exchangeOf({ target: "/a", headers: [["cookie", "id=1"]] });
  const keys = ["path", "url", "cookie:id"].map(compileHashKey);
  const before = keys.map((key) => key(x));
  x.rewrittenTarget = "/b";
  x.request.headers.remove("cookie");
  expect(keys.map((key) => key(x))).toEqual(before);
});

for (const spec of ["", "port", "header", "header:", "cookie:", "query:", "ip:1"])
  test(`"${spec}" is refused`, () => expect(() => compileHashKey(spec)).toThrow(RangeError));
