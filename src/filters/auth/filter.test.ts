import { expect, test } from "bun:test";
import { CompileError } from "../../config/compile-error.ts";
import { type PolicyConfig, policySchema } from "../../config/schema.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { isFault } from "../../pipeline/exchange.ts";
import { contextOf } from "../context.testing.ts";
import type { Policies } from "../definition.ts";
import { compileFilters } from "../index.ts";

const KEY = `sha256:${"0".repeat(64)}`;
const OTHER = `sha256:${"1".repeat(64)}`;
const BCRYPT = "$2y$05$XTDprtpV4PaUkM.pdiJy8e2HDDyf3gibXyFH6bt3Mpbck49ROVaQy";
const keys = [{ name: "acme", key: KEY }];
const users = { ann: BCRYPT };

const compile = (auth: unknown) =>
  compileFilters(policySchema.parse({ auth }) as PolicyConfig as Policies, contextOf());

const WRONG: readonly (readonly [name: string, auth: unknown, at: string, why: RegExp])[] = [
  ["nothing", {}, "", /how to find out who asks/],
  ["rules alone", { allow: { users: ["ann"] } }, "", /how to find out who asks/],
  ["two kinds", { basic: { users }, apiKey: { keys } }, "", /one kind, not `basic` and `apiKey`/],
  ["two that read passwords", [{ basic: { users } }, { basic: { users } }], "1", /entry 0 reads names and passwords/],
  ["no users", { basic: {} }, "basic", /nobody could get in/],
  ["a plain password", { basic: { users: { ann: "secret" } } }, "basic.users.ann", /no hash of a password/],
  ["an old hash", [{ basic: { users: { ann: "$apr1$x$y" } } }], "0.basic.users.ann", /MD5.*hash-password/],
  ["a name with a colon", { basic: { users: { "a:b": BCRYPT } } }, "basic.users.a:b", /no colon/],
  ["a group of nobody", { basic: { users, groups: { staff: ["bob"] } } }, "basic.groups", /no user named "bob"/],
  ["a realm of two lines", { basic: { users, realm: "a\nb" } }, "basic.realm", /ASCII/],
  ["no keys", { apiKey: {} }, "apiKey", /nobody could get in/],
  ["a plain key", { apiKey: { keys: [{ name: "a", key: "abc" }] } }, "apiKey.keys.0.key", /hash-password --key/],
  ["a short hash", { apiKey: { keys: [{ name: "a", key: "sha256:abc" }] } }, "apiKey.keys.0.key", /64 digits/],
  ["a key twice", { apiKey: { keys: [...keys, { name: "b", key: KEY }] } }, "apiKey.keys.1", /twice/],
  ["a field that is none", { apiKey: { header: "a b", keys } }, "apiKey.header", /not a field name/],
  ["certificates of nobody", { mtls: {} }, "mtls", /names nobody/],
  ["a name that is none", { mtls: { subjects: ["robot"] } }, "mtls.subjects.0", /CN=robot/],
  ["no URL", { forward: { url: "auth" } }, "forward.url", /is not a URL/],
  ["a password in a URL", { forward: { url: "http://a:b@c/" } }, "forward.url", /no password/],
  [
    "a field of two lines",
    { forward: { url: "http://a/", copyHeaders: ["a\nb"] } },
    "forward.copyHeaders.0",
    /field name/,
  ],
  ["a directory in the open", { ldap: { url: "ldap://example.com", base: "dc=x" } }, "ldap.url", /ldaps:/],
  ["no place in a directory", { ldap: { url: "ldaps://example.com" } }, "ldap", /`base`.*`userDn`/],
  ["a search for nobody", { ldap: { url: "ldaps://a", base: "dc=x", filter: "(uid=ann)" } }, "ldap.filter", /\{user\}/],
  ["a name of nobody", { ldap: { url: "ldaps://a", userDn: "uid=ann" } }, "ldap.userDn", /\{user\}/],
];
for (const [name, auth, at, why] of WRONG)
  test(`configuration: ${name}`, () => {
    let error: unknown;
    try {
      compile(auth);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(CompileError);
    expect((error as CompileError).path.join(".")).toBe(at === "" ? "auth" : `auth.${at}`);
    expect((error as CompileError).message).toMatch(why);
  });

test("what the schema refuses: rules that are empty or not known are never silently off (GHSA-652x, #3365)", () => {
  for (const auth of [
    { basic: { users }, allow: {} },
    { basic: { users }, deny: {} },
    { apiKey: { keys: [{ key: KEY }] } },
    [],
  ])
    expect(policySchema.safeParse({ auth }).success).toBe(false);
});

test("an expired key is refused, and not before", () => {
  for (const [expires, wallMs, code] of [
    ["2030-01-31", Date.parse("2030-01-31T23:59:59Z"), undefined],
    ["2030-01-31", Date.parse("2030-02-01T00:00:00Z"), "auth.refused"],
    ["2030-01-31T12:00:00+02:00", Date.parse("2030-01-31T10:00:01Z"), "auth.refused"],
  ] as const) {
    const secret = "a key";
    const key = `sha256:${new Bun.CryptoHasher("sha256").update(secret).digest("hex")}`;
    const auth = {
      apiKey: {
        keys: [
          { name: "a", key, expires },
          { name: "b", key: OTHER },
        ],
      },
    };
    const shared = { ...contextOf().shared, wallNow: () => wallMs };
    const policies = policySchema.parse({ auth }) as PolicyConfig as Policies;
    const [filter] = compileFilters(policies, contextOf({ shared })).request;
    const outcome = filter!.request!(exchangeOf({ headers: [["x-api-key", secret]] }));
    const found =
      outcome !== undefined && !(outcome instanceof Promise) && isFault(outcome as never) ? outcome : undefined;
    expect((found as { code: string } | undefined)?.code).toBe(code as never);
  }
});
