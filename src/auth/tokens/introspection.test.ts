import { afterAll, beforeAll, expect, test } from "bun:test";
import type { z } from "zod";
import { introspectionSchema } from "../../config/schema-auth-tokens.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Authenticator } from "../authenticator.ts";
import { compileIntrospection } from "./introspection.ts";
import { JsonServer } from "./json-server.testing.ts";
import { ask, bearer, contextFor, START, said, TestShared } from "./tokens.testing.ts";

let server: JsonServer;
let number = 0;
beforeAll(() => {
  server = new JsonServer();
});
afterAll(() => server[Symbol.asyncDispose]());

interface Rig {
  readonly way: Authenticator;
  readonly time: TestShared;
  readonly path: string;
}
function rig(answer: unknown, more: Partial<z.input<typeof introspectionSchema>> = {}): Rig {
  const time = new TestShared();
  const path = `/introspect-${number++}`;
  if (answer !== null) server.set(path, answer);
  const config = { endpoint: `${server.url}${path}`, clientId: "us:", clientSecret: "a b%", ...more };
  return { way: compileIntrospection(introspectionSchema.parse(config), contextFor(time.shared)), time, path };
}
const ANN = { active: true, sub: "ann", scope: "read", exp: START / 1000 + 3600, aud: "api", iss: "https://i.example" };

const CASES: readonly (readonly [name: string, answer: object, want: string, more?: object])[] = [
  ["an active token", ANN, "ann"],
  ["not active", { active: false, sub: "ann" }, "the token is not active"],
  ["active in another way", { ...ANN, active: "true" }, "the token is not active"],
  ["nothing said", {}, "the token is not active"],
  ["expired long ago", { ...ANN, exp: START / 1000 - 61 }, "the token has expired"],
  ["not yet", { ...ANN, nbf: START / 1000 + 61 }, "the token does not hold yet"],
  ["for us", ANN, "ann", { audience: ["x", "api"] }],
  ["for somebody else", ANN, "the token is for somebody else", { audience: "x" }],
  ["of the issuer", ANN, "ann", { issuer: "https://i.example" }],
  ["of another issuer", ANN, "the token is not active", { issuer: "https://j.example" }],
  ["a program", { active: true, client_id: "robot" }, "robot"],
  ["a name", { active: true, username: "ann@x", client_id: "robot" }, "ann@x"],
  ["nobody", { active: true }, "the answer names nobody"],
  ["without the scope", ANN, "without the scope write", { requireScopes: ["write"] }],
  ["with the scope", ANN, "ann", { requireScopes: ["read"] }],
];
for (const [name, answer, want, more] of CASES)
  test(name, async () => expect(said(await bearer(rig(answer, more).way, "t"))).toBe(want));

test("a name in place of a subject is the user's, and never what somebody vouches for", async () => {
  const issuer = "https://i.example";
  for (const [answer, user, sub, by] of [
    [{ active: true, username: "acme-app" }, "acme-app", undefined, ""],
    [{ active: true, client_id: "robot" }, "robot", undefined, issuer],
    [ANN, "ann", "ann", issuer],
  ] as const) {
    const found = (await bearer(rig(answer, by === "" ? {} : { issuer: by }).way, "t")) as Identity;
    expect([found.user, found.issuer, found.claims.sub]).toEqual([user, by, sub]);
  }
});

test("the server is told who asks, and about what", async () => {
  const basic = rig(ANN);
  await bearer(basic.way, "t/+=");
  const post = rig(ANN, { clientAuth: "post" });
  await bearer(post.way, "t");
  const [first, second] = server.asked.slice(-2);
  const pair = Buffer.from("us%3A:a+b%25").toString("base64"); // RFC 6749 section 2.3.1
  const form = "token_type_hint=access_token";
  expect(first).toMatchObject({ method: "POST", authorization: `Basic ${pair}`, body: `token=t%2F%2B%3D&${form}` });
  const own = "client_id=us%3A&client_secret=a+b%25";
  expect(second).toMatchObject({ authorization: null, body: `token=t&${form}&${own}` });
});

test("it is asked once about a token, and again when what it said is old", async () => {
  const all = rig(ANN);
  expect(await Promise.all([1, 2, 3].map(async () => said(await bearer(all.way, "t"))))).toEqual(["ann", "ann", "ann"]);
  expect(server.count(all.path)).toBe(1);
  all.time.ms += 59_000;
  await bearer(all.way, "t");
  expect(server.count(all.path)).toBe(1);
  await bearer(all.way, "u");
  expect(server.count(all.path)).toBe(2);
  server.set(all.path, { active: false });
  all.time.ms += 1001;
  expect(said(await bearer(all.way, "t"))).toBe("the token is not active");
});

test("a token is not believed for longer than it holds", async () => {
  const all = rig({ ...ANN, exp: START / 1000 + 10 });
  await bearer(all.way, "t");
  all.time.ms += 10_001;
  server.set(all.path, { active: false });
  expect(said(await bearer(all.way, "t"))).toBe("the token is not active");
});

test("a bad one is refused for a while", async () => {
  const all = rig({ active: false });
  for (let i = 0; i < 2; i += 1)
    expect(await bearer(all.way, "t")).toMatchObject({ refused: true, guess: false, error: 'error="invalid_token"' });
  expect(server.count(all.path)).toBe(1);
  all.time.ms += 5001;
  await bearer(all.way, "t");
  expect(server.count(all.path)).toBe(2);
});

const FAILURES: readonly (readonly [name: string, answer: () => Response | Promise<Response>])[] = [
  ["an error", () => new Response("no", { status: 500 })],
  ["a refusal", () => Response.json({ active: true, sub: "ann" }, { status: 401 })],
  ["a redirect", () => new Response(null, { status: 302, headers: { location: "/" } })],
  ["no JSON", () => new Response("active")],
  ["two answers in one", () => new Response('{"active":false,"active":true,"sub":"ann"}')],
  ["silence", () => new Promise<Response>(() => {})],
];
for (const [name, answer] of FAILURES)
  test(`${name}: nobody gets in, and nothing is remembered`, async () => {
    const all = rig(null, { timeout: "100ms" });
    server.answers.set(all.path, answer);
    expect(said(await bearer(all.way, "t"))).toBe("auth.unavailable");
    expect(all.time.told).toHaveLength(1);
    server.set(all.path, ANN);
    expect(said(await bearer(all.way, "t"))).toBe("ann");
  });

test("only so many are asked about at a time", async () => {
  const all = rig(null, { timeout: "300ms" });
  server.answers.set(all.path, () => new Promise<Response>(() => {}));
  const asked = Array.from({ length: 256 }, (_, i) => bearer(all.way, `t${i}`));
  const before = performance.now();
  expect(said(await bearer(all.way, "one more"))).toBe("auth.unavailable");
  expect(performance.now() - before).toBeLessThan(250);
  await Promise.all(asked);
});

test("without a token nobody is asked", async () => {
  const all = rig(ANN);
  expect(said(await ask(all.way, []))).toBe("nothing");
  expect(said(await ask(all.way, [["authorization", "Basic eA=="]]))).toBe("nothing");
  expect(server.count(all.path)).toBe(0);
});

test("settings that cannot work", () => {
  expect(() => rig(null, { endpoint: "http://a.example/" })).toThrow("write https://");
  expect(() => rig(null, { cache: { ttl: "2h" } })).toThrow("1h at most");
  expect(() => rig(null, { requireScopes: ["a b"] })).toThrow("is no scope");
});
