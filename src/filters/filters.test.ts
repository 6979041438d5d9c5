import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { CompileError } from "../config/compile-error.ts";
import { type PolicyConfig, policySchema } from "../config/schema.ts";
import { hasDotSegment } from "../http/path.ts";
import { type ExchangeOptions, exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { isFault, type Outcome } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import { contextOf } from "./context.testing.ts";
import type { Policies } from "./definition.ts";
import { compileFilters } from "./index.ts";

const PARAMS = ["id"];

const compile = (policies: unknown) =>
  compileFilters(policySchema.parse(policies) as PolicyConfig as Policies, contextOf({ params: PARAMS }));

/** Runs the request phase as the runner does, for filters that do not wait. */
function run(policies: unknown, asked: ExchangeOptions): { x: Exchange; outcome: Outcome | undefined } {
  const x = exchangeOf(asked);
  for (const filter of compile(policies).request) {
    const outcome = filter.request?.(x);
    if (outcome instanceof Promise) throw new Error(`${filter.name} waited`);
    if (outcome !== undefined) return { x, outcome: outcome as Outcome };
  }
  return { x, outcome: undefined };
}

const show = (outcome: Outcome | undefined): string => {
  if (outcome === undefined) return "none";
  return isFault(outcome) ? outcome.code : `${outcome.status} ${outcome.headers.get("location")}`;
};

test("no policies, no filters", () =>
  expect(compile({})).toEqual({ request: [], closed: [expect.anything()], response: [], finish: [] }));

test("filters run in the fixed order, whatever the order of the keys", () => {
  const { request, response } = compile({
    use: [{ name: "mine", request: () => undefined, response: () => undefined }],
    responseHeaders: { set: { a: "b" } },
    requestHeaders: { set: { a: "b" } },
    rewrite: { addPrefix: "/a" },
    redirect: { to: "/x" },
    limits: { uri: "1KB" },
  });
  expect(request.map((filter) => filter.name)).toEqual([
    "request-limits",
    "redirect",
    "rewrite",
    "request-headers",
    "mine",
  ]);
  expect(response.map((filter) => filter.name)).toEqual(["response-headers", "mine"]);
});

const REWRITES: readonly (readonly [name: string, rewrite: unknown, target: string, want: string])[] = [
  ["strip", { stripPrefix: "/v1" }, "/v1/x?a=b", "/x?a=b"],
  ["strip all", { stripPrefix: "/v1" }, "/v1", "/"],
  ["strip with a final slash", { stripPrefix: "/v1/" }, "/v1/", "/"],
  ["strip ends at a segment", { stripPrefix: "/v1" }, "/v10/x", "/v10/x"],
  ["strip elsewhere", { stripPrefix: "/v1" }, "/x/v1", "/x/v1"],
  ["strip sees the normalised path", { stripPrefix: "/v1" }, "//%761/./x", "/x"],
  ["add", { addPrefix: "/api" }, "/x", "/api/x"],
  ["add to the root", { addPrefix: "/api/" }, "/", "/api/"],
  ["strip and add", { stripPrefix: "/v1", addPrefix: "/api" }, "/v1", "/api"],
  ["strip and add more", { stripPrefix: "/v1", addPrefix: "/api" }, "/v1/x/", "/api/x/"],
  ["path", { path: "/users/{id}" }, "/x?a=b", "/users/7%208?a=b"],
  ["path with a query of its own", { path: "/users?id={id}&{query}" }, "/x?a=b", "/users?id=7%208&a=b"],
  ["path from a placeholder", { path: "{path}/more" }, "/x//y?a", "/x/y/more?a"],
  ["path and prefix", { path: "/a", addPrefix: "/b" }, "/", "/b/a"],
  ["regex", { regex: ["^/old/(.*)", "/new/$1"] }, "/old/a%20b?q", "/new/a%20b?q"],
  ["regex that does not fit", { regex: ["^/old/(.*)", "/new/$1"] }, "/x?q", "/x?q"],
  ["regex with a query", { regex: ["^/u/(.*)$", "/user?name=$1"] }, "/u/a", "/user?name=a"],
  ["regex without a slash", { regex: ["^/", ""] }, "/a", "/a"],
  ["regex that doubles the slash", { regex: ["^/a(.*)", "/$1"] }, "/a/x", "/x"],
  ["regex with characters no path has", { regex: ["^/a$", '/a b"'] }, "/a", "/a%20b%22"],
  ["query set", { query: { set: { a: "b c", id: "{id}" } } }, "/x", "/x?a=b%20c&id=7%208"],
  ["query set replaces", { query: { set: { a: "2" } } }, "/x?a=1&b=&%61=3", "/x?b=&a=2"],
  ["query remove", { query: { remove: ["a"] } }, "/x?a=1&b=%zz&a&aa", "/x?b=%zz&aa"],
  ["query remove all", { query: { remove: ["*"] } }, "/x?a=1", "/x"],
  ["query remove glob", { query: { remove: ["utm_*"] } }, "/x?utm_source=1&utm=2&utm%5Fid=3", "/x?utm=2"],
  [
    "query remove globs",
    { query: { remove: ["*_id", "a*b*c"] } },
    "/x?my_id=1&abc=2&axbyc=3&acb=4&ac=5",
    "/x?acb=4&ac=5",
  ],
  ["query only: the path stays as written", { query: { set: { a: "1" } } }, "/a//%41/../b", "/a//%41/../b?a=1"],
];

for (const [name, rewrite, target, want] of REWRITES)
  test(`rewrite: ${name}`, () => {
    const { x, outcome } = run({ rewrite }, { target, params: { id: "7 8" } });
    expect(show(outcome)).toBe("none");
    expect(x.rewrittenTarget).toBe(want);
  });

test("rewrite refuses what would lead to a dot segment", () => {
  const { outcome } = run({ rewrite: { path: "/files/{query.f}/x" } }, { target: "/?f=.." });
  expect(show(outcome)).toBe("request.path");
});

test("rewrite refuses a dot segment that only comes up once the path begins with a slash", () => {
  expect(show(run({ rewrite: { regex: ["^/a(.*)", "$1"] } }, { target: "/a.." }).outcome)).toBe("request.path");
});

test("rewrite leaves OPTIONS * alone", () => {
  const { x } = run({ rewrite: { addPrefix: "/a" } }, { method: "OPTIONS", target: "*", form: "asterisk" });
  expect(x.rewrittenTarget).toBe("");
});

test("a rewritten target is always a path, and one that no other reader sees differently", () => {
  const piece = fc.constantFrom("/", "a", "..", ".", "%2e", "%2F", "?", "&", "=", "old", "é");
  const rewrites = [
    { stripPrefix: "/a" },
    { addPrefix: "/a" },
    { path: "/x/{id}/{query.a}" },
    { regex: ["^/a(.*)", "$1"] },
  ];
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 10 }),
      fc.constantFrom(...rewrites),
      fc.string(),
      (pieces, rewrite, id) => {
        const { x, outcome } = run({ rewrite }, { target: `/${pieces.join("")}`, params: { id } });
        if (outcome !== undefined) return expect(show(outcome)).toBe("request.path");
        expect(x.rewrittenTarget).toMatch(/^\/(?!\/)/);
        expect(hasDotSegment(x.rewrittenTarget.split("?", 1)[0]!)).toBe(false);
      },
    ),
  );
});

const REDIRECTS: readonly (readonly [to: unknown, target: string, want: string])[] = [
  [{ to: "https://www.example.com{uri}" }, "/a?b=c", "308 https://www.example.com/a?b=c"],
  [{ to: "/new", status: 301 }, "/a", "301 /new"],
  [{ to: "{path}/" }, "//evil.example", "308 /evil.example/"],
  [{ to: "{uri}" }, "//evil.example", "308 /evil.example"],
  [{ to: "{uri}" }, "/\\evil.example", "308 /%5Cevil.example"],
  [{ to: "{query.next}" }, "/", "308 /"],
  [{ to: "/u/{id}" }, "/", "308 /u/7"],
];

for (const [redirect, target, want] of REDIRECTS)
  test(`redirect ${JSON.stringify(redirect)} of ${target}`, () => {
    expect(show(run({ redirect }, { target, params: { id: "7\n" } }).outcome)).toBe(want);
  });

describe("header edits", () => {
  test("of requests: remove, then set, then add; what comes out empty is not sent", () => {
    const { x } = run(
      {
        requestHeaders: {
          remove: ["Cookie", "x-r"],
          set: { "x-user": "{user}", "X-Id": "{id}", "x-r": "1" },
          add: { "x-r": "2", "x-e": "{user}" },
        },
      },
      {
        headers: [
          ["cookie", "a"],
          ["X-User", "forged"],
          ["x-id", "old"],
          ["x-r", "0"],
          ["accept", "*/*"],
        ],
        params: { id: "7" },
      },
    );
    expect(x.request.headers.entries()).toEqual([
      ["accept", "*/*"],
      ["X-Id", "7"],
      ["x-r", "1"],
      ["x-r", "2"],
    ]);
  });

  test("Host is replaced, and only by a host", () => {
    const policies = { requestHeaders: { set: { Host: "{query.h}.internal" } } };
    const headers = [["Host", "example.com"]] as const;
    expect(run(policies, { headers, target: "/?h=a" }).x.request.headers.entries()).toEqual([["host", "a.internal"]]);
    expect(show(run(policies, { headers, target: "/?h=a,b%20c" }).outcome)).toBe("h1.bad_request");
  });

  test("of responses", () => {
    const x = exchangeOf({});
    x.response.headers.add("server", "nginx");
    x.response.headers.add("vary", "a");
    for (const filter of compile({
      responseHeaders: { set: { "x-frame-options": "DENY" }, add: { vary: "b" }, remove: ["server"] },
    }).response) {
      expect(filter.response?.(x)).toBeUndefined();
    }
    expect(x.response.headers.entries()).toEqual([
      ["vary", "a"],
      ["x-frame-options", "DENY"],
      ["vary", "b"],
    ]);
  });
});

describe("limits", () => {
  test("of the target and of the header section, in bytes", () => {
    const headers = [["a", "b".repeat(20)]] as const; // 25 bytes with the colon, space and line end
    expect(show(run({ limits: { uri: "10B" } }, { target: "/123456789" }).outcome)).toBe("none");
    expect(show(run({ limits: { uri: "10B" } }, { target: "/123456789a" }).outcome)).toBe("request.uri_too_long");
    expect(show(run({ limits: { headers: "25B" } }, { headers }).outcome)).toBe("none");
    expect(show(run({ limits: { headers: "24B" } }, { headers }).outcome)).toBe("request.headers_too_large");
    expect(show(run({ limits: { headers: "1B" } }, {}).outcome)).toBe("none");
  });

  test("of the body alone make no filter", () => expect(compile({ limits: { body: "1KB" } }).request).toEqual([]));
});

describe("plugins", () => {
  test("are called in order, as methods, and may answer", () => {
    const calls: string[] = [];
    const first = {
      name: "first",
      request() {
        calls.push(this.name);
      },
    };
    const second = { name: "second", request: (x: Exchange) => x.respond(403, "no") };
    const third = { name: "third", request: () => expect.unreachable() };
    const { outcome } = run({ use: [first, second, third] }, {});
    expect(calls).toEqual(["first"]);
    expect((outcome as Reply).status).toBe(403);
  });
});

const REFUSED: readonly (readonly [policies: unknown, path: readonly (string | number)[], message: RegExp])[] = [
  [{ requestHeaders: { set: { "content-length": "1" } } }, ["requestHeaders", "set", "content-length"], /framing/],
  [
    { requestHeaders: { add: { "Transfer-Encoding": "x" } } },
    ["requestHeaders", "add", "Transfer-Encoding"],
    /framing/,
  ],
  [{ requestHeaders: { remove: ["a", "connection"] } }, ["requestHeaders", "remove", 1], /framing/],
  [{ requestHeaders: { add: { host: "x" } } }, ["requestHeaders", "add", "host"], /exactly one Host/],
  [{ requestHeaders: { set: { host: "{nope}" } } }, ["requestHeaders", "set", "host"], /unknown placeholder/],
  [{ requestHeaders: { set: { host: "a b" } } }, ["requestHeaders", "set", "host"], /not a host/],
  [{ requestHeaders: { set: { "a b": "x" } } }, ["requestHeaders", "set", "a b"], /not a field name/],
  [{ requestHeaders: { set: { a: "x\r\ny" } } }, ["requestHeaders", "set", "a"], /control/],
  [{ responseHeaders: { set: { host: "x" } } }, ["responseHeaders", "set", "host"], /no Host/],
  [{ responseHeaders: { set: { upgrade: "x" } } }, ["responseHeaders", "set", "upgrade"], /framing/],
  [{ redirect: { to: "www.example.com" } }, ["redirect", "to"], /begins with/],
  [{ redirect: { to: "/{nope}" } }, ["redirect", "to"], /unknown placeholder/],
  [{ rewrite: { path: "/a", stripPrefix: "/b" } }, ["rewrite"], /whole path/],
  [{ rewrite: { path: "a" } }, ["rewrite", "path"], /begins with/],
  [{ rewrite: { path: "/a#b" } }, ["rewrite", "path"], /#/],
  [{ rewrite: { stripPrefix: "v1" } }, ["rewrite", "stripPrefix"], /prefix/],
  [{ rewrite: { addPrefix: "/a/../../b" } }, ["rewrite", "addPrefix"], /prefix/],
  [{ rewrite: { regex: ["(", ""] } }, ["rewrite", "regex"], /\(/],
  [{ rewrite: { query: { set: { a: "{nope}" } } } }, ["rewrite", "query", "set", "a"], /unknown placeholder/],
  [{ use: [{ name: "p", request: 1 }] }, ["use", 0], /not a function/],
];

for (const [policies, path, message] of REFUSED)
  test(`refused: ${JSON.stringify(policies)}`, () => {
    expect(() => compile(policies)).toThrow(message);
    try {
      compile(policies);
    } catch (error) {
      expect((error as CompileError).path).toEqual([...path]);
    }
  });

const HSTS: readonly (readonly [policy: unknown, scheme: Exchange["scheme"], want: string | null])[] = [
  [true, "https", "max-age=31536000"],
  [true, "http", null],
  [{}, "https", "max-age=31536000"],
  [{ hsts: true }, "https", "max-age=31536000"],
  [{ hsts: {} }, "https", "max-age=31536000"],
  [{ hsts: { maxAge: "0s" } }, "https", "max-age=0"],
  [{ hsts: { maxAge: "1500ms", includeSubDomains: true } }, "https", "max-age=1; includeSubDomains"],
  [
    { hsts: { maxAge: "730d", includeSubDomains: true, preload: true } },
    "https",
    "max-age=63072000; includeSubDomains; preload",
  ],
  [{ hsts: { includeSubDomains: true } }, "http", null],
];

const ALL_OFF = { hsts: false, nosniff: false, frameAncestors: false, referrerPolicy: false, hideServer: false };

for (const [securityHeaders, scheme, want] of HSTS)
  test(`security headers: ${JSON.stringify(securityHeaders)} over ${scheme}`, () => {
    const x = exchangeOf();
    x.scheme = scheme;
    x.response.headers.add("Strict-Transport-Security", "max-age=5");
    for (const filter of compile({ securityHeaders }).response) filter.response?.(x);
    // What a server says stays only where we say nothing.
    expect(x.response.headers.getAll("strict-transport-security")).toEqual([want ?? "max-age=5"]);
  });

test("security headers that are off", () =>
  expect(compile({ securityHeaders: ALL_OFF })).toEqual({
    request: [],
    closed: [expect.anything()],
    response: [],
    finish: [],
  }));
