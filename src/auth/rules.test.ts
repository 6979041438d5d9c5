import { expect, test } from "bun:test";
import { allowSchema, requireSchema } from "../config/schema-auth-rules.ts";
import type { Identity } from "../pipeline/identity.ts";
import { Rules } from "./rules.ts";

const ANN: Identity = {
  kind: "oidc",
  user: "ann",
  issuer: "https://id.example",
  groups: ["staff"],
  scopes: ["read"],
  plan: "",
  consumer: "",
  limits: null,
  claims: { email: "Ann@Example.com", email_verified: true, roles: ["a", "b"], level: 3, admin: false },
};
const withEmail = (email: unknown, verified: unknown = true): Identity => ({
  ...ANN,
  claims: { email, email_verified: verified },
});

const CASES: readonly (readonly [name: string, rule: object, who: Identity, may: boolean])[] = [
  ["a name", { users: ["bob", "ann"] }, ANN, true],
  ["another name", { users: ["bob"] }, ANN, false],
  ["names have a case", { users: ["Ann"] }, ANN, false],
  ["an empty list", { users: [] }, ANN, false],
  ["an empty list of addresses", { emails: [] }, ANN, false],
  ["an address in any case", { emails: ["ann@example.COM"] }, ANN, true],
  ["all addresses of a domain", { emails: ["*@example.com"] }, ANN, true],
  ["not those below it", { emails: ["*@example.com"] }, withEmail("ann@sub.example.com"), false],
  ["not one that only ends so", { emails: ["*@example.com"] }, withEmail("ann@evil-example.com"), false],
  ["not verified", { emails: ["*@example.com"] }, withEmail("ann@example.com", false), false],
  ["verified in words", { emails: ["*@example.com"] }, withEmail("ann@example.com", "true"), false],
  ["nothing said of verified", { emails: ["*@example.com"] }, withEmail("ann@example.com", null), false],
  ["two signs", { emails: ["*@example.com"] }, withEmail("ann@evil.example@example.com"), false],
  ["two signs the other way", { domains: ["evil.example"] }, withEmail("ann@evil.example@example.com"), false],
  ["no name before the sign", { domains: ["example.com"] }, withEmail("@example.com"), false],
  ["no domain behind it", { domains: ["*.example.com"] }, withEmail("ann@"), false],
  ["no text", { emails: ["*@example.com"] }, withEmail(["ann@example.com"]), false],
  ["a domain", { domains: ["example.com"] }, ANN, true],
  ["below a domain", { domains: ["*.example.com"] }, withEmail("ann@a.example.com"), true],
  ["a domain is not below itself", { domains: ["*.example.com"] }, ANN, false],
  ["a group", { groups: ["staff"] }, ANN, true],
  ["no group", { groups: ["staff"] }, { ...ANN, groups: [] }, false],
  ["a scope", { scopes: ["write"] }, ANN, false],
  ["a claim that is a list", { claims: { roles: ["b", "c"] } }, ANN, true],
  ["a claim that is a number", { claims: { level: 3 } }, ANN, true],
  ["a number is no text", { claims: { level: "3" } }, ANN, false],
  ["a claim that is false", { claims: { admin: true } }, ANN, false],
  ["what every object has", { claims: { constructor: "x" } }, ANN, false],
];
for (const [name, rule, who, may] of CASES)
  test(`${name}: ${JSON.stringify(rule)}`, () => {
    expect(new Rules(allowSchema.parse(rule), undefined).refusal(who) === null).toBe(may);
    expect(new Rules(undefined, requireSchema.parse(rule)).refusal(who) === null).toBe(may);
  });

test("of `allow` one is enough, of `require` all have to hold", () => {
  const rule = { users: ["bob"], groups: ["staff"] };
  expect(new Rules(rule, undefined).refusal(ANN)).toBeNull();
  expect(new Rules(undefined, rule).refusal(ANN)).toBe("`require.users` does not hold");
  expect(new Rules(rule, { scopes: ["write"] }).refusal(ANN)).toBe("`require.scopes` does not hold");
});

test("what is no rule is an error", () => {
  for (const wrong of [
    {},
    { group: ["a"] },
    { groups: [""] },
    { groups: "a" },
    { emails: ["a@b@c"] },
    { emails: ["*"] },
  ])
    for (const schema of [allowSchema, requireSchema]) expect(schema.safeParse(wrong).success).toBe(false);
});
