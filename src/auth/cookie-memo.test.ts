import { expect, test } from "bun:test";
import { receivedCookies } from "../http/cookies.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { CookieMemo } from "./cookie-memo.ts";

const headersOf = (cookies: readonly string[]) =>
  exchangeOf({ headers: [["accept", "*/*"], ...cookies.map((value) => ["cookie", value] as const)] }).request.headers;

test("the same fields are taken apart once, and others are never taken for them", () => {
  let found = 0;
  const memo = new CookieMemo((headers) => {
    found += 1;
    return receivedCookies(headers);
  });
  const fields = [["a=1; b=2"], ["a=1", "b=2"], ["a=1b=2"], ["a=1", "b=3"], ["b=2", "a=1"], ["a=1"], ["a=1", ""]];
  for (let round = 0; round < 3; round += 1)
    for (const cookies of fields) expect(memo.of(headersOf(cookies))).toBe(cookies.join("; "));
  expect(found).toBe(fields.length);
});

test("long fields of somebody unknown push others out, and not more", () => {
  let found = 0;
  const memo = new CookieMemo(() => {
    found += 1;
    return null;
  });
  const long = (i: number) => headersOf([`a=${"x".repeat(8000)}${i}`]);
  for (let i = 0; i < 300; i += 1) memo.of(long(i));
  expect(found).toBe(300);
  memo.of(long(299));
  expect(found).toBe(300);
  memo.of(long(0));
  expect(found).toBe(301); // of 2 MB it was the first
});
