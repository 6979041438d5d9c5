import { expect, test } from "bun:test";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { isFault, type Outcome } from "../pipeline/exchange.ts";
import { reply } from "../pipeline/reply.ts";
import { Endpoints } from "./endpoints.ts";

const endpoints = new Endpoints();
const says = (text: string | null) => ({
  methods: ["GET"],
  handle: (_: unknown, rest: string) => (text === null ? null : reply(200, text + rest)),
});
endpoints.add("one", says("one"));
endpoints.add("some", says(null));
endpoints.add("some", { methods: ["POST"], handle: async () => null });
endpoints.add("some", {
  methods: ["POST", "GET"],
  handle: async () => reply(200, "last", { "cache-control": "max-age=1" }),
});
endpoints.add("none", says(null));
endpoints.add("named/*", says("named "));

const show = (outcome: Outcome): string =>
  isFault(outcome) ? outcome.code : `${outcome.body} ${outcome.headers.get("cache-control")}`;

const CASES: readonly (readonly [method: string, path: string, want: string])[] = [
  ["GET", "one", "one no-store"],
  ["GET", "one/", "route.none"],
  ["GET", "One", "route.none"],
  ["GET", "", "route.none"],
  ["POST", "one", "access.method"],
  ["GET", "some", "last max-age=1"],
  ["POST", "some", "last max-age=1"],
  ["GET", "none", "route.none"],
  ["GET", "named/a", "named a no-store"],
  ["GET", "named/", "route.none"],
  ["GET", "named", "route.none"],
  ["GET", "named/a/b", "route.none"],
  ["GET", "*", "route.none"],
];
for (const [method, path, want] of CASES)
  test(`${method} ${path}`, async () => {
    const x = exchangeOf({ method, target: `/.auth/${path}` });
    expect(show(await endpoints.handle(x))).toBe(want);
    if (want === "access.method") expect(x.errorFields).toEqual([["allow", "GET"]]);
  });
