// What browsers are told: `cors`, `cookies`, `securityHeaders`, and where `redirect` may lead them.
import { describe, expect, test } from "bun:test";
import type { CompileError } from "../config/compile-error.ts";
import { type PolicyConfig, policySchema } from "../config/schema.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { type Exchange, isFault, type Outcome } from "../pipeline/exchange.ts";
import { contextOf } from "./context.testing.ts";
import type { Policies } from "./definition.ts";
import { compileFilters } from "./index.ts";

const compile = (policies: unknown) =>
  compileFilters(policySchema.parse(policies) as PolicyConfig as Policies, contextOf({ params: ["id"] }));

type Fields = readonly (readonly [name: string, value: string])[];
const lines = (headers: HeaderBlock): string[] =>
  headers.entries().map(([name, value]) => `${name.toLowerCase()}: ${value}`);

function ask(
  policies: unknown,
  method: string,
  fields: Fields,
  target = "/",
): { x: Exchange; outcome: Outcome | undefined } {
  const x = exchangeOf({ method, headers: fields, target, params: { id: "a.evil.example" } });
  for (const filter of compile(policies).request) {
    const outcome = filter.request?.(x);
    if (outcome !== undefined && !(outcome instanceof Promise)) return { x, outcome: outcome as Outcome };
  }
  return { x, outcome: undefined };
}

/** The fields of a server's answer once it has passed. */
function answered(policies: unknown, server: Fields, asked: Fields = [], scheme: "http" | "https" = "https"): string[] {
  const x = exchangeOf({ headers: asked });
  x.scheme = scheme;
  for (const [name, value] of server) x.response.headers.add(name, value);
  for (const filter of compile(policies).response) filter.response?.(x);
  return lines(x.response.headers);
}

const ORIGIN = "https://app.example";
const preflight = (origin: string, method: string, headers?: string): Fields => [
  ["origin", origin],
  ["access-control-request-method", method],
  ...(headers === undefined ? [] : [["access-control-request-headers", headers] as const]),
];

describe("preflights", () => {
  const CORS = {
    origins: [ORIGIN],
    methods: ["GET", "PUT"],
    headers: ["X-One", "content-type"],
    maxAge: "1h",
    exposeHeaders: ["x-out"],
  };
  const VARY = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
  const YES = [
    VARY,
    `access-control-allow-origin: ${ORIGIN}`,
    "access-control-allow-methods: GET, PUT",
    "access-control-allow-headers: X-One, content-type",
    "access-control-max-age: 3600",
  ];
  const CASES: readonly (readonly [name: string, cors: object, asked: Fields, want: string | readonly string[]])[] = [
    ["what may", CORS, preflight(ORIGIN, "PUT", "x-one,Content-Type"), YES],
    ["no fields", CORS, preflight(ORIGIN, "GET"), YES],
    ["another method", CORS, preflight(ORIGIN, "DELETE"), [VARY]],
    ["methods are not folded", CORS, preflight(ORIGIN, "put"), [VARY]],
    ["another field", CORS, preflight(ORIGIN, "GET", "x-one, x-two"), [VARY]],
    ["another origin", CORS, preflight("https://evil.example", "GET"), "cors.denied"],
    ["an origin in a longer one", CORS, preflight(`${ORIGIN}.evil.example`, "GET"), "cors.denied"],
    ["null", CORS, preflight("null", "GET"), "cors.denied"],
    [
      "any origin, any field",
      { origins: ["*"], headers: ["*"] },
      preflight("https://x.example", "GET", "x-a, X-B"),
      [
        VARY,
        "access-control-allow-origin: *",
        "access-control-allow-methods: GET, HEAD, POST",
        "access-control-allow-headers: x-a, x-b",
      ],
    ],
    [
      "credentials",
      { origins: [ORIGIN], credentials: true },
      preflight(ORIGIN, "POST"),
      [
        VARY,
        `access-control-allow-origin: ${ORIGIN}`,
        "access-control-allow-credentials: true",
        "access-control-allow-methods: GET, HEAD, POST",
      ],
    ],
  ];
  for (const [name, cors, asked, want] of CASES)
    test(name, () => {
      const { outcome } = ask({ cors }, "OPTIONS", asked);
      if (outcome === undefined) throw new Error("it was forwarded");
      if (isFault(outcome)) return expect(outcome.code as string).toBe(want as string);
      expect([outcome.status, lines(outcome.headers)]).toEqual([204, [...want]]);
    });
  test("an OPTIONS that is none is forwarded", () => {
    expect(ask({ cors: CORS }, "OPTIONS", [["origin", ORIGIN]]).outcome).toBeUndefined();
    expect(ask({ cors: CORS }, "OPTIONS", []).outcome).toBeUndefined();
  });
  test("`access.methods` lets them through, and nothing else", () => {
    const policies = { cors: CORS, access: { methods: ["GET"] } };
    expect(ask(policies, "OPTIONS", preflight(ORIGIN, "PUT")).outcome).toMatchObject({ status: 204 });
    expect(ask(policies, "OPTIONS", []).outcome).toMatchObject({ code: "access.method" });
  });
});

describe("origins", () => {
  const CASES: readonly (readonly [origins: readonly string[], origin: string, may: boolean])[] = [
    [["https://*.app.example"], "https://a.app.example", true],
    [["https://*.app.example"], "https://a.b.app.example", true],
    [["https://*.app.example"], "https://app.example", false],
    [["https://*.app.example"], "https://evilapp.example", false],
    [["https://*.app.example"], "http://a.app.example", false],
    [["https://*.app.example"], "https://a.app.example:444", false],
    [["https://*.app.example"], "https://evil.example/.app.example", false],
    [["https://*.app.example"], "https://evil.example#.app.example", false],
    [["https://*.app.example"], "https://x@.app.example", false],
    [["https://*.app.example:8443"], "https://a.app.example:8443", true],
    [["http://localhost:3000"], "http://localhost:3000", true],
    [["http://localhost:3000"], "http://localhost:30000", false],
    [["*"], "https://anything.example", true],
    [["*"], "null", false],
    [["null"], "null", true],
    [["capacitor://localhost"], "capacitor://localhost", true],
  ];
  for (const [origins, origin, may] of CASES)
    test(`${origin} of ${origins}`, () =>
      expect(ask({ cors: { origins, strict: true } }, "GET", [["origin", origin]]).outcome === undefined).toBe(may));
});

describe("answers", () => {
  const CASES: readonly (readonly [
    name: string,
    cors: object,
    server: Fields,
    asked: Fields,
    want: readonly string[],
  ])[] = [
    [
      "of an origin that may",
      { origins: [ORIGIN] },
      [],
      [["origin", ORIGIN]],
      ["vary: Origin", `access-control-allow-origin: ${ORIGIN}`],
    ],
    ["of another", { origins: [ORIGIN] }, [], [["origin", "https://b.example"]], ["vary: Origin"]],
    ["without an origin", { origins: [ORIGIN] }, [], [], ["vary: Origin"]],
    [
      "for all the same",
      { origins: ["*"], exposeHeaders: ["x-a", "x-b"] },
      [],
      [["origin", ORIGIN]],
      ["access-control-allow-origin: *", "access-control-expose-headers: x-a, x-b"],
    ],
    [
      "what the server says is replaced",
      { origins: [ORIGIN] },
      [
        ["Access-Control-Allow-Origin", "*"],
        ["Access-Control-Allow-Credentials", "true"],
        ["vary", "Accept, origin"],
      ],
      [["origin", "https://b.example"]],
      ["vary: Accept, origin"],
    ],
  ];
  for (const [name, cors, server, asked, want] of CASES)
    test(name, () => expect(answered({ cors }, server, asked)).toEqual([...want]));

  test("errors of Sluice's own carry the fields", () => {
    const { x } = ask({ cors: { origins: [ORIGIN], credentials: true } }, "GET", [["origin", ORIGIN]]);
    expect(x.errorFields).toEqual([
      ["vary", "Origin"],
      ["access-control-allow-origin", ORIGIN],
      ["access-control-allow-credentials", "true"],
    ]);
  });
});

describe("cookies", () => {
  const CASES: readonly (readonly [cookies: object, scheme: "http" | "https", server: string, want: string])[] = [
    [{}, "https", "a=b", "a=b; Secure; HttpOnly; SameSite=Lax"],
    [{}, "http", "a=b", "a=b; HttpOnly; SameSite=Lax"],
    [{}, "https", "a=b; Path=/; secure; HTTPONLY; samesite=none", "a=b; Path=/; secure; HTTPONLY; samesite=none"],
    [{ sameSite: "none" }, "https", "a=b", "a=b; Secure; HttpOnly; SameSite=None"],
    [{ sameSite: "none" }, "http", "a=b", "a=b; HttpOnly"],
    [{ sameSite: false, httpOnly: false }, "https", "a=b; Path=/;", "a=b; Path=/; Secure"],
    [{ except: ["a"] }, "https", "a=b", "a=b"],
    [{ except: ["b"] }, "https", "a=b", "a=b; Secure; HttpOnly; SameSite=Lax"],
    [{}, "https", "a=Secure", "a=Secure; Secure; HttpOnly; SameSite=Lax"],
  ];
  for (const [cookies, scheme, server, want] of CASES)
    test(`${server} with ${JSON.stringify(cookies)} over ${scheme}`, () =>
      expect(
        answered(
          { cookies },
          [
            ["set-cookie", server],
            ["set-cookie", "z=1; Secure; HttpOnly; SameSite=Lax"],
          ],
          [],
          scheme,
        ),
      ).toEqual([`set-cookie: ${want}`, "set-cookie: z=1; Secure; HttpOnly; SameSite=Lax"]));
});

describe("security headers", () => {
  const ALL = [
    "strict-transport-security: max-age=31536000",
    "x-content-type-options: nosniff",
    "referrer-policy: strict-origin-when-cross-origin",
    "content-security-policy: frame-ancestors 'self'",
    "x-frame-options: SAMEORIGIN",
  ];
  test("all that are safe, and what tells of the server is gone", () =>
    expect(
      answered({ securityHeaders: true }, [
        ["Server", "x/1.0"],
        ["X-Powered-By", "y"],
      ]),
    ).toEqual(ALL));
  test("an object has the same defaults", () => expect(answered({ securityHeaders: {} }, [])).toEqual(ALL));
  test("what the server says of its own pages stays", () => {
    const server = [
      ["content-security-policy", "frame-ancestors https://p.example"],
      ["referrer-policy", "no-referrer"],
    ] as const;
    expect(answered({ securityHeaders: { hsts: false, nosniff: false } }, server)).toEqual(
      server.map((each) => each.join(": ")),
    );
  });
  test("what is set", () => {
    const securityHeaders = {
      hsts: false,
      nosniff: false,
      referrerPolicy: false,
      hideServer: false,
      frameAncestors: "'none'",
      permissionsPolicy: "camera=()",
      openerPolicy: "same-origin",
      resourcePolicy: "same-site",
      csp: { policy: "default-src 'self';", reportOnly: true, report: "/csp" },
    };
    expect(answered({ securityHeaders }, [["server", "x"]])).toEqual([
      "server: x",
      "permissions-policy: camera=()",
      "cross-origin-opener-policy: same-origin",
      "cross-origin-resource-policy: same-site",
      "content-security-policy-report-only: default-src 'self'; report-uri /csp",
      "content-security-policy: frame-ancestors 'none'",
      "x-frame-options: DENY",
    ]);
  });
});

describe("redirects lead nowhere that a client chooses", () => {
  const CASES: readonly (readonly [redirect: object, target: string, want: string])[] = [
    [{ to: "https://{host}{uri}" }, "/a?b", "https://example.com/a?b"],
    [
      { to: "https://www.example.com/{query.next}" },
      "/?next=//evil.example",
      "https://www.example.com/%2F%2Fevil.example",
    ],
    [{ to: "https://{id}.example", hosts: ["*.example"] }, "/", "https://a.evil.example.example"],
    [{ to: "https://{id}", hosts: ["good.example"] }, "/", "redirect.denied"],
    [{ to: "https://{id}", hosts: ["*.evil.example"] }, "/", "https://a.evil.example"],
    [{ to: "/{id}", hosts: ["good.example"] }, "/", "/a.evil.example"],
  ];
  for (const [redirect, target, want] of CASES)
    test(`${JSON.stringify(redirect)} for ${target}`, () => {
      const { outcome } = ask({ redirect }, "GET", [], target);
      expect(outcome === undefined ? "" : isFault(outcome) ? outcome.code : outcome.headers.get("location")).toBe(want);
    });
  for (const to of [
    "https://{id}/",
    "https://example.com{query.next}",
    "https://{header.x}.example.com/",
    "https://{host}.{id}/",
  ])
    test(`${to} is refused`, () =>
      expect(() => compile({ redirect: { to } })).toThrow("clients could choose where it leads"));
});

describe("refused", () => {
  const CASES: readonly (readonly [policies: unknown, path: readonly (string | number)[], message: RegExp])[] = [
    [{ cors: { origins: ["*"], credentials: true } }, ["cors", "credentials"], /every page could act/],
    [{ cors: { origins: [ORIGIN, "null"], credentials: true } }, ["cors", "credentials"], /instead of `null`/],
    [{ cors: { origins: ["https://a.example/"] } }, ["cors", "origins", 0], /no slash/],
    [{ cors: { origins: [ORIGIN, "https://A.example"] } }, ["cors", "origins", 1], /lower case/],
    [{ cors: { origins: ["app.example"] } }, ["cors", "origins", 0], /not an origin/],
    [{ cors: { origins: ["*"], methods: ["GET POST"] } }, ["cors", "methods", 0], /not a method/],
    [
      { securityHeaders: { frameAncestors: "'self'; script-src *" } },
      ["securityHeaders", "frameAncestors"],
      /write sources/,
    ],
    [{ securityHeaders: { permissionsPolicy: "a\nb" } }, ["securityHeaders", "permissionsPolicy"], /visible ASCII/],
  ];
  for (const [policies, path, message] of CASES)
    test(JSON.stringify(policies), () => {
      let error = {} as CompileError;
      try {
        compile(policies);
      } catch (thrown) {
        error = thrown as CompileError;
      }
      expect([error.path, error.message]).toEqual([[...path], expect.stringMatching(message)]);
    });
});
