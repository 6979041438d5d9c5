import { beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { exportSPKI, importJWK, type JWTPayload } from "jose";
import {
  ask,
  bearer,
  claimsAt,
  ISSUER,
  type JwtInput,
  jwtOf,
  rawToken,
  type Signer,
  START,
  said,
  sign,
  signer,
  TestShared,
} from "./tokens.testing.ts";

const SIGNERS: Record<string, Signer> = {};
let es: Signer;
let other: Signer;
let rsa: Signer;

beforeAll(async () => {
  for (const algorithm of ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"])
    SIGNERS[algorithm] = await signer(algorithm, algorithm);
  es = SIGNERS.ES256!;
  rsa = SIGNERS.RS256!;
  other = await signer("ES256");
});

const configWith = (keys: readonly Signer[], more: object = {}): JwtInput => ({
  issuer: ISSUER,
  audience: "api",
  keys: keys.map(({ jwk }) => jwk as Record<string, unknown>),
  ...more,
});
const hour = (more: JWTPayload = {}): JWTPayload => claimsAt(START, more);
const way = (more: object = {}, keys: readonly Signer[] = [es, rsa]) =>
  jwtOf(configWith(keys, more), new TestShared().shared);

describe("a token", () => {
  for (const algorithm of ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"])
    test(`signed with ${algorithm} says who it is`, async () => {
      const by = SIGNERS[algorithm]!;
      expect(said(await bearer(way({}, Object.values(SIGNERS)), await sign(by)))).toBe("ann");
    });

  test("brings user, groups, scopes, plan and claims", async () => {
    const claims = hour({ email: "a@b.example", realm_access: { roles: ["ops"] }, scope: "read write", tier: "gold" });
    const token = await sign(es, claims);
    expect(await bearer(way({ user: "email", groups: "realm_access.roles", plan: "tier" }), token)).toEqual({
      kind: "jwt",
      user: "a@b.example",
      issuer: ISSUER,
      groups: ["ops"],
      scopes: ["read", "write"],
      plan: "gold",
      consumer: "",
      limits: null,
      claims,
    });
  });

  test("that is known is found without waiting", async () => {
    const jwt = way();
    const token = await sign(es);
    const first = await bearer(jwt, token);
    const { exchangeOf } = await import("../../pipeline/exchange.fixture.ts");
    const again = jwt.authenticate(exchangeOf({ headers: [["Authorization", `Bearer ${token}`]] }));
    expect(again).not.toBeInstanceOf(Promise);
    expect(again).toBe(first as never);
  });

  test("that is known ends all the same", async () => {
    const time = new TestShared();
    const jwt = jwtOf(configWith([es]), time.shared);
    const token = await sign(es);
    expect(said(await bearer(jwt, token))).toBe("ann");
    time.ms += 3_659_000;
    expect(said(await bearer(jwt, token))).toBe("ann");
    time.ms += 2000;
    expect(said(await bearer(jwt, token))).toBe("the token has expired");
  });
});

describe("attacks", () => {
  const header = (more: object = {}): string => JSON.stringify({ alg: "ES256", kid: "ES256", ...more });
  const claims = (): string => JSON.stringify(hour({ sub: "root" }));
  const NOTHING = (): string => "\0";

  const RAW: readonly (readonly [name: string, make: () => string | Promise<string>, want: string])[] = [
    [
      "alg none, unsigned",
      () =>
        `${rawToken(header({ alg: "none" }), claims(), NOTHING)
          .split(".")
          .slice(0, 2)
          .join(".")}.`,
      "no signed token",
    ],
    ["alg none", () => rawToken(header({ alg: "none" }), claims(), NOTHING), "an algorithm that is not allowed"],
    ["alg NoNe", () => rawToken(header({ alg: "NoNe" }), claims(), NOTHING), "an algorithm that is not allowed"],
    ["no alg", () => rawToken("{}", claims(), NOTHING), "an algorithm that is not allowed"],
    [
      "alg as a list",
      () => rawToken(header({ alg: ["ES256"] }), claims(), NOTHING),
      "an algorithm that is not allowed",
    ],
    [
      "alg toString",
      () => rawToken(header({ alg: "toString" }), claims(), NOTHING),
      "an algorithm that is not allowed",
    ],
    [
      "HMAC with the public key",
      async () => {
        const key = await exportSPKI((await importJWK(rsa.jwk, "RS256", { extractable: true })) as never);
        return rawToken(header({ alg: "HS256", kid: "RS256" }), claims(), (input) =>
          createHmac("sha256", key).update(input).digest(),
        );
      },
      "an algorithm that is not allowed",
    ],
    ["a signature of zeros", () => rawToken(header(), claims(), () => new Uint8Array(64)), "a wrong signature"],
    ["a signature of nothing", () => rawToken(header(), claims(), NOTHING), "a wrong signature"],
    ["another key", () => sign({ ...other, kid: "ES256" }), "a wrong signature"],
    ["a key in the token", () => sign({ ...other, kid: "ES256" }, hour(), { jwk: other.jwk }), "a wrong signature"],
    ["jku", () => sign({ ...other, kid: "ES256" }, hour(), { jku: "http://127.0.0.1:9/jwks" }), "a wrong signature"],
    ["x5u", () => sign({ ...other, kid: "ES256" }, hour(), { x5u: "http://127.0.0.1:9/cert" }), "a wrong signature"],
    ["x5c", () => sign({ ...other, kid: "ES256" }, hour(), { x5c: ["AAAA"] }), "a wrong signature"],
    ["an unknown kid", () => sign({ ...es, kid: "x" }), "a key that the issuer does not have"],
    ["kid as a path", () => sign({ ...es, kid: "../../../../dev/null" }), "a key that the issuer does not have"],
    ["kid as SQL", () => sign({ ...es, kid: "x' UNION SELECT 'k" }), "a key that the issuer does not have"],
    ["kid as a number", () => rawToken(header({ kid: 1 }), claims(), NOTHING), "a key that the issuer does not have"],
    ["kid __proto__", () => sign({ ...es, kid: "__proto__" }), "a key that the issuer does not have"],
    [
      "the key of another algorithm",
      () => rawToken(header({ alg: "RS256" }), claims(), NOTHING),
      "a key that the issuer does not have",
    ],
    [
      "b64 false",
      () => rawToken(header({ b64: false, crit: ["b64"] }), claims(), NOTHING),
      "the token's header wants what is not known here",
    ],
    [
      "crit",
      () => rawToken(header({ crit: ["exp"] }), claims(), NOTHING),
      "the token's header wants what is not known here",
    ],
    [
      "an encrypted one",
      () => `${rawToken(header({ alg: "dir", enc: "A256GCM" }), claims(), NOTHING)}.AA.AA`,
      "no signed token",
    ],
    [
      "a nested one",
      () => rawToken(header({ enc: "A256GCM", cty: "JWT" }), claims(), NOTHING),
      "the token's header wants what is not known here",
    ],
    ["alg twice", () => rawToken('{"alg":"none","kid":"ES256","alg":"ES256"}', claims(), NOTHING), "no signed token"],
    ["sub twice", () => rawToken(header(), '{"sub":"ann","s\\u0075b":"root"}', NOTHING), "no signed token"],
    ["claims that are a list", () => rawToken(header(), "[]", NOTHING), "no signed token"],
    [
      "claims that are no UTF-8",
      () =>
        `${Buffer.from(header()).toString("base64url")}.${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.AA`,
      "no signed token",
    ],
    [
      "huge",
      () => rawToken(header(), JSON.stringify({ sub: "x".repeat(20_000) }), NOTHING),
      "a token that is too long",
    ],
    ["deep", () => rawToken(header(), `{"a":${"[".repeat(2000)}${"]".repeat(2000)}}`, NOTHING), "no signed token"],
    ["empty", () => " ", "an empty token"],
    ["not one", () => "abc.def", "no signed token"],
    ["a padded one", async () => (await sign(es)).replace(/\.([^.]+)$/, ".$1=="), "no signed token"],
  ];
  for (const [name, make, want] of RAW)
    test(name, async () => {
      expect(said(await bearer(way(), await make()))).toBe(want);
    });

  const CLAIMS: readonly (readonly [name: string, claims: object, want: string, more?: object])[] = [
    ["expired", { exp: START / 1000 - 61 }, "the token has expired"],
    ["expired within the leeway", { exp: START / 1000 - 59 }, "ann"],
    ["expired, no leeway", { exp: START / 1000 }, "the token has expired", { leeway: "0s" }],
    ["without exp", { exp: undefined }, "the token does not say when it expires"],
    ["exp as text", { exp: "9999999999" }, "the token does not say when it expires"],
    ["nbf in the future", { nbf: START / 1000 + 61 }, "the token does not hold yet"],
    ["nbf within the leeway", { nbf: START / 1000 + 59 }, "ann"],
    ["nbf as text", { nbf: "0" }, "the token does not hold yet"],
    ["iat in the future", { iat: START / 1000 + 61 }, "the token is from the future"],
    ["iat as null", { iat: null }, "the token is from the future"],
    ["no aud", { aud: undefined }, "the token is for somebody else"],
    ["another aud", { aud: "apis" }, "the token is for somebody else"],
    ["aud in a list", { aud: ["x", "api"] }, "ann"],
    ["aud of numbers and it", { aud: [1, "api"] }, "the token is for somebody else"],
    ["aud as an object", { aud: { api: "api" } }, "the token is for somebody else"],
    ["aud not looked at", { aud: undefined }, "ann", { audience: false }],
    ["no iss", { iss: undefined }, "the token is from another issuer"],
    ["another iss", { iss: `${ISSUER}/` }, "the token is from another issuer"],
    ["iss as a list", { iss: [ISSUER] }, "the token is from another issuer"],
    ["no sub", { sub: undefined }, "the token names nobody"],
    ["an empty sub", { sub: "" }, "the token names nobody"],
    ["sub as an object", { sub: {} }, "the token names nobody"],
    ["user from Object's own", {}, "the token names nobody", { user: "constructor.name" }],
    ["a type that has to be", {}, "a token of another type", { type: "at+jwt" }],
    ["without the scope", { scope: "read" }, "without the scope write", { requireScopes: ["read", "write"] }],
    ["scopes that contain it", { scope: "write2 xwrite" }, "without the scope write", { requireScopes: ["write"] }],
    ["with the scopes", { scp: ["write", "read"] }, "ann", { requireScopes: ["read", "write"] }],
  ];
  for (const [name, changed, want, more] of CLAIMS)
    test(name, async () => {
      // Signed as they are: jose would refuse to make some of them.
      const { CompactSign } = await import("jose");
      const text = JSON.stringify({ ...hour(), ...changed });
      const token = await new CompactSign(Buffer.from(text))
        .setProtectedHeader({ alg: "ES256", kid: "ES256" })
        .sign(es.privateKey);
      expect(said(await bearer(way(more), token))).toBe(want);
    });

  test("a type that is there, in any way to write it", async () => {
    for (const typ of ["at+jwt", "application/at+JWT"])
      expect(said(await bearer(way({ type: "at+jwt" }), await sign(es, hour(), { typ })))).toBe("ann");
  });
});

describe("where it stands", () => {
  const PLACES: readonly (readonly [
    name: string,
    more: object,
    field: (token: string) => [string, string][],
    target?: (token: string) => string,
  ])[] = [
    ["lower-case bearer", {}, (token) => [["authorization", `bearer ${token}`]]],
    ["upper case and spaces", {}, (token) => [["Authorization", `BEARER   ${token}`]]],
    ["another field", { header: "X-Token" }, (token) => [["x-token", token]]],
    ["another field with the scheme", { header: "X-Token" }, (token) => [["x-token", `Bearer ${token}`]]],
    ["a cookie", { cookie: "t" }, (token) => [["cookie", `a=b; t=${token}`]]],
    ["the query", { query: "t" }, () => [], (token) => `/?a=b&t=${token}`],
  ];
  for (const [name, more, fields, target] of PLACES)
    test(name, async () => {
      const token = await sign(es);
      expect(said(await ask(way(more), fields(token), target?.(token)))).toBe("ann");
    });

  const ELSEWHERE: readonly (readonly [
    name: string,
    more: object,
    field: (token: string) => [string, string][],
    want: string,
  ])[] = [
    ["nowhere", {}, () => [], "nothing"],
    ["another scheme", {}, (token) => [["authorization", `Basic ${token}`]], "nothing"],
    ["no scheme", {}, (token) => [["authorization", token]], "nothing"],
    ["the scheme alone", {}, () => [["authorization", "Bearer"]], "an empty token"],
    [
      "two fields",
      {},
      (token) => [
        ["authorization", `Bearer ${token}`],
        ["Authorization", `Bearer ${token}`],
      ],
      "several tokens at once",
    ],
    [
      "two, the first of another scheme",
      {},
      (token) => [
        ["authorization", "Basic x"],
        ["authorization", `Bearer ${token}`],
      ],
      "several tokens at once",
    ],
    ["two cookies", { cookie: "t" }, (token) => [["cookie", `t=x; t=${token}`]], "several tokens at once"],
    [
      "Authorization where it is a cookie",
      { cookie: "t" },
      (token) => [["authorization", `Bearer ${token}`]],
      "nothing",
    ],
  ];
  for (const [name, more, fields, want] of ELSEWHERE)
    test(name, async () => {
      expect(said(await ask(way(more), fields(await sign(es))))).toBe(want);
    });

  test("it is taken away where servers are not to see it", async () => {
    const { exchangeOf } = await import("../../pipeline/exchange.fixture.ts");
    const token = await sign(es);
    const gone = exchangeOf({ headers: [["authorization", `Bearer ${token}`]] });
    await way({ forwardToken: false }).authenticate(gone);
    expect(gone.request.header("authorization")).toBeNull();
    const kept = exchangeOf({ headers: [["authorization", `Bearer ${token}`]] });
    await way().authenticate(kept);
    expect(kept.request.header("authorization")).toBe(`Bearer ${token}`);
    const query = exchangeOf({ target: `/a?x=1&t=${token}&y=2` });
    await way({ query: "t", forwardToken: false }).authenticate(query);
    expect([query.request.target, query.request.query]).toEqual(["/a?x=1&y=2", "x=1&y=2"]);
  });
});

describe("several issuers", () => {
  test("each has its own keys, audience and scopes", async () => {
    const jwt = jwtOf(
      [
        { ...(configWith([es]) as object), issuer: ISSUER, audience: "api" },
        { ...(configWith([other]) as object), issuer: "urn:b", audience: "b", requireScopes: ["b"] },
      ] as JwtInput,
      new TestShared().shared,
    );
    expect(said(await bearer(jwt, await sign(es)))).toBe("ann");
    expect(said(await bearer(jwt, await sign(other, hour({ iss: "urn:b", aud: "b", scope: "b" }))))).toBe("ann");
    expect(said(await bearer(jwt, await sign(other, hour({ iss: "urn:b", aud: "b" }))))).toBe("without the scope b");
    expect(said(await bearer(jwt, await sign(other)))).toBe("a wrong signature");
    expect(said(await bearer(jwt, await sign(es, hour({ iss: "urn:c" }))))).toBe("the token is from another issuer");
  });

  test("what is no token of theirs is left to an introspection behind", async () => {
    const { shared } = new TestShared();
    const jwt = jwtOf(configWith([es]), shared, ["introspection"]);
    expect(said(await bearer(jwt, "opaque"))).toBe("nothing");
    expect(said(await bearer(jwt, await sign(es, hour({ iss: "urn:c" }))))).toBe("nothing");
    expect(said(await bearer(jwt, await sign({ ...other, kid: "ES256" })))).toBe("a wrong signature");
  });
});

describe("secrets", () => {
  const SECRET = "0123456789abcdef0123456789abcdef";
  const hs = (secret: string, more: object = {}) =>
    rawToken(JSON.stringify({ alg: "HS256", ...more }), JSON.stringify(hour()), (input) =>
      createHmac("sha256", secret).update(input).digest(),
    );

  test("HMACs are believed with a secret alone", async () => {
    const jwt = jwtOf({ issuer: ISSUER, audience: "api", secret: ["x".repeat(32), SECRET] }, new TestShared().shared);
    expect(said(await bearer(jwt, hs(SECRET)))).toBe("ann");
    expect(said(await bearer(jwt, hs("y".repeat(32))))).toBe("a wrong signature");
    expect(said(await bearer(jwt, await sign(es)))).toBe("an algorithm that is not allowed");
    // 32 bytes are too short for the longer ones (RFC 7518 section 3.2).
    expect(said(await bearer(jwt, hs(SECRET, { alg: "HS512" })))).toBe("a key that the issuer does not have");
  });
});

describe("settings that cannot work", () => {
  const CASES: readonly (readonly [name: string, more: object, want: string])[] = [
    ["no keys", { keys: undefined }, "name one place that keys come from"],
    ["two places", { jwks: "https://a.example/" }, "name one place that keys come from"],
    ["keys and a secret", { secret: "x".repeat(32) }, "name one place that keys come from"],
    [
      "keys from elsewhere, no issuer",
      { keys: undefined, issuer: undefined, jwks: "https://a.example/" },
      "name the `issuer`",
    ],
    ["http", { keys: undefined, jwks: "http://a.example/" }, "write https://"],
    ["a file", { keys: undefined, jwks: "file:///etc/passwd" }, "is not an https:// address"],
    ["an HMAC without a secret", { algorithms: ["HS256"] }, "HS256 is made with a `secret`"],
    [
      "a signature with a secret",
      { keys: undefined, secret: "x".repeat(32), algorithms: ["ES256"] },
      "ES256 is made with no secret",
    ],
    ["a short secret", { keys: undefined, secret: "short" }, "a secret has at least 32 bytes"],
    ["a secret in a JWK", { keys: [{ kty: "oct", k: "AAAA" }] }, "is no public key for signatures"],
    ["two places for the token", { header: "a", cookie: "b" }, "a token stands in one place"],
    ["a field that is none", { header: "a b" }, "is not a field name"],
    ["a scope that is none", { requireScopes: ['a"b'] }, "is no scope"],
    [
      "a private key",
      { keys: ["-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] },
      "this is a private key",
    ],
    ["a file that is not there", { keys: undefined, file: "/nowhere/keys" }, "/nowhere/keys cannot be read"],
    ["a leeway of a day", { leeway: "1d" }, "10m at most"],
  ];
  for (const [name, more, want] of CASES)
    test(name, () => {
      const { keys, ...rest } = { ...(configWith([es]) as object), ...more } as { keys?: unknown };
      const config = (keys === undefined ? rest : { keys, ...rest }) as JwtInput;
      expect(() => jwtOf(JSON.parse(JSON.stringify(config)), new TestShared().shared)).toThrow(want);
    });

  test("http is for this machine, or where it is allowed", () => {
    const { keys: _, ...rest } = configWith([es]) as { keys: unknown };
    for (const more of [{ jwks: "http://127.0.0.1:9/" }, { jwks: "http://a.example/", insecureHttp: true }])
      expect(jwtOf({ ...rest, ...more } as JwtInput, new TestShared().shared).kind).toBe("jwt");
  });
});
