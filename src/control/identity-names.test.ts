import { expect, test } from "bun:test";
import { configSchema } from "../config/schema.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { identityFieldsOf } from "./identity-names.ts";

const KEYS = { keys: [] };

/** What is left of these fields under such routes. */
function left(routes: readonly object[], names: readonly string[], more: object = {}): string[] | null {
  const fields = identityFieldsOf(configSchema.parse({ listeners: [{ address: ":0" }], routes, ...more }));
  if (fields === null) return null;
  const x = exchangeOf({ headers: names.map((name) => [name, "1"] as const) });
  fields.strip(x.request.headers);
  return x.request.headers.entries().map(([name]) => name);
}

test("without `auth` nothing is looked at", () => {
  expect(left([{ requestHeaders: { set: { "x-user": "{user}" } } }, { auth: false }], [])).toBeNull();
});

test("what routes make of an identity, or copy, is taken away on all of them", () => {
  const routes = [
    { auth: { apiKey: KEYS }, requestHeaders: { set: { "x-a": "id {claim.a}", "x-plain": "{ip}" } } },
    { auth: { forward: { url: "http://a", copyHeaders: ["X-B"] } }, requestHeaders: { add: { "x-c": "{user}" } } },
  ];
  expect(left(routes, ["x-a", "x-b", "x-c", "x-plain", "Remote-User"])).toEqual(["x-plain"]);
  expect(left(routes, ["x-a", "Remote-User"], { identityHeaders: [] })).toEqual(["Remote-User"]);
});

test("what says who somebody is stays until it is read", () => {
  const routes = [
    {
      auth: [
        { apiKey: { ...KEYS, header: "X-Key" } },
        { jwt: { audience: false, issuer: "https://a", header: "X-Forwarded-Access-Token" } },
      ],
      requestHeaders: { set: { authorization: "Bearer {claim.token}", "x-key": "{user}", cookie: "{user}" } },
    },
  ];
  const names = ["authorization", "x-key", "cookie", "x-forwarded-access-token"];
  expect(left(routes, names)).toEqual(names);
});
