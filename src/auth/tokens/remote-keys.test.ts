import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Authenticator } from "../authenticator.ts";
import { JsonServer } from "./json-server.testing.ts";
import { bearer, claimsAt, ISSUER, jwtOf, type Signer, said, sign, signer, TestShared } from "./tokens.testing.ts";

let a: Signer;
let b: Signer;
let server: JsonServer;
let number = 0;

beforeAll(async () => {
  [a, b] = await Promise.all([signer("a"), signer("b")]);
  server = new JsonServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const setOf = (...signers: readonly Signer[]) => ({ keys: signers.map(({ jwk }) => jwk) });

interface Rig {
  readonly jwt: Authenticator;
  readonly time: TestShared;
  readonly path: string;
}
/** Keys of its own for each test: what is fetched is known to the thread by its address. */
function rig(set: unknown, headers: Readonly<Record<string, string>> = {}): Rig {
  const time = new TestShared();
  const path = `/jwks-${number++}`;
  if (set !== null) server.set(path, set, headers);
  const jwt = jwtOf({ issuer: ISSUER, audience: "api", jwks: `${server.url}${path}` }, time.shared);
  return { jwt, time, path };
}
const now = async ({ jwt, time }: Rig, by: Signer): Promise<string> =>
  said(await bearer(jwt, await sign(by, claimsAt(time.ms, { jti: String(number++) }))));

const settled = (rig: Rig, count: number): Promise<void> =>
  (async () => {
    for (let i = 0; i < 200 && server.count(rig.path) < count; i += 1) await Bun.sleep(5);
    await Bun.sleep(5);
  })();

describe("keys of an issuer", () => {
  test("are fetched by the first request, once for all that wait", async () => {
    const all = rig(setOf(a));
    expect(server.count(all.path)).toBe(0);
    expect(await Promise.all([now(all, a), now(all, a), now(all, a)])).toEqual(["ann", "ann", "ann"]);
    expect(server.count(all.path)).toBe(1);
  });

  test("are fetched when a plan comes into use, before anybody asks", async () => {
    const all = rig(setOf(a));
    all.time.start();
    await settled(all, 1);
    expect(server.count(all.path)).toBe(1);
    expect(await now(all, a)).toBe("ann");
    all.time.start(); // a reload
    expect(await now(all, a)).toBe("ann");
    expect(server.count(all.path)).toBe(1);
  });

  test("are fetched again for a key that is not there, but not each time", async () => {
    const all = rig(setOf(a));
    expect(await now(all, a)).toBe("ann");
    server.set(all.path, setOf(a, b));
    expect(await Promise.all([now(all, b), now(all, b)])).toEqual(["ann", "ann"]);
    expect(server.count(all.path)).toBe(2);
    const strangers = Array.from({ length: 20 }, (_, i) => now(all, { ...a, kid: `x${i}` }));
    expect(new Set(await Promise.all(strangers))).toEqual(new Set(["a key that the issuer does not have"]));
    expect(server.count(all.path)).toBe(2);
    all.time.ms += 30_001;
    await now(all, { ...a, kid: "y" });
    expect(server.count(all.path)).toBe(3);
  });

  test("that are withdrawn take what they have verified along", async () => {
    const all = rig(setOf(a, b), { "cache-control": "max-age=60" });
    const token = await sign(a, claimsAt(all.time.ms));
    expect(said(await bearer(all.jwt, token))).toBe("ann");
    server.set(all.path, setOf(b));
    all.time.ms += 61_000;
    // This one is still answered by what is known, while the keys are fetched.
    expect(said(await bearer(all.jwt, token))).toBe("ann");
    await settled(all, 2);
    expect(said(await bearer(all.jwt, token))).toBe("a key that the issuer does not have");
    expect(await now(all, b)).toBe("ann");
  });

  const FRESHNESS: readonly (readonly [name: string, field: string, fresh: number])[] = [
    ["what Cache-Control says", "public, max-age=120", 120],
    ["a minute at least", "max-age=1", 60],
    ["a day at most", "max-age=99999999", 86_400],
    ["a minute of what is not to be stored", "no-store", 60],
    ["ten minutes of what says nothing", "", 600],
  ];
  for (const [name, field, fresh] of FRESHNESS)
    test(`are fresh for ${name}`, async () => {
      const all = rig(setOf(a), field === "" ? {} : { "cache-control": field });
      expect(await now(all, a)).toBe("ann");
      all.time.ms += (fresh - 1) * 1000;
      expect(await now(all, a)).toBe("ann");
      expect(server.count(all.path)).toBe(1);
      all.time.ms += 2000;
      expect(await now(all, a)).toBe("ann");
      await settled(all, 2);
      expect(server.count(all.path)).toBe(2);
    });

  test("serve on for a day where the issuer is down, and are asked for ever more seldom", async () => {
    const all = rig(setOf(a));
    expect(await now(all, a)).toBe("ann");
    server.fail(all.path);
    all.time.ms += 601_000;
    expect(await now(all, a)).toBe("ann");
    await settled(all, 2);
    expect([await now(all, a), await now(all, a)]).toEqual(["ann", "ann"]);
    expect(server.count(all.path)).toBe(2);
    expect(all.time.told.filter((line) => line.includes("status 500"))).toHaveLength(1);
    all.time.ms += 86_400_000;
    expect(await now(all, a)).toBe("auth.unavailable");
    server.set(all.path, setOf(a));
    all.time.ms += 60_001;
    expect(await now(all, a)).toBe("ann");
  });

  test("that cannot be had are 503, with the time after which it is tried again", async () => {
    const all = rig(null);
    expect(await Promise.all([now(all, a), now(all, a)])).toEqual(["auth.unavailable", "auth.unavailable"]);
    expect(server.count(all.path)).toBe(1);
    const verdict = await bearer(all.jwt, await sign(a, claimsAt(all.time.ms)));
    expect(verdict).toMatchObject({ answer: { code: "auth.unavailable", retryAfter: 1 } });
    expect(server.count(all.path)).toBe(1);
    server.set(all.path, setOf(a));
    all.time.ms += 1001;
    expect(await now(all, a)).toBe("ann");
  });

  const BROKEN: readonly (readonly [name: string, answer: () => Response])[] = [
    ["no JSON", () => new Response("<html>")],
    ["no set", () => Response.json({ a: 1 })],
    ["no keys", () => Response.json({ keys: [] })],
    [
      "keys of no use",
      () => Response.json({ keys: [{ kty: "oct", k: "AAAA" }, { kty: "EC" }, 1, null, { kty: "XYZ" }] }),
    ],
    ["a key for encryption", () => Response.json({ keys: [{ ...a.jwk, use: "enc" }] })],
    ["keys twice", () => new Response(`{"keys":[],"keys":[${JSON.stringify(a.jwk)}]}`)],
    ["too much", () => new Response(`{"keys":["${"x".repeat(600_000)}"]}`)],
    ["a redirect", () => new Response(null, { status: 302, headers: { location: "/good" } })],
    ["not modified", () => new Response(null, { status: 304 })],
  ];
  for (const [name, answer] of BROKEN)
    test(`${name}: nobody gets in`, async () => {
      const all = rig(null);
      server.set("/good", setOf(a));
      server.answers.set(all.path, answer);
      expect(await now(all, a)).toBe("auth.unavailable");
    });

  test("of no use to us do no harm beside others", async () => {
    const all = rig({
      keys: [{ kty: "oct", k: "AAAA", kid: "a" }, { kty: "EC", crv: "P-256", x: "!", y: 1 }, ...setOf(a).keys],
    });
    expect(await now(all, a)).toBe("ann");
  });

  test("without names are all tried", async () => {
    const all = rig({ keys: [b, a].map(({ jwk: { kid: _, ...jwk } }) => jwk) });
    expect(await now(all, a)).toBe("ann");
  });
});

describe("discovery", () => {
  const discovered = (path: string, time: TestShared) =>
    jwtOf({ issuer: `${server.url}${path}`, audience: "api", discovery: true }, time.shared);
  const CASES: readonly (readonly [name: string, answer: (issuer: string) => object, want: string])[] = [
    ["finds the keys", (issuer) => ({ issuer, jwks_uri: `${server.url}/found` }), "ann"],
    ["of somebody else", (issuer) => ({ issuer: `${issuer}x`, jwks_uri: `${server.url}/found` }), "auth.unavailable"],
    ["that leads nowhere", (issuer) => ({ issuer }), "auth.unavailable"],
    ["that leads to http elsewhere", (issuer) => ({ issuer, jwks_uri: "http://192.0.2.1/keys" }), "auth.unavailable"],
    ["that leads to a file", (issuer) => ({ issuer, jwks_uri: "file:///etc/passwd" }), "auth.unavailable"],
  ];
  for (const [name, answer, want] of CASES)
    test(name, async () => {
      const time = new TestShared();
      const path = `/realm-${number++}`;
      const issuer = `${server.url}${path}`;
      server.set("/found", setOf(a));
      server.set(`${path}/.well-known/openid-configuration`, answer(issuer));
      const jwt = discovered(path, time);
      expect(said(await bearer(jwt, await sign(a, claimsAt(time.ms, { iss: issuer }))))).toBe(want);
    });
});
